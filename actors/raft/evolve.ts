import { assert, assertNever } from '../../protocol/assert.ts';
import type { SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { DurableRaftEvent, RaftEvent } from './events.ts';
import type { LogPoint } from './log.ts';
import type { LeaderState, PeerProgress, RaftState } from './state.ts';

type EventOf<T extends RaftEvent['type']> = Extract<RaftEvent, { type: T }>;

const DURABLE: Readonly<Record<DurableRaftEvent['type'], true>> = {
  TermAdvanced: true,
  VoteCast: true,
  EntriesAppended: true,
  LogCompacted: true,
  SnapshotRestored: true,
  HardStateSaved: true,
};

/** Whether the event belongs in the WAL. */
export function isDurable(event: RaftEvent): event is DurableRaftEvent {
  return Object.hasOwn(DURABLE, event.type);
}

/** The only writer. Folding the durable events rebuilds the durable part (Figure 2). */
export function evolve(s: RaftState, e: RaftEvent): void {
  switch (e.type) {
    case 'TermAdvanced':
      return advanceTerm(s, e.term);
    case 'VoteCast':
      s.votedFor = e.candidateId;
      return;
    case 'EntriesAppended':
      return appendEntries(s, e);
    case 'LogCompacted':
      return restart(s, basePoint(e));
    case 'SnapshotRestored':
      return restoreSnapshot(s, e.meta);
    case 'HardStateSaved':
      s.currentTerm = e.currentTerm;
      s.votedFor = e.votedFor;
      return restart(s, basePoint(e));
    case 'RoleChanged':
      return changeRole(s, e);
    case 'CommitAdvanced':
      assert(e.commitIndex >= s.commitIndex, 'commitIndex never falls');
      assert(e.commitIndex <= s.log.lastIndex, 'only entries of the log are committed');
      s.commitIndex = e.commitIndex;
      return;
    case 'SyncAdvanced':
      s.syncedIndex = e.syncedIndex;
      return;
    case 'AppliedAdvanced':
      s.appliedIndex = e.appliedIndex;
      s.flushedIndex = e.flushedIndex;
      return;
    case 'ElectionTimerReset':
      s.electionDeadlineMs = e.deadlineMs;
      s.seed = e.seed;
      return;
    case 'LeaderHeard':
      s.leaderHeardMs = e.nowMs;
      return;
    case 'LeaderMissed':
      s.leaderHeardMs = null;
      return;
    case 'ElectionStarted':
      s.votesGranted.clear();
      s.votesDenied.clear();
      s.electionNonce = e.nonce;
      s.nonce = e.nonce;
      return;
    case 'VoteReceived':
      s.votesGranted.add(e.from);
      return;
    case 'VoteDenied':
      s.votesDenied.add(e.from);
      return;
    case 'SnapshotReceiving':
      s.receiving = e;
      return;
    case 'SnapshotAbandoned':
      s.receiving = null;
      return;
    case 'LeadershipTaken':
      return takeLeadership(s, e);
    default:
      return evolveLeader(s, leaderOf(s), e);
  }
}

type LeaderOnly = Exclude<
  RaftEvent,
  | DurableRaftEvent
  | EventOf<
      | 'RoleChanged'
      | 'CommitAdvanced'
      | 'SyncAdvanced'
      | 'AppliedAdvanced'
      | 'ElectionTimerReset'
      | 'LeaderHeard'
      | 'LeaderMissed'
      | 'ElectionStarted'
      | 'VoteReceived'
      | 'VoteDenied'
      | 'SnapshotReceiving'
      | 'SnapshotAbandoned'
      | 'LeadershipTaken'
    >
>;

function evolveLeader(s: RaftState, leader: LeaderState, e: LeaderOnly): void {
  switch (e.type) {
    case 'PeerAdded':
      leader.peers.set(e.peer, newPeer(e.nextIndex, e.nowMs));
      return;
    case 'PeerRemoved':
      leader.peers.delete(e.peer);
      return;
    case 'PeerHeard':
      return hearPeer(peerOf(leader, e.peer), e);
    case 'PeerProgressed':
      return progressPeer(peerOf(leader, e.peer), e);
    case 'AppendSent':
      return recordAppend(peerOf(leader, e.peer), e);
    case 'ChunkSent':
      s.nonce = e.nonce;
      peerOf(leader, e.peer).sending = { ...e, sentMs: e.nowMs };
      return;
    case 'ChunksStopped':
      peerOf(leader, e.peer).sending = null;
      return;
    case 'HeartbeatScheduled':
      leader.heartbeatDueMs = e.dueMs;
      return;
    case 'ReadQueued':
      leader.reads.waiting.push(e.readId);
      return;
    case 'ReadRoundStarted':
      s.nonce = e.nonce;
      leader.reads = { ...e, confirming: leader.reads.waiting, waiting: [] };
      return;
    case 'ReadRoundEnded':
      leader.reads.confirming = [];
      return;
    case 'TransferStarted':
      leader.transfer = { to: e.to, deadlineMs: e.deadlineMs };
      return;
    case 'TransferEnded':
      leader.transfer = null;
      return;
    case 'SnapshotRequested':
      leader.snapshotRequested = true;
      return;
    case 'SnapshotAdopted':
      leader.snapshot = e.meta;
      leader.snapshotRequested = false;
      return;
    case 'SnapshotDropped':
      leader.snapshot = null;
      leader.snapshotRequested = false;
      return;
    default:
      return assertNever(e);
  }
}

function advanceTerm(s: RaftState, term: number): void {
  assert(term > s.currentTerm, 'currentTerm only rises');
  s.currentTerm = term;
  s.votedFor = null;
}

function appendEntries(s: RaftState, e: EventOf<'EntriesAppended'>): void {
  const first = e.entries[0];
  if (first !== undefined) {
    const term = s.log.termAt(first.index);
    if (term !== undefined && term !== first.term) {
      assert(first.index > s.commitIndex, 'a committed entry is never replaced');
      s.syncedIndex = Math.min(s.syncedIndex, e.prevLogIndex);
    }
  }
  s.log.replaceAfter(e.prevLogIndex, e.entries);
}

function restoreSnapshot(s: RaftState, meta: SnapshotMeta): void {
  restart(s, {
    index: meta.lastIncludedIndex,
    term: meta.lastIncludedTerm,
    config: meta.config,
    clockBound: meta.clockBound,
  });
  s.appliedIndex = Math.max(s.appliedIndex, meta.lastIncludedIndex);
  s.flushedIndex = Math.max(s.flushedIndex, meta.lastIncludedIndex);
  s.receiving = null;
}

function basePoint(e: EventOf<'LogCompacted' | 'HardStateSaved'>): LogPoint {
  const { baseIndex: index, baseTerm: term, baseConfig: config, clockBound } = e;
  return { index, term, config, clockBound };
}

/** Everything up to a base is committed and applied, and no longer depends on the log's sync. */
function restart(s: RaftState, point: LogPoint): void {
  s.log.restart(point);
  s.commitIndex = Math.max(s.commitIndex, point.index);
  s.syncedIndex = Math.min(Math.max(s.syncedIndex, point.index), s.log.lastIndex);
}

function changeRole(s: RaftState, e: EventOf<'RoleChanged'>): void {
  s.role = e.role;
  s.leaderId = e.leaderId;
  s.votesGranted.clear();
  s.votesDenied.clear();
  s.leader = null;
}

function takeLeadership(s: RaftState, e: EventOf<'LeadershipTaken'>): void {
  s.nonce = e.nonce;
  s.receiving = null;
  s.leader = {
    noopIndex: e.noopIndex,
    peers: new Map(),
    heartbeatDueMs: 0,
    reads: { nonce: e.nonce, readIndex: 0, confirming: [], waiting: [] },
    transfer: null,
    snapshot: null,
    snapshotRequested: false,
  };
}

function newPeer(nextIndex: number, nowMs: number): PeerProgress {
  return {
    mode: 'probe',
    matchIndex: 0,
    nextIndex,
    probeSent: false,
    inflight: [],
    inflightBytes: 0,
    commitSent: 0,
    heardMs: nowMs,
    ackedNonce: 0,
    sending: null,
  };
}

function hearPeer(peer: PeerProgress, e: EventOf<'PeerHeard'>): void {
  peer.heardMs = e.nowMs;
  peer.ackedNonce = Math.max(peer.ackedNonce, e.nonce);
}

function progressPeer(peer: PeerProgress, e: EventOf<'PeerProgressed'>): void {
  assert(e.matchIndex >= peer.matchIndex, 'matchIndex never falls within a term');
  assert(e.nextIndex > e.matchIndex, 'nextIndex stays above matchIndex');
  peer.matchIndex = e.matchIndex;
  peer.nextIndex = e.nextIndex;
  peer.probeSent = false;
  if (peer.mode !== e.mode || e.mode === 'probe') {
    peer.mode = e.mode;
    peer.inflight.length = 0;
    peer.inflightBytes = 0;
    peer.commitSent = 0;
    peer.sending = null;
    return;
  }
  while (peer.inflight.length > 0 && peer.inflight[0]!.lastIndex <= e.matchIndex) {
    peer.inflightBytes -= peer.inflight.shift()!.bytes;
  }
}

function recordAppend(peer: PeerProgress, e: EventOf<'AppendSent'>): void {
  peer.commitSent = Math.min(e.leaderCommit, e.lastIndex);
  peer.probeSent = true;
  if (peer.mode !== 'replicate' || e.bytes === 0) return;
  peer.nextIndex = e.lastIndex + 1;
  peer.inflight.push({ lastIndex: e.lastIndex, bytes: e.bytes });
  peer.inflightBytes += e.bytes;
}

function leaderOf(s: RaftState): LeaderState {
  assert(s.leader !== null, 'a leader event on another role');
  return s.leader;
}

function peerOf(leader: LeaderState, id: ReplicaId): PeerProgress {
  const peer = leader.peers.get(id);
  assert(peer !== undefined, 'an event for an unknown peer');
  return peer;
}
