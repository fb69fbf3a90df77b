import type { Clock } from '../../protocol/clock.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineRow,
  EngineSnapshot,
  EngineWrite,
  KvEngine,
} from '../ports.ts';
import { newTree, type Tree, treeRows } from './tree.ts';

/** Rows put into the tree between two turns of the event loop. */
const ROWS_PER_TURN = 1024;

/** A KvEngine that forgets everything with the process: --ephemeral, tests and the simulator. */
export class MemoryEngine implements KvEngine {
  readonly #clock: Pick<Clock, 'soon'>;
  #tree: Tree<Uint8Array>;
  #writes: Promise<void> = Promise.resolve();

  /** `rows`: what it starts with; owned by the engine from now on. */
  constructor(clock: Pick<Clock, 'soon'>, rows: Tree<Uint8Array> = newTree()) {
    this.#clock = clock;
    this.#tree = rows;
  }

  get(key: string): Uint8Array | null {
    return this.#tree.get(key) ?? null;
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    return keys.map((key) => this.get(key));
  }

  snapshot(): EngineSnapshot {
    return new TreeSnapshot(this.#tree.clone());
  }

  /** A copy of all rows at this moment, O(1). */
  rows(): Tree<Uint8Array> {
    return this.#tree.clone();
  }

  write(batch: readonly EngineWrite[]): Promise<void> {
    this.#writes = this.#writes.then(() => this.#apply(batch));
    return this.#writes;
  }

  /** In a copy that takes the tree's place when it is complete: atomic, and never a long turn. */
  async #apply(batch: readonly EngineWrite[]): Promise<void> {
    const next = this.#tree.clone();
    for (let start = 0; start < batch.length; start += ROWS_PER_TURN) {
      if (start > 0) await new Promise<void>((resolved) => this.#clock.soon(resolved));
      const end = Math.min(start + ROWS_PER_TURN, batch.length);
      for (let i = start; i < end; i++) {
        const { key, value } = batch[i]!;
        if (value === null) next.delete(key);
        else next.set(key, value);
      }
    }
    this.#tree = next;
  }

  async flush(): Promise<void> {
    await this.#writes;
  }

  condemn(): void {} // there are no files

  async compact(): Promise<void> {} // nor what was overwritten

  async close(): Promise<void> {
    await this.#writes;
  }
}

class TreeSnapshot implements EngineSnapshot {
  readonly #tree: Tree<Uint8Array>;

  constructor(tree: Tree<Uint8Array>) {
    this.#tree = tree;
  }

  get(key: string): Uint8Array | null {
    return this.#tree.get(key) ?? null;
  }

  cursor(range: EngineRange): EngineCursor {
    const rows = treeRows(this.#tree, range);
    return {
      async next(max) {
        const page: EngineRow[] = [];
        for (let row = rows.peek(); row !== null && page.length < max; row = rows.peek()) {
          page.push(row);
          rows.skip();
        }
        return page;
      },
      async close() {},
    };
  }

  async close(): Promise<void> {}
}
