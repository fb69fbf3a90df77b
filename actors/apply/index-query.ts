import { encodedEnd } from '../../protocol/index-encoding.ts';
import type { EntryPosition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import {
  entryKey,
  INDEX_BODY_OFFSET,
  indexHead,
  parsePastEntry,
  pastEntryAfter,
  pastEntryHead,
} from '../../storage/kv/keyspace.ts';
import type { EngineRange } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';
import type { GroupIndex } from './index-codec.ts';
import { type FoundEntry, IndexVersions } from './index-versions.ts';
import { RowReader } from './row-reader.ts';
import { unhurried, type WorkMeter } from './work-meter.ts';

export interface IndexQuery {
  /** Half-open [start, end) of encoded fields, latin1. */
  readonly start: string;
  readonly end: string;
  /** Where the last page ended: goes on after it, in the direction of the query. */
  readonly after: EntryPosition | null;
  readonly reverse: boolean;
  readonly limit: number;
  readonly revision: Revision;
  /** The page ends before the entry that would pass this, except that its first one always fits. */
  readonly bytesMax: number;
  /** False: items come with empty values. */
  readonly values: boolean;
}

export interface IndexHit {
  readonly encoded: string;
  readonly item: Item;
}

export interface IndexPage {
  /** In index order, then by key. */
  readonly hits: IndexHit[];
  /** Not null: there may be more after this position. A page may end early, even without a hit. */
  readonly reached: EntryPosition | null;
  /** Rows of the index that were looked at. */
  readonly rows: number;
}

/**
 * The entries of a range at one revision, which must be at or above index.since. Where nothing has
 * been written after it the entries of current rows are the answer; else past entries are looked at as
 * well, and each hit is held against the version of its key at the revision.
 */
export async function queryIndex(
  view: GroupView,
  index: GroupIndex,
  query: IndexQuery,
  meter: WorkMeter = unhurried(),
): Promise<IndexPage | 'compacted' | 'over'> {
  if (query.revision < view.floor) return 'compacted';
  if (query.end <= query.start) return { hits: [], reached: null, rows: 0 };
  const entries = new EntryMerge(view, index, query);
  const { revision, values } = query;
  const versions = new IndexVersions(view, index.definition, revision, values);
  const hits: IndexHit[] = [];
  let bytes = 0;
  let last: EntryPosition | null = null;
  try {
    for (;;) {
      const at = entries.next();
      if (at === 'full') return { hits, reached: entries.seen, rows: entries.rows };
      if (at === null) {
        if (!entries.needsFill) return { hits, reached: null, rows: entries.rows };
        await entries.ready();
        continue;
      }
      if (hits.length >= query.limit || versions.isFull) break;
      const before = versions.work;
      const item = await versions.find(at);
      const work = HIT_WORK_BYTES + versions.work - before;
      if (meter.add(work) && !(await meter.turn())) return 'over';
      if (item !== null) {
        const size = OVERHEAD_BYTES + at.encoded.length + sizeOf(item, values);
        if (hits.length > 0 && bytes + size > query.bytesMax) break;
        bytes += size;
        hits.push({ encoded: at.encoded, item });
      }
      last = at;
    }
    return { hits, reached: last, rows: entries.rows };
  } finally {
    await entries.close();
  }
}

const OVERHEAD_BYTES = 128;
/** What looking at one entry costs, as bytes that are parsed. */
const HIT_WORK_BYTES = 256;

function sizeOf(item: Item, values: boolean): number {
  const { key } = item.ref;
  const type = item.contentType === null ? 0 : item.contentType.length;
  return key.length * 2 + type + (values ? item.value.length : 0);
}

/** Current and past entries of a range as one stream, each position once. */
class EntryMerge {
  /** Rows consumed so far. */
  rows = 0;
  readonly #fields: number;
  readonly #reverse: boolean;
  readonly #revision: Revision;
  readonly #current: RowReader;
  readonly #past: RowReader | null;
  #seen: EntryPosition | null = null;
  #isGiven = false;

  constructor(view: GroupView, index: GroupIndex, query: IndexQuery) {
    this.#fields = index.definition.fields.length;
    this.#reverse = query.reverse;
    this.#revision = query.revision;
    this.#current = new RowReader(view, currentRange(view, index, query));
    const isPast = query.revision < view.clock;
    this.#past = isPast ? new RowReader(view, pastRange(view, index, query)) : null;
  }

  get needsFill(): boolean {
    return this.#current.needsFill || (this.#past?.needsFill ?? false);
  }

  async ready(): Promise<void> {
    await this.#current.ready();
    await this.#past?.ready();
  }

  /** The position of the last row consumed. */
  get seen(): EntryPosition | null {
    return this.#seen;
  }

  /**
   * The next position, once each. Null at the end, or when `needsFill`; 'full' when a page has looked at
   * enough rows: everything up to `seen` is done with.
   */
  next(): FoundEntry | 'full' | null {
    while (!this.needsFill) {
      const current = this.#currentHead();
      const past = this.#pastHead();
      const order = this.#order(current, past);
      const at = order <= 0 ? current : past;
      if (at === null) return null;
      if (this.#seen === null || !isSame(at, this.#seen)) {
        if (this.rows >= LIMITS.indexRowsPerPageMax) return 'full';
        this.#seen = { encoded: at.encoded, key: at.key };
        this.#isGiven = false;
      }
      if (order <= 0) this.#current.advance();
      if (order >= 0) this.#past?.advance();
      this.rows++;
      // An entry that ended at or before the revision says nothing; another past row of it may.
      const isOver = order > 0 && past !== null && past.ended <= this.#revision;
      if (this.#isGiven || isOver) continue;
      this.#isGiven = true;
      return { encoded: at.encoded, key: at.key, isCurrent: order <= 0 };
    }
    return null;
  }

  async close(): Promise<void> {
    await this.#current.close();
    await this.#past?.close();
  }

  #currentHead(): EntryPosition | null {
    const row = this.#current.head;
    if (row === undefined) return null;
    const end = encodedEnd(row[0], INDEX_BODY_OFFSET, this.#fields);
    return { encoded: row[0].slice(INDEX_BODY_OFFSET, end), key: row[0].slice(end) };
  }

  #pastHead(): (EntryPosition & { ended: Revision }) | null {
    const row = this.#past?.head;
    if (row === undefined) return null;
    const end = encodedEnd(row[0], INDEX_BODY_OFFSET, this.#fields);
    const { key, ended } = parsePastEntry(row[0], end);
    return { encoded: row[0].slice(INDEX_BODY_OFFSET, end), key, ended };
  }

  /** Which head comes first in the direction of the query; a missing one comes last. */
  #order(a: EntryPosition | null, b: EntryPosition | null): number {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = comparePositions(a, b);
    return this.#reverse ? -order : order;
  }
}

function isSame(a: EntryPosition, b: EntryPosition): boolean {
  return a.key === b.key && a.encoded === b.encoded;
}

/** Index order, then key order. */
export function comparePositions(a: EntryPosition, b: EntryPosition): number {
  if (a.encoded !== b.encoded) return a.encoded < b.encoded ? -1 : 1;
  return a.key === b.key ? 0 : a.key < b.key ? -1 : 1;
}

function currentRange(view: GroupView, { definition }: GroupIndex, query: IndexQuery): EngineRange {
  const head = indexHead(view.prefix, 'e', definition.id);
  const { after, reverse } = query;
  const at = after && entryKey(view.prefix, definition.id, after.encoded, after.key);
  const start = at !== null && !reverse ? `${at}\x00` : head + query.start;
  const end = at !== null && reverse ? at : head + query.end;
  return { start, end: end < start ? start : end, reverse, rows: query.limit + 1 };
}

function pastRange(view: GroupView, { definition }: GroupIndex, query: IndexQuery): EngineRange {
  const { id } = definition;
  const head = indexHead(view.prefix, 'p', id);
  const { after, reverse } = query;
  let [start, end] = [head + query.start, head + query.end];
  if (after !== null && reverse) end = pastEntryHead(view.prefix, id, after.encoded, after.key);
  if (after !== null && !reverse) {
    start = pastEntryAfter(view.prefix, id, after.encoded, after.key);
  }
  return { start, end: end < start ? start : end, reverse };
}
