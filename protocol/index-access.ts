import type { EntryPosition, IndexDefinition } from './indexes.ts';
import type { Item } from './messages/request.ts';
import type { RequestContext } from './service.ts';
import type { Revision } from './types.ts';

/** A definition as it is asked for; the store gives it an id. */
export type NewIndex = Omit<IndexDefinition, 'id'>;

/**
 * `building` until every key that was there before has its entries; `paused`: the backfill rests; `failed`: a
 * unique index over keys that are not: no group keeps or enforces it any more.
 */
export type IndexState = 'building' | 'paused' | 'live' | 'failed';

/** Why a unique index failed: two keys had the same entry when it was built. */
export interface IndexFailure {
  /** Latin1, as the keys are. */
  readonly encoded: string;
  readonly keys: readonly string[];
}

export interface IndexInfo extends IndexDefinition {
  readonly state: IndexState;
  /** Of one that has failed. */
  readonly failure?: IndexFailure;
}

/** How far an index is: the sum over all groups. */
export interface IndexProgress {
  readonly groups: number;
  readonly groupsBuilt: number;
  /** Keys that the backfill has looked at. */
  readonly keys: number;
  /** Keys there are in those groups, covered by the index or not. */
  readonly keysThere: number;
  /** The index can be read at or above this revision; 0 while it is being built. */
  readonly since: Revision;
}

/**
 * Conditions on an index's fields, each as text: `eq` is the first field's value, or a JSON array with values of
 * the first fields; the others are about the field after those. At most one lower and one upper bound.
 */
export interface IndexConditions {
  readonly eq: string | null;
  readonly gt: string | null;
  readonly gte: string | null;
  readonly lt: string | null;
  readonly lte: string | null;
  /** Of a string field. */
  readonly prefix: string | null;
}

export interface IndexQueryOptions extends IndexConditions {
  /** In index order, then by key; true: both backwards. */
  readonly reverse: boolean;
  readonly limit: number;
  readonly values: boolean;
  /** Null reads the latest. */
  readonly revision: Revision | null;
  /** Goes on after this position. */
  readonly after: EntryPosition | null;
}

export interface IndexHits {
  readonly hits: readonly { readonly encoded: string; readonly item: Item }[];
  readonly revision: Revision;
  readonly next: EntryPosition | null;
  readonly plan: QueryPlan;
}

export interface SearchOptions {
  /** Bytes that a value must hold, latin1: searchBytesMin to searchBytesMax of them. */
  readonly text: string;
  /** Keys with this prefix, latin1; '' is all. */
  readonly prefix: string;
  readonly limit: number;
  readonly values: boolean;
  readonly revision: Revision | null;
  /** Keys after this one; '' is from the first. */
  readonly after: string;
}

/** In key order, all at one revision. `next`: the last key looked at, where there may be more. */
export interface SearchHits {
  readonly items: readonly Item[];
  readonly revision: Revision;
  readonly next: string | null;
  readonly plan: Omit<QueryPlan, 'start' | 'end'>;
}

/** What a query did. */
export interface QueryPlan {
  readonly index: string;
  readonly id: number;
  /** Bounds of the encoded fields, latin1, half-open. */
  readonly start: string;
  readonly end: string;
  /** Per group: rows of the index that were looked at, and hits it gave. */
  readonly groups: readonly {
    readonly group: number;
    readonly rows: number;
    readonly hits: number;
  }[];
}

/**
 * Secondary indexes as the edges see them; part of KvService. Failures are AppErrors: not_found for a
 * name that is none, index_building for a query before an index is live. Names are those of one tenant.
 */
export interface IndexService {
  /** The same of another tenant: what others have defined is not there. */
  ofTenant(tenant: string): IndexService;
  /** Acknowledged when every group keeps it; the backfill goes on by itself. */
  define(ctx: RequestContext, index: NewIndex): Promise<IndexInfo>;
  list(ctx: RequestContext): Promise<readonly IndexInfo[]>;
  inspect(ctx: RequestContext, name: string): Promise<{ info: IndexInfo; progress: IndexProgress }>;
  /** False: there was none. Its rows go in the background. */
  drop(ctx: RequestContext, name: string): Promise<boolean>;
  /** Halts the backfill, or lets it go on. An index that is live stays so. */
  pause(ctx: RequestContext, name: string, paused: boolean): Promise<IndexInfo>;
  query(ctx: RequestContext, name: string, options: IndexQueryOptions): Promise<IndexHits>;
  /** Never looks at every key: not_found where no text index covers the prefix. */
  search(ctx: RequestContext, options: SearchOptions): Promise<SearchHits>;
}
