import type { ChunkName } from '../../protocol/blob.ts';
import { chunkText } from '../../protocol/blob.ts';
import type { BlobMessage, BlobMessageOf, Unreadable } from '../../protocol/messages/blob.ts';
import type { NodeId } from '../../protocol/types.ts';
import { EndedTransfers } from './ended.ts';

/** Effects for one transfer are done in the order they are given; what is given after close is another transfer. */
export interface ServingOutbox {
  send(to: NodeId, message: BlobMessage): void;
  /** The host answers with opened() or failed(). */
  open(key: string, chunk: ChunkName): void;
  /** The host answers with read() or failed(). One at a time for each transfer. */
  read(key: string, offset: number, length: number): void;
  /** Nothing about it is told any more. */
  close(key: string): void;
}

export interface ServingLimits {
  readonly transfersMax: number;
  readonly pieceBytes: number;
  /** A reader of which nothing is heard for this long is gone, or will say all again. */
  readonly idleMs: number;
  readonly endedMax: number;
}

interface Transfer {
  readonly key: string;
  readonly from: NodeId;
  readonly transfer: number;
  readonly chunk: ChunkName;
  readonly end: number;
  /** Of the chunk; null until it is open. */
  bytes: number | null;
  sent: number;
  upTo: number;
  round: number;
  /** A range behind the chunk's end is answered by one piece without bytes, once in each round. */
  isEndSent: boolean;
  heardMs: number;
  isReading: boolean;
}

/**
 * All chunks that a node sends to readers. Each BlobRead says all there is to know, so a transfer may be forgotten at
 * any time. One piece of each is in memory at once, and none beyond what the reader has allowed.
 */
export class BlobServing {
  readonly #limits: ServingLimits;
  readonly #transfers = new Map<string, Transfer>();
  readonly #ended: EndedTransfers<true>;

  constructor(limits: ServingLimits) {
    this.#limits = limits;
    this.#ended = new EndedTransfers(limits.endedMax);
  }

  get size(): number {
    return this.#transfers.size;
  }

  ask(from: NodeId, m: BlobMessageOf<'BlobRead'>, nowMs: number, out: ServingOutbox): void {
    const key = `${from}/${m.transfer}`;
    if (this.#ended.get(key)) return;
    let t = this.#transfers.get(key);
    if (t === undefined) {
      if (this.#transfers.size >= this.#limits.transfersMax) {
        const { transfer } = m;
        return out.send(from, { type: 'BlobUnreadable', transfer, reason: 'busy' });
      }
      t = begin(key, from, m, nowMs);
      this.#transfers.set(key, t);
      out.open(key, m.chunk);
      return;
    }
    if (m.round < t.round || m.end !== t.end || chunkText(m.chunk) !== chunkText(t.chunk)) return;
    t.heardMs = nowMs;
    if (m.round > t.round) {
      t.round = m.round;
      t.sent = m.offset;
      t.upTo = m.upTo;
      t.isEndSent = false;
    }
    t.upTo = Math.max(t.upTo, m.upTo);
    this.#pump(t, out);
  }

  opened(key: string, bytes: number, out: ServingOutbox): void {
    const t = this.#transfers.get(key);
    if (t === undefined) return;
    t.bytes = bytes;
    this.#pump(t, out);
  }

  /** `crc`: of `data`. What was read before the reader went back is not sent. */
  read(key: string, offset: number, data: Uint8Array, crc: number, out: ServingOutbox): void {
    const t = this.#transfers.get(key);
    if (t === undefined) return;
    t.isReading = false;
    if (offset === t.sent) {
      t.sent += data.length;
      this.#sendPiece(t, offset, data, crc, out);
    }
    this.#pump(t, out);
  }

  failed(key: string, reason: Unreadable, out: ServingOutbox): void {
    const t = this.#transfers.get(key);
    if (t === undefined) return;
    this.#end(t, out);
    out.send(t.from, { type: 'BlobUnreadable', transfer: t.transfer, reason });
  }

  /** The reader has all it wants. */
  abandon(from: NodeId, { transfer }: BlobMessageOf<'BlobAbandon'>, out: ServingOutbox): void {
    const key = `${from}/${transfer}`;
    const t = this.#transfers.get(key);
    if (t !== undefined) this.#end(t, out);
    this.#ended.add(key, true);
  }

  /** Called about once a second. */
  tick(nowMs: number, out: ServingOutbox): void {
    for (const t of [...this.#transfers.values()]) {
      if (nowMs - t.heardMs >= this.#limits.idleMs) this.#end(t, out);
    }
  }

  #pump(t: Transfer, out: ServingOutbox): void {
    if (t.bytes === null || t.isReading) return;
    const stop = Math.min(t.end, t.bytes);
    if (t.sent >= stop) {
      // Pieces have told where the chunk ends, unless there were none.
      if (t.isEndSent) return;
      t.isEndSent = true;
      return this.#sendPiece(t, t.sent, NOTHING, 0, out);
    }
    const length = Math.min(this.#limits.pieceBytes, stop - t.sent, t.upTo - t.sent);
    if (length <= 0) return;
    t.isReading = true;
    t.isEndSent = true;
    out.read(t.key, t.sent, length);
  }

  #sendPiece(t: Transfer, offset: number, data: Uint8Array, crc: number, out: ServingOutbox): void {
    const { transfer, round } = t;
    const bytes = t.bytes ?? 0;
    out.send(t.from, { type: 'BlobPiece', transfer, offset, round, data, crc, bytes });
  }

  #end(t: Transfer, out: ServingOutbox): void {
    this.#transfers.delete(t.key);
    out.close(t.key);
  }
}

const NOTHING = new Uint8Array(0);

function begin(
  key: string,
  from: NodeId,
  { transfer, chunk, offset, end, upTo, round }: BlobMessageOf<'BlobRead'>,
  nowMs: number,
): Transfer {
  return {
    ...{ key, from, transfer, chunk, end, bytes: null, sent: offset, upTo, round },
    ...{ isEndSent: false, heardMs: nowMs, isReading: false },
  };
}
