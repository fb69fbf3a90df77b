import { type Key, keyFields, queryOf } from './bytes.ts';
import { invalid } from './errors.ts';
import { type Item, itemOf, type RawItem } from './item.ts';
import { callOf, JSON_BODY } from './keys.ts';
import type { CallOptions, Transport } from './transport.ts';

export type FieldValue = string | number | null;

export interface IndexField {
  /** A JSON Pointer or JSONPath. */
  readonly path: string;
  /** Default `string`. */
  readonly type?: 'string' | 'number' | 'time' | undefined;
}

export interface IndexDefinition {
  readonly name: string;
  /** Only keys that begin with it. */
  readonly prefix?: Key | undefined;
  /** `text`: for `search`, over whole values. Default `fields`. */
  readonly kind?: 'fields' | 'text' | undefined;
  readonly fields?: readonly (string | IndexField)[] | undefined;
  /** Leaves out items that lack the first field. */
  readonly sparse?: boolean | undefined;
  /** No two keys have the same values of the fields; a put of such a value fails with `duplicate`. */
  readonly unique?: boolean | undefined;
}

export interface IndexInfo {
  readonly name: string;
  readonly kind: 'fields' | 'text';
  readonly fields: readonly { readonly path: string; readonly type: string }[];
  readonly sparse: boolean;
  readonly unique: boolean;
  /** How far it is; what it means is in docs/adr/0027-secondary-indexes.md. */
  readonly state: string;
  readonly progress?: Readonly<Record<string, unknown>>;
  /** Of a unique index over keys that are not: the value, and keys that have it. */
  readonly failure?: {
    readonly value: unknown;
    readonly keys: readonly { readonly key?: string }[];
  };
}

export interface QueryOptions extends CallOptions {
  /** The first field's value, or of the first fields. */
  readonly eq?: FieldValue | readonly FieldValue[] | undefined;
  readonly gt?: string | number | undefined;
  readonly gte?: string | number | undefined;
  readonly lt?: string | number | undefined;
  readonly lte?: string | number | undefined;
  /** The next field, a string, begins with this. */
  readonly prefix?: string | undefined;
  readonly order?: 'asc' | 'desc' | undefined;
  /** Items in all. */
  readonly limit?: number | undefined;
  readonly pageSize?: number | undefined;
  readonly revision?: number | undefined;
  /** False: items come without their values. */
  readonly values?: boolean | undefined;
}

export interface SearchOptions extends CallOptions {
  readonly prefix?: Key | undefined;
  readonly limit?: number | undefined;
  readonly pageSize?: number | undefined;
  readonly revision?: number | undefined;
  /** True: items come with their values. */
  readonly values?: boolean | undefined;
}

const PAGE_SIZE_MAX = 1_000;

/** Secondary indexes over the fields of JSON values, and text search. */
export class Indexes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** What is there already is entered in the background: see `get` for how far it is. */
  define(definition: IndexDefinition, options: CallOptions = {}): Promise<IndexInfo> {
    const { prefix, ...rest } = definition;
    const shape = { ...rest, ...(prefix === undefined ? {} : keyFields(prefix, 'prefix')) };
    return this.#transport.json<IndexInfo>({
      ...{ ...callOf(options), method: 'POST', path: '/v1/indexes', headers: JSON_BODY },
      ...{ body: JSON.stringify(shape), repeat: 'once' },
    });
  }

  async list(options: CallOptions = {}): Promise<readonly IndexInfo[]> {
    const { indexes } = await this.#transport.json<{ indexes: IndexInfo[] }>({
      ...{ ...callOf(options), method: 'GET', path: '/v1/indexes', repeat: 'read' },
    });
    return indexes;
  }

  get(name: string, options: CallOptions = {}): Promise<IndexInfo> {
    return this.#transport.json<IndexInfo>({
      ...{ ...callOf(options), method: 'GET', path: pathOf(name), repeat: 'read' },
    });
  }

  async drop(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.call({
      ...{ ...callOf(options), method: 'DELETE', path: pathOf(name), repeat: 'once' },
    });
  }

  /** Halts a backfill, or lets it go on. */
  async pause(name: string, paused: boolean, options: CallOptions = {}): Promise<void> {
    const path = `${pathOf(name)}/${paused ? 'pause' : 'resume'}`;
    await this.#transport.call({ ...callOf(options), method: 'POST', path, repeat: 'read' });
  }

  /** Items by their fields, in index order, all at one revision. */
  query(name: string, options: QueryOptions = {}): AsyncGenerator<Item, void, void> {
    const { eq, gt, gte, lt, lte, prefix, order, values } = options;
    const fixed = {
      // As a list, so that no text is taken for something else.
      eq: eq === undefined ? undefined : JSON.stringify(Array.isArray(eq) ? eq : [eq]),
      ...{ gt, gte, lt, lte, prefix, order, values },
    };
    return this.#pages(`${pathOf(name)}/query`, fixed, options);
  }

  /** Items whose values hold a text, in key order, all at one revision. Needs a text index. */
  search(text: string, options: SearchOptions = {}): AsyncGenerator<Item, void, void> {
    const { prefix, values } = options;
    return this.#pages('/v1/search', { q: text, prefix, values }, options);
  }

  async *#pages(
    path: string,
    fixed: Parameters<typeof queryOf>[0],
    options: QueryOptions | SearchOptions,
  ): AsyncGenerator<Item, void, void> {
    const { limit: wanted, pageSize = PAGE_SIZE_MAX, revision } = options;
    let left = wanted ?? Number.POSITIVE_INFINITY;
    let cursor: string | undefined;
    while (left > 0) {
      const limit = Math.min(pageSize, left);
      const query = queryOf({ ...fixed, limit, ...(cursor ? { cursor } : { revision }) });
      const page: { items: RawItem[]; cursor?: string } = await this.#transport.json({
        ...{ ...callOf(options), method: 'GET', path: path + query, repeat: 'read' },
      });
      yield* page.items.map(itemOf);
      left -= page.items.length;
      if (page.cursor === undefined) return;
      cursor = page.cursor;
    }
  }
}

const NAME = /^[A-Za-z0-9._-]{1,64}$/;

function pathOf(name: string): string {
  if (!NAME.test(name) || name === '.' || name === '..') throw invalid('no index has this name');
  return `/v1/indexes/${name}`;
}
