import { LIMITS } from '../../protocol/limits.ts';

/**
 * A bounded inbox: commands gather while a turn waits for its fsync and leave as one batch.
 * The bound is counted in commands and in the bytes their senders declare.
 */
export class Inbox<T> {
  #items: T[] = [];
  #spare: T[] = [];
  #bytes = 0;

  /** False when full: the sender answers `overloaded` (clients) or drops (peers). */
  push(item: T, bytes: number): boolean {
    if (this.#items.length >= LIMITS.inboxCommandsMax) return false;
    if (this.#bytes + bytes > LIMITS.inboxBytesMax && this.#items.length > 0) return false;
    this.#items.push(item);
    this.#bytes += bytes;
    return true;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Everything that has gathered; valid until the next drain. */
  drain(): readonly T[] {
    const batch = this.#items;
    this.#spare.length = 0;
    this.#items = this.#spare;
    this.#spare = batch;
    this.#bytes = 0;
    return batch;
  }
}
