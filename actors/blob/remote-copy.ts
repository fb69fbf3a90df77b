import type { ChunkName, ChunkSum } from '../../protocol/blob.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BlobMessage } from '../../protocol/messages/blob.ts';
import type { NodeId, ReplicaId } from '../../protocol/types.ts';
import { type ChunkCopy, CopyFailed } from './copy.ts';
import { BlobSender, type PieceToSend, type SenderOutbox, type SendOutcome } from './sender.ts';
import { type BlobTransfers, type OwnTransfer, TRANSFER_TIMES } from './transfers.ts';

/** With this much that was not taken yet, no further piece is asked for. */
const HELD_BYTES_MAX = LIMITS.blobWindowBytes - LIMITS.blobPieceBytes;

/** A copy on another node's disk: hosts the sender, holds the bytes until they are taken there. */
export class RemoteCopy implements ChunkCopy, OwnTransfer, SenderOutbox {
  readonly node: NodeId;
  readonly sealed: Promise<ReplicaId>;
  readonly #transfers: BlobTransfers;
  readonly #chunk: ChunkName;
  readonly #transfer: number;
  readonly #sender: BlobSender;
  /** Pieces that were not taken yet; the first one begins at `#start`. */
  #pieces: Uint8Array[] = [];
  /** Of each of them. */
  #taken: (() => void)[] = [];
  #start = 0;
  #stop = 0;
  #whose: ReplicaId | null = null;
  #outcome: SendOutcome | null = null;
  #settle: { seal(whose: ReplicaId): void; fail(error: CopyFailed): void };
  #hasRoom: (() => void) | null = null;

  constructor(transfers: BlobTransfers, node: NodeId, chunk: ChunkName) {
    this.node = node;
    this.#transfers = transfers;
    this.#chunk = chunk;
    let settle = { seal: (_: ReplicaId): void => {}, fail: (_: CopyFailed): void => {} };
    this.sealed = new Promise((seal, fail) => {
      settle = { seal, fail };
    });
    this.sealed.catch(() => {}); // whoever gave up on it does not look
    this.#settle = settle;
    const limits = { pieceBytes: LIMITS.blobPieceBytes, windowBytes: LIMITS.blobWindowBytes };
    this.#sender = new BlobSender(limits, TRANSFER_TIMES, transfers.nowMs);
    this.#transfer = transfers.begin(() => this);
  }

  get hasLeft(): boolean {
    return this.#pieces.length === 0;
  }

  async push(piece: Uint8Array, end: ChunkSum | null, taken: () => void = () => {}): Promise<void> {
    if (piece.length > 0) await this.#transfers.budgetOf(this.node).take(piece.length);
    if (this.#outcome !== null) {
      this.#transfers.budgetOf(this.node).give(piece.length);
      throw this.#failure();
    }
    if (piece.length > 0) {
      this.#pieces.push(piece);
      this.#taken.push(taken);
    }
    this.#stop += piece.length;
    this.#sender.offer(this.#stop, end, this);
    while (this.#stop - this.#start > HELD_BYTES_MAX && this.#outcome === null) {
      await new Promise<void>((resolved) => {
        this.#hasRoom = resolved;
      });
    }
    if (this.#outcome !== null && (this.#outcome as SendOutcome).type !== 'sealed') {
      throw this.#failure();
    }
  }

  abandon(): void {
    if (this.#outcome !== null) return;
    this.#sender.abandon(this);
    this.ended({ type: 'unanswered' });
  }

  // OwnTransfer.

  message(from: ReplicaId, message: BlobMessage, nowMs: number): void {
    if (message.type === 'BlobWanted') this.#sender.wanted(message, nowMs, this);
    else if (message.type === 'BlobRefused') this.#sender.refused(message, this);
    else if (message.type === 'BlobSealed') {
      this.#whose = from;
      this.#sender.sealed(message, this);
    }
  }

  tick(nowMs: number): void {
    this.#sender.tick(nowMs, this);
  }

  gone(): void {
    this.ended({ type: 'unanswered' });
  }

  end(): void {
    this.ended({ type: 'unanswered' });
  }

  // SenderOutbox.

  sendPiece({ offset, length, ...rest }: PieceToSend): void {
    const data = this.#slice(offset, length);
    const message = { transfer: this.#transfer, chunk: this.#chunk, offset, data, ...rest };
    this.#transfers.send(this.node, { type: 'BlobWrite', ...message });
  }

  sendAbandon(): void {
    this.#transfers.send(this.node, { type: 'BlobAbandon', transfer: this.#transfer });
  }

  release(offset: number): void {
    const { length } = this.#pieces;
    let [first] = this.#pieces;
    while (first !== undefined && this.#start + first.length <= offset) {
      this.#start += first.length;
      this.#pieces.shift();
      this.#taken.shift()?.();
      this.#transfers.budgetOf(this.node).give(first.length);
      [first] = this.#pieces;
    }
    if (this.#pieces.length < length) this.#wake();
  }

  ended(outcome: SendOutcome): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    this.#transfers.forget(this.#transfer);
    this.release(this.#stop);
    this.#wake();
    if (outcome.type === 'sealed' && this.#whose !== null) this.#settle.seal(this.#whose);
    else this.#settle.fail(this.#failure());
  }

  #wake(): void {
    this.#hasRoom?.();
    this.#hasRoom = null;
  }

  #failure(): CopyFailed {
    return new CopyFailed(this.#outcome?.type === 'refused' ? this.#outcome.reason : 'unanswered');
  }

  /** Mostly one whole piece. */
  #slice(offset: number, length: number): Uint8Array {
    let at = this.#start;
    for (let i = 0; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i] as Uint8Array;
      if (offset < at + piece.length) {
        const from = offset - at;
        if (from + length <= piece.length) return piece.subarray(from, from + length);
        return Buffer.concat(this.#pieces.slice(i)).subarray(from, from + length);
      }
      at += piece.length;
    }
    return new Uint8Array(0);
  }
}
