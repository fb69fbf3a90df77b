import { AppError } from '../../protocol/errors.ts';
import type {
  IndexHits,
  IndexInfo,
  IndexProgress,
  IndexQueryOptions,
  IndexService,
  NewIndex,
  SearchHits,
  SearchOptions,
} from '../../protocol/index-access.ts';
import type { EntryPosition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyOf, RequestOf } from '../../protocol/messages/request.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import {
  type Catalog,
  findIndex,
  type IndexName,
  indexNamed,
  withIndex,
  withoutIndex,
  withState,
} from '../indexer/catalog.ts';
import { changeCatalog, readCatalog, tellGroup } from '../indexer/catalog-store.ts';
import type { Calls } from './calls.ts';
import { boundsOf } from './index-bounds.ts';
import { type PageOver, pageOver } from './index-page.ts';
import { readOptions } from './options.ts';
import { dataGroups, readRevision } from './scan.ts';
import type { ShardMap } from './shard-map.ts';
import type { Snapshots } from './snapshots.ts';

export interface IndexHost {
  map(): ShardMap;
  /** The catalog has changed: the builder, if it is here, may begin at once. */
  indexesChanged(): void;
}

/** Groups may refuse a definition that this node knew from before it was dropped; then it looks again. */
const LOOKS_MAX = 2;

/**
 * Secondary indexes over calls to groups. A query needs the definition by its name: what this node knows is
 * used as long as every group still keeps an index of that id, since a drop is acknowledged only when
 * all of them have forgotten it, and an id is never used again.
 */
export class RoutedIndexes implements IndexService {
  readonly #calls: Calls;
  readonly #host: IndexHost;
  readonly #snapshots: Snapshots;
  readonly #tenant: string;
  readonly #others = new Map<string, IndexService>();
  /** As last read; only live ones are taken from it. */
  #known: Catalog | null = null;

  constructor(calls: Calls, host: IndexHost, snapshots: Snapshots, tenant = DEFAULT_TENANT) {
    this.#calls = calls;
    this.#host = host;
    this.#snapshots = snapshots;
    this.#tenant = tenant;
  }

