import type { EntryKind, LogEntry } from '../../protocol/entry.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { RaftMessage, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId, Revision } from '../../protocol/types.ts';

/** Into the core: peer messages, and local work through the same door. */
export type RaftCommand =
  | { readonly type: 'Tick' }
  | { readonly type: 'Message'; readonly from: ReplicaId; readonly message: RaftMessage }
  | { readonly type: 'Propose'; readonly proposals: readonly Proposal[] }
  /** The WAL has synced the log up to this entry. Carries its term, so that a sync of entries replaced meanwhile cannot count. */
  | { readonly type: 'LogSynced'; readonly index: number; readonly term: number }
  | { readonly type: 'ReadIndex'; readonly readId: number }
  /** The new membership; voters change through joint consensus, learners directly. */
  | {
      readonly type: 'ChangeMembers';
      readonly voters: readonly ReplicaId[];
      readonly learners: readonly ReplicaId[];
    }
  | { readonly type: 'TransferLeader'; readonly to: ReplicaId | null }
  /** The bus says that the leader's node has left; a hint that may be wrong. Replicas with the same `order` stand in the same order. */
  | { readonly type: 'LeaderGone'; readonly leader: ReplicaId; readonly order: number }
  /** The state machine has applied up to `appliedIndex` and the engine holds it durably up to `flushedIndex`. */
  | { readonly type: 'Applied'; readonly appliedIndex: number; readonly flushedIndex: number }
  /** Drop the log behind flushedIndex, except a tail of logRetainBytes for slow followers. */
  | { readonly type: 'Compact' }
  /** Leader: a sealed snapshot file exists, answering `requestSnapshot`. */
  | { readonly type: 'SnapshotReady'; readonly meta: SnapshotMeta }
  /** Follower: a received chunk is stored, or the whole is, and synced; `nextOffset` is wanted next. */
  | { readonly type: 'ChunkStored'; readonly snapshotId: string; readonly nextOffset: number }
  /** Follower: the complete snapshot is verified, loaded into the engine and flushed. */
  | { readonly type: 'SnapshotInstalled'; readonly meta: SnapshotMeta }
  /** Snapshot work for this peer or from the leader failed; try again from the start. */
  | { readonly type: 'SnapshotFailed'; readonly snapshotId: string };

export interface Proposal {
  readonly proposalId: number;
  readonly kind: EntryKind;
  readonly clockBound: Revision;
  readonly payload: Uint8Array;
}

/** Durable facts: written to the WAL; folding them with evolve rebuilds the durable state. */
export type DurableRaftEvent =
  | { readonly type: 'TermAdvanced'; readonly term: number }
  | { readonly type: 'VoteCast'; readonly candidateId: ReplicaId }
  /** Follows prevLogIndex. The first entry that differs from the log's replaces all from there on. */
  | {
      readonly type: 'EntriesAppended';
      readonly prevLogIndex: number;
      readonly entries: readonly LogEntry[];
    }
  /** Entries up to here are in the engine, durably, and leave the log. */
  | {
      readonly type: 'LogCompacted';
      readonly baseIndex: number;
      readonly baseTerm: number;
      readonly baseConfig: GroupConfig;
      readonly clockBound: Revision;
    }
  /** A leader's snapshot replaced the state; the log keeps only entries after it that match it. */
  | { readonly type: 'SnapshotRestored'; readonly meta: SnapshotMeta }
  /** First record of a replica's life, and of each checkpoint: the whole hard state at once. */
  | {
      readonly type: 'HardStateSaved';
      readonly currentTerm: number;
      readonly votedFor: ReplicaId | null;
      readonly baseIndex: number;
      readonly baseTerm: number;
      readonly baseConfig: GroupConfig;
      readonly clockBound: Revision;
    };

/**
 * What the core may ask of its host besides events. All calls only record; the host acts on them
 * in the turn's order. The recorded list is what unit tests assert on.
 */
export interface RaftOutbox {
  /** Evolves the state at once and records the event (durable ones go to the WAL this turn). */
  emit(event: RaftEvent): void;
  /** Leaves before the sync. Only replication compiles here (thesis 10.2.1). */
  sendBeforeSync(to: ReplicaId, message: Extract<RaftMessage, { type: 'AppendEntries' }>): void;
  /** Leaves after the sync of everything emitted so far. */
  sendAfterSync(to: ReplicaId, message: RaftMessage): void;
  /** The proposal is in the log at (index, term); its outcome shows when that index is applied. */
  proposed(proposalId: number, index: number, term: number): void;
  /** The proposal was not appended and never will be. */
  proposalRefused(proposalId: number, reason: 'not_leader' | 'transferring' | 'overloaded'): void;
  /** Leadership was confirmed after the request: serve when appliedIndex >= readIndex. */
  readConfirmed(readId: number, readIndex: number): void;
  readRefused(readId: number): void;
  /** A membership change or transfer was refused, and why. */
  refused(what: 'ChangeMembers' | 'TransferLeader', reason: string): void;
  /** Leader: a follower needs entries that have left the log; make a snapshot (host answers SnapshotReady). */
  requestSnapshot(): void;
  /** Leader: read this piece of the snapshot file and send it as InstallSnapshot after the sync. */
  sendChunk(
    to: ReplicaId,
    chunk: { meta: SnapshotMeta; offset: number; term: number; nonce: number },
  ): void;
  /** Follower: store this piece (host answers ChunkStored or SnapshotFailed). */
  storeChunk(meta: SnapshotMeta, offset: number, data: Uint8Array): void;
  /** Follower: all pieces are stored; verify and load it (host answers SnapshotInstalled or SnapshotFailed). */
  installSnapshot(meta: SnapshotMeta): void;
}

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader' | 'learner';

