import { assert } from '../../protocol/assert.ts';
import type { RaftMessageOf, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { advanceCommit } from './commit.ts';
import type { RaftOutbox, ReceivingStep } from './events.ts';
import { confirmReads } from './read-index.ts';
import { replicateTo, sendChunk } from './replicate.ts';
import { hearLeader, settleRole } from './roles.ts';
import type { RaftView } from './state.ts';

/**
 * InstallSnapshot (§7), in chunks. The follower says which byte it wants next, so a transfer
 * resumes where it was, whatever was lost; the leader's nonce per chunk keeps late answers out.
 */

/** A chunk arrives. Stored and loaded by the host, one thing at a time. */
export function decideInstallSnapshot(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'InstallSnapshot'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  const { meta, nonce, offset } = m;
  if (m.term < s.currentTerm) return reply(s, from, meta.snapshotId, nonce, 0, false, out);
  if (!isWellFormed(m)) return;
  hearLeader(s, from, nowMs, out);
  if (skipsSnapshot(s, meta, out)) {
    return reply(s, from, meta.snapshotId, nonce, meta.totalBytes, true, out);
  }
  const { receiving } = s;
  const known = receiving !== null && receiving.meta.snapshotId === meta.snapshotId;
  if (receiving?.step === 'installing') {
    // Another snapshot waits, unanswered, until this one is loaded or has failed.
    if (known) receive(from, receiving.meta, receiving.nextOffset, nonce, 'installing', out);
    if (known) reply(s, from, meta.snapshotId, nonce, receiving.nextOffset, false, out);
    return;
  }
  const nextOffset = known ? receiving.nextOffset : 0;
  if (known && receiving.step === 'storing') {
    return receive(from, meta, nextOffset, nonce, 'storing', out);
  }
  if (offset !== nextOffset) {
    receive(from, meta, nextOffset, nonce, 'wanting', out);
    return reply(s, from, meta.snapshotId, nonce, nextOffset, false, out);
  }
  receive(from, meta, nextOffset, nonce, 'storing', out);
  out.storeChunk(meta, offset, m.data);
}

/** The host has stored a chunk, or found that it has more of this snapshot from before. */
export function decideChunkStored(
  s: RaftView,
  stored: { readonly snapshotId: string; readonly nextOffset: number },
  out: RaftOutbox,
): void {
  const { receiving } = s;
  if (receiving?.meta.snapshotId !== stored.snapshotId || receiving.step !== 'storing') return;
  const { from, meta, nonce } = receiving;
  assert(stored.nextOffset <= meta.totalBytes, 'more was stored than the snapshot has');
  const { nextOffset } = stored;
  if (skipsSnapshot(s, meta, out)) {
    out.emit({ type: 'SnapshotAbandoned' });
    return reply(s, from, meta.snapshotId, nonce, meta.totalBytes, true, out);
  }
  const complete = nextOffset === meta.totalBytes;
  receive(from, meta, nextOffset, nonce, complete ? 'installing' : 'wanting', out);
  if (complete) out.installSnapshot(meta);
  reply(s, from, meta.snapshotId, nonce, nextOffset, false, out);
}

/** The engine now is the snapshot: the log restarts there, keeping a suffix that matches (rule 6). */
export function decideSnapshotInstalled(s: RaftView, meta: SnapshotMeta, out: RaftOutbox): void {
  const { receiving } = s;
  assert(receiving?.step === 'installing', 'only an installing snapshot can be installed');
  assert(receiving.meta.snapshotId === meta.snapshotId, 'another snapshot was installed');
  assert(meta.lastIncludedIndex >= s.appliedIndex, 'a snapshot never takes applied entries back');
  out.emit({ type: 'SnapshotRestored', meta: receiving.meta });
  settleRole(s, out);
  reply(s, receiving.from, meta.snapshotId, receiving.nonce, meta.totalBytes, true, out);
}

/** Storing, loading, making or reading a snapshot failed: whoever needs it starts over. */
export function decideSnapshotFailed(s: RaftView, snapshotId: string, out: RaftOutbox): void {
  if (s.receiving?.meta.snapshotId === snapshotId) out.emit({ type: 'SnapshotAbandoned' });
  settleRole(s, out);
  const { leader } = s;
  if (leader === null) return;
  if (leader.snapshotRequested || leader.snapshot?.snapshotId === snapshotId) {
    out.emit({ type: 'SnapshotDropped' });
  }
  for (const [peer, { sending }] of leader.peers) {
    if (sending?.meta.snapshotId === snapshotId) out.emit({ type: 'ChunksStopped', peer });
  }
}

/** Leader: a snapshot is sealed. Everybody who waits for one gets its first chunk. */
export function decideSnapshotReady(
  s: RaftView,
  meta: SnapshotMeta,
  nowMs: number,
  out: RaftOutbox,
): void {
  const { leader } = s;
  if (leader === null) return;
  assert(meta.lastIncludedIndex <= s.commitIndex, 'a snapshot holds committed entries only');
  out.emit({ type: 'SnapshotAdopted', meta });
  if (meta.lastIncludedIndex < s.log.baseIndex) return;
  for (const [id, peer] of leader.peers) {
    if (peer.mode === 'snapshot' && peer.sending === null) sendChunk(s, id, meta, 0, nowMs, out);
  }
}

/** Leader: the follower wants its next chunk, from wherever it says, or has installed all. */
export function decideInstallSnapshotReply(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'InstallSnapshotReply'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  const peer = s.leader?.peers.get(from);
  if (s.leader === null || peer === undefined || m.term !== s.currentTerm) return;
  out.emit({ type: 'PeerHeard', peer: from, nowMs, nonce: 0 });
  const { sending } = peer;
  if (sending === null || sending.meta.snapshotId !== m.snapshotId) return;
  if (!m.installed) {
    if (m.nonce !== sending.nonce || m.nextOffset >= sending.meta.totalBytes) return;
    return sendChunk(s, from, sending.meta, m.nextOffset, nowMs, out);
  }
  const matchIndex = Math.max(peer.matchIndex, sending.meta.lastIncludedIndex);
  const nextIndex = matchIndex + 1;
  out.emit({ type: 'PeerProgressed', peer: from, mode: 'replicate', matchIndex, nextIndex });
  advanceCommit(s, nowMs, out);
  if (s.leader === null || !s.leader.peers.has(from)) return;
  replicateTo(s, from, nowMs, out);
  confirmReads(s, out);
}

/**
 * Whether the log already covers the snapshot. An entry that matches its last one proves that all
 * before match too (§5.3), and a snapshot is of committed entries.
 */
function skipsSnapshot(s: RaftView, meta: SnapshotMeta, out: RaftOutbox): boolean {
  const { lastIncludedIndex: index, lastIncludedTerm: term } = meta;
  if (index <= s.commitIndex) return true;
  if (s.receiving?.step === 'installing' || s.log.termAt(index) !== term) return false;
  out.emit({ type: 'CommitAdvanced', commitIndex: index });
  settleRole(s, out);
  return true;
}

function isWellFormed({ meta, offset, data, term }: RaftMessageOf<'InstallSnapshot'>): boolean {
  if (data.length === 0 || meta.lastIncludedTerm > term || meta.config.voters.length === 0) {
    return false;
  }
  return meta.lastIncludedIndex > 0 && offset + data.length <= meta.totalBytes;
}

function receive(
  from: ReplicaId,
  meta: SnapshotMeta,
  nextOffset: number,
  nonce: number,
  step: ReceivingStep,
  out: RaftOutbox,
): void {
  out.emit({ type: 'SnapshotReceiving', from, meta, nextOffset, nonce, step });
}

function reply(
  s: RaftView,
  to: ReplicaId,
  snapshotId: string,
  nonce: number,
  nextOffset: number,
  installed: boolean,
  out: RaftOutbox,
): void {
  const { currentTerm: term } = s;
  out.sendAfterSync(to, {
    type: 'InstallSnapshotReply',
    term,
    snapshotId,
    nextOffset,
    installed,
    nonce,
  });
}
