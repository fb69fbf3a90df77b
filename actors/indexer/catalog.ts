import { AppError } from '../../protocol/errors.ts';
import type { IndexFailure, IndexInfo, IndexState, NewIndex } from '../../protocol/index-access.ts';
import type { IndexDefinition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * Which indexes there are: one row of the meta state, replaced by compare-and-set. Each change of the
 * definitions takes a new epoch, under which they are entered in the groups' logs; pausing and going live
 * are nothing the groups must know.
 */
export interface Catalog {
  readonly epoch: number;
  /** Never given out yet. */
  readonly nextId: number;
  readonly indexes: readonly IndexInfo[];
}

/** The name of the meta row. */
export const CATALOG_ROW = 'indexes';

export const EMPTY_CATALOG: Catalog = { epoch: 0, nextId: 1, indexes: [] };

/** What is stored was made by `encodeCatalog`: anything else is a defect. */
export function parseCatalog(json: string): Catalog {
  return JSON.parse(json) as Catalog;
}

/** Throws too_large where the row would not fit. */
export function encodeCatalog(catalog: Catalog): string {
  const json = JSON.stringify(catalog);
  if (json.length > JSON_MAX) {
    throw new AppError('too_large', 'the definitions of all indexes together are too large');
  }
  return json;
}

/** Below what a meta row and an entry hold. */
const JSON_MAX = 256 * 1024;

/** What the groups are to keep: an index that has failed is no more to them than one that was dropped. */
export function definitionsOf(catalog: Catalog): IndexDefinition[] {
  return catalog.indexes
    .filter(({ state }) => state !== 'failed')
    .map(({ state: _, failure: __, ...definition }) => definition);
}

/** Of a tenant. */
export type IndexName = Pick<IndexDefinition, 'tenant' | 'name'>;

export function findIndex(catalog: Catalog, wanted: IndexName): IndexInfo | undefined {
  return catalog.indexes.find((index) => isNamed(index, wanted));
}

function isNamed(index: IndexName, { tenant, name }: IndexName): boolean {
  return index.name === name && index.tenant === tenant;
}

/** The index of this name. Throws not_found. */
export function indexNamed(catalog: Catalog, wanted: IndexName): IndexInfo {
  const { name } = wanted;
  const found = findIndex(catalog, wanted);
  if (found !== undefined) return found;
  throw new AppError('not_found', `there is no index ${JSON.stringify(name)}`);
}

/**
 * With one more index. The same definition again changes nothing; another one under a name that is taken
 * is a conflict. Throws AppError.
 */
export function withIndex(catalog: Catalog, index: NewIndex): Catalog {
  const known = findIndex(catalog, index);
  if (known !== undefined) {
    if (isSame(known, index)) return catalog;
    throw new AppError('conflict', `there is another index ${JSON.stringify(index.name)}`);
  }
  if (catalog.indexes.length >= LIMITS.indexesMax) {
    throw new AppError('too_large', `there are indexesMax, ${LIMITS.indexesMax}, indexes`, {
      details: { limit: 'indexesMax', max: LIMITS.indexesMax },
    });
  }
  const info: IndexInfo = { id: catalog.nextId, ...index, state: 'building' };
  const indexes = catalog.indexes.concat(info);
  return { epoch: catalog.epoch + 1, nextId: catalog.nextId + 1, indexes };
}

function isSame(known: NewIndex, index: NewIndex): boolean {
  return JSON.stringify(inOrder(known)) === JSON.stringify(inOrder(index));
}

function inOrder(index: NewIndex): unknown[] {
  const { name, tenant, space, prefix, kind, fields, sparse, unique } = index;
  const parts = fields.map(({ path, type }) => [path, type]);
  return [name, tenant, space, prefix, kind, parts, sparse, unique === true];
}

/** Without the index of this name; the catalog itself where there is none. */
export function withoutIndex(catalog: Catalog, wanted: IndexName): Catalog {
  const indexes = catalog.indexes.filter((index) => !isNamed(index, wanted));
  if (indexes.length === catalog.indexes.length) return catalog;
  return { epoch: catalog.epoch + 1, nextId: catalog.nextId, indexes };
}

/** With an index in another state; the catalog itself where it is in it, or is gone. */
export function withState(catalog: Catalog, id: number, state: IndexState): Catalog {
  const found = catalog.indexes.find((index) => index.id === id);
  if (found === undefined || found.state === state || found.state === 'failed') return catalog;
  const indexes = catalog.indexes.map((index) => (index === found ? { ...index, state } : index));
  return { ...catalog, indexes };
}

/** With a unique index that has failed: the groups stop keeping it. The catalog itself where it is gone, or live. */
export function withFailure(catalog: Catalog, id: number, failure: IndexFailure): Catalog {
  const found = catalog.indexes.find((index) => index.id === id);
  if (found === undefined || found.state === 'live' || found.state === 'failed') return catalog;
  const failed: IndexInfo = { ...found, state: 'failed', failure };
  const indexes = catalog.indexes.map((index) => (index === found ? failed : index));
  return { epoch: catalog.epoch + 1, nextId: catalog.nextId, indexes };
}
