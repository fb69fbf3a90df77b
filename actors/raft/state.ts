import type { SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId, View } from '../../protocol/types.ts';
import type { PeerMode, ReceivingStep, Role } from './events.ts';
import { RaftLog, type RaftLogView } from './log.ts';

/** Raft paper, Figure 2. One owner, written only by evolve(), never cloned. */
export interface RaftState {
  readonly self: ReplicaId;

  // Durable, all servers.
  currentTerm: number;
  votedFor: ReplicaId | null;
  readonly log: RaftLog;

  // Volatile, all servers.
  role: Role;
  leaderId: ReplicaId | null;
  commitIndex: number;
  /** lastApplied of the paper: what the state machine has applied. */
  appliedIndex: number;
  /** What the engine holds durably; only that may leave the log. */
  flushedIndex: number;
  /** matchIndex[self]: moves on LogSynced, not on append (thesis 10.2.1). */
  syncedIndex: number;
  /** Null until the first Tick: monotonic time does not survive a restart. */
  electionDeadlineMs: number | null;
  /** When the leader of this term was last heard; null after a restart. */
  leaderHeardMs: number | null;
  /** State of the generator of election timeouts. */
  seed: number;
  /** The last nonce used. */
  nonce: number;
  /** A snapshot on its way in (§7). */
  receiving: Receiving | null;

  // Volatile, candidates and pre-candidates.
  electionNonce: number;
  readonly votesGranted: Set<ReplicaId>;
  readonly votesDenied: Set<ReplicaId>;

  // Volatile, leaders.
  leader: LeaderState | null;
}

export interface Receiving {
  readonly from: ReplicaId;
  readonly meta: SnapshotMeta;
  readonly nextOffset: number;
  readonly nonce: number;
  readonly step: ReceivingStep;
}

export interface LeaderState {
  /** The no-op of this term; until it commits the commit index is not known to be current (§8). */
  readonly noopIndex: number;
  /** nextIndex and matchIndex of Figure 2, with flow control. Members, and those leaving. */
  readonly peers: Map<ReplicaId, PeerProgress>;
  heartbeatDueMs: number;
  reads: Reads;
  transfer: { readonly to: ReplicaId; readonly deadlineMs: number } | null;
  /** The newest sealed snapshot; reused while the log still continues from it. */
  snapshot: SnapshotMeta | null;
  snapshotRequested: boolean;
}

/** ReadIndex (thesis 6.4): one round of heartbeats at a time, each with its own nonce. */
export interface Reads {
  /** The round that AppendEntries now carry. */
  nonce: number;
  readIndex: number;
  /** Wait for acknowledgements of this round. */
  confirming: readonly number[];
  /** Came after the round had left; wait for the next. */
  waiting: number[];
}

export interface PeerProgress {
  mode: PeerMode;
  /** Highest index known to be stored there; never falls within a term. */
  matchIndex: number;
  /** In replicate mode it runs ahead of the answers. Always above matchIndex. */
  nextIndex: number;
  /** Probe mode: one message is out; the answer or the next heartbeat moves it. */
  probeSent: boolean;
  /** Replicate mode: last index and bytes of each message in flight, oldest first. */
  readonly inflight: { readonly lastIndex: number; readonly bytes: number }[];
  inflightBytes: number;
  /** The commit index that the peer knows if everything sent arrives. */
  commitSent: number;
  /** Check-quorum (thesis 6.2): when it last answered in this term. */
  heardMs: number;
  /** The highest round it has acknowledged. */
  ackedNonce: number;
  /** Snapshot mode: the chunk that is out; null while there is no snapshot yet. */
  sending: Sending | null;
}

export interface Sending {
  readonly meta: SnapshotMeta;
  readonly offset: number;
  readonly nonce: number;
  readonly sentMs: number;
}

/** What decide() sees: no assignment, and a log without mutators. */
export type RaftView = Readonly<
  Omit<RaftState, 'log' | 'votesGranted' | 'votesDenied' | 'leader'>
> & {
  readonly log: RaftLogView;
  readonly votesGranted: ReadonlySet<ReplicaId>;
  readonly votesDenied: ReadonlySet<ReplicaId>;
  readonly leader: LeaderView | null;
};

export type LeaderView = Readonly<Omit<LeaderState, 'peers' | 'reads'>> & {
  readonly peers: ReadonlyMap<ReplicaId, PeerView>;
  readonly reads: View<Reads>;
};

export type PeerView = Readonly<Omit<PeerProgress, 'inflight'>> & {
  readonly inflight: View<PeerProgress['inflight']>;
};

export interface RaftConfig {
  readonly self: ReplicaId;
  /** 32 random bits, drawn anew for each start: election timeouts and nonces follow from it. */
  readonly seed: number;
}

/** A replica that knows nothing yet: recover it by folding its durable events (see recover.ts). */
export function createRaftState(config: RaftConfig): RaftState {
  return {
    self: config.self,
    currentTerm: 0,
    votedFor: null,
    log: new RaftLog(),
    role: 'learner',
    leaderId: null,
    commitIndex: 0,
    appliedIndex: 0,
    flushedIndex: 0,
    syncedIndex: 0,
    electionDeadlineMs: null,
    leaderHeardMs: null,
    seed: config.seed >>> 0,
    nonce: (config.seed >>> 0) * 4096,
    receiving: null,
    electionNonce: 0,
    votesGranted: new Set(),
    votesDenied: new Set(),
    leader: null,
  };
}
