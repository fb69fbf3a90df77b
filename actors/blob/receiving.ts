import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import { chunkText } from '../../protocol/blob.ts';
import type { BlobMessage, BlobMessageOf, Refusal } from '../../protocol/messages/blob.ts';
import type { NodeId } from '../../protocol/types.ts';
import { EndedTransfers } from './ended.ts';

/** Effects for one transfer are done in the order they are given; what is given after abandon is another transfer. */
export interface ReceivingOutbox {
  send(to: NodeId, message: BlobMessage): void;
  create(key: string, chunk: ChunkName): void;
  /** The host answers with written(). */
  write(key: string, data: Uint8Array): void;
  /** The host answers with sealed() or failed(). */
  seal(key: string, expected: ChunkSum): void;
  /** Nothing of what was queued for it is written any more, and nothing about it is told. */
  abandon(key: string): void;
}

export interface ReceivingLimits {
  readonly transfersMax: number;
  /** Bytes of all transfers that were taken and are not written yet. */
  readonly queuedBytesMax: number;
  readonly windowBytes: number;
  readonly chunkBytesMax: number;
  /** A transfer of which nothing is heard for this long is given up. */
  readonly idleMs: number;
  readonly endedMax: number;
}

interface Transfer {
  readonly key: string;
  readonly from: NodeId;
  readonly transfer: number;
  readonly chunk: ChunkName;
  /** Bytes that were taken. */
  next: number;
  written: number;
  upTo: number;
  round: number;
  heardMs: number;
  isSealing: boolean;
  /** A piece was dropped for want of room: what comes behind it is no sign of a loss. */
  isDropping: boolean;
}

/**
 * All chunks that a node receives. Bytes are taken in order or not at all, so a transfer needs no memory but for
 * what waits for the disk, and that is bounded for all together.
 *
 *   R1  The bytes given to write() are those of the chunk, in order, each once.
 *   R2  A sender is told how far it may send by what is written, not by what has arrived.
 *   R3  A transfer ends once; whatever repeats itself afterwards gets the same answer.
 */
export class BlobReceiving {
  readonly #limits: ReceivingLimits;
  readonly #transfers = new Map<string, Transfer>();
  readonly #ended: EndedTransfers<BlobMessage>;
  #queuedBytes = 0;

  constructor(limits: ReceivingLimits) {
    this.#limits = limits;
    this.#ended = new EndedTransfers(limits.endedMax);
  }

  get size(): number {
    return this.#transfers.size;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  write(from: NodeId, m: BlobMessageOf<'BlobWrite'>, nowMs: number, out: ReceivingOutbox): void {
    const key = keyOf(from, m.transfer);
    const ended = this.#ended.get(key);
    if (ended !== undefined) return out.send(from, ended);
    let t = this.#transfers.get(key);
    if (t === undefined) {
      const reason = this.#refusalOf(m);
      if (reason !== null) {
        return out.send(from, { type: 'BlobRefused', transfer: m.transfer, reason });
      }
      t = this.#begin(key, from, m, nowMs, out);
    }
    if (chunkText(t.chunk) !== chunkText(m.chunk)) return;
    t.heardMs = nowMs;
    t.round = Math.max(t.round, m.round);
    if (t.isSealing) return this.#want(t, m.round, false, out);
    if (m.released <= t.next) return this.#take(t, m, out);
    out.abandon(key);
    this.#end(t, unknown(t.transfer), out);
  }

  /** The host has written the oldest bytes of those it was given. */
  written(key: string, bytes: number, out: ReceivingOutbox): void {
    const t = this.#transfers.get(key);
    if (t === undefined) return;
    t.written += bytes;
    this.#queuedBytes -= bytes;
    // There is room again for what was dropped.
    const gap = t.isDropping;
    t.isDropping = false;
    this.#want(t, t.round, gap, out);
  }

  sealed(key: string, sum: ChunkSum, out: ReceivingOutbox): void {
    const t = this.#transfers.get(key);
    if (t !== undefined) this.#end(t, { type: 'BlobSealed', transfer: t.transfer, sum }, out);
  }

