import type { EngineWrite } from '../ports.ts';
import { hashOfKey, KeyFilter } from './key-filter.ts';
import { isReadInOrder } from './read-in-order.ts';
import { newTree, type Tree } from './tree.ts';

type Value = Uint8Array | null;

/** What a row costs in a memtable beside its bytes: a string, a buffer and a place in the map. */
const ROW_OVERHEAD_BYTES = 160;

/** Bytes of a row in memory, about. */
export function rowBytes(key: string, value: Value): number {
  return key.length + (value === null ? 0 : value.length) + ROW_OVERHEAD_BYTES;
}

/**
 * Rows by key; null is a deleted one. Rows are put in order only when somebody wants to see them in
 * order: most memtables go to the engine before that, and a map takes a row in half the time of a tree.
 * Rows that are hardly ever asked for by their key are not even put into the map: of the three rows that a put writes
 * two are such, the feed's and the one in history.
 */
export class Memtable {
  /** What was written since the rows were last put in order; it hides what `#ordered` has of a key. */
  #fresh = new Map<string, Value>();
  /** The same of rows that are read in order, as they were written. A key may be in it twice: the last counts. */
  #appended: EngineWrite[] = [];
  readonly #ordered: Tree<Value> = newTree();
  /** Of the keys that are asked for, once nothing more is written. */
  #filter: KeyFilter | null = null;
  /** Everything that was ever written into it, replaced rows too. */
  bytes = 0;

  get(key: string): Value | undefined {
    if (this.#appended.length > 0 && isReadInOrder(key)) this.#orderAppended();
    const value = this.#fresh.get(key);
    return value === undefined && this.#ordered.size > 0 ? this.#ordered.get(key) : value;
  }

  /** Nothing more is written: from now on most keys that are not here are known by their hash. */
  freeze(): void {
    const filter = new KeyFilter();
    this.#ordered.forEachPair((key) => filter.add(hashOfKey(key)));
    for (const key of this.#fresh.keys()) filter.add(hashOfKey(key));
    this.#filter = filter;
  }

  /** False where a frozen table has no row of a key with this hash (`hashOfKey`); null: of a key that is read in order. */
  mayHave(hash: number | null): boolean {
    return this.#filter === null || hash === null || this.#filter.mayHave(hash);
  }

  set({ key, value }: EngineWrite): void {
    this.#fresh.set(key, value);
    this.bytes += rowBytes(key, value);
  }

  /** A row that is read in order. */
  append(row: EngineWrite): void {
    this.#appended.push(row);
    this.bytes += rowBytes(row.key, row.value);
  }

  /** The rows of this moment in order; later writes do not show. */
  ordered(): Tree<Value> {
    if (this.#appended.length > 0) this.#orderAppended();
    if (this.#fresh.size > 0) {
      for (const [key, value] of this.#fresh) this.#ordered.set(key, value);
      this.#fresh = new Map();
    }
    return this.#ordered.clone();
  }

  #orderAppended(): void {
    for (const { key, value } of this.#appended) this.#ordered.set(key, value);
    this.#appended = [];
  }

  /** In no order, but for two rows of one key, of which the last counts. */
  rows(): EngineWrite[] {
    const rows: EngineWrite[] = [];
    this.#ordered.forEachPair((key, value) => {
      if (!this.#fresh.has(key)) rows.push({ key, value });
    });
    for (const row of this.#appended) rows.push(row);
    this.#fresh.forEach((value, key) => {
      rows.push({ key, value });
    });
    return rows;
  }
}
