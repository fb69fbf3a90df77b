import { assert } from '../../protocol/assert.ts';
import { type LogEntry, makeEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Proposal, RaftOutbox } from './events.ts';
import { replicateToAll } from './replicate.ts';
import type { RaftView } from './state.ts';

/** How much log may wait for its quorum; beyond it proposals are refused, so memory is bounded. */
export const UNCOMMITTED_BYTES_MAX = 4 * LIMITS.appendInflightBytesMax;

/**
 * Appends proposals to the leader's log and sends them on (§5.3, Figure 2: leaders, rule 2). One
 * event per appendBytesMax, so that a record of the WAL is never larger than a message.
 */
export function decidePropose(
  s: RaftView,
  proposals: readonly Proposal[],
  nowMs: number,
  out: RaftOutbox,
): void {
  const refusal = refusalOf(s);
  if (refusal !== null) {
    for (const { proposalId } of proposals) out.proposalRefused(proposalId, refusal);
    return;
  }
  let entries: LogEntry[] = [];
  let bytes = 0;
  let pending = s.log.bytesAfter(s.commitIndex);
  let index = s.log.lastIndex;
  const term = s.currentTerm;
  for (const { proposalId, kind, clockBound, payload } of proposals) {
    assert(kind !== 'config', 'members change through ChangeMembers');
    if (pending > 0 && pending + payload.length > UNCOMMITTED_BYTES_MAX) {
      out.proposalRefused(proposalId, 'overloaded');
      continue;
    }
    if (entries.length > 0 && bytes + payload.length > LIMITS.appendBytesMax) {
      appendToOwnLog(s, entries, out);
      entries = [];
      bytes = 0;
    }
    index++;
    const entry = makeEntry({ index, term, kind, clockBound }, payload, s.log.slab);
    entries.push(entry);
    bytes += entry.bytes.length;
    pending += entry.bytes.length;
    out.proposed(proposalId, index, term);
  }
  if (entries.length > 0) appendToOwnLog(s, entries, out);
  replicateToAll(s, nowMs, out);
}

/**
 * Appends one entry of the core's own making. Its clockBound is the log's highest: it promises
 * nothing new and hides nothing that was promised.
 */
export function appendOwnEntry(
  s: RaftView,
  kind: 'noop' | 'config',
  payload: Uint8Array,
  out: RaftOutbox,
): void {
  const { clockBound } = s.log;
  const index = s.log.lastIndex + 1;
  const term = s.currentTerm;
  const entry = makeEntry({ index, term, kind, clockBound }, payload, s.log.slab);
  appendToOwnLog(s, [entry], out);
}

/** A leader only ever appends to its own log (§5.3, Leader Append-Only). */
function appendToOwnLog(s: RaftView, entries: readonly LogEntry[], out: RaftOutbox): void {
  out.emit({ type: 'EntriesAppended', prevLogIndex: s.log.lastIndex, entries });
}

function refusalOf(s: RaftView): 'not_leader' | 'transferring' | null {
  if (s.leader === null) return 'not_leader';
  return s.leader.transfer === null ? null : 'transferring';
}
