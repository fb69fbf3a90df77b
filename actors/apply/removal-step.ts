import { LIMITS } from '../../protocol/limits.ts';

/** Names of keys that one entry, or one message, has room for beside everything else. */
const NAME_BYTES_MAX = LIMITS.entryBytesMax >> 1;
const KEY_OVERHEAD_BYTES = 160;
/** Rows that one entry takes away: they become old versions, all in one batch and one turn. */
const ROW_BYTES_MAX = LIMITS.memtableBytesMax >> 1;

/**
 * How many keys one entry of removals takes: clients choose how long names and values are, so a number alone is no
 * bound.
 */
export class RemovalStep {
  readonly #keysMax: number;
  #keys = 0;
  #bytes = 0;
  #rowBytes = 0;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** Whether one more key, with this stored triple and a row of this size, fits. */
  takes(triple: string, rowBytes: number): boolean {
    const bytes = this.#bytes + triple.length + KEY_OVERHEAD_BYTES;
    if (this.#keys >= this.#keysMax || bytes > NAME_BYTES_MAX) return false;
    // One large row always fits.
    if (this.#keys > 0 && this.#rowBytes + rowBytes > ROW_BYTES_MAX) return false;
    this.#keys++;
    this.#bytes = bytes;
    this.#rowBytes += rowBytes;
    return true;
  }
}