  /** Creating, writing or sealing failed; the host has removed what there was. */
  failed(key: string, reason: Refusal, out: ReceivingOutbox): void {
    const t = this.#transfers.get(key);
    if (t !== undefined) this.#end(t, { type: 'BlobRefused', transfer: t.transfer, reason }, out);
  }

  /** It may come before what it is about. One that is being sealed goes on: nobody hears of it. */
  abandon(from: NodeId, { transfer }: BlobMessageOf<'BlobAbandon'>, out: ReceivingOutbox): void {
    const key = keyOf(from, transfer);
    const t = this.#transfers.get(key);
    if (t?.isSealing) return;
    if (t !== undefined) this.#drop(t, out);
    else if (this.#ended.get(key) === undefined) this.#ended.add(key, unknown(transfer));
  }

  /** Called about once a second. */
  tick(nowMs: number, out: ReceivingOutbox): void {
    for (const t of [...this.#transfers.values()]) {
      if (!t.isSealing && nowMs - t.heardMs >= this.#limits.idleMs) this.#drop(t, out);
    }
  }

  #refusalOf(m: BlobMessageOf<'BlobWrite'>): Refusal | null {
    // Its first bytes were taken by an earlier life of this node, or by a transfer that was given up.
    if (m.released !== 0) return 'unknown';
    return this.#transfers.size >= this.#limits.transfersMax ? 'busy' : null;
  }

  #begin(
    key: string,
    from: NodeId,
    { transfer, chunk, round }: BlobMessageOf<'BlobWrite'>,
    nowMs: number,
    out: ReceivingOutbox,
  ): Transfer {
    const t: Transfer = {
      ...{ key, from, transfer, chunk, round, next: 0, written: 0, heardMs: nowMs },
      ...{ upTo: this.#limits.windowBytes, isSealing: false, isDropping: false },
    };
    this.#transfers.set(key, t);
    out.create(key, chunk);
    return t;
  }

  #take(t: Transfer, m: BlobMessageOf<'BlobWrite'>, out: ReceivingOutbox): void {
    const { chunkBytesMax } = this.#limits;
    const stop = m.offset + m.data.length;
    const isWrong = m.end !== null && (m.end.bytes !== stop || stop < t.next);
    if (isWrong || stop > chunkBytesMax) {
      out.abandon(t.key);
      const refused = { type: 'BlobRefused', transfer: t.transfer, reason: 'mismatch' } as const;
      return this.#end(t, refused, out);
    }
    if (m.offset > t.next) return this.#want(t, m.round, !t.isDropping, out);
    if (stop > t.next) {
      const fresh = m.data.subarray(t.next - m.offset);
      if (!this.#hasRoom(t, fresh.length)) {
        t.isDropping = true;
        return;
      }
      t.isDropping = false;
      t.next = stop;
      this.#queuedBytes += fresh.length;
      out.write(t.key, fresh);
    } else if (m.end === null) this.#want(t, m.round, false, out);
    if (m.end === null) return;
    t.isSealing = true;
    out.seal(t.key, m.end);
  }

  #hasRoom(t: Transfer, bytes: number): boolean {
    return t.next + bytes <= t.upTo && this.#queuedBytes + bytes <= this.#limits.queuedBytesMax;
  }

  #want(t: Transfer, round: number, gap: boolean, out: ReceivingOutbox): void {
    t.upTo = Math.max(t.upTo, t.written + this.#limits.windowBytes);
    const { transfer, next: offset, upTo } = t;
    out.send(t.from, { type: 'BlobWanted', transfer, offset, upTo, round, gap });
  }

  #drop(t: Transfer, out: ReceivingOutbox): void {
    out.abandon(t.key);
    this.#remove(t);
    this.#ended.add(t.key, unknown(t.transfer));
  }

  #end(t: Transfer, outcome: BlobMessage, out: ReceivingOutbox): void {
    this.#remove(t);
    this.#ended.add(t.key, outcome);
    out.send(t.from, outcome);
  }

  #remove(t: Transfer): void {
    this.#transfers.delete(t.key);
    this.#queuedBytes -= t.next - t.written;
  }
}

function unknown(transfer: number): BlobMessage {
  return { type: 'BlobRefused', transfer, reason: 'unknown' };
}

function keyOf(from: NodeId, transfer: number): string {
  return `${from}/${transfer}`;
}
