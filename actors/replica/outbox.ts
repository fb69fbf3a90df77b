import type { RaftMessage, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { RaftEvent, RaftOutbox } from '../raft/events.ts';
import { evolve, isDurable } from '../raft/evolve.ts';
import type { RaftState } from '../raft/state.ts';
import { encodeEvent } from '../raft/wal-codec.ts';

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
