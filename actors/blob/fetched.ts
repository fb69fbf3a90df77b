import type { ChunkName } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BlobMessage } from '../../protocol/messages/blob.ts';
import { type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import {
  BlobFetch,
  type FetchOutbox,
  type FetchOutcome,
  type FetchRange,
  type TriedSource,
} from './fetch.ts';
import { type BlobTransfers, type OwnTransfer, TRANSFER_TIMES } from './transfers.ts';

/** No source gave the range; what came before was good. */
export class FetchFailed extends Error {
  override readonly name = 'FetchFailed';
  readonly tried: readonly TriedSource[];

  constructor(chunk: ChunkName, tried: readonly TriedSource[]) {
    const reasons = tried.map(({ node, reason }) => `${node}: ${reason}`).join(', ');
    super(`chunk ${chunk.number} of ${chunk.data} cannot be had (${reasons})`);
    this.tried = tried;
  }
}

export interface FetchedHost {
  readonly transfers: BlobTransfers;
  checksum(crc: number, bytes: Uint8Array): number;
  /** A source answered, or failed, after so long. */
  noteSource(node: NodeId, ms: number): void;
}

/** Hosts one fetch: a range of a chunk from other nodes, as an iterable that is asked for no more than it is read. */
export class FetchedRange implements OwnTransfer, FetchOutbox {
  readonly #host: FetchedHost;
  readonly #chunk: ChunkName;
  readonly #transfer: number;
  readonly #fetch: BlobFetch;
  #source: NodeId;
  #askedMs: number;
  #pieces: Uint8Array[] = [];
  #outcome: FetchOutcome | null = null;
  #wake: (() => void) | null = null;

  constructor(
    host: FetchedHost,
    chunk: ChunkName,
    sources: readonly NodeId[],
    range: Omit<FetchRange, 'windowBytes'>,
  ) {
    this.#host = host;
    this.#chunk = chunk;
    this.#source = sources[0] as NodeId;
    const { transfers } = host;
    this.#askedMs = transfers.nowMs;
    this.#transfer = transfers.begin(() => this);
    this.#fetch = new BlobFetch(
      sources,
      { ...range, windowBytes: LIMITS.blobWindowBytes },
      TRANSFER_TIMES,
      transfers.nowMs,
      this,
    );
  }

  get node(): NodeId {
    return this.#source;
  }

  /** The bytes, verified. Throws FetchFailed. */
  async *pieces(): AsyncGenerator<Uint8Array, void> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          yield piece;
          this.#fetch.consumed(piece.length, this.#host.transfers.nowMs, this);
        } else if (this.#outcome === null) {
          await new Promise<void>((resolved) => {
            this.#wake = resolved;
          });
        } else if (this.#outcome.type === 'done') return;
        else throw new FetchFailed(this.#chunk, this.#outcome.tried);
      }
    } finally {
      this.#fetch.abandon(this);
      this.#host.transfers.forget(this.#transfer);
    }
  }

  // OwnTransfer.

  message(from: ReplicaId, message: BlobMessage, nowMs: number): void {
    if (message.type === 'BlobPiece') {
      const isIntact = this.#host.checksum(0, message.data) === message.crc;
      this.#fetch.piece(nodeOf(from), message, isIntact, nowMs, this);
    } else if (message.type === 'BlobUnreadable') {
      this.#fetch.unreadable(nodeOf(from), message, nowMs, this);
    }
  }

  tick(nowMs: number): void {
    this.#fetch.tick(nowMs, this);
  }

  gone(nowMs: number): void {
    this.#fetch.gone(nowMs, this);
  }

  end(): void {
    this.ended({ type: 'failed', tried: [] });
  }

  // FetchOutbox.

  sendRead(to: NodeId, range: { offset: number; end: number; upTo: number; round: number }): void {
    if (to !== this.#source) this.#askedMs = this.#host.transfers.nowMs;
    this.#source = to;
    const message = { transfer: this.#transfer, chunk: this.#chunk, ...range };
    this.#host.transfers.send(to, { type: 'BlobRead', ...message });
  }

  sendAbandon(to: NodeId): void {
    this.#host.transfers.send(to, { type: 'BlobAbandon', transfer: this.#transfer });
  }

  deliver(data: Uint8Array): void {
    if (this.#askedMs >= 0) {
      this.#host.noteSource(this.#source, this.#host.transfers.nowMs - this.#askedMs);
      this.#askedMs = -1;
    }
    this.#pieces.push(data);
    this.#awake();
  }

  failedOver({ node, reason }: TriedSource): void {
    if (reason === 'unanswered') this.#host.noteSource(node, TRANSFER_TIMES.giveUpMs);
  }

  ended(outcome: FetchOutcome): void {
    this.#outcome ??= outcome;
    this.#awake();
  }

  #awake(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
