import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Consistency, KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { type CursorRange, decodeCursor, encodeCursor } from './cursor.ts';
import { itemText } from './page-text.ts';
import { loweredLimit, pageLimit } from './paging.ts';
import type { ShownPage } from './shapes.ts';

/** A range to list; `limit` is of one page, or of a whole stream where it is given for one. */
export interface Listing extends CursorRange {
  readonly limit: number | null;
  readonly cursor: string | null;
  readonly values: boolean;
  readonly revision: number | null;
  readonly consistency: Consistency;
}

/** Reads the page a listing asks for. The cursor it returns is null after the last one. */
export async function readPage(
  edge: { readonly service: Pick<KvService, 'scan'> },
  ctx: RequestContext,
  listing: Listing,
): Promise<ShownPage> {
  const { start, end, reverse, values, consistency } = listing;
  const at = listing.cursor === null ? null : decodeCursor(listing.cursor, listing);
  if (at !== null && listing.revision !== null && listing.revision !== at.revision) {
    throw new AppError('invalid_argument', 'the cursor belongs to another revision');
  }
  const limit = pageLimit(listing.limit);
  const page = await edge.service.scan(ctx, {
    ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, reverse, limit, values, consistency },
    start: at === null || reverse ? start : at.next,
    end: at !== null && reverse ? at.next : end,
    revision: at?.revision ?? listing.revision,
  });
  const { next, revision } = page;
  const cursor = next === null ? null : encodeCursor({ revision, next }, listing);
  return { page, cursor, lowered: loweredLimit(listing.limit) };
}

export const NDJSON = 'application/x-ndjson';

/**
 * The whole listing as lines, one item each, and at last `{"end":true,"revision":R}`: a stream without
 * that line was cut. One page is held at a time; the next is read when the socket wants more.
 */
export async function streamListing(
  ctx: RequestContext,
  listing: Listing,
  reply: FastifyReply,
): Promise<Readable> {
  const pageLimit = Math.min(listing.limit ?? LIMITS.pageItemsMax, LIMITS.pageItemsMax);
  const { edge } = reply.request;
  const first = await readPage(edge, ctx, { ...listing, limit: pageLimit });
  edge.revision = first.page.revision;
  reply.code(200).header('content-type', NDJSON);
  const lines = linesOf(edge, ctx, listing, first);
  // A highWaterMark of one: a page's text is the unit of backpressure.
  return Readable.from(lines, { objectMode: true, highWaterMark: 1 });
}

async function* linesOf(
  edge: { readonly service: Pick<KvService, 'scan'> },
  ctx: RequestContext,
  listing: Listing,
  first: ShownPage,
): AsyncGenerator<string> {
  let { page, cursor } = first;
  let left = listing.limit ?? Number.POSITIVE_INFINITY;
  for (;;) {
    let text = '';
    for (const item of page.items) {
      text += `${itemText(item, listing.values)}\n`;
    }
    if (text !== '') yield text;
    left -= page.items.length;
    if (cursor === null || left <= 0) break;
    const limit = Math.min(left, LIMITS.pageItemsMax);
    ({ page, cursor } = await readPage(edge, ctx, { ...listing, cursor, limit }));
  }
  const end = { end: true, revision: page.revision };
  yield `${JSON.stringify(cursor === null ? end : { ...end, cursor })}\n`;
}
