import { assert } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import { entriesToKeep, entryPayload, type LogEntry } from '../../protocol/entry.ts';
import { decodeConfig } from '../../protocol/membership.ts';
import type { RaftMessageOf } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import { advanceCommit } from './commit.ts';
import type { RaftOutbox } from './events.ts';
import { confirmReads } from './read-index.ts';
import { announceCommitTo, replicateTo } from './replicate.ts';
import { hearLeader, settleRole } from './roles.ts';
import type { PeerView, RaftView } from './state.ts';
import { urgeTransfer } from './transfer.ts';

/** AppendEntries (§5.3): the follower's rules, then the leader's reading of the answers. */

/** Receiver rules 1 to 5 of Figure 2. The reply leaves after the sync, so what it names is stored. */
export function decideAppendEntries(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'AppendEntries'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  if (m.term < s.currentTerm) return refuse(s, from, m, 0, 0, out);
  if (!isWellFormed(m)) return;
  hearLeader(s, from, nowMs, out);
  // While a snapshot loads, the log stands still; the leader is only told that its word arrived.
  if (s.receiving?.step === 'installing') return accept(s, from, m, s.commitIndex, out);
  const { baseIndex } = s.log;
  const lastNewIndex = m.prevLogIndex + m.entries.length;
  if (lastNewIndex <= baseIndex) return accept(s, from, m, s.commitIndex, out);
  if (m.prevLogIndex >= baseIndex) {
    const term = s.log.termAt(m.prevLogIndex);
    if (term === undefined) return refuse(s, from, m, 0, s.log.lastIndex + 1, out);
    if (term !== m.prevLogTerm) {
      assert(m.prevLogIndex > s.commitIndex, 'a leader contradicts a committed entry');
      const first = s.log.firstIndexOfTermAt(m.prevLogIndex);
      return refuse(s, from, m, term, Math.max(first, s.commitIndex + 1), out);
    }
  }
  store(s, m.entries, out);
  const commitIndex = Math.min(m.leaderCommit, lastNewIndex);
  if (commitIndex > s.commitIndex) out.emit({ type: 'CommitAdvanced', commitIndex });
  settleRole(s, out);
  accept(s, from, m, Math.max(lastNewIndex, s.commitIndex), out);
}

/** Stores what is new. A matching entry stays, a conflicting one goes with all that follow it. */
function store(s: RaftView, entries: readonly LogEntry[], out: RaftOutbox): void {
  let fresh = 0;
  for (; fresh < entries.length; fresh++) {
    const { index, term } = entries[fresh]!;
    if (index < s.log.baseIndex) continue;
    const held = s.log.termAt(index);
    if (held === term) continue;
    assert(index > s.commitIndex, 'a leader contradicts a committed entry');
    break;
  }
  if (fresh === entries.length) return;
  const rest = entriesToKeep(fresh === 0 ? entries : entries.slice(fresh), s.log.slab);
  out.emit({ type: 'EntriesAppended', prevLogIndex: rest[0]!.index - 1, entries: rest });
}

/** What the codec cannot check: terms within the message, and configurations that decode. */
function isWellFormed(m: RaftMessageOf<'AppendEntries'>): boolean {
  const { entries } = m;
  const first = entries[0];
  if (m.prevLogTerm > m.term) return false;
  if (first === undefined) return true;
  if (first.index !== m.prevLogIndex + 1 || first.term < m.prevLogTerm) return false;
  if (entries[entries.length - 1]!.term > m.term) return false;
  for (const entry of entries) if (entry.kind === 'config' && !isConfig(entry)) return false;
  return true;
}

