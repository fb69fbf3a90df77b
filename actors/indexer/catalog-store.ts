import { AppError } from '../../protocol/errors.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import { type GroupId, META_GROUP } from '../../protocol/types.ts';
import type { Calls } from '../router/calls.ts';
import {
  CATALOG_ROW,
  type Catalog,
  definitionsOf,
  EMPTY_CATALOG,
  encodeCatalog,
  parseCatalog,
} from './catalog.ts';

interface StoredCatalog {
  readonly catalog: Catalog;
  /** Of the meta row; 0 when there is none yet. */
  readonly revision: number;
}

const ATTEMPTS_MAX = 8;

async function readStored(calls: Calls, deadlineMs: number): Promise<StoredCatalog> {
  const { rows } = await calls.call(
    META_GROUP,
    { type: 'MetaRead', prefix: CATALOG_ROW, stale: false },
    'MetaRows',
    { deadlineMs, traceparent: null, target: 'leader', repeatable: true },
  );
  const row = rows.find(({ name }) => name === CATALOG_ROW);
  if (row === undefined) return { catalog: EMPTY_CATALOG, revision: 0 };
  return { catalog: parseCatalog(row.json), revision: row.revision };
}

/** The catalog as it is now: a linearizable read of the meta group. */
export async function readCatalog(calls: Calls, deadlineMs: number): Promise<Catalog> {
  return (await readStored(calls, deadlineMs)).catalog;
}

/**
 * Replaces the catalog by what `change` makes of it, again from the start when somebody else was quicker;
 * resolves with the new one. Rejects as `change` throws, and with outcome_unknown.
 */
export async function changeCatalog(
  calls: Calls,
  deadlineMs: number,
  change: (catalog: Catalog) => Catalog,
): Promise<Catalog> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const { catalog, revision } = await readStored(calls, deadlineMs);
    const next = change(catalog);
    if (next === catalog) return catalog;
    const row = { name: CATALOG_ROW, json: encodeCatalog(next), ifRevision: revision };
    try {
      await calls.call(META_GROUP, { type: 'MetaPut', ...row }, 'Done', {
        ...{ deadlineMs, traceparent: null, target: 'leader', repeatable: false },
      });
      return next;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'precondition_failed') throw error;
    }
  }
  throw new AppError('conflict', 'the indexes keep changing');
}

/** Enters a catalog in one group's log; the group answers how it stands once that is applied. */
export function tellGroup(
  calls: Calls,
  group: GroupId,
  catalog: Catalog,
  deadlineMs: number,
): Promise<ReplyOf<'Indexes'>> {
  const body = {
    type: 'IndexSet' as const,
    epoch: catalog.epoch,
    indexes: definitionsOf(catalog),
  };
  return calls.call(group, body, 'Indexes', {
    ...{ deadlineMs, traceparent: null, target: 'leader', repeatable: true },
  });
}
