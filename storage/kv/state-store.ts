import { assert } from '../../protocol/assert.ts';
import type { Clock } from '../../protocol/clock.ts';
import { DiskError, mayPass } from '../disk/port.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineSnapshot,
  EngineWrite,
  KvEngine,
  StateStore,
  StateView,
} from '../ports.ts';
import { Fetcher } from './fetcher.ts';
import { hashOfKey } from './key-filter.ts';
import { Memtable } from './memtable.ts';
import { MergeCursor } from './merge-cursor.ts';
import { isReadInOrder } from './read-in-order.ts';
import { type Tree, treeRows } from './tree.ts';

export interface StateStoreOptions {
  /** A memtable of this size is frozen and written to the engine. */
  readonly memtableBytes: number;
  /** A smaller one is, this long after its first write. */
  readonly memtableAgeMs: number;
  /** The engine failed: its state is unknown and the process must exit. Called once. */
  readonly onFatal: (error: unknown) => void;
  /** Whether there is room enough for the engine to write; until then memtables wait. */
  readonly mayWrite: () => boolean;
}

const ROOM_POLL_MS = 100;
/** An engine that fails so often although there is room does not mend by itself. */
const PASSING_FAILURES_MAX = 5;

/** At the end of a store that had no room for what was pending: the log has it. */
const NO_ROOM = new DiskError('ECANCELED', 'the state was closed before there was room for it');

/**
 * Memtables over a KvEngine. S1: a memtable becomes one engine batch, and memtables reach the engine
 * in order, so the engine always holds a prefix of the write() calls. S2: a frozen memtable stays in
 * front of the engine until its batch is in, so that no moment shows half of it. S3: views are clones.
 * S4: after a failed write nothing more goes into the engine's log before a flush has closed it off.
 */
export class MemtableStore implements StateStore {
  readonly #engine: KvEngine;
  readonly #clock: Clock;
  readonly #options: StateStoreOptions;
  readonly #fetcher: Fetcher;
  #active = new Memtable();
  /** Oldest first. */
  #frozen: Memtable[] = [];
  #writing: Promise<void> | null = null;
  /** Its first memtable: under load the engine may never have written all. */
  #writingOldest: Promise<void> = Promise.resolve();
  /** Settles with the last flush that was asked for, and all before it. */
  #flushing: Promise<unknown> = Promise.resolve();
  #cancelAge: (() => void) | null = null;
  /** The engine's last write failed half-way. */
  #isTorn = false;
  /** Since the last write, while somebody reads it: the groups that answer one scan share a snapshot. */
  #moment: Moment | null = null;
  #failure: { readonly error: unknown } | null = null;
  #closed = false;

  /** The store owns the engine: close() closes it. */
  constructor(engine: KvEngine, clock: Clock, options: StateStoreOptions) {
    this.#engine = engine;
    this.#clock = clock;
    this.#options = options;
    this.#fetcher = new Fetcher(engine, clock);
  }

  get(key: string): Uint8Array | null {
    const known = this.peek(key);
    return known === undefined ? this.#engine.get(key) : known;
  }

  peek(key: string): Uint8Array | null | undefined {
    const active = this.#active.get(key);
    return active === undefined && this.#frozen.length > 0 ? this.#getFrozen(key) : active;
  }

  fetch(key: string, done: (row: Uint8Array | null | undefined) => void): void {
    this.#fetcher.fetch(key, done);
  }

