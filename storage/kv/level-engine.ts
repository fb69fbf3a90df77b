import type {
  AbstractBatchOperation,
  AbstractIterator,
  AbstractLevel,
  AbstractSnapshot,
} from 'abstract-level';
import { MemoryLevel } from 'memory-level';
import type { Clock } from '../../protocol/clock.ts';
import type { DiskError } from '../disk/port.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineRow,
  EngineSnapshot,
  EngineWrite,
  KvEngine,
} from '../ports.ts';
import { asPassing, damageIn, damageInRead, isInputOutput } from './level-errors.ts';
import { CURSOR_BYTES } from './merge-cursor.ts';

/** Rows, and bytes of them, handed to the store between two turns of the event loop: about half a millisecond. */
const ROWS_PER_TURN = 256;
const BYTES_PER_TURN = 2 * 1024 * 1024;
/** A read of at most so many rows leaves its blocks in the cache: it may come again. Long ones would empty it. */
const CACHED_ROWS_MAX = 1_024;
export const BUFFERS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const;

export type Level = AbstractLevel<string | Buffer | Uint8Array, Buffer, Buffer>;

/**
 * What a chained batch of classic-level is implemented with. Its public methods close it after one write,
 * and its native memory is then freed by the collector only, which does not know how much it is: so one
 * is kept and used again.
 */
export interface ReusableBatch {
  _put(key: Buffer, value: Buffer): void;
  _del(key: Buffer): void;
  _clear(): void;
  _write(options: object): Promise<void>;
}

/** What differs between abstract-level stores. */
export interface LevelTraits {
  /** Bytes were met that are not what was written. */
  readonly onDamage: (damage: DiskError) => void;
  /** A write failed, perhaps for what it had to read. */
  readonly onSuspicion: () => void;
  /** For large batches, where they are not worth an object per row. */
  readonly batch: ReusableBatch | null;
  /** Ends what goes on beside it. */
  readonly stop: () => void;
  /** Makes everything written durable. */
  readonly flush: () => Promise<void>;
  /** Merges the tables that have keys of this range. */
  readonly compact: (start: Buffer, end: Buffer) => Promise<void>;
  /** The store is closed. */
  readonly closed: () => Promise<void>;
}

/** An engine over memory-level, for tests. */
export async function openMemoryLevelEngine(clock: Pick<Clock, 'soon'>): Promise<KvEngine> {
  const level = new MemoryLevel<Buffer, Buffer>({ ...BUFFERS, storeEncoding: 'buffer' });
  await level.open();
  return new LevelEngine(level as unknown as Level, clock, {
    onDamage: () => {},
    onSuspicion: () => {},
    stop: () => {},
    flush: async () => {},
    compact: async () => {},
    closed: async () => {},
    batch: null,
  });
}

/** KvEngine over any abstract-level store that has getSync and explicit snapshots. */
export class LevelEngine implements KvEngine {
  readonly #level: Level;
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #traits: LevelTraits;
  #writes: Promise<void> = Promise.resolve();
  #lastWrite: EngineWrite | null = null;
  readonly #keys = new PassingKeys();

  /** `level` is open, with buffer keys and values, and belongs to the engine. */
  constructor(level: Level, clock: Pick<Clock, 'soon'>, traits: LevelTraits) {
    this.#level = level;
    this.#clock = clock;
    this.#traits = traits;
  }

  get(key: string): Uint8Array | null {
    try {
      return this.#level.getSync(Buffer.from(key, 'latin1')) ?? null;
    } catch (error) {
      throw this.#seen(error as Error);
    }
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    try {
      const rows = await this.#level.getMany(keys.map((key) => Buffer.from(key, 'latin1')));
      return rows.map((row) => row ?? null);
    } catch (error) {
      throw this.#seen(error as Error);
    }
  }

