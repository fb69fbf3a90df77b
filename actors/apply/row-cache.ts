import { Slab } from '../../protocol/slab.ts';

/** What a row costs beside its bytes: the map's entry, the key's and the buffer's headers. */
const ROW_OVERHEAD_BYTES = 192;

/**
 * Current rows of one group that were lately written or asked for, absent ones as null, so that a put
 * of a known key reads nothing. Two generations: what the younger has not seen when it is full goes
 * with the older. It has one owner, who writes every current row through it, so it is never stale.
 */
export class RowCache {
  readonly #bytesMax: number;
  readonly #slab = new Slab();
  #young = new Map<string, Uint8Array | null>();
  #old = new Map<string, Uint8Array | null>();
  /** Of the younger generation. */
  #bytes = 0;

  /** `bytesMax` bounds each of the two generations, about. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Null is a row that is not there; undefined means that the store has to be asked. */
  get(key: string): Uint8Array | null | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    // A copy: what a slab holds lives as long as the last of its rows.
    this.set(key, old === null ? null : this.#copy(old));
    return old;
  }

  set(key: string, row: Uint8Array | null): void {
    const before = this.#young.size;
    this.#young.set(key, row);
    // The bytes of one that was replaced still count: the slab that it was cut from may be held by its neighbours.
    if (row !== null) this.#bytes += row.length;
    if (this.#young.size > before) this.#bytes += key.length + ROW_OVERHEAD_BYTES;
  }

  /** Lets go of what is too much. Never inside a batch, whose own rows must be found. */
  trim(): void {
    if (this.#bytes <= this.#bytesMax) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#bytes = 0;
  }

  #copy(row: Uint8Array): Uint8Array {
    const copy = this.#slab.take(row.length);
    copy.set(row);
    return copy;
  }
}
