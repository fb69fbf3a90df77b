import { assert } from '../../protocol/assert.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import { DiskError } from '../disk/port.ts';
import { changedInTurns } from '../kv/in-turns.ts';
import { PREFIX_LENGTH } from '../kv/keyspace.ts';
import type {
  EngineCursor,
  EngineRange,
  EngineRow,
  EngineSnapshot,
  EngineWrite,
  KvEngine,
} from '../ports.ts';
import { NONCE_BYTES, open, seal, TAG_BYTES } from './aead.ts';
import type { FolderKeys } from './folder-keys.ts';

const FORM = 1;
const LIFE_AT = 3;
const LIFE_BYTES = 12;
const COUNT_AT = LIFE_AT + LIFE_BYTES;
const COUNT_BYTES = 6;
const HEAD_BYTES = COUNT_AT + COUNT_BYTES;
/** What a value grows by. */
export const SEALED_VALUE_BYTES = HEAD_BYTES + TAG_BYTES;
const ABOVE_ALL_KEYS = '\xff'.repeat(64);
const COUNT_MAX = 2 ** (8 * COUNT_BYTES) - 1;

/**
 * An engine whose values are sealed: form u8, number of the data key u16, life of 12 bytes, count u48, ciphertext, tag;
 * big-endian. Each opening draws a life, and with it a key, and counts from there: so no nonce is ever used twice, also
 * when a batch is lost or the folder is copied. The row's key is bound; it stays readable, since the engine orders by
 * it. An empty value has nothing to hide and stays empty, and so do rows of nothing but counters: a call of the cipher costs
 * a put more than the rest of the row.
 */
export class SealedEngine implements KvEngine {
  readonly #engine: KvEngine;
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #values: ValueSeal;
  #writes: Promise<void> = Promise.resolve();

  constructor(
    engine: KvEngine,
    keys: FolderKeys,
    { random, clock }: { readonly random: Random; readonly clock: Pick<Clock, 'soon'> },
  ) {
    this.#engine = engine;
    this.#clock = clock;
    this.#values = new ValueSeal(keys, random, (damage) => engine.condemn(damage));
  }

