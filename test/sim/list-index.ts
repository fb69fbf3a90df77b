import type { IndexHits, NewIndex } from '../../protocol/index-access.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { Client } from './client.ts';
import { LISTS_MAX, listRef, noteLists, readsOf } from './list-operations.ts';

/** Lists are no JSON, so each is there once, with null: a query of everything reads all of them. */
const LISTS: NewIndex = {
  ...{ name: 'lists', tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: 'l/', kind: 'fields' },
  ...{ fields: [{ path: '/n', steps: ['n'], type: 'string' }], sparse: false },
};
const EVERYTHING = {
  ...{ eq: null, gt: null, gte: null, lt: null, lte: null, prefix: null, reverse: false },
  ...{ limit: 1_000, values: true, revision: null, after: null },
};

/** All lists by an index: a snapshot over all groups, held to the same order in time as everything else. */
export async function queryLists(client: Client): Promise<void> {
  const first = listRef(client, 0);
  const prefix = first.key.slice(0, -1);
  const call = client.cluster.nowMs();
  const outcome = await client.request<IndexHits>(({ indexes }) =>
    indexes.query(client.context(), LISTS.name, EVERYTHING),
  );
  if (outcome.kind === 'refused' && outcome.code === 'not_found') {
    await client.request<unknown>(({ indexes }) => indexes.define(client.context(), LISTS));
  }
  if (outcome.kind !== 'ok' || outcome.value.next !== null) return;
  client.history.see(outcome.value.revision);
  const found = new Map(outcome.value.hits.map(({ item }) => [item.ref.key, item]));
  const refs = Array.from({ length: LISTS_MAX }, (_, n) => ({ ...first, key: `${prefix}${n}` }));
  const items = refs.map(({ key }) => found.get(key) ?? null);
  noteLists(client, { reads: readsOf(refs, items), appends: [], outcome: 'done', call });
}
