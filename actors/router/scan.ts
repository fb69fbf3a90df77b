import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item, ReplyOf } from '../../protocol/messages/request.ts';
import type { ReadOptions, RequestContext, ScanOptions, ScanPage } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { Calls } from './calls.ts';
import { readOptions } from './options.ts';
import type { ShardMap } from './shard-map.ts';

/** The data groups of a map, ascending. */
export function dataGroups(map: ShardMap): GroupId[] {
  return [...new Set(map.groups)].sort((a, b) => a - b);
}

/**
 * The snapshot revision of a read over many groups (ARCHITECTURE section 2): each group confirms its
 * leadership after the request arrived and answers its clock; R is the maximum.
 */
export async function snapshotRevision(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
): Promise<Revision> {
  const clocks = await Promise.all(
    dataGroups(map).map((group) =>
      calls.call(group, { type: 'ReadClock', snapshot: null }, 'Clock', readOptions(ctx, 'leader')),
    ),
  );
  return clocks.reduce((max, reply) => Math.max(max, reply.clock), 0);
}

/**
 * A snapshot revision that every group has closed: what is written from now on comes after it. Without
 * the close a group whose clock is behind could still take revisions below it.
 */
export async function closedRevision(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
): Promise<Revision> {
  const revision = await snapshotRevision(calls, map, ctx);
  await Promise.all(
    dataGroups(map).map((group) =>
      calls.call(
        group,
        { type: 'Close', revision, gate: null },
        'Closed',
        readOptions(ctx, 'leader'),
      ),
    ),
  );
  return revision;
}

/**
 * The revision to read at: given, or of this moment. Reading at a revision raises the groups' clocks to
 * it, so a given one must have been reached already: nobody may push the clocks ahead.
 */
export async function readRevision(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  options: ReadOptions,
): Promise<Revision> {
  const { revision, consistency } = options;
  if (revision === null && consistency === 'stale') return 0;
  if (revision !== null && consistency === 'stale') return revision;
  if (revision === null) return snapshotRevision(calls, map, ctx);
  if (revision <= calls.wallRevision()) return revision;
  // A page of an earlier answer may lie a little ahead of this node's clock, never of the groups'.
  if (revision <= (await snapshotRevision(calls, map, ctx))) return revision;
  throw new AppError('invalid_argument', `revision ${revision} lies in the future`);
}

type Part = ReplyOf<'Page'>;

/** One page over all groups, merged in key order, all of it at one revision. */
export async function scanPage(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  options: ScanOptions,
): Promise<ScanPage> {
  return pageAt(calls, map, ctx, options, await readRevision(calls, map, ctx, options));
}

/** One page at a revision that the groups have reached, or will in a moment. */
export async function pageAt(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  options: ScanOptions,
  revision: Revision,
): Promise<ScanPage> {
  const { reverse } = options;
  const stale = options.consistency === 'stale';
  const limit = Math.min(Math.max(1, options.limit), LIMITS.pageItemsMax);
  const groups = dataGroups(map);
  const ask = (group: GroupId, start: string, end: string | null, count: number): Promise<Part> => {
    const { tenant, space, values } = options;
    const range = { tenant, space, revision, start, end, reverse, limit: count, values, stale };
    const body = { type: 'Range' as const, epoch: map.epoch, ...range };
    return calls.call(group, body, 'Page', readOptions(ctx, stale ? 'any' : 'leader'));
  };
  // Whatever each replica has: a group cannot be asked on at a revision that nobody named.
  const isOnce = stale && options.revision === null;
  const first = isOnce ? limit : firstAsk(limit, groups.length);
  const parts = await Promise.all(
    groups.map((group) => ask(group, options.start, options.end, first)),
  );
  if (isOnce) return mergePage(parts, reverse, limit, Math.min(...parts.map((p) => p.clock)));
  const page = mergePage(parts, reverse, limit, revision);
  if (page.next === null || page.items.length === limit || !isSmall(parts)) return page;
  // What is missing may all be in one group, but not beyond what is known already.
  const missing = limit - page.items.length;
  const far = keyAt(parts, limit, reverse);
  const whole = await Promise.all(
    parts.map(async (part, i) => {
      const last = part.items[part.items.length - 1];
      if (!part.more || last === undefined) return part;
      const { key } = last.ref;
      if (far !== null && (reverse ? key <= far : key >= far)) return part;
      const [start, end] = reverse ? [options.start, key] : [`${key}\0`, options.end];
      const rest = await ask(groups[i] as GroupId, start, end, missing);
      return { ...rest, items: part.items.concat(rest.items) };
    }),
  );
  return mergePage(whole, reverse, limit, revision);
}

/**
 * What a group is asked for at first: keys are spread over the groups by hash, so each has about its
 * share of a page, give or take the root of it. Groups where that was too little are asked on, once.
 */
export function firstAsk(limit: number, groups: number): number {
  const share = limit / groups;
  return Math.min(limit, Math.ceil(share + 1.5 * Math.sqrt(share)) + 1);
}

/** The `count`th key of all that are known, in the direction of the scan; null when there are fewer. */
function keyAt(parts: readonly Part[], count: number, reverse: boolean): string | null {
  const keys: string[] = [];
  for (const part of parts) for (const { ref } of part.items) keys.push(ref.key);
  keys.sort();
  if (reverse) keys.reverse();
  return keys[count - 1] ?? null;
}

/** Whether the parts have room for more: a page of large values is cut by its bytes. */
function isSmall(parts: readonly Part[]): boolean {
  let bytes = 0;
  for (const part of parts) for (const item of part.items) bytes += item.value.length;
  return bytes < LIMITS.pageBytesMax;
}

/**
 * Merges the groups' parts. A part that has `more` says nothing about keys beyond its last one, so
 * the merged page ends at the nearest such key.
 */
export function mergePage(
  parts: readonly ReplyOf<'Page'>[],
  reverse: boolean,
  limit: number,
  revision: Revision,
): ScanPage {
  const ahead = reverse ? (a: string, b: string) => a > b : (a: string, b: string) => a < b;
  let bound: string | null = null;
  let more = false;
  for (const part of parts) {
    if (!part.more) continue;
    more = true;
    const last = part.items[part.items.length - 1];
    if (last === undefined) throw new AppError('internal', 'an empty page claims to have more');
    if (bound === null || ahead(last.ref.key, bound)) bound = last.ref.key;
  }
  const items: Item[] = [];
  for (const part of parts) {
    for (const item of part.items) {
      if (bound === null || !ahead(bound, item.ref.key)) items.push(item);
    }
  }
  items.sort((a, b) => (ahead(a.ref.key, b.ref.key) ? -1 : 1));
  if (items.length > limit) {
    items.length = limit;
    more = true;
  }
  const last = items[items.length - 1];
  const next = more && last !== undefined ? (reverse ? last.ref.key : `${last.ref.key}\0`) : null;
  return { items, revision, next };
}
