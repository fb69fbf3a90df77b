import type { StateStore } from '../../storage/ports.ts';
import type { RowCache } from './row-cache.ts';

/** Beyond these a cold row is read in the moment it is needed. */
const READING_MAX = 4_096;

interface Reading {
  isOverwritten: boolean;
  readonly waiting: (() => void)[];
}

/**
 * Reads current rows into the cache ahead of their use and off the main thread, which would otherwise wait
 * for the disk with everything that it serves. A row that is written while it is read is not touched: what
 * was read may be older.
 */
export class RowWarmer {
  readonly #store: StateStore;
  readonly #cache: RowCache;
  readonly #reading = new Map<string, Reading>();

  constructor(store: StateStore, cache: RowCache) {
    this.#store = store;
    this.#cache = cache;
  }

  /** `done` is called when the row is in the cache, or never will be by this. False: not begun. */
  begin(key: string, done: (() => void) | null): boolean {
    const under = this.#reading.get(key);
    if (under !== undefined) {
      if (done !== null) under.waiting.push(done);
      return true;
    }
    if (this.#reading.size >= READING_MAX) return false;
    const reading: Reading = { isOverwritten: false, waiting: done === null ? [] : [done] };
    this.#reading.set(key, reading);
    this.#store.fetch(key, (row) => {
      this.#reading.delete(key);
      if (row !== undefined && !reading.isOverwritten) this.#cache.set(key, row);
      for (const waiting of reading.waiting) waiting();
    });
    return true;
  }

  /** The row is written: what is being read of it is not the latest. */
  written(key: string): void {
    if (this.#reading.size === 0) return;
    const reading = this.#reading.get(key);
    if (reading !== undefined) reading.isOverwritten = true;
  }
}