function isConfig(entry: LogEntry): boolean {
  try {
    decodeConfig(entryPayload(entry));
    return true;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

function accept(
  s: RaftView,
  to: ReplicaId,
  m: RaftMessageOf<'AppendEntries'>,
  matchIndex: number,
  out: RaftOutbox,
): void {
  out.sendAfterSync(to, {
    type: 'AppendEntriesReply',
    term: s.currentTerm,
    success: true,
    matchIndex,
    conflictTerm: 0,
    conflictIndex: 0,
    nonce: m.nonce,
  });
}

function refuse(
  s: RaftView,
  to: ReplicaId,
  m: RaftMessageOf<'AppendEntries'>,
  conflictTerm: number,
  conflictIndex: number,
  out: RaftOutbox,
): void {
  out.sendAfterSync(to, {
    type: 'AppendEntriesReply',
    term: s.currentTerm,
    success: false,
    matchIndex: m.prevLogIndex,
    conflictTerm,
    conflictIndex,
    nonce: m.nonce,
  });
}

/**
 * Leaders, rule 3 (§5.3). Any answer of this term shows that the follower still follows (check-
 * quorum, ReadIndex); then it moves matchIndex up or nextIndex down.
 */
export function decideAppendEntriesReply(
  s: RaftView,
  from: ReplicaId,
  m: RaftMessageOf<'AppendEntriesReply'>,
  nowMs: number,
  out: RaftOutbox,
): void {
  const peer = s.leader?.peers.get(from);
  if (s.leader === null || peer === undefined || m.term !== s.currentTerm) return;
  if (m.nonce > s.leader.reads.nonce || m.matchIndex > s.log.lastIndex) return;
  const before = peer.matchIndex;
  out.emit({ type: 'PeerHeard', peer: from, nowMs, nonce: m.nonce });
  if (m.success) acceptProgress(s, from, peer, m.matchIndex, out);
  else backUp(s, from, peer, m, out);
  advanceCommit(s, nowMs, out);
  if (s.leader === null || !s.leader.peers.has(from)) return;
  replicateTo(s, from, nowMs, out);
  announceCommitTo(s, from, out);
  confirmReads(s, out);
  if (peer.matchIndex > before && s.leader.transfer?.to === from) urgeTransfer(s, out);
}

/** The logs agree up to matchIndex: from now on entries are pipelined. */
function acceptProgress(
  s: RaftView,
  id: ReplicaId,
  peer: PeerView,
  stored: number,
  out: RaftOutbox,
): void {
  const matchIndex = Math.max(peer.matchIndex, stored);
  if (peer.mode === 'replicate') {
    const nextIndex = Math.max(peer.nextIndex, matchIndex + 1);
    if (matchIndex === peer.matchIndex) return;
    out.emit({ type: 'PeerProgressed', peer: id, mode: 'replicate', matchIndex, nextIndex });
    return;
  }
  const stays = peer.mode === 'snapshot' && matchIndex < s.log.baseIndex;
  if (stays) return;
  const nextIndex = matchIndex + 1;
  out.emit({ type: 'PeerProgressed', peer: id, mode: 'replicate', matchIndex, nextIndex });
}

/**
 * The follower refused prevLogIndex: go back past the whole conflicting term at once (§5.3, last
 * paragraphs), and probe. Late refusals, of what has matched since, do nothing.
 */
function backUp(
  s: RaftView,
  id: ReplicaId,
  peer: PeerView,
  m: RaftMessageOf<'AppendEntriesReply'>,
  out: RaftOutbox,
): void {
  const { matchIndex, mode } = peer;
  const refused = m.matchIndex;
  const late = mode === 'probe' ? refused !== peer.nextIndex - 1 : refused >= peer.nextIndex;
  if (mode === 'snapshot' || late || refused <= matchIndex) return;
  const own = m.conflictTerm === 0 ? 0 : s.log.lastIndexOfTerm(m.conflictTerm, refused);
  const wanted = own === 0 ? m.conflictIndex : own + 1;
  const nextIndex = Math.max(matchIndex + 1, Math.min(wanted, refused));
  out.emit({ type: 'PeerProgressed', peer: id, mode: 'probe', matchIndex, nextIndex });
}