/** Volatile facts: they evolve the state but never reach the WAL. */
export type VolatileRaftEvent = AnyServerEvent | CandidateEvent | LeaderEvent | SnapshotEvent;

type AnyServerEvent =
  | { readonly type: 'RoleChanged'; readonly role: Role; readonly leaderId: ReplicaId | null }
  | { readonly type: 'CommitAdvanced'; readonly commitIndex: number }
  | { readonly type: 'SyncAdvanced'; readonly syncedIndex: number }
  | {
      readonly type: 'AppliedAdvanced';
      readonly appliedIndex: number;
      readonly flushedIndex: number;
    }
  /** `seed` is the generator's state after the draw that made the deadline. */
  | { readonly type: 'ElectionTimerReset'; readonly deadlineMs: number; readonly seed: number }
  /** The leader of the current term was heard. */
  | { readonly type: 'LeaderHeard'; readonly nowMs: number }
  /** The leader of the current term is believed to be gone: votes need not wait for it. */
  | { readonly type: 'LeaderMissed' };

type CandidateEvent =
  | { readonly type: 'ElectionStarted'; readonly nonce: number }
  | { readonly type: 'VoteReceived'; readonly from: ReplicaId }
  | { readonly type: 'VoteDenied'; readonly from: ReplicaId };

type LeaderEvent =
  | { readonly type: 'LeadershipTaken'; readonly noopIndex: number; readonly nonce: number }
  | {
      readonly type: 'PeerAdded';
      readonly peer: ReplicaId;
      readonly nextIndex: number;
      readonly nowMs: number;
    }
  | { readonly type: 'PeerRemoved'; readonly peer: ReplicaId }
  /** The peer answered in this term; `nonce` is the round its answer repeats. */
  | {
      readonly type: 'PeerHeard';
      readonly peer: ReplicaId;
      readonly nowMs: number;
      readonly nonce: number;
    }
  /** A change of mode forgets what was in flight. */
  | {
      readonly type: 'PeerProgressed';
      readonly peer: ReplicaId;
      readonly mode: PeerMode;
      readonly matchIndex: number;
      readonly nextIndex: number;
    }
  /** `bytes` is 0 and lastIndex is prevLogIndex when the message had no entries. */
  | {
      readonly type: 'AppendSent';
      readonly peer: ReplicaId;
      readonly lastIndex: number;
      readonly bytes: number;
      readonly leaderCommit: number;
    }
  | { readonly type: 'HeartbeatScheduled'; readonly dueMs: number }
  | { readonly type: 'ReadQueued'; readonly readId: number }
  /** All queued reads wait for this round's acknowledgements. */
  | { readonly type: 'ReadRoundStarted'; readonly nonce: number; readonly readIndex: number }
  | { readonly type: 'ReadRoundEnded' }
  | { readonly type: 'TransferStarted'; readonly to: ReplicaId; readonly deadlineMs: number }
  | { readonly type: 'TransferEnded' };

type SnapshotEvent =
  | { readonly type: 'SnapshotRequested' }
  | { readonly type: 'SnapshotAdopted'; readonly meta: SnapshotMeta }
  | { readonly type: 'SnapshotDropped' }
  | {
      readonly type: 'ChunkSent';
      readonly peer: ReplicaId;
      readonly meta: SnapshotMeta;
      readonly offset: number;
      readonly nonce: number;
      readonly nowMs: number;
    }
  /** The peer's transfer is off; the next heartbeat starts another. */
  | { readonly type: 'ChunksStopped'; readonly peer: ReplicaId }
  | {
      readonly type: 'SnapshotReceiving';
      readonly from: ReplicaId;
      readonly meta: SnapshotMeta;
      readonly nextOffset: number;
      readonly nonce: number;
      readonly step: ReceivingStep;
    }
  | { readonly type: 'SnapshotAbandoned' };

/**
 * probe: where the logs agree is not known, one message at a time; replicate: pipelined;
 * snapshot: what the peer needs has left the log.
 */
export type PeerMode = 'probe' | 'replicate' | 'snapshot';

/** wanting: the next chunk; storing: the host writes one; installing: the host loads the whole. */
export type ReceivingStep = 'wanting' | 'storing' | 'installing';

export type RaftEvent = DurableRaftEvent | VolatileRaftEvent;
