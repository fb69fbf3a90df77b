import { type Key, queryOf } from './bytes.ts';
import { type Item, itemOf, type RawItem } from './item.ts';
import { callOf } from './keys.ts';
import type { CallOptions, Transport } from './transport.ts';

export interface RangeOptions extends CallOptions {
  readonly prefix?: Key | undefined;
  /** Inclusive. */
  readonly start?: Key | undefined;
  /** Exclusive. */
  readonly end?: Key | undefined;
  /** Last key first. */
  readonly reverse?: boolean | undefined;
  /** False: items come without their values. */
  readonly values?: boolean | undefined;
  /** Read as of this past revision. */
  readonly revision?: number | undefined;
  readonly consistency?: 'linearizable' | 'stale' | undefined;
}

export interface ScanOptions extends RangeOptions {
  /** Items in all. */
  readonly limit?: number | undefined;
  /** Items of one request. Default and at most 1,000. */
  readonly pageSize?: number | undefined;
}

export interface PageOptions extends RangeOptions {
  /** Items of this page. Default 100, at most 1,000. */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface Page {
  readonly items: readonly Item[];
  /** Where the next page begins; null after the last one. */
  readonly cursor: string | null;
  /** What all pages of one listing are true at. */
  readonly revision: number;
}

const PAGE_SIZE_MAX = 1_000;

/** One page. */
export async function readPage(transport: Transport, options: PageOptions): Promise<Page> {
  const { prefix, start, end, reverse, values, revision, consistency, limit, cursor } = options;
  const query = { prefix, start, end, reverse, values, revision, consistency, limit, cursor };
  const page = await transport.json<{ items: RawItem[]; cursor?: string; revision: number }>({
    ...callOf(options),
    ...{ method: 'GET', path: `/v1/kv${queryOf(query)}`, repeat: 'read' },
  });
  const items = page.items.map(itemOf);
  return { items, cursor: page.cursor ?? null, revision: page.revision };
}

/** Every item of a range, in order, all at one revision; the next page is read when it is wanted. */
export async function* scan(
  transport: Transport,
  options: ScanOptions,
): AsyncGenerator<Item, void, void> {
  const { limit: wanted, pageSize = PAGE_SIZE_MAX, ...range } = options;
  let left = wanted ?? Number.POSITIVE_INFINITY;
  let cursor: string | undefined;
  while (left > 0) {
    const limit = Math.min(pageSize, left);
    const page: Page = await readPage(transport, { ...range, limit, cursor });
    yield* page.items;
    left -= page.items.length;
    if (page.cursor === null) return;
    cursor = page.cursor;
  }
}
