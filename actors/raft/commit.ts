import { assert } from '../../protocol/assert.ts';
import type { RaftOutbox } from './events.ts';
import { finishConfigChange } from './membership.ts';
import { quorumIndex } from './quorum.ts';
import { startReadRound } from './read-index.ts';
import { announceCommit } from './replicate.ts';
import type { RaftView } from './state.ts';

/**
 * Advances commitIndex to the highest index that a quorum has stored (§5.3), but only over an entry
 * of the current term (§5.4.2, figure 8). Cost: O(voters log voters) per acknowledgement. Emits
 * CommitAdvanced at most once.
 */
export function advanceCommit(s: RaftView, nowMs: number, out: RaftOutbox): void {
  const { leader } = s;
  if (leader === null) return;
  const commitIndex = quorumIndex(s.log.config, (id) =>
    id === s.self ? s.syncedIndex : (leader.peers.get(id)?.matchIndex ?? 0),
  );
  if (commitIndex <= s.commitIndex || s.log.termAt(commitIndex) !== s.currentTerm) return;
  out.emit({ type: 'CommitAdvanced', commitIndex });
  finishConfigChange(s, nowMs, out);
  if (s.leader === null) return;
  announceCommit(s, out);
  startReadRound(s, out);
}

/**
 * The own log is synced up to (index, term). An entry replaced since then has another term and does
 * not count; a leader never replaces its own, so what it counts towards commitment is unambiguous.
 */
export function decideLogSynced(
  s: RaftView,
  synced: { readonly index: number; readonly term: number },
  nowMs: number,
  out: RaftOutbox,
): void {
  if (synced.index <= s.syncedIndex || s.log.termAt(synced.index) !== synced.term) return;
  assert(synced.index <= s.log.lastIndex, 'only entries of the log are synced');
  out.emit({ type: 'SyncAdvanced', syncedIndex: synced.index });
  advanceCommit(s, nowMs, out);
}
