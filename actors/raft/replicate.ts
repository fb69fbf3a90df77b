import { assert } from '../../protocol/assert.ts';
import type { LogEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftOutbox } from './events.ts';
import type { PeerView, RaftView } from './state.ts';

/**
 * The leader's sending side (§5.3): what goes to each follower, and when. Windows per follower
 * bound what is in flight; heartbeats find what was lost, since their prevLogIndex is the end of
 * what was sent.
 */

/** Sends a follower all that its window allows. Does nothing when there is nothing to send. */
export function replicateTo(s: RaftView, id: ReplicaId, nowMs: number, out: RaftOutbox): void {
  const peer = s.leader?.peers.get(id);
  assert(peer !== undefined, 'only peers of a leader are replicated to');
  while (peer.mode !== 'snapshot') {
    if (peer.nextIndex <= s.log.baseIndex) return startSnapshot(s, id, peer, nowMs, out);
    if (peer.nextIndex > s.log.lastIndex || isWindowFull(peer)) return;
    const { appendEntriesMax, appendBytesMax } = LIMITS;
    sendAppend(
      s,
      id,
      peer,
      s.log.entriesFrom(peer.nextIndex, appendEntriesMax, appendBytesMax),
      out,
    );
  }
}

export function replicateToAll(s: RaftView, nowMs: number, out: RaftOutbox): void {
  for (const id of peersOf(s).keys()) replicateTo(s, id, nowMs, out);
}

/**
 * When the next heartbeat is due: at a multiple of the period, so that all groups which a node leads beat
 * in one turn, and one message to each peer carries them (architecture 4).
 */
export function nextHeartbeatMs(nowMs: number): number {
  return (Math.floor(nowMs / LIMITS.heartbeatMs) + 1) * LIMITS.heartbeatMs;
}

/** A round of empty AppendEntries to everybody (§5.2). */
export function heartbeatAll(s: RaftView, out: RaftOutbox): void {
  for (const [id, peer] of peersOf(s)) sendHeartbeat(s, id, peer, out);
}

/** Retries what heartbeats alone do not: snapshots that have not begun or got no answer (§7). */
export function retrySnapshots(s: RaftView, nowMs: number, out: RaftOutbox): void {
  for (const [id, peer] of peersOf(s)) {
    if (peer.mode !== 'snapshot') {
      if (peer.nextIndex <= s.log.baseIndex) startSnapshot(s, id, peer, nowMs, out);
    } else if (peer.sending === null) {
      startSnapshot(s, id, peer, nowMs, out);
    } else if (nowMs - peer.sending.sentMs >= LIMITS.electionTimeoutMsMax) {
      sendChunk(s, id, peer.sending.meta, peer.sending.offset, nowMs, out);
    }
  }
}

export function announceCommit(s: RaftView, out: RaftOutbox): void {
  for (const id of peersOf(s).keys()) announceCommitTo(s, id, out);
}

/**
 * Tells a follower of a new commit index at once when it is idle. A busy one learns it from its next
 * message, so that load does not double the number of messages.
 */
export function announceCommitTo(s: RaftView, id: ReplicaId, out: RaftOutbox): void {
  const peer = peersOf(s).get(id);
  if (peer?.mode !== 'replicate' || peer.matchIndex !== s.log.lastIndex) return;
  if (peer.commitSent < s.commitIndex) sendHeartbeat(s, id, peer, out);
}

/** An empty AppendEntries after everything sent so far. */
export function sendHeartbeat(s: RaftView, id: ReplicaId, peer: PeerView, out: RaftOutbox): void {
  sendAppend(s, id, peer, NO_ENTRIES, out);
}

const NO_ENTRIES: LogEntry[] = [];

/**
 * The leader may send entries while its own write is in flight (thesis 10.2.1), but only once its
 * no-op is synced: a sole voter wins without a message, and if it forgot that term in a crash it
 * could give out other entries under the same (index, term).
 */
function sendAppend(
  s: RaftView,
  id: ReplicaId,
  peer: PeerView,
  entries: LogEntry[],
  out: RaftOutbox,
): void {
  const { leader } = s;
  assert(leader !== null, 'only a leader replicates');
  const prevLogIndex = Math.max(peer.nextIndex - 1, s.log.baseIndex);
  const prevLogTerm = s.log.termAt(prevLogIndex);
  assert(prevLogTerm !== undefined, 'prevLogIndex is in the log');
  const message = {
    type: 'AppendEntries' as const,
    term: s.currentTerm,
    prevLogIndex,
    prevLogTerm,
    leaderCommit: s.commitIndex,
    nonce: leader.reads.nonce,
    entries,
  };
  if (s.syncedIndex >= leader.noopIndex) out.sendBeforeSync(id, message);
  else out.sendAfterSync(id, message);
  const lastIndex = prevLogIndex + entries.length;
  const bytes = entries.length === 0 ? 0 : bytesOf(entries);
  out.emit({ type: 'AppendSent', peer: id, lastIndex, bytes, leaderCommit: s.commitIndex });
}

/** Needs what has left the log: the newest snapshot if the log continues from it, else a new one. */
function startSnapshot(
  s: RaftView,
  id: ReplicaId,
  peer: PeerView,
  nowMs: number,
  out: RaftOutbox,
): void {
  const { leader } = s;
  assert(leader !== null, 'only a leader sends snapshots');
  if (peer.mode !== 'snapshot') {
    const { matchIndex, nextIndex } = peer;
    out.emit({ type: 'PeerProgressed', peer: id, mode: 'snapshot', matchIndex, nextIndex });
  }
  const { snapshot } = leader;
  if (snapshot !== null && snapshot.lastIncludedIndex >= s.log.baseIndex) {
    sendChunk(s, id, snapshot, 0, nowMs, out);
  } else if (!leader.snapshotRequested) {
    out.emit({ type: 'SnapshotRequested' });
    out.requestSnapshot();
  }
}

/** One chunk at a time per follower; its nonce names the attempt, so that late answers do not count. */
export function sendChunk(
  s: RaftView,
  id: ReplicaId,
  meta: SnapshotMeta,
  offset: number,
  nowMs: number,
  out: RaftOutbox,
): void {
  const nonce = s.nonce + 1;
  out.emit({ type: 'ChunkSent', peer: id, meta, offset, nonce, nowMs });
  out.sendChunk(id, { meta, offset, term: s.currentTerm, nonce });
}

function isWindowFull(peer: PeerView): boolean {
  if (peer.mode === 'probe') return peer.probeSent;
  return (
    peer.inflight.length >= LIMITS.appendInflightMax ||
    peer.inflightBytes >= LIMITS.appendInflightBytesMax
  );
}

function peersOf(s: RaftView): ReadonlyMap<ReplicaId, PeerView> {
  assert(s.leader !== null, 'only a leader has peers');
  return s.leader.peers;
}

function bytesOf(entries: readonly LogEntry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.bytes.length;
  return bytes;
}