  ofTenant(tenant: string): IndexService {
    if (tenant === this.#tenant) return this;
    const known = this.#others.get(tenant);
    if (known !== undefined) return known;
    const made = new RoutedIndexes(this.#calls, this.#host, this.#snapshots, tenant);
    this.#others.set(tenant, made);
    return made;
  }

  /** `look` at the revision that is asked for, or at a snapshot of the latest state, as a scan does. */
  async #at<T>(
    ctx: RequestContext,
    revision: Revision | null,
    look: (ctx: RequestContext, map: ShardMap, revision: Revision) => Promise<T>,
  ): Promise<T> {
    if (revision === null) return this.#snapshots.read(ctx, look);
    const map = this.#host.map();
    const at = { revision, consistency: 'linearizable' } as const;
    return look(ctx, map, await readRevision(this.#calls, map, ctx, at));
  }

  async define(ctx: RequestContext, wanted: NewIndex): Promise<IndexInfo> {
    const index = { ...wanted, tenant: this.#tenant };
    const change = (now: Catalog): Catalog => withIndex(now, index);
    const catalog = await changeCatalog(this.#calls, ctx.deadlineMs, change);
    await this.#tellAll(ctx, catalog);
    return indexNamed(catalog, index);
  }

  async list(ctx: RequestContext): Promise<readonly IndexInfo[]> {
    return this.#own(await readCatalog(this.#calls, ctx.deadlineMs));
  }

  async inspect(
    ctx: RequestContext,
    name: string,
  ): Promise<{ info: IndexInfo; progress: IndexProgress }> {
    const info = indexNamed(await readCatalog(this.#calls, ctx.deadlineMs), this.#named(name));
    const groups = await Promise.all(
      dataGroups(this.#host.map()).map((group) =>
        this.#calls.call(group, { type: 'IndexStatus' }, 'Indexes', readOptions(ctx, 'leader')),
      ),
    );
    return { info, progress: progressOf(groups, info.id) };
  }

  async drop(ctx: RequestContext, name: string): Promise<boolean> {
    let isThere = false;
    const catalog = await changeCatalog(this.#calls, ctx.deadlineMs, (now) => {
      const next = withoutIndex(now, this.#named(name));
      isThere = next !== now;
      return next;
    });
    await this.#tellAll(ctx, catalog);
    return isThere;
  }

  async pause(ctx: RequestContext, name: string, paused: boolean): Promise<IndexInfo> {
    const catalog = await changeCatalog(this.#calls, ctx.deadlineMs, (now) => {
      const { id, state } = indexNamed(now, this.#named(name));
      if (state === 'live' || state === 'failed') return now;
      return withState(now, id, paused ? 'paused' : 'building');
    });
    this.#host.indexesChanged();
    return indexNamed(catalog, this.#named(name));
  }

  async query(ctx: RequestContext, name: string, options: IndexQueryOptions): Promise<IndexHits> {
    for (let look = 1; ; look++) {
      const info = await this.#live(ctx, name, look > 1);
      try {
        return await this.#query(ctx, info, options);
      } catch (error) {
        const isGone = error instanceof AppError && error.code === 'not_found';
        if (!isGone || look === LOOKS_MAX) throw error;
      }
    }
  }

  async search(ctx: RequestContext, options: SearchOptions): Promise<SearchHits> {
    for (let look = 1; ; look++) {
      const info = await this.#textIndex(ctx, options.prefix, look > 1);
      try {
        return await this.#search(ctx, info, options);
      } catch (error) {
        const isGone = error instanceof AppError && error.code === 'not_found';
        if (!isGone || look === LOOKS_MAX) throw error;
      }
    }
  }

  async #search(ctx: RequestContext, info: IndexInfo, options: SearchOptions): Promise<SearchHits> {
    const { text, prefix, after, values } = options;
    if (text.length < LIMITS.searchBytesMin || text.length > LIMITS.searchBytesMax) {
      const { searchBytesMin, searchBytesMax } = LIMITS;
      const message = `a text to search for has ${searchBytesMin} to ${searchBytesMax} bytes`;
      throw new AppError('invalid_argument', message);
    }
    const limit = Math.min(Math.max(1, options.limit), LIMITS.pageItemsMax);
    const asked = { id: info.id, text, prefix, values };
    const order = { limit, reverse: false };
    const page = await this.#page(ctx, options.revision, order, (revision, count, from) => {
      const start = from === null ? after : from.key;
      return { type: 'IndexSearch', ...asked, after: start, limit: count, revision };
    });
    const { hits, next, seen, revision } = page;
    return {
      items: hits.map(({ item }) => item),
      ...{ revision, next: next === null ? null : next.key },
      plan: { index: info.name, id: info.id, groups: seen },
    };
  }

  /** A page over all groups at one revision. */
  #page(
    ctx: RequestContext,
    revision: Revision | null,
    order: { readonly limit: number; readonly reverse: boolean },
    body: AskPart,
  ): Promise<IndexPageFound> {
    return this.#at(ctx, revision, async (own, map, at) => {
      const groups = dataGroups(map);
      const ask = (group: GroupId, count: number, after: EntryPosition | null) => {
        const asked = body(at, count, after);
        return this.#calls.call(group, asked, 'IndexPage', readOptions(own, 'leader'));
      };
      return { ...(await pageOver(groups, order, ask)), revision: at };
    });
  }

  /** A live text index over all keys with the prefix, the one that covers the least. */
  async #textIndex(ctx: RequestContext, prefix: string, isFresh: boolean): Promise<IndexInfo> {
    const known = isFresh || this.#known === null ? [] : fitting(this.#own(this.#known), prefix);
    if (known[0]?.state === 'live') return known[0];
    const catalog = await readCatalog(this.#calls, ctx.deadlineMs);
    this.#known = catalog;
    const found = fitting(this.#own(catalog), prefix);
    const live = found.find(({ state }) => state === 'live');
    if (live !== undefined) return live;
    const [building] = found;
    if (building !== undefined) {
      throw new AppError('index_building', `index ${building.name} is ${building.state}`);
    }
    throw new AppError(
      'not_found',
      'no text index covers these keys: define one with POST /v1/indexes {"kind": "text"}',
    );
  }

  #named(name: string): IndexName {
    return { tenant: this.#tenant, name };
  }

  #own({ indexes }: Catalog): readonly IndexInfo[] {
    return indexes.filter(({ tenant }) => tenant === this.#tenant);
  }

  /** The definition of a live index. */
  async #live(ctx: RequestContext, name: string, isFresh: boolean): Promise<IndexInfo> {
    const isKnown = !isFresh && this.#known !== null;
    const known = isKnown ? findIndex(this.#known as Catalog, this.#named(name)) : undefined;
    if (known?.state === 'live') return known;
    const catalog = await readCatalog(this.#calls, ctx.deadlineMs);
    this.#known = catalog;
    const info = indexNamed(catalog, this.#named(name));
    if (info.state === 'live') return info;
    if (info.state === 'failed') {
      throw new AppError('conflict', `index ${name} has failed: two keys had the same value`);
    }
    throw new AppError('index_building', `index ${name} is ${info.state}`);
  }

  async #query(
    ctx: RequestContext,
    info: IndexInfo,
    options: IndexQueryOptions,
  ): Promise<IndexHits> {
    if (info.kind !== 'fields') {
      throw new AppError('invalid_argument', 'a text index is searched, not queried');
    }
    const bounds = boundsOf(info, options);
    const { reverse, values, after } = options;
    const limit = Math.min(Math.max(1, options.limit), LIMITS.pageItemsMax);
    const asked = { id: info.id, reverse, values, ...bounds };
    const order = { limit, reverse };
    const page = await this.#page(ctx, options.revision, order, (revision, count, from) => {
      return { type: 'IndexQuery', ...asked, after: from ?? after, limit: count, revision };
    });
    const { hits, next, seen, revision } = page;
    return {
      hits,
      revision,
      next,
      plan: { index: info.name, id: info.id, ...bounds, groups: seen },
    };
  }

  /** The definitions are in force when every group's log has them. */
  async #tellAll(ctx: RequestContext, catalog: Catalog): Promise<void> {
    this.#known = null;
    try {
      await Promise.all(
        dataGroups(this.#host.map()).map((group) =>
          tellGroup(this.#calls, group, catalog, ctx.deadlineMs),
        ),
      );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      throw new AppError(
        'outcome_unknown',
        `decided, but not in force everywhere yet: ${error.message}`,
      );
    } finally {
      this.#host.indexesChanged();
    }
  }
}

/** What a group is asked for: so many hits after a position, or after where the whole page begins. */
type AskPart = (
  revision: Revision,
  count: number,
  after: EntryPosition | null,
) => RequestOf<'IndexQuery'> | RequestOf<'IndexSearch'>;

type IndexPageFound = PageOver & { readonly revision: Revision };

/** Text indexes that cover every key with the prefix, those of the least first. */
function fitting(indexes: readonly IndexInfo[], prefix: string): IndexInfo[] {
  return indexes
    .filter((index) => index.kind === 'text' && prefix.startsWith(index.prefix))
    .sort((a, b) => b.prefix.length - a.prefix.length);
}

function progressOf(groups: readonly ReplyOf<'Indexes'>[], id: number): IndexProgress {
  let [groupsBuilt, keys, keysThere, since] = [0, 0, 0, 0];
  for (const group of groups) {
    const index = group.indexes.find((one) => one.id === id);
    keysThere += group.keys;
    if (index === undefined) continue;
    keys += index.keys;
    if (!index.isBuilt) continue;
    groupsBuilt++;
    since = Math.max(since, index.since);
  }
  const isBuilt = groupsBuilt === groups.length;
  return { groups: groups.length, groupsBuilt, keys, keysThere, since: isBuilt ? since : 0 };
}