  /** There may be dozens when the engine is behind, and most keys are in none of them. */
  #getFrozen(key: string): Uint8Array | null | undefined {
    const hash = isReadInOrder(key) ? null : hashOfKey(key);
    for (let i = this.#frozen.length - 1; i >= 0; i--) {
      const table = this.#frozen[i]!;
      if (!table.mayHave(hash)) continue;
      const value = table.get(key);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  write(batch: readonly EngineWrite[]): void {
    assert(!this.#closed, 'the state store is open');
    for (const row of batch) {
      if (isReadInOrder(row.key)) this.#active.append(row);
      else this.#active.set(row);
    }
    this.#moment = null;
    if (this.#active.bytes >= this.#options.memtableBytes) this.#freeze();
    else if (this.#active.bytes > 0) this.#armAge();
  }

  /** Rows that are in the engine alone go there once more, as they are; a store that is closed leaves them. */
  rewrite(keys: readonly string[]): void {
    if (this.#closed) return;
    const rows: EngineWrite[] = [];
    for (const key of keys) {
      const value = this.peek(key) === undefined ? this.#engine.get(key) : null;
      if (value !== null) rows.push({ key, value });
    }
    if (rows.length > 0) this.write(rows);
  }

  view(): StateView {
    this.#moment ??= this.#takeMoment();
    const moment = this.#moment;
    return new MergedView(moment, () => {
      if (this.#moment === moment) this.#moment = null;
    });
  }

  #takeMoment(): Moment {
    const tables = [this.#active.ordered()];
    for (let i = this.#frozen.length - 1; i >= 0; i--) tables.push(this.#frozen[i]!.ordered());
    return new Moment(tables, this.#engine.snapshot());
  }

  flush(): Promise<void> {
    const flushed = this.#flush();
    this.#flushing = Promise.allSettled([this.#flushing, flushed]);
    return flushed;
  }

  async #flush(): Promise<void> {
    this.#freeze();
    await this.#written();
    await this.#withRoom(() => this.#engine.flush());
    if (this.#failure !== null) throw this.#failure.error;
  }

  drained(): Promise<void> {
    return this.#written();
  }

  pendingBytes(): number {
    let bytes = this.#active.bytes;
    for (const table of this.#frozen) bytes += table.bytes;
    return bytes;
  }

  /**
   * Writes what is pending, unsynced, if there is room, and closes the engine: the log has it all.
   * Rejects when the engine had failed.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#freeze();
    this.#closed = true;
    try {
      await this.#written().catch((error: unknown) => {
        if (error !== NO_ROOM) throw error;
      });
    } finally {
      await this.#flushing;
      await this.#engine.close();
    }
  }

  #freeze(): void {
    this.#cancelAge?.();
    this.#cancelAge = null;
    if (this.#active.bytes === 0) return;
    this.#active.freeze();
    this.#frozen.push(this.#active);
    this.#active = new Memtable();
    if (this.#failure === null) this.#writing ??= this.#writeFrozen();
  }

  #armAge(): void {
    this.#cancelAge ??= this.#clock.after(this.#options.memtableAgeMs, () => this.#freeze());
  }

  /** Never rejects: a failure is kept, told to onFatal, and met by flush() and close(). */
  async #writeFrozen(): Promise<void> {
    for (let table = this.#frozen[0]; table !== undefined; table = this.#frozen[0]) {
      const batch = table.rows();
      this.#writingOldest = this.#withRoom(() => this.#engine.write(batch));
      await this.#writingOldest;
      if (this.#failure !== null) return;
      this.#frozen.shift();
    }
    this.#writing = null;
  }

  /** Resolves when the memtables frozen by now are in the engine. */
  async #written(): Promise<void> {
    const last = this.#frozen.at(-1);
    while (this.#failure === null && last !== undefined && this.#frozen.includes(last)) {
      await this.#writingOldest;
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  /**
   * Does it once there is room. Without room in spite of that the engine's own log may end in a torn
   * record: it is closed off by a flush before anything else is written (S4), and the work repeated.
   */
  async #withRoom(work: () => Promise<void>): Promise<void> {
    for (let failures = 0; this.#failure === null; ) {
      while (!this.#options.mayWrite()) {
        if (this.#closed) this.#failure = { error: NO_ROOM };
        if (this.#failure !== null) return;
        await this.#pause();
      }
      try {
        if (this.#isTorn) await this.#engine.flush();
        this.#isTorn = false;
        return await work();
      } catch (error) {
        if (!mayPass(error) || ++failures > PASSING_FAILURES_MAX) return this.#fail(error);
        this.#isTorn = true;
        await this.#pause();
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolved) => this.#clock.after(ROOM_POLL_MS, resolved));
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = { error };
    this.#options.onFatal(error);
  }
}

/** All rows as they are between two writes, for as many readers as come before the second. */
class Moment {
  /** Newest first; none of them changes any more. */
  readonly tables: readonly Tree<Uint8Array | null>[];
  readonly snapshot: EngineSnapshot;
  #readers = 0;

  constructor(tables: readonly Tree<Uint8Array | null>[], snapshot: EngineSnapshot) {
    this.tables = tables;
    this.snapshot = snapshot;
  }

  join(): void {
    this.#readers++;
  }

  /** Whether that was the last one: its snapshot is to be closed. */
  leave(): boolean {
    return --this.#readers === 0;
  }
}

class MergedView implements StateView {
  readonly #moment: Moment;
  readonly #left: () => void;
  #isOpen = true;

  /** `left`: the last reader of the moment has left it. */
  constructor(moment: Moment, left: () => void) {
    this.#moment = moment;
    this.#left = left;
    moment.join();
  }

  get(key: string): Uint8Array | null {
    for (const table of this.#moment.tables) {
      const value = table.get(key);
      if (value !== undefined) return value;
    }
    return this.#moment.snapshot.get(key);
  }

  cursor(range: EngineRange): EngineCursor {
    const { tables, snapshot } = this.#moment;
    const layers = tables.map((table) => treeRows(table, range));
    return new MergeCursor(layers, snapshot.cursor(range), range.reverse);
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (!this.#moment.leave()) return;
    this.#left();
    await this.#moment.snapshot.close();
  }
}