  get(key: string): Uint8Array | null {
    return this.#values.openOrNull(key, this.#engine.get(key));
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | null)[]> {
    const rows = await this.#engine.getMany(keys);
    return rows.map((row, i) => this.#values.openOrNull(keys[i] as string, row));
  }

  snapshot(): EngineSnapshot {
    const snapshot = this.#engine.snapshot();
    const values = this.#values;
    return {
      get: (key) => values.openOrNull(key, snapshot.get(key)),
      cursor: (range: EngineRange) => new SealedCursor(snapshot.cursor(range), values),
      close: () => snapshot.close(),
    };
  }

  /** Of the next `max` rows behind `after`, in the order of keys: those that are sealed under another data key than new ones. */
  async oldRows(after: string, max: number): Promise<OldRows> {
    await this.#writes; // what was sealed before the key changed is there
    const snapshot = this.#engine.snapshot();
    try {
      const range = { start: `${after}\0`, end: ABOVE_ALL_KEYS, reverse: false };
      const cursor = snapshot.cursor(range);
      const rows = await cursor.next(max);
      await cursor.close();
      const keys = rows
        .filter(([key, value]) => this.#values.isOld(key, value))
        .map(([key]) => key);
      let bytes = 0;
      for (const [key, value] of rows) bytes += key.length + value.length;
      return { keys, rows: rows.length, bytes, last: rows.at(-1)?.[0] ?? null };
    } finally {
      await snapshot.close();
    }
  }

  /** Batches reach the engine in the order of the calls. */
  write(batch: readonly EngineWrite[]): Promise<void> {
    const written = this.#writes.then(() => this.#write(batch));
    this.#writes = written.catch(() => {}); // the caller has the error; the engine says it again
    return written;
  }

  async #write(batch: readonly EngineWrite[]): Promise<void> {
    const seal = (key: string, value: Uint8Array) => this.#values.seal(key, value);
    await this.#engine.write(await changedInTurns(batch, this.#clock, seal));
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
}

/** A look at some rows; `last`: the key of the last of them, null at the end. */
export interface OldRows {
  readonly keys: readonly string[];
  readonly rows: number;
  readonly bytes: number;
  readonly last: string | null;
}

class SealedCursor implements EngineCursor {
  readonly #cursor: EngineCursor;
  readonly #values: ValueSeal;

  constructor(cursor: EngineCursor, values: ValueSeal) {
    this.#cursor = cursor;
    this.#values = values;
  }

  async next(max: number): Promise<EngineRow[]> {
    const rows = await this.#cursor.next(max);
    const opened = new Array<EngineRow>(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const [key, value] = rows[i] as EngineRow;
      opened[i] = [key, this.#values.open(key, value)];
    }
    return opened;
  }

  close(): Promise<void> {
    return this.#cursor.close();
  }
}

class ValueSeal {
  readonly #keys: FolderKeys;
  readonly #life: Uint8Array;
  #keyNumber = 0;
  #key: Uint8Array = new Uint8Array(0);
  readonly #condemn: (damage: DiskError) => void;
  #count = 0;

  constructor(keys: FolderKeys, random: Random, condemn: (damage: DiskError) => void) {
    this.#keys = keys;
    this.#life = random.bytes(LIFE_BYTES);
    this.#condemn = condemn;
  }

  seal(key: string, value: Uint8Array): Uint8Array {
    if (isClear(key, value)) return value;
    assert(this.#count < COUNT_MAX, 'a life seals fewer than 2^48 values');
    if (this.#keyNumber !== this.#keys.current) {
      this.#keyNumber = this.#keys.current;
      this.#key = this.#keys.sealing('state', this.#life);
    }
    const out = Buffer.allocUnsafe(value.length + SEALED_VALUE_BYTES);
    out[0] = FORM;
    out.writeUInt16BE(this.#keyNumber, 1);
    out.set(this.#life, LIFE_AT);
    out.writeUIntBE(++this.#count, COUNT_AT, COUNT_BYTES);
    const { bytes, tag } = seal(this.#key, nonceOf(out), Buffer.from(key, 'latin1'), value);
    out.set(bytes, HEAD_BYTES);
    out.set(tag, HEAD_BYTES + bytes.length);
    return out;
  }

  isOld(key: string, row: Uint8Array): boolean {
    if (isClear(key, row) || row[0] !== FORM) return false;
    return ((row[1] as number) << 8) + (row[2] as number) !== this.#keys.current;
  }

  openOrNull(key: string, row: Uint8Array | null): Uint8Array | null {
    return row === null ? null : this.open(key, row);
  }

  /** Throws DiskError EBADMSG where it was not sealed for this row by this folder's keys. */
  open(key: string, row: Uint8Array): Uint8Array {
    if (isClear(key, row)) return row;
    const value = this.#opened(key, Buffer.from(row.buffer, row.byteOffset, row.byteLength));
    if (value !== null) return value;
    const damage = new DiskError(
      'EBADMSG',
      "the state's files are damaged: a value is not as it was sealed",
    );
    this.#condemn(damage);
    throw damage;
  }

  #opened(key: string, row: Buffer): Buffer | null {
    if (row[0] !== FORM || row.length <= SEALED_VALUE_BYTES) return null;
    const life = row.subarray(LIFE_AT, COUNT_AT);
    const under = this.#keys.derived(row.readUInt16BE(1), 'state', life);
    if (under === null) return null;
    const bytes = row.subarray(HEAD_BYTES, -TAG_BYTES);
    const tag = row.subarray(-TAG_BYTES);
    return open(under, nonceOf(row), Buffer.from(key, 'latin1'), { bytes, tag });
  }
}

/** Rows of the feed and of expiries are numbers of our own. */
function isClear(key: string, value: Uint8Array): boolean {
  const kind = key[PREFIX_LENGTH];
  return value.length === 0 || kind === 'f' || kind === 'x';
}

/** The count, behind zeros. */
function nonceOf(row: Buffer): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  row.copy(nonce, NONCE_BYTES - COUNT_BYTES, COUNT_AT, HEAD_BYTES);
  return nonce;
}
