import type {
  EngineCursor,
  EngineRange,
  EngineRow,
  EngineWrite,
  StateStore,
  StateView,
} from '../../storage/ports.ts';
import { lowerBound } from '../check/truth.ts';

/**
 * A StateStore in memory that keeps every write() it got, so that a test can rebuild what a crash
 * after any of them would leave. Views copy: for small states.
 */
export class MemoryState implements StateStore {
  /** Every batch, in order. */
  readonly batches: EngineWrite[][] = [];
  /** How many batches were durable after each flush. */
  readonly flushes: number[] = [];
  readonly #rows = new Map<string, Uint8Array>();
  #sorted: readonly EngineRow[] | null = null;
  #viewsOpen = 0;

  /** The store a crash leaves when exactly the first `count` batches of `source` had arrived. */
  static afterCrash(source: MemoryState, count: number): MemoryState {
    const store = new MemoryState();
    for (const batch of source.batches.slice(0, count)) store.write(batch);
    return store;
  }

  get(key: string): Uint8Array | null {
    return this.#rows.get(key) ?? null;
  }

  peek(key: string): Uint8Array | null | undefined {
    return this.get(key);
  }

  fetch(key: string, done: (row: Uint8Array | null | undefined) => void): void {
    queueMicrotask(() => done(this.get(key)));
  }

  write(batch: readonly EngineWrite[]): void {
    this.batches.push([...batch]);
    this.#sorted = null;
    for (const { key, value } of batch) {
      if (value === null) this.#rows.delete(key);
      else this.#rows.set(key, value);
    }
  }

  view(): StateView {
    const rows = this.rows();
    this.#viewsOpen++;
    const lookup = new Map(rows);
    return {
      get: (key) => lookup.get(key) ?? null,
      cursor: (range) => cursorOver(rows, range),
      close: async () => {
        this.#viewsOpen--;
      },
    };
  }

  async flush(): Promise<void> {
    this.flushes.push(this.batches.length);
  }

  async drained(): Promise<void> {}

  pendingBytes(): number {
    return 0;
  }

  async close(): Promise<void> {}

  /** All rows in order. */
  rows(): readonly EngineRow[] {
    this.#sorted ??= [...this.#rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return this.#sorted;
  }

  /** Views that were taken and not closed: 0 when nothing leaks. */
  get viewsOpen(): number {
    return this.#viewsOpen;
  }
}

/** Rows given as an array, as a cursor. */
export function cursorOf(rows: readonly EngineRow[]): EngineCursor {
  let at = 0;
  return {
    next: async (max) => {
      const chunk = rows.slice(at, at + max).map(([key, value]): EngineRow => [key, value]);
      at += chunk.length;
      return chunk;
    },
    close: async () => {},
  };
}

function cursorOver(rows: readonly EngineRow[], range: EngineRange): EngineCursor {
  const from = lowerBound(rows, ([key]) => key >= range.start);
  const to = lowerBound(rows, ([key]) => key >= range.end);
  const inside = rows.slice(from, Math.max(from, to));
  return cursorOf(range.reverse ? inside.reverse() : inside);
}

/** All rows of a cursor, `max` at a time; closes it. */
export async function drain(cursor: EngineCursor, max: number): Promise<EngineRow[]> {
  const out: EngineRow[] = [];
  for (let rows = await cursor.next(max); rows.length > 0; rows = await cursor.next(max)) {
    out.push(...rows);
  }
  await cursor.close();
  return out;
}
