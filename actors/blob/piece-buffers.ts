import { assert } from '../../protocol/assert.ts';
import { isPageAligned, pageAligned } from '../../protocol/page-aligned.ts';

/** Kept for uploads to come: those for the page cache, and aligned ones. */
const CACHED_MAX = 16;
const ALIGNED_MAX = 48;

/**
 * Buffers of whole pieces, used again once every copy has the bytes: what is allocated anew for every piece
 * makes the collector walk the whole heap each few dozen megabytes. Aligned ones are taken
 * past the page cache by this node's disk.
 */
export class PieceBuffers {
  readonly pieceBytes: number;
  readonly #cached: Uint8Array[] = [];
  readonly #aligned: Uint8Array[] = [];

  constructor(pieceBytes: number) {
    this.pieceBytes = pieceBytes;
  }

  /** With any bytes in it. */
  take(isAligned: boolean): Uint8Array {
    if (isAligned) return this.#aligned.pop() ?? pageAligned(this.pieceBytes);
    return this.#cached.pop() ?? Buffer.allocUnsafeSlow(this.pieceBytes);
  }

  /** Nobody looks at it any more. One that came from elsewhere is left alone. */
  give(piece: Uint8Array): void {
    if (piece.length !== this.pieceBytes || piece.buffer.byteLength !== this.pieceBytes) return;
    const isAligned = isPageAligned(piece);
    const free = isAligned ? this.#aligned : this.#cached;
    assert(!free.includes(piece), 'a buffer is given back once');
    if (free.length < (isAligned ? ALIGNED_MAX : CACHED_MAX)) free.push(piece);
  }
}
