import type { RaftMessage, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftEvent, RaftOutbox } from '../raft/events.ts';
import { evolve, isDurable } from '../raft/evolve.ts';
import type { RaftState } from '../raft/state.ts';
import { encodeEvent } from '../raft/wal-codec.ts';
import type { ReplicaContext } from './context.ts';
import type { Proposals } from './proposals.ts';
import type { ReadRounds } from './reads.ts';
import type { SnapshotWork } from './snapshots.ts';

export interface Outgoing {
  readonly to: ReplicaId;
  readonly message: RaftMessage;
}

/** A piece of a snapshot to read and send. */
export interface Chunk {
  readonly to: ReplicaId;
  readonly meta: SnapshotMeta;
  readonly offset: number;
  readonly term: number;
  readonly nonce: number;
}

/** What the host does for the core beside sending; each call is acted on within the turn. */
export interface OutboxListener {
  onProposed(proposalId: number, index: number, term: number): void;
  onProposalRefused(proposalId: number, reason: 'not_leader' | 'transferring' | 'overloaded'): void;
  onReadConfirmed(readId: number, readIndex: number): void;
  onReadRefused(readId: number): void;
  onRefused(what: 'ChangeMembers' | 'TransferLeader', reason: string): void;
  onSnapshotRequested(): void;
  onChunkReceived(meta: SnapshotMeta, offset: number, data: Uint8Array): void;
  onInstallSnapshot(meta: SnapshotMeta): void;
}

/** What the core asks for, handed to the parts of its replica. */
export function listenFor(
  { group, ports }: ReplicaContext,
  proposals: Proposals,
  rounds: ReadRounds,
  snapshots: SnapshotWork,
): OutboxListener {
  return {
    onProposed: (id, index, term) => proposals.appended(id, index, term),
    onProposalRefused: (id, reason) => proposals.refused(id, reason),
    onReadConfirmed: (id, index) => rounds.confirmed(id, index),
    onReadRefused: (id) => rounds.refused(id),
    onRefused: (what, reason) =>
      ports.telemetry.log('info', 'the core refused', { group, what, reason }),
    onSnapshotRequested: () => snapshots.make(),
    onChunkReceived: (meta, offset, data) => snapshots.store(meta, offset, data),
    onInstallSnapshot: (meta) => snapshots.install(meta),
  };
}

/**
 * The outbox of one hosted core. `emit` evolves at once; durable events gather as WAL payloads.
 * Messages gather in two queues, before and after the sync, which the turn releases.
 */
export class HostOutbox implements RaftOutbox {
  readonly #state: RaftState;
  readonly #listener: OutboxListener;
  records: Uint8Array[] = [];
  beforeSync: Outgoing[] = [];
  afterSync: Outgoing[] = [];
  chunks: Chunk[] = [];

  constructor(state: RaftState, listener: OutboxListener) {
    this.#state = state;
    this.#listener = listener;
  }

  /** Something here needs a turn: records to store, or messages that a turn releases. */
  isWaiting(): boolean {
    return (
      this.records.length + this.beforeSync.length + this.afterSync.length + this.chunks.length > 0
    );
  }

  emit(event: RaftEvent): void {
    evolve(this.#state, event);
    if (isDurable(event)) this.records.push(encodeEvent(event));
  }

  sendBeforeSync(to: ReplicaId, message: Extract<RaftMessage, { type: 'AppendEntries' }>): void {
    this.beforeSync.push({ to, message });
  }

  sendAfterSync(to: ReplicaId, message: RaftMessage): void {
    this.afterSync.push({ to, message });
  }

  sendChunk(
    to: ReplicaId,
    chunk: { meta: SnapshotMeta; offset: number; term: number; nonce: number },
  ): void {
    this.chunks.push({ to, ...chunk });
  }

  proposed(proposalId: number, index: number, term: number): void {
    this.#listener.onProposed(proposalId, index, term);
  }

  proposalRefused(proposalId: number, reason: 'not_leader' | 'transferring' | 'overloaded'): void {
    this.#listener.onProposalRefused(proposalId, reason);
  }

  readConfirmed(readId: number, readIndex: number): void {
    this.#listener.onReadConfirmed(readId, readIndex);
  }

  readRefused(readId: number): void {
    this.#listener.onReadRefused(readId);
  }

  refused(what: 'ChangeMembers' | 'TransferLeader', reason: string): void {
    this.#listener.onRefused(what, reason);
  }

  requestSnapshot(): void {
    this.#listener.onSnapshotRequested();
  }

  storeChunk(meta: SnapshotMeta, offset: number, data: Uint8Array): void {
    this.#listener.onChunkReceived(meta, offset, data);
  }

  installSnapshot(meta: SnapshotMeta): void {
    this.#listener.onInstallSnapshot(meta);
  }
}
