/** Hands a stream of chunks to a parser of whole items, and holds the beginning of one until the rest comes. */
export class HeldBytes {
  #held: Buffer | null = null;

  /** `readOne` reads the item at `at` and says where the next one begins; -1: it is not whole. The chunk is not kept. */
  feed(chunk: Buffer, readOne: (bytes: Buffer, at: number) => number): void {
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = null;
    let at = 0;
    while (at < bytes.length) {
      const next = readOne(bytes, at);
      if (next < 0) break;
      at = next;
    }
    if (at < bytes.length) this.#held = Buffer.from(bytes.subarray(at));
  }
}
