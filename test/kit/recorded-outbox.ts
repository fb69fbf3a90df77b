import type { DurableRaftEvent, RaftEvent, RaftOutbox } from '../../actors/raft/events.ts';
import { evolve, isDurable } from '../../actors/raft/evolve.ts';
import type { RaftState } from '../../actors/raft/state.ts';
import type { RaftMessage, SnapshotMeta } from '../../protocol/messages/raft.ts';
import type { ReplicaId } from '../../protocol/types.ts';

export interface Outgoing<M extends RaftMessage> {
  readonly to: ReplicaId;
  readonly message: M;
}

type Append = Extract<RaftMessage, { type: 'AppendEntries' }>;

/** What the host is asked to do after the sync, besides sending; in the order it was asked. */
export type RaftRequest =
  | {
      readonly type: 'proposed';
      readonly proposalId: number;
      readonly index: number;
      readonly term: number;
    }
  | {
      readonly type: 'proposalRefused';
      readonly proposalId: number;
      readonly reason: Parameters<RaftOutbox['proposalRefused']>[1];
    }
  | { readonly type: 'readConfirmed'; readonly readId: number; readonly readIndex: number }
  | { readonly type: 'readRefused'; readonly readId: number }
  | {
      readonly type: 'refused';
      readonly what: 'ChangeMembers' | 'TransferLeader';
      readonly reason: string;
    }
  | { readonly type: 'requestSnapshot' }
  | {
      readonly type: 'sendChunk';
      readonly to: ReplicaId;
      readonly chunk: Parameters<RaftOutbox['sendChunk']>[1];
    }
  | {
      readonly type: 'storeChunk';
      readonly meta: SnapshotMeta;
      readonly offset: number;
      readonly data: Uint8Array;
    }
  | { readonly type: 'installSnapshot'; readonly meta: SnapshotMeta };

/** One turn's record: emit() evolves at once, everything else waits for the host. Reused by clear(). */
export class RecordedOutbox implements RaftOutbox {
  readonly #state: RaftState;
  /** All events in order, for telemetry. */
  readonly events: RaftEvent[] = [];
  /** Those that go to the WAL. */
  readonly durable: DurableRaftEvent[] = [];
  readonly beforeSync: Outgoing<Append>[] = [];
  readonly afterSync: Outgoing<RaftMessage>[] = [];
  readonly requests: RaftRequest[] = [];

  constructor(state: RaftState) {
    this.#state = state;
  }

  /** How much was decided so far. */
  counts(): number {
    const { events, beforeSync, afterSync, requests } = this;
    return events.length + beforeSync.length + afterSync.length + requests.length;
  }

  emit(event: RaftEvent): void {
    evolve(this.#state, event);
    this.events.push(event);
    if (isDurable(event)) this.durable.push(event);
  }

  sendBeforeSync(to: ReplicaId, message: Append): void {
    this.beforeSync.push({ to, message });
  }

  sendAfterSync(to: ReplicaId, message: RaftMessage): void {
    this.afterSync.push({ to, message });
  }

  proposed(proposalId: number, index: number, term: number): void {
    this.requests.push({ type: 'proposed', proposalId, index, term });
  }

  proposalRefused(proposalId: number, reason: Parameters<RaftOutbox['proposalRefused']>[1]): void {
    this.requests.push({ type: 'proposalRefused', proposalId, reason });
  }

  readConfirmed(readId: number, readIndex: number): void {
    this.requests.push({ type: 'readConfirmed', readId, readIndex });
  }

  readRefused(readId: number): void {
    this.requests.push({ type: 'readRefused', readId });
  }

  refused(what: 'ChangeMembers' | 'TransferLeader', reason: string): void {
    this.requests.push({ type: 'refused', what, reason });
  }

  requestSnapshot(): void {
    this.requests.push({ type: 'requestSnapshot' });
  }

  sendChunk(to: ReplicaId, chunk: Parameters<RaftOutbox['sendChunk']>[1]): void {
    this.requests.push({ type: 'sendChunk', to, chunk });
  }

  storeChunk(meta: SnapshotMeta, offset: number, data: Uint8Array): void {
    this.requests.push({ type: 'storeChunk', meta, offset, data });
  }

  installSnapshot(meta: SnapshotMeta): void {
    this.requests.push({ type: 'installSnapshot', meta });
  }

  /** Forgets the turn. */
  clear(): void {
    this.events.length = 0;
    this.durable.length = 0;
    this.beforeSync.length = 0;
    this.afterSync.length = 0;
    this.requests.length = 0;
  }
}
