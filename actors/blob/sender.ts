import { assert } from '../../protocol/assert.ts';
import type { ChunkSum } from '../../protocol/blob.ts';
import type { BlobMessageOf, Refusal } from '../../protocol/messages/blob.ts';
import { Patience, type TransferTimes } from './patience.ts';

/** `unanswered`: the other side was silent for too long; the chunk may be there or not. */
export type SendOutcome =
  | { readonly type: 'sealed'; readonly sum: ChunkSum }
  | { readonly type: 'refused'; readonly reason: Refusal }
  | { readonly type: 'unanswered' };

export interface PieceToSend {
  readonly offset: number;
  readonly length: number;
  readonly released: number;
  readonly round: number;
  readonly end: ChunkSum | null;
}

export interface SenderOutbox {
  /** Sends these bytes of the chunk as a BlobWrite. */
  sendPiece(piece: PieceToSend): void;
  sendAbandon(): void;
  /** Bytes before `offset` will not be sent again in this transfer. */
  release(offset: number): void;
  ended(outcome: SendOutcome): void;
}

export interface SenderLimits {
  readonly pieceBytes: number;
  /** What may be sent before the first answer. */
  readonly windowBytes: number;
}

/**
 * Sends one chunk to one node. It knows offsets only: bytes stay with its host until they are released.
 *
 *   S1  Nothing is sent beyond what the receiver has allowed.
 *   S2  Going back happens once for each loss that the receiver tells, and once for each silence.
 *   S3  It ends once: sealed only if what is sealed is what was sent.
 */
export class BlobSender {
  readonly #limits: SenderLimits;
  readonly #patience: Patience;
  /** Bytes that the host has. */
  #available = 0;
  #end: ChunkSum | null = null;
  #taken = 0;
  #upTo: number;
  #sent = 0;
  #isEndSent = false;
  #round = 1;
  #hasEnded = false;

  constructor(limits: SenderLimits, times: TransferTimes, nowMs: number) {
    assert(limits.pieceBytes <= limits.windowBytes, 'a piece fits the window');
    this.#limits = limits;
    this.#patience = new Patience(times, nowMs);
    this.#upTo = limits.windowBytes;
  }

  /** Bytes that have left and were not taken yet, and those that have not left. */
  get waitingBytes(): number {
    return this.#available - this.#taken;
  }

  /** The host now has the first `available` bytes; with `end`, these are all. */
  offer(available: number, end: ChunkSum | null, out: SenderOutbox): void {
    assert(available >= this.#available && this.#end === null, 'bytes are offered in order');
    assert(end === null || end.bytes === available, 'a chunk ends with its last byte');
    this.#available = available;
    this.#end = end;
    if (!this.#hasEnded) this.#pump(out);
  }

  wanted(m: BlobMessageOf<'BlobWanted'>, nowMs: number, out: SenderOutbox): void {
    if (this.#hasEnded || m.offset > this.#available) return;
    this.#patience.heard(nowMs, m.offset > this.#taken);
    if (m.offset > this.#taken) {
      this.#taken = m.offset;
      // After going back, what was sent before may still arrive.
      this.#sent = Math.max(this.#sent, m.offset);
      out.release(m.offset);
    }
    this.#upTo = Math.max(this.#upTo, m.upTo);
    const isLost = m.gap && m.round === this.#round && m.offset === this.#taken;
    if (isLost && this.#taken < this.#sent) this.#goBack();
    this.#pump(out);
  }

  sealed({ sum }: BlobMessageOf<'BlobSealed'>, out: SenderOutbox): void {
    const isSame = this.#end?.bytes === sum.bytes && this.#end.crc === sum.crc;
    this.#finish(isSame ? { type: 'sealed', sum } : { type: 'refused', reason: 'mismatch' }, out);
  }

  refused({ reason }: BlobMessageOf<'BlobRefused'>, out: SenderOutbox): void {
    this.#finish({ type: 'refused', reason }, out);
  }

  /** Called a few times a second. */
  tick(nowMs: number, out: SenderOutbox): void {
    if (this.#hasEnded || !this.#patience.isOver(nowMs)) return;
    if (this.#patience.isLost(nowMs)) {
      out.sendAbandon();
      return this.#finish({ type: 'unanswered' }, out);
    }
    this.#goBack();
    const { sent } = this;
    this.#pump(out);
    // Nothing to send, or nothing may be: the receiver is asked, which also tells it that this side lives.
    if (this.sent === sent && !this.#isEndSent) {
      const released = this.#taken;
      out.sendPiece({ offset: sent, length: 0, released, round: this.#round, end: null });
    }
  }

  /** The host wants no more of it. */
  abandon(out: SenderOutbox): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    out.sendAbandon();
  }

  /** Offset of the next byte to send. */
  get sent(): number {
    return this.#sent;
  }

  #goBack(): void {
    this.#round++;
    this.#sent = this.#taken;
    this.#isEndSent = false;
  }

  /** Whole pieces, but for the last one. */
  #pump(out: SenderOutbox): void {
    const { pieceBytes } = this.#limits;
    const room = Math.min(this.#available, this.#upTo);
    while (this.#sent + pieceBytes <= room) this.#send(pieceBytes, out);
    const rest = this.#available - this.#sent;
    const isLast = this.#end !== null && !this.#isEndSent && rest < pieceBytes;
    if (isLast && this.#available <= this.#upTo) this.#send(rest, out);
  }

  #send(length: number, out: SenderOutbox): void {
    const offset = this.#sent;
    this.#sent += length;
    const end = this.#end !== null && this.#sent === this.#end.bytes ? this.#end : null;
    this.#isEndSent = end !== null;
    out.sendPiece({ offset, length, released: this.#taken, round: this.#round, end });
  }

  #finish(outcome: SendOutcome, out: SenderOutbox): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    out.ended(outcome);
  }
}
