/** One bit per key and hash: 16 KiB for the some thousand rows of a memtable. */
const BITS = 131_072;

/** FNV-1a over the code units of a row key: equal keys have equal hashes. */
export function hashOfKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}

/** A Bloom filter with one hash: what it has not seen is not there, what it may have must be looked for. */
export class KeyFilter {
  readonly #bits = new Uint32Array(BITS / 32);

  add(hash: number): void {
    const bit = hash & (BITS - 1);
    this.#bits[bit >>> 5]! |= 1 << (bit & 31);
  }

  mayHave(hash: number): boolean {
    const bit = hash & (BITS - 1);
    return (this.#bits[bit >>> 5]! & (1 << (bit & 31))) !== 0;
  }
}
