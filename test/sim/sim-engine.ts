import type { Clock } from '../../protocol/clock.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import { MemoryEngine } from '../../storage/kv/memory-engine.ts';
import { newTree, type Tree } from '../../storage/kv/tree.ts';
import type { EngineSnapshot, EngineWrite, KvEngine } from '../../storage/ports.ts';

/** A state after some whole batches. */
type Rows = Tree<Uint8Array>;

/**
 * A machine's engine files. Batches are in the page cache after write() and durable after flush(); a
 * power cut keeps a prefix of them. Each process opens its own engine; after its end that engine never answers.
 */
export class SimEngineStore {
  readonly #random: Random;
  /** States a power cut may leave: the flushed one, then one after each later batch. */
  #states: Rows[] = [newTree()];
  /** Number of the first of them. */
  #firstState = 0;
  #epoch = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  open(clock: Clock): SimEngine {
    const epoch = this.#epoch;
    const store = {
      isCurrent: () => epoch === this.#epoch,
      written: (rows: Rows) => void this.#states.push(rows),
      lastState: () => this.#firstState + this.#states.length - 1,
      flushed: (state: number) => this.#forgetBefore(state),
    };
    return new SimEngine(clock, this.#random, this.#states.at(-1)!.clone(), store);
  }

  /** The process died: everything written is still in the page cache. */
  processDied(): void {
    this.#epoch++;
  }

  /** Power cut: batches that were not flushed are lost from the end. */
  crash(): void {
    this.#epoch++;
    this.#states = [this.#states[randomInt(this.#random, 0, this.#states.length - 1)]!];
  }

  /** A new, empty disk. */
  wipe(): void {
    this.#epoch++;
    this.#states = [newTree()];
  }

  #forgetBefore(state: number): void {
    const count = Math.max(0, state - this.#firstState);
    this.#states.splice(0, count);
    this.#firstState += count;
  }
}

interface StoreAccess {
  isCurrent(): boolean;
  written(rows: Rows): void;
  lastState(): number;
  flushed(state: number): void;
}

/** One process's engine over a SimEngineStore. */
export class SimEngine implements KvEngine {
  /** The next write fails; the engine must not be used any more. */
  failNextWrite = false;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #engine: MemoryEngine;
  readonly #store: StoreAccess;
  #writes: Promise<void> = Promise.resolve();

  constructor(clock: Clock, random: Random, rows: Rows, store: StoreAccess) {
    this.#clock = clock;
    this.#random = random;
    this.#engine = new MemoryEngine(clock, rows);
    this.#store = store;
  }

  get(key: string): Uint8Array | null {
    return this.#engine.get(key);
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const rows = keys.map((key) => this.#engine.get(key));
    await this.#latency(0.05, 8);
    return rows;
  }

  snapshot(): EngineSnapshot {
    return this.#engine.snapshot();
  }

  write(batch: readonly EngineWrite[]): Promise<void> {
    const written = this.#writes.then(async () => {
      await this.#latency(0.05, 3);
      if (this.failNextWrite) throw new Error('the simulated engine failed a write');
      await this.#engine.write(batch);
      this.#store.written(this.#engine.rows());
    });
    this.#writes = written.catch(() => {}); // told to the caller; the next write fails by itself
    return written;
  }

  async flush(): Promise<void> {
    await this.#writes;
    const state = this.#store.lastState();
    await this.#latency(1, 10);
    this.#store.flushed(state);
  }

  condemn(): void {} // nothing here damages rows

  async compact(): Promise<void> {} // rows that were overwritten are not there

  async close(): Promise<void> {
    await this.#writes;
  }

  /** Resolves after a drawn time, never when the process has ended by then. */
  #latency(minMs: number, maxMs: number): Promise<void> {
    return new Promise((resolved) => {
      this.#clock.after(minMs + this.#random.next() * (maxMs - minMs), () => {
        if (this.#store.isCurrent()) resolved();
      });
    });
  }
}
