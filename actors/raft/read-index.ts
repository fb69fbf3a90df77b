import { assert } from '../../protocol/assert.ts';
import type { RaftOutbox } from './events.ts';
import { hasQuorum } from './quorum.ts';
import { heartbeatAll } from './replicate.ts';
import type { RaftView } from './state.ts';

/**
 * Linearizable reads without log entries (§8, thesis 6.4). One round of heartbeats at a time
 * confirms all reads that were waiting when it left; later ones wait for the next round, so load
 * makes rounds larger. Every round has its own nonce: an answer to an older one proves nothing.
 */
export function decideReadIndex(s: RaftView, readId: number, out: RaftOutbox): void {
  if (s.leader === null) return out.readRefused(readId);
  out.emit({ type: 'ReadQueued', readId });
  startReadRound(s, out);
}

/**
 * Begins a round if none is under way. Until the term's no-op is committed the commit index may be
 * behind what an earlier leader has answered, so reads wait (thesis 6.4, step 1).
 */
export function startReadRound(s: RaftView, out: RaftOutbox): void {
  const { leader } = s;
  assert(leader !== null, 'only a leader confirms reads');
  if (leader.reads.waiting.length === 0 || leader.reads.confirming.length > 0) return;
  if (s.commitIndex < leader.noopIndex) return;
  out.emit({ type: 'ReadRoundStarted', nonce: s.nonce + 1, readIndex: s.commitIndex });
  if (isRoundConfirmed(s)) endRound(s, out);
  else heartbeatAll(s, out);
}

/**
 * No other replica can be elected without this one's vote, now or ever: a leader that is one in its own
 * memory is the only one (see docs/protocol/reads-and-revisions.md).
 */
export function isSoleVoter(s: RaftView): boolean {
  const { voters, votersOld } = s.log.config;
  return voters.length === 1 && voters[0] === s.self && votersOld === null;
}

/** Ends the round when a quorum has answered it, and begins the next. */
export function confirmReads(s: RaftView, out: RaftOutbox): void {
  if (s.leader === null || s.leader.reads.confirming.length === 0 || !isRoundConfirmed(s)) return;
  endRound(s, out);
  startReadRound(s, out);
}

function endRound(s: RaftView, out: RaftOutbox): void {
  const { reads } = s.leader!;
  for (const readId of reads.confirming) out.readConfirmed(readId, reads.readIndex);
  out.emit({ type: 'ReadRoundEnded' });
}

function isRoundConfirmed(s: RaftView): boolean {
  const { leader } = s;
  assert(leader !== null, 'only a leader confirms reads');
  const { nonce } = leader.reads;
  return hasQuorum(
    s.log.config,
    (id) => id === s.self || (leader.peers.get(id)?.ackedNonce ?? 0) >= nonce,
  );
}
