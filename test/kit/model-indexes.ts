import { documentOf, entriesOf } from '../../actors/apply/index-entries.ts';
import { comparePositions } from '../../actors/apply/index-query.ts';
import {
  type Catalog,
  EMPTY_CATALOG,
  indexNamed,
  withIndex,
  withoutIndex,
  withState,
} from '../../actors/indexer/catalog.ts';
import { boundsOf } from '../../actors/router/index-bounds.ts';
import { latin1 } from '../../protocol/bytes.ts';
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
import { covers } from '../../protocol/indexes.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { KvService, RequestContext, ScanPage } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';

/** Indexes in their plainest form: every query looks at every key of one revision. Live at once. */
export class ModelIndexes implements IndexService {
  readonly #service: Pick<KvService, 'scan'>;
  readonly #tenant: string;
  readonly #shared: { catalog: Catalog };
  readonly #since = new Map<number, number>();

  constructor(
    service: Pick<KvService, 'scan'>,
    tenant = DEFAULT_TENANT,
    shared = { catalog: EMPTY_CATALOG },
  ) {
    this.#service = service;
    this.#tenant = tenant;
    this.#shared = shared;
  }

  ofTenant(tenant: string): IndexService {
    if (tenant === this.#tenant) return this;
    return new ModelIndexes(this.#service, tenant, this.#shared);
  }

  async define(ctx: RequestContext, wanted: NewIndex): Promise<IndexInfo> {
    const index = { ...wanted, tenant: this.#tenant };
    const defined = withIndex(this.#shared.catalog, index);
    const { id } = indexNamed(defined, index);
    this.#shared.catalog = withState(defined, id, 'live');
    if (!this.#since.has(id)) this.#since.set(id, (await this.#scan(ctx, null)).revision);
    return indexNamed(this.#shared.catalog, index);
  }

  async list(): Promise<readonly IndexInfo[]> {
    return this.#own();
  }

  async inspect(
    _ctx: RequestContext,
    name: string,
  ): Promise<{ info: IndexInfo; progress: IndexProgress }> {
    const progress = { groups: 1, groupsBuilt: 1, keys: 0, keysThere: 0, since: 1 };
    return { info: indexNamed(this.#shared.catalog, this.#named(name)), progress };
  }

  async drop(_ctx: RequestContext, name: string): Promise<boolean> {
    const before = this.#shared.catalog;
    this.#shared.catalog = withoutIndex(before, this.#named(name));
    return this.#shared.catalog !== before;
  }

  async pause(_ctx: RequestContext, name: string): Promise<IndexInfo> {
    return indexNamed(this.#shared.catalog, this.#named(name));
  }

  async query(ctx: RequestContext, name: string, options: IndexQueryOptions): Promise<IndexHits> {
    const info = indexNamed(this.#shared.catalog, this.#named(name));
    const bounds = boundsOf(info, options);
    const { revision: at, reverse, after, limit } = options;
    if (info.kind !== 'fields') throw new AppError('invalid_argument', 'a text index is searched');
    if (at !== null && at < (this.#since.get(info.id) as number)) {
      throw new AppError('compacted', 'older than the index');
    }
    const { items, revision } = await this.#scan(ctx, at);
    const found: { encoded: string; item: Item }[] = [];
    for (const item of items.filter(({ ref }) => covers(info, ref))) {
      for (const encoded of entriesOf(info, documentOf(item.value))) {
        if (encoded < bounds.start || encoded >= bounds.end) continue;
        found.push({ encoded, item: options.values ? item : { ...item, value: new Uint8Array() } });
      }
    }
    const position = (hit: (typeof found)[number]) => ({
      encoded: hit.encoded,
      key: hit.item.ref.key,
    });
    found.sort((a, b) => comparePositions(position(a), position(b)) * (reverse ? -1 : 1));
    const left = found.filter(
      (hit) => after === null || comparePositions(position(hit), after) * (reverse ? -1 : 1) > 0,
    );
    const hits = left.slice(0, limit);
    const last = hits.at(-1);
    const next = last !== undefined && left.length > limit ? position(last) : null;
    return { hits, revision, next, plan: { index: name, id: info.id, ...bounds, groups: [] } };
  }

  async search(ctx: RequestContext, options: SearchOptions): Promise<SearchHits> {
    const { text, prefix, after, limit, values } = options;
    const info = this.#own().find(
      (index) => index.kind === 'text' && prefix.startsWith(index.prefix),
    );
    if (info === undefined) throw new AppError('not_found', 'no text index covers these keys');
    if (text.length < 3) throw new AppError('invalid_argument', 'too short a text');
    const { items, revision } = await this.#scan(ctx, options.revision);
    const found = items.filter(({ ref, value }) => {
      const { key } = ref;
      return key > after && key.startsWith(prefix) && latin1(value).includes(text);
    });
    const page = found.slice(0, limit);
    const next = found.length > limit ? (page.at(-1)?.ref.key ?? null) : null;
    return {
      items: values ? page : page.map((item) => ({ ...item, value: new Uint8Array() })),
      ...{ revision, next, plan: { index: info.name, id: info.id, groups: [] } },
    };
  }

  #named(name: string) {
    return { tenant: this.#tenant, name };
  }

  #own(): readonly IndexInfo[] {
    return this.#shared.catalog.indexes.filter(({ tenant }) => tenant === this.#tenant);
  }

  #scan(ctx: RequestContext, revision: number | null): Promise<ScanPage> {
    return this.#service.scan(ctx, {
      ...{
        tenant: this.#tenant,
        space: KV_SPACE,
        start: '',
        end: null,
        reverse: false,
        revision,
      },
      ...{ limit: Number.POSITIVE_INFINITY, values: true, consistency: 'linearizable' },
    });
  }
}
