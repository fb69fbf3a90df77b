import { LIMITS } from '../../protocol/limits.ts';

/** Names of keys that one entry, or one message, has room for beside everything else. */
const NAME_BYTES_MAX = LIMITS.entryBytesMax >> 1;
const KEY_OVERHEAD_BYTES = 160;

/**
 * How many keys one entry of removals takes: clients choose how long names are, so a number alone is no
 * bound.
 */
export class RemovalStep {
  readonly #keysMax: number;
  #keys = 0;
  #bytes = 0;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** Whether one more key, with this stored triple, fits. */
  takes(triple: string): boolean {
    const bytes = this.#bytes + triple.length + KEY_OVERHEAD_BYTES;
    if (this.#keys >= this.#keysMax || bytes > NAME_BYTES_MAX) return false;
    this.#keys++;
    this.#bytes = bytes;
    return true;
  }
}
