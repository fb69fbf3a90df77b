import type { Clock } from '../../protocol/clock.ts';
import { DiskError } from '../disk/port.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineRow,
  EngineSnapshot,
  EngineWrite,
  KvEngine,
} from '../ports.ts';
import { changedInTurns } from './in-turns.ts';
import { CURSOR_BYTES } from './merge-cursor.ts';
import { unpacked, type ValueCompression } from './value-compression.ts';

/** An engine whose rows are compressed where that is wanted and pays. Those that are there are read whatever is wanted now. */
export class CompressedEngine implements KvEngine {
  readonly #engine: KvEngine;
  readonly #compression: ValueCompression;
  readonly #clock: Pick<Clock, 'soon'>;
  #writes: Promise<void> = Promise.resolve();

  constructor(engine: KvEngine, compression: ValueCompression, clock: Pick<Clock, 'soon'>) {
    this.#engine = engine;
    this.#compression = compression;
    this.#clock = clock;
  }

  get(key: string): Uint8Array | null {
    return this.#unpackedOrNull(key, this.#engine.get(key));
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const rows = await this.#engine.getMany(keys);
    return rows.map((row, i) => this.#unpackedOrNull(keys[i] as string, row));
  }

  snapshot(): EngineSnapshot {
    const snapshot = this.#engine.snapshot();
    return {
      get: (key) => this.#unpackedOrNull(key, snapshot.get(key)),
      cursor: (range: EngineRange) =>
        new CompressedCursor(snapshot.cursor(range), (key, row) => this.#unpacked(key, row)),
      close: () => snapshot.close(),
    };
  }

  /** Batches reach the engine in the order of the calls. */
  write(batch: readonly EngineWrite[]): Promise<void> {
    if (!this.#compression.isWanted) return this.#engine.write(batch);
    const pack = (key: string, row: Uint8Array) => this.#compression.pack(key, row);
    const written = this.#writes.then(async () =>
      this.#engine.write(await changedInTurns(batch, this.#clock, pack)),
    );
    this.#writes = written.catch(() => {}); // the caller has the error; the engine says it again
    return written;
  }

  async flush(): Promise<void> {
    await this.#writes;
    await this.#engine.flush();
  }

  condemn(damage: DiskError): void {
    this.#engine.condemn(damage);
  }

  compact(start: string, end: string): Promise<void> {
    return this.#engine.compact(start, end);
  }

  async close(): Promise<void> {
    await this.#writes;
    await this.#engine.close();
  }

  #unpackedOrNull(key: string, row: Uint8Array | null): Uint8Array | null {
    return row === null ? null : this.#unpacked(key, row);
  }

  #unpacked(key: string, row: Uint8Array): Uint8Array {
    const value = unpacked(key, row);
    if (value !== null) return value;
    const damage = new DiskError(
      'EBADMSG',
      "the state's files are damaged: a value is not as it was compressed",
    );
    this.#engine.condemn(damage);
    throw damage;
  }
}

/** Gives fewer rows at once where they grow: a page of small ones may be many times larger. */
class CompressedCursor implements EngineCursor {
  readonly #cursor: EngineCursor;
  readonly #unpacked: (key: string, row: Uint8Array) => Uint8Array;
  /** Read, and not given yet. */
  #rows: readonly EngineRow[] = [];
  #at = 0;

  constructor(cursor: EngineCursor, unpacked: (key: string, row: Uint8Array) => Uint8Array) {
    this.#cursor = cursor;
    this.#unpacked = unpacked;
  }

  async next(max: number): Promise<EngineRow[]> {
    if (this.#at === this.#rows.length) {
      this.#rows = await this.#cursor.next(max);
      this.#at = 0;
    }
    const page: EngineRow[] = [];
    for (let bytes = 0; bytes < CURSOR_BYTES && page.length < max; this.#at++) {
      const row = this.#rows[this.#at];
      if (row === undefined) break;
      const [key, value] = row;
      const clear = this.#unpacked(key, value);
      page.push(clear === value ? row : [key, clear]);
      bytes += key.length + clear.length;
    }
    return page;
  }

  close(): Promise<void> {
    return this.#cursor.close();
  }
}
