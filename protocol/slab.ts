const CHUNK_BYTES = 64 * 1024;
/** Larger buffers stand alone: they would waste the rest of a chunk. */
const SLICE_BYTES_MAX = CHUNK_BYTES / 8;

/**
 * Cuts small buffers from large ones, which is several times cheaper than allocating each. A chunk is
 * freed when its last slice is, so one slab serves things that live equally long and are counted
 * together: Node's own pool mixes the rows of a cache with what is gone in a millisecond, and each row then
 * holds 8 KiB; a slab shared by a busy and a quiet group would make each row of the quiet one hold a chunk.
 */
export class Slab {
  #chunk = Buffer.alloc(0);
  #at = 0;

  /** Uninitialised bytes that belong to the caller. */
  take(bytes: number): Buffer {
    if (bytes > SLICE_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    if (this.#at + bytes > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#at = 0;
    }
    const start = this.#at;
    this.#at += bytes;
    return this.#chunk.subarray(start, this.#at);
  }
}
