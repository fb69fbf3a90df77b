import { LIMITS } from '../../protocol/limits.ts';
import { type Client, query } from '../client.ts';
import { type Context, countOf, type JsonItem, keyText, printJson, valueText } from './context.ts';

export interface ListFlags {
  readonly start?: string;
  readonly end?: string;
  readonly limit?: string;
  readonly reverse?: boolean;
  readonly revision?: string;
  readonly stale?: boolean;
}

interface Page {
  readonly items: readonly JsonItem[];
  readonly cursor?: string;
  readonly revision: number;
}

export interface Range extends ListFlags {
  readonly prefix: string;
  readonly values: boolean;
  /** Items in all; null is all there are. */
  readonly max: number | null;
}

/** Pages of one consistent snapshot, in key order; each page may come from another node. */
export async function* pages(client: Client, range: Range): AsyncGenerator<Page> {
  let cursor: string | undefined;
  let left = range.max ?? Number.POSITIVE_INFINITY;
  while (left > 0) {
    const path = `/v1/kv${query({
      prefix: range.prefix === '' ? undefined : range.prefix,
      start: range.start,
      end: range.end,
      reverse: range.reverse,
      revision: cursor === undefined ? range.revision : undefined,
      consistency: range.stale === true ? 'stale' : undefined,
      values: String(range.values),
      limit: Math.min(LIMITS.pageItemsMax, left),
      cursor,
    })}`;
    const page = await client.json<Page>({ method: 'GET', path, repeatable: true });
    yield page;
    left -= page.items.length;
    cursor = page.cursor;
    if (cursor === undefined) return;
  }
}

/** `minikv ls [prefix]`: keys; `minikv scan [prefix]`: keys and values. */
export async function list(
  { io, client, json }: Context,
  prefix: string,
  values: boolean,
  flags: ListFlags,
): Promise<void> {
  const max =
    flags.limit === undefined ? null : countOf(flags.limit, '--limit', 1, Number.MAX_SAFE_INTEGER);
  for await (const page of pages(client, { ...flags, prefix, values, max })) {
    for (const item of page.items) {
      if (io.signal.aborted) return;
      if (json) await printJson(io, item);
      else await io.out(values ? `${keyText(item)}\t${valueText(item)}\n` : `${keyText(item)}\n`);
    }
  }
}
