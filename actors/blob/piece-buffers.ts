import { assert } from '../../protocol/assert.ts';
import { pageAligned } from '../../protocol/page-aligned.ts';

/** Kept for uploads to come. */
const FREE_MAX = 64;

/**
 * Buffers of whole pieces, used again once every copy has the bytes: what is allocated anew for every piece
 * makes the collector walk the whole heap each few dozen megabytes. They are aligned, so that this node's disk takes
 * them past the page cache.
 */
export class PieceBuffers {
  readonly pieceBytes: number;
  readonly #free: Uint8Array[] = [];

  constructor(pieceBytes: number) {
    this.pieceBytes = pieceBytes;
  }

  /** With any bytes in it. */
  take(): Uint8Array {
    return this.#free.pop() ?? pageAligned(this.pieceBytes);
  }

  /** Nobody looks at it any more. One that came from elsewhere is left alone. */
  give(piece: Uint8Array): void {
    if (piece.length !== this.pieceBytes || piece.buffer.byteLength !== this.pieceBytes) return;
    assert(!this.#free.includes(piece), 'a buffer is given back once');
    if (this.#free.length < FREE_MAX) this.#free.push(piece);
  }
}
