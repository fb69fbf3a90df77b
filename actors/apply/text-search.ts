import { fromLatin1, prefixEnd } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import type { EngineRange, EngineRow } from '../../storage/ports.ts';
import type { GroupView } from './group-state.ts';
import type { GroupIndex } from './index-codec.ts';
import type { IndexHit, IndexPage } from './index-query.ts';
import { readAt } from './read.ts';
import {
  keyIfHolds,
  keysInSegment,
  openHead,
  openKey,
  postingHead,
  postingKey,
  segmentHead,
  segmentKey,
  segmentOf,
} from './text-codec.ts';
import { documentsIn, intersect, pairOf, trigramsOf } from './trigrams.ts';
import { unhurried, type WorkMeter } from './work-meter.ts';

export interface TextQuery {
  /** Bytes that a value must hold, latin1; at least three. */
  readonly text: string;
  /** Keys begin with this. */
  readonly prefix: string;
  /** Keys after this one; '' from the first. */
  readonly after: string;
  readonly limit: number;
  readonly revision: Revision;
  readonly bytesMax: number;
  readonly values: boolean;
}

/** Trigrams of a text that are looked up: more of them sort out little more. */
const TRIGRAMS_MAX = 6;
/** Candidates that are held at once, and versions that one page looks at. */
const CANDIDATES_MAX = 8192;
const VERSIONS_MAX = 2048;

/**
 * Keys whose value at the revision holds the text, in key order. Open documents are looked through, segments
 * asked for those that hold all trigrams; each candidate is held against its version at the revision.
 */
export async function searchText(
  view: GroupView,
  index: GroupIndex,
  query: TextQuery,
  meter: WorkMeter = unhurried(),
): Promise<IndexPage | 'compacted' | 'over'> {
  if (query.revision < view.floor) return 'compacted';
  const needle = Buffer.from(fromLatin1(query.text));
  const candidates = new Candidates(query);
  const gathered = await Promise.all([
    gatherOpen(view, index, needle, candidates),
    gatherSegments(view, index, needle, query.revision, candidates),
  ]);
  const rows = gathered[0] + gathered[1];
  const { tenant, space } = index.definition;
  const hits: IndexHit[] = [];
  let bytes = 0;
  let seen = 0;
  let last = '';
  const cutAt = (key: string) => ({ hits, reached: { encoded: '', key }, rows: rows + seen });
  for (const key of candidates.inOrder()) {
    if (hits.length >= query.limit || seen >= VERSIONS_MAX) return cutAt(last);
    seen++;
    const item = await readAt(view, { tenant, space, key }, query.revision);
    const work = item === null || item === 'compacted' ? 0 : item.value.length;
    // Looking for a text is some ten times faster than parsing.
    if (meter.add(512 + (work >> 3)) && !(await meter.turn())) return 'over';
    if (item !== null && item !== 'compacted' && isFound(item, needle)) {
      const size = 128 + key.length * 2 + (query.values ? item.value.length : 0);
      if (hits.length > 0 && bytes + size > query.bytesMax) return cutAt(last);
      bytes += size;
      hits.push({ encoded: '', item: query.values ? item : { ...item, value: NOTHING } });
    }
    last = key;
  }
  if (candidates.isCut) return cutAt(last);
  return { hits, reached: null, rows: rows + seen };
}

const NOTHING = new Uint8Array(0);

function isFound({ value }: Item, needle: Buffer): boolean {
  if (value.length > LIMITS.indexTextBytesMax) return false;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(needle);
}

/** The least keys that may be hits: bounded, so that a common text costs further pages, not memory. */
class Candidates {
  /** There are more, above all that are here. */
  isCut = false;
  readonly #prefix: string;
  readonly #after: string;
  #keys = new Set<string>();
  /** Above this nothing is taken any more. */
  #bound: string | null = null;

  constructor({ prefix, after }: TextQuery) {
    this.#prefix = prefix;
    this.#after = after;
  }

