import { LIMITS } from '../../protocol/limits.ts';
import { compareText, type KeyRange, type Truth, type Version } from './truth.ts';

/** One page of an index, or of a search, that a client got. */
export interface QuerySeen {
  readonly range: KeyRange;
  /** An index over the value as a JSON string, in its order; or keys whose value holds `text`. */
  readonly kind: 'ordered' | 'text';
  /** `ordered`: values from here on; `text`: what was searched for. */
  readonly text: string;
  readonly reverse: boolean;
  readonly limit: number;
  /** Where the page before ended. */
  readonly after: QueryPosition | null;
  readonly items: readonly Version[];
  readonly next: QueryPosition | null;
  readonly revision: number;
  readonly past: boolean;
  readonly call: number;
  readonly ret: number;
}

export interface QueryPosition {
  /** The value by which the index orders; '' for a search. */
  readonly value: string;
  readonly key: string;
}

export type QueryVerdict =
  | { readonly result: 'ok'; readonly queries: number; readonly items: number }
  | { readonly result: 'violation'; readonly reason: string };

/**
 * Checks queries against the final history: an index equals a full scan at every revision. A page at
 * revision R is exactly the versions visible at R that meet its condition, in its order, from where the
 * page before ended.
 */
export function checkQueries(truth: Truth, queries: readonly QuerySeen[]): QueryVerdict {
  let items = 0;
  for (const query of queries) {
    const reason = checkPage(truth, query);
    if (reason !== null) {
      const { kind, text, revision, call } = query;
      const what = `${kind} ${JSON.stringify(text)} @${revision}, called at ${call}`;
      return { result: 'violation', reason: `${what}: ${reason}` };
    }
    items += query.items.length;
  }
  return { result: 'ok', queries: queries.length, items };
}

function checkPage(truth: Truth, query: QuerySeen): string | null {
  const expected = expectedOf(truth, query);
  if (query.items.length > query.limit) return `more than ${query.limit} items`;
  for (const [at, item] of query.items.entries()) {
    const wanted = expected[at];
    if (wanted === undefined) return `${show(item)} is not in a full scan`;
    if (item.key !== wanted.key || item.revision !== wanted.revision) {
      return `item ${at} is ${show(item)}, a full scan has ${show(wanted)}`;
    }
  }
  const missing = expected[query.items.length];
  if (missing === undefined) return null;
  if (query.next === null) return `says it is complete, but ${show(missing)} is missing`;
  const isSkipped = order(positionOf(query.kind, missing), query.next, query.reverse) <= 0;
  return isSkipped ? `goes on after ${show(missing)}` : null;
}

function expectedOf(truth: Truth, { range, kind, text, reverse, after, revision }: QuerySeen) {
  const visible = truth.versionsAt(range, revision);
  const met =
    kind === 'text'
      ? visible.filter(
          ({ value }) => value.length <= LIMITS.indexTextBytesMax && value.includes(text),
        )
      : visible.filter((version) => compareText(positionOf(kind, version).value, text) >= 0);
  return met
    .filter((version) => after === null || order(positionOf(kind, version), after, reverse) > 0)
    .sort((a, b) => order(positionOf(kind, a), positionOf(kind, b), reverse));
}

/** Values are JSON strings of ASCII, which an index tells apart by their beginnings. */
function positionOf(kind: QuerySeen['kind'], { key, value }: Version): QueryPosition {
  if (kind === 'text') return { value: '', key };
  return { value: (JSON.parse(value) as string).slice(0, LIMITS.indexValueBytesMax), key };
}

function order(a: QueryPosition, b: QueryPosition, reverse: boolean): number {
  const forward = compareText(a.value, b.value) || compareText(a.key, b.key);
  return reverse ? -forward : forward;
}

function show(version: Version): string {
  return `${JSON.stringify(version.key)} @${version.revision}`;
}
