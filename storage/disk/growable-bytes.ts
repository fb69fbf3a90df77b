const INITIAL_BYTES = 1024;

/** A file's content in memory: grows in place; bytes between the old end and a later write are 0. */
export class GrowableBytes {
  #bytes: Uint8Array;
  #length: number;

  constructor(content: Uint8Array) {
    this.#bytes = new Uint8Array(content); // a copy: Buffer.slice() would be a view
    this.#length = content.length;
  }

  get length(): number {
    return this.#length;
  }

  /** A copy of at most `length` bytes from `offset`; shorter at the end. */
  read(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(offset, Math.max(offset, Math.min(offset + length, this.#length)));
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    this.#reserve(end);
    this.#bytes.set(bytes, offset);
    if (end > this.#length) this.#length = end;
  }

  /** Shortens, or lengthens with zeros. */
  truncate(length: number): void {
    if (length < this.#length) this.#bytes.fill(0, length, this.#length);
    else this.#reserve(length);
    this.#length = length;
  }

  /** Flips the bits of `mask` in one byte. */
  flip(offset: number, mask: number): void {
    this.#bytes[offset] = (this.#bytes[offset] ?? 0) ^ mask;
  }

  #reserve(end: number): void {
    if (end <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(INITIAL_BYTES, end, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
