import { assert } from '../../protocol/assert.ts';
import type { BlobMessageOf, Unreadable } from '../../protocol/messages/blob.ts';
import type { NodeId } from '../../protocol/types.ts';
import { Patience, type TransferTimes } from './patience.ts';

export interface TriedSource {
  readonly node: NodeId;
  readonly reason: Unreadable | 'unanswered';
}

/** Each source failed for its reason, at whatever byte. */
export type FetchOutcome =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly tried: readonly TriedSource[] };

export interface FetchOutbox {
  /** Sends a BlobRead for this transfer. */
  sendRead(to: NodeId, range: { offset: number; end: number; upTo: number; round: number }): void;
  sendAbandon(to: NodeId): void;
  /** The next bytes of the range, in order. The host says consumed() when it has passed them on. */
  deliver(data: Uint8Array): void;
  /** A source has failed, while others may do. */
  failedOver(tried: TriedSource): void;
  ended(outcome: FetchOutcome): void;
}

export interface FetchRange {
  readonly start: number;
  /** Half-open; may lie behind the chunk's end. */
  readonly end: number;
  readonly windowBytes: number;
}

/**
 * Reads a range of one chunk from the first of its sources that gives it, going on with the next one in the middle
 * where one fails.
 *
 *   F1  Bytes are delivered in order, each once, wherever they came from.
 *   F2  No more than the window is delivered and not consumed.
 *   F3  It ends once: done only when the range, as far as the chunk has it, was delivered.
 */
export class BlobFetch {
  readonly #sources: readonly NodeId[];
  readonly #range: FetchRange;
  readonly #times: TransferTimes;
  readonly #tried: TriedSource[] = [];
  #patience: Patience;
  #next: number;
  #consumed: number;
  #upTo: number;
  #round = 1;
  #hasEnded = false;

  constructor(
    sources: readonly NodeId[],
    range: FetchRange,
    times: TransferTimes,
    nowMs: number,
    out: FetchOutbox,
  ) {
    assert(sources.length > 0 && range.start < range.end, 'there is something to fetch');
    this.#sources = sources;
    this.#range = range;
    this.#times = times;
    this.#patience = new Patience(times, nowMs);
    this.#next = range.start;
    this.#consumed = range.start;
    this.#upTo = range.start + range.windowBytes;
    this.#ask(out);
  }

  /** `isIntact`: the data has the checksum that the piece says. */
  piece(
    from: NodeId,
    m: BlobMessageOf<'BlobPiece'>,
    isIntact: boolean,
    nowMs: number,
    out: FetchOutbox,
  ): void {
    const stop = m.offset + m.data.length;
    if (this.#hasEnded || from !== this.#source || stop > this.#upTo) return;
    const isNext = m.offset <= this.#next && isIntact;
    this.#patience.heard(nowMs, isNext && stop > this.#next);
    if (!isNext) {
      // Lost, or changed on its way: once in a round it is asked for again.
      if (m.round === this.#round && stop > this.#next) this.#goBack(out);
      return;
    }
    if (stop > this.#next) {
      const fresh = m.data.subarray(this.#next - m.offset);
      this.#next = stop;
      out.deliver(fresh);
    }
    if (this.#next >= Math.min(this.#range.end, m.bytes)) this.#finish({ type: 'done' }, out);
  }

  /** The host has passed on that many of the delivered bytes. */
  consumed(bytes: number, nowMs: number, out: FetchOutbox): void {
    this.#consumed += bytes;
    assert(this.#consumed <= this.#next, 'only what was delivered is consumed');
    if (this.#hasEnded) return;
    const upTo = this.#consumed + this.#range.windowBytes;
    if (upTo - this.#upTo < this.#range.windowBytes / 4) return;
    // While nothing was allowed, silence meant nothing.
    if (this.#next === this.#upTo) this.#patience.heard(nowMs, false);
    this.#upTo = upTo;
    this.#ask(out);
  }

  unreadable(
    from: NodeId,
    { reason }: BlobMessageOf<'BlobUnreadable'>,
    nowMs: number,
    out: FetchOutbox,
  ): void {
    if (!this.#hasEnded && from === this.#source) this.#failOver(reason, nowMs, out);
  }

  /** Called a few times a second. */
  tick(nowMs: number, out: FetchOutbox): void {
    if (this.#hasEnded || this.#next === this.#upTo || !this.#patience.isOver(nowMs)) return;
    if (this.#patience.isLost(nowMs)) this.#failOver('unanswered', nowMs, out);
    else this.#goBack(out);
  }

  /** The bus says that nobody is there any more. */
  gone(nowMs: number, out: FetchOutbox): void {
    if (!this.#hasEnded) this.#failOver('unanswered', nowMs, out);
  }

  /** The host wants no more of it. */
  abandon(out: FetchOutbox): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    out.sendAbandon(this.#source);
  }

  get #source(): NodeId {
    return this.#sources[this.#tried.length] as NodeId;
  }

  #goBack(out: FetchOutbox): void {
    this.#round++;
    this.#ask(out);
  }

  #ask(out: FetchOutbox): void {
    const { end } = this.#range;
    const upTo = Math.min(this.#upTo, end);
    out.sendRead(this.#source, { offset: this.#next, end, upTo, round: this.#round });
  }

  #failOver(reason: TriedSource['reason'], nowMs: number, out: FetchOutbox): void {
    const tried = { node: this.#source, reason };
    if (reason === 'unanswered') out.sendAbandon(tried.node);
    this.#tried.push(tried);
    if (this.#tried.length === this.#sources.length) {
      this.#hasEnded = true;
      return out.ended({ type: 'failed', tried: this.#tried });
    }
    out.failedOver(tried);
    this.#patience = new Patience(this.#times, nowMs);
    this.#goBack(out);
  }

  #finish(outcome: FetchOutcome, out: FetchOutbox): void {
    this.#hasEnded = true;
    out.sendAbandon(this.#source);
    out.ended(outcome);
  }
}