  add(key: string): void {
    if (key <= this.#after || !key.startsWith(this.#prefix)) return;
    if (this.#bound !== null && key > this.#bound) {
      this.isCut = true;
      return;
    }
    this.#keys.add(key);
    if (this.#keys.size > CANDIDATES_MAX * 2) this.#cut();
  }

  inOrder(): string[] {
    if (this.#keys.size > CANDIDATES_MAX) this.#cut();
    return [...this.#keys].sort();
  }

  #cut(): void {
    const kept = [...this.#keys].sort().slice(0, CANDIDATES_MAX);
    this.#bound = kept[kept.length - 1] as string;
    this.#keys = new Set(kept);
    this.isCut = true;
  }
}

async function gatherOpen(
  view: GroupView,
  { definition, text }: GroupIndex,
  needle: Buffer,
  candidates: Candidates,
): Promise<number> {
  const { prefix } = view;
  const { id } = definition;
  // Not from the head: what was open once leaves a trail of removed rows.
  const start = openKey(prefix, id, text?.openFrom ?? 0);
  const end = prefixEnd(openHead(prefix, id)) as string;
  return eachRow(view, { start, end, reverse: false, rows: ROWS_AT_ONCE }, ([, row]) => {
    const key = keyIfHolds(row, needle);
    if (key !== null) candidates.add(key);
  });
}

async function gatherSegments(
  view: GroupView,
  { definition }: GroupIndex,
  needle: Buffer,
  revision: Revision,
  candidates: Candidates,
): Promise<number> {
  const { prefix } = view;
  const { id } = definition;
  const [first, ...others] = trigramsOf(needle, TRIGRAMS_MAX);
  if (first === undefined) return 0;
  const holders = new Map<number, number[]>();
  const head = postingHead(prefix, id, pairOf(first));
  let rows = await eachRow(view, rangeOf(head), ([key, row]) => {
    const numbers = documentsIn(row, first);
    if (numbers.length > 0) holders.set(segmentOf(key), numbers);
  });
  const segments = rows;
  for (const trigram of others) {
    if (countOf(holders) <= ENOUGH) break;
    if (holders.size * LOOKUP_ROWS > segments) {
      rows += await narrowAll(view, id, trigram, holders);
      continue;
    }
    rows += holders.size;
    for (const [segment, numbers] of holders) {
      const row = view.get(postingKey(prefix, id, pairOf(trigram), segment));
      narrow(holders, segment, numbers, trigram, row);
    }
  }
  const isMost = holders.size * LOOKUP_ROWS > segments;
  const lists = isMost ? await segmentRows(view, id) : null;
  for (const [segment, numbers] of holders) {
    rows++;
    const at = segmentKey(prefix, id, segment);
    const row = lists === null ? view.get(at) : lists.get(at);
    if (!row) continue;
    const { retiredAt, keys } = keysInSegment(row, numbers);
    if (retiredAt !== 0 && revision >= retiredAt) continue;
    for (const key of keys) candidates.add(key);
  }
  return rows;
}

/** Every segment's list of documents, by its row's key. */
async function segmentRows(view: GroupView, id: number): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  await eachRow(view, rangeOf(segmentHead(view.prefix, id)), ([key, row]) => {
    found.set(key, row);
  });
  return found;
}

/** What a lookup on this thread costs, in rows of a walk, which another thread reads. */
const LOOKUP_ROWS = 8;

/** So few candidates are sooner held against their versions than narrowed further. */
const ENOUGH = 8;

function countOf(holders: ReadonlyMap<number, readonly number[]>): number {
  let count = 0;
  for (const numbers of holders.values()) count += numbers.length;
  return count;
}

/** Leaves only what holds the trigram too; segments without anything go. */
function narrow(
  holders: Map<number, number[]>,
  segment: number,
  numbers: readonly number[],
  trigram: number,
  row: Uint8Array | null,
): void {
  const left = row === null ? [] : intersect(numbers, documentsIn(row, trigram));
  if (left.length > 0) holders.set(segment, left);
  else holders.delete(segment);
}

async function narrowAll(
  view: GroupView,
  id: number,
  trigram: number,
  holders: Map<number, number[]>,
): Promise<number> {
  const head = postingHead(view.prefix, id, pairOf(trigram));
  const found = new Map<number, Uint8Array>();
  const rows = await eachRow(view, rangeOf(head), ([key, row]) => {
    found.set(segmentOf(key), row);
  });
  for (const [segment, numbers] of holders) {
    narrow(holders, segment, numbers, trigram, found.get(segment) ?? null);
  }
  return rows;
}

/** Everything that begins with `head`. */
function rangeOf(head: string): EngineRange {
  return { start: head, end: prefixEnd(head) as string, reverse: false, rows: ROWS_AT_ONCE };
}

/** Of a walk: few segments and documents are larger, and what they are read from is worth keeping. */
const ROWS_AT_ONCE = 512;

/** The rows of a range, in order; resolves with how many. */
async function eachRow(
  view: GroupView,
  range: EngineRange,
  use: (row: EngineRow) => void,
): Promise<number> {
  const cursor = view.cursor(range);
  let count = 0;
  try {
    for (;;) {
      const rows = await cursor.next(ROWS_AT_ONCE);
      if (rows.length === 0) return count;
      count += rows.length;
      for (const row of rows) use(row);
    }
  } finally {
    await cursor.close();
  }
}