  snapshot(): EngineSnapshot {
    return new LevelSnapshot(this.#level, this.#level.snapshot(), (error) => this.#seen(error));
  }

  /** Rejects with DiskError where the disk has no room, no handle, or is read-only. */
  write(batch: readonly EngineWrite[]): Promise<void> {
    const written = this.#writes.then(() => this.#write(batch)).catch(this.#failed);
    this.#writes = written.catch(() => {}); // told to the caller; the next write fails by itself
    return written;
  }

  /**
   * LevelDB's compaction reports no error, but a failed one fails every later write: so the last
   * row written is written once more. (A key of its own would widen the range of every table.)
   */
  async flush(): Promise<void> {
    await this.#writes;
    await this.#traits.flush().catch(this.#failed);
    // Which row is the last is known only when its turn has come: an older one must not go over it.
    const probed = this.#writes.then(() => {
      const probe = this.#lastWrite;
      return probe === null ? undefined : this.#write([probe]).catch(this.#failed);
    });
    this.#writes = probed.catch(() => {}); // told to the caller; the next write fails by itself
    await probed;
  }

  condemn(damage: DiskError): void {
    this.#traits.onDamage(damage);
  }

  async compact(start: string, end: string): Promise<void> {
    await this.#writes;
    const bounds = [Buffer.from(start, 'latin1'), Buffer.from(end, 'latin1')] as const;
    await this.#traits.compact(...bounds).catch(this.#failed);
  }

  async close(): Promise<void> {
    this.#traits.stop();
    await this.#writes;
    await this.#level.close();
    await this.#traits.closed();
  }

  /** Of a read. Damage is written down, so that no later life trusts these files. */
  #seen(error: Error): Error {
    return this.#noted(damageInRead(error)) ?? error;
  }

  /** Of a write: it fails also when a compaction met damage in the tables that it merged. */
  readonly #failed = (error: unknown): never => {
    if (isInputOutput(error as Error)) this.#traits.onSuspicion();
    return asPassing(this.#noted(damageIn(error as Error)) ?? error);
  };

  #noted(damage: DiskError | null): DiskError | null {
    if (damage !== null) this.#traits.onDamage(damage);
    return damage;
  }

  /** One atomic batch; the rows are handed over in slices, so that the event loop goes on. */
  async #write(batch: readonly EngineWrite[]): Promise<void> {
    await this.#hand(batch);
    // Not before: a row of a batch that failed must not go in without the others.
    this.#lastWrite = batch.at(-1) ?? this.#lastWrite;
  }

  async #hand(batch: readonly EngineWrite[]): Promise<void> {
    const { batch: reusable } = this.#traits;
    if (reusable === null) {
      await this.#level.batch(batch.map(operationOf));
      return;
    }
    reusable._clear();
    let rows = 0;
    let bytes = 0;
    for (let i = 0; i < batch.length; i++) {
      const { key, value } = batch[i]!;
      if (value === null) reusable._del(this.#keys.bytesOf(key));
      else {
        reusable._put(this.#keys.bytesOf(key), asBuffer(value));
        bytes += value.length;
      }
      if (++rows < ROWS_PER_TURN && bytes < BYTES_PER_TURN) continue;
      await new Promise<void>((resolved) => this.#clock.soon(resolved));
      rows = 0;
      bytes = 0;
    }
    await reusable._write({});
  }
}

class LevelSnapshot implements EngineSnapshot {
  readonly #level: Level;
  readonly #snapshot: AbstractSnapshot;
  readonly #seen: (error: Error) => Error;

  constructor(level: Level, snapshot: AbstractSnapshot, seen: (error: Error) => Error) {
    this.#level = level;
    this.#snapshot = snapshot;
    this.#seen = seen;
  }

  get(key: string): Uint8Array | null {
    try {
      const value = this.#level.getSync(Buffer.from(key, 'latin1'), { snapshot: this.#snapshot });
      return value ?? null;
    } catch (error) {
      throw this.#seen(error as Error);
    }
  }

  cursor(range: EngineRange): EngineCursor {
    const options = {
      gte: Buffer.from(range.start, 'latin1'),
      lt: Buffer.from(range.end, 'latin1'),
      reverse: range.reverse,
      snapshot: this.#snapshot,
      // LevelDB's own.
      fillCache: range.rows !== undefined && range.rows <= CACHED_ROWS_MAX,
      highWaterMarkBytes: CURSOR_BYTES,
    };
    return new LevelCursor(this.#level.iterator(options), this.#seen);
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

class LevelCursor implements EngineCursor {
  readonly #iterator: AbstractIterator<Level, Buffer, Buffer>;
  readonly #seen: (error: Error) => Error;

  constructor(iterator: AbstractIterator<Level, Buffer, Buffer>, seen: (error: Error) => Error) {
    this.#iterator = iterator;
    this.#seen = seen;
  }

  /** LevelDB may give fewer rows than asked for before the end, so it asks until one call gives none. */
  async next(max: number): Promise<EngineRow[]> {
    let rows: EngineRow[] = [];
    let bytes = 0;
    while (rows.length < max && bytes < CURSOR_BYTES) {
      const entries = await this.#iterator.nextv(max - rows.length).catch((error: Error) => {
        throw this.#seen(error);
      });
      if (entries.length === 0) break;
      const page = new Array<EngineRow>(entries.length);
      for (let i = 0; i < entries.length; i++) {
        const [key, value] = entries[i] as [Buffer, Buffer];
        page[i] = [key.toString('latin1'), value];
        bytes += key.length + value.length;
      }
      rows = rows.length === 0 ? page : rows.concat(page);
    }
    return rows;
  }

  close(): Promise<void> {
    return this.#iterator.close();
  }
}

/** Longer keys get a buffer of their own each. */
const PASSING_KEY_MAX = 512;
/** Below this a loop beats a native call. */
const SHORT_KEY_MAX = 64;

/** Keys as bytes for somebody who copies them at once: those of one length share a buffer. */
class PassingKeys {
  readonly #buffers: Buffer[] = Array.from({ length: PASSING_KEY_MAX + 1 });

  /** Good until the next call. */
  bytesOf(key: string): Buffer {
    const { length } = key;
    if (length > PASSING_KEY_MAX) return Buffer.from(key, 'latin1');
    this.#buffers[length] ??= Buffer.alloc(length);
    const bytes = this.#buffers[length];
    if (length > SHORT_KEY_MAX) bytes.write(key, 0, length, 'latin1');
    else for (let i = 0; i < length; i++) bytes[i] = key.charCodeAt(i);
    return bytes;
  }
}

function operationOf({ key, value }: EngineWrite): AbstractBatchOperation<Level, Buffer, Buffer> {
  const bytes = Buffer.from(key, 'latin1');
  if (value === null) return { type: 'del', key: bytes };
  return { type: 'put', key: bytes, value: asBuffer(value) };
}

function asBuffer(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
