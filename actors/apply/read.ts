import type { Item } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import {
  BODY_OFFSET,
  currentKey,
  refOfStoredTriple,
  spaceRange,
  tripleOf,
} from '../../storage/kv/keyspace.ts';
import { decodeCurrent, type VersionRow } from '../../storage/kv/rows.ts';
import type { GroupState, GroupView } from './group-state.ts';
import { HistoryKeys, versionInHistory } from './history.ts';
import { hasExpired, itemOf } from './item.ts';
import { RowReader } from './row-reader.ts';

/**
 * Reads. A key is what its newest version at or below R says; absent when that is a removal, or
 * has expired at R's wall time. A read below the floor answers 'compacted'.
 */

/** The row that `readLatest` reads. */
export function currentKeyOf(state: GroupState, ref: KeyRef): string {
  return currentKey(state.prefix, tripleOf(ref));
}

/**
 * The current version as applied so far. `atRevision` is the (closed) revision whose wall time
 * decides about expiry; null shows a version even when it has expired.
 */
export function readLatest(
  state: GroupState,
  ref: KeyRef,
  atRevision: Revision | null,
): Item | null {
  const bytes = state.row(currentKeyOf(state, ref));
  if (bytes === null) return null;
  const row = decodeCurrent(bytes);
  return atRevision !== null && hasExpired(row, atRevision) ? null : itemOf(ref, row);
}

/** The version at a revision, past or present. One point lookup, and one seek for a superseded one. */
export async function readAt(
  view: GroupView,
  ref: KeyRef,
  revision: Revision,
): Promise<Item | null | 'compacted'> {
  const found = await readVersion(view, ref, revision);
  return found === null || found === 'compacted' ? found : found.item;
}

/** The same, with whether that is the key's newest version. */
export async function readVersion(
  view: GroupView,
  ref: KeyRef,
  revision: Revision,
): Promise<{ item: Item; isNewest: boolean } | null | 'compacted'> {
  if (revision < view.floor) return 'compacted';
  const triple = tripleOf(ref);
  const bytes = view.get(currentKey(view.prefix, triple));
  const newest = bytes === null ? null : decodeCurrent(bytes);
  let row = newest;
  if (revision < view.clock && (row === null || row.revision > revision)) {
    row = await versionInHistory(view, triple, revision);
  }
  if (row === null || hasExpired(row, revision)) return null;
  return { item: itemOf(ref, row), isNewest: row === newest };
}

export interface RangeQuery {
  readonly tenant: string;
  readonly space: string;
  /** Half-open [start, end), latin1; end null is open. */
  readonly start: string;
  readonly end: string | null;
  /** From the end of the range downwards. */
  readonly reverse: boolean;
  readonly limit: number;
  readonly revision: Revision;
  /** The page ends before the item that would pass this, except that its first item always fits. */
  readonly bytesMax: number;
  /** False: items come with empty values. */
  readonly values: boolean;
  /** Told of each key that is absent only since it has expired, as far as the page reaches. */
  readonly onEnd?: (triple: string, expiresAtMs: number) => void;
}

export interface RangePage {
  readonly items: Item[];
  /** The range holds further items after the last one given. */
  readonly more: boolean;
}

/**
 * The items of a range at one revision, in key order. A read at or above the view's clock touches
 * current rows only: history never slows it.
 */
export async function readRange(
  view: GroupView,
  query: RangeQuery,
): Promise<RangePage | 'compacted'> {
  if (query.revision < view.floor) return 'compacted';
  const page: PageBuilder = { items: [], bytes: 0, more: false };
  if (query.end !== null && query.end <= query.start) return { items: [], more: false };
  const [start, end] = spaceRange(view.prefix, 'c', query, query.start, query.end);
  // One more than the page holds tells whether there is more.
  const rows = query.limit + 1;
  const current = new RowReader(view, { start, end, reverse: query.reverse, rows });
  const past = query.revision >= view.clock ? null : historyOf(view, query);
  try {
    while (!page.more) {
      if (current.needsFill) await current.ready();
      if (past !== null && past.triple === null) await past.ready();
      if (!mergeStep(page, query, current, past)) break;
    }
  } finally {
    await current.close();
    if (past !== null) await past.close();
  }
  return { items: page.items, more: page.more };
}

function historyOf(view: GroupView, query: RangeQuery): HistoryKeys {
  const [start, end] = spaceRange(view.prefix, 'h', query, query.start, query.end);
  return new HistoryKeys(view, { start, end, reverse: query.reverse }, query.revision);
}

/** Consumes the next key of both streams; false at the end of both. */
function mergeStep(
  page: PageBuilder,
  query: RangeQuery,
  current: RowReader,
  past: HistoryKeys | null,
): boolean {
  const head = current.head;
  const currentTriple = head === undefined ? null : head[0].slice(BODY_OFFSET);
  const pastTriple = past === null ? null : past.triple;
  const order = compareTriples(currentTriple, pastTriple, query.reverse);
  const triple = order <= 0 ? currentTriple : pastTriple;
  if (triple === null) return false;
  let row: VersionRow | null = null;
  if (order <= 0 && head !== undefined) {
    row = decodeCurrent(head[1]);
    if (row.revision > query.revision) row = null;
    current.advance();
  }
  if (order >= 0 && past !== null) {
    row ??= past.version;
    past.advance();
  }
  if (row === null) return true;
  if (!hasExpired(row, query.revision)) addItem(page, query, triple, row);
  else query.onEnd?.(triple, row.expiresAtMs as number);
  return true;
}

/** Which of two heads comes first in the direction of the scan; null comes after everything. */
function compareTriples(a: string | null, b: string | null, reverse: boolean): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return a < b === reverse ? 1 : -1;
}

interface PageBuilder {
  readonly items: Item[];
  bytes: number;
  more: boolean;
}

/** What an item costs on the wire beside its strings and its value, at most. */
const ITEM_OVERHEAD_BYTES = 96;

function addItem(page: PageBuilder, query: RangeQuery, triple: string, row: VersionRow): void {
  const type = row.contentType === null ? 0 : row.contentType.length;
  const bytes = ITEM_OVERHEAD_BYTES + triple.length + type + (query.values ? row.value.length : 0);
  const isFull = page.items.length > 0 && page.bytes + bytes > query.bytesMax;
  if (isFull || page.items.length >= query.limit) {
    page.more = true;
    return;
  }
  page.bytes += bytes;
  const item = itemOf(refOfStoredTriple(triple), row);
  page.items.push(query.values ? item : { ...item, value: NO_VALUE });
}

const NO_VALUE = new Uint8Array(0);
