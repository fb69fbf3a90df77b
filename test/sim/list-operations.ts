import type { Item } from '../../protocol/messages/request.ts';
import { randomInt } from '../../protocol/random.ts';
import type { Compare, TxnBody, TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import type { TxnSeen } from '../check/transactions.ts';
import type { Client } from './client.ts';

/**
 * Lists that are only appended to, in transactions over several of them: read them, then put longer ones,
 * on condition that they are as they were. Elements are unique, so a list tells its whole history.
 */

export const LISTS_MAX = 4;
/** Elements of a list before its name is not used any more: what a run checks stays small. */
const GENERATION_OPS = 120;

export function listRef(client: Client, n: number): KeyRef {
  const generation = Math.floor(client.history.txns.length / GENERATION_OPS);
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key: `l/${generation}/${n}` };
}

function elementsOf(item: Item | null): string[] {
  const text = item === null ? '' : Buffer.from(item.value).toString('latin1');
  return text === '' ? [] : text.split(' ');
}

/** A few lists, different ones. */
function pickLists(client: Client): KeyRef[] {
  const count = randomInt(client.random, 1, 3);
  const picked = new Set<number>();
  while (picked.size < count) picked.add(randomInt(client.random, 0, LISTS_MAX - 1));
  return [...picked].map((n) => listRef(client, n));
}

/** Reads all of them at once, in a transaction. */
export async function readLists(client: Client): Promise<void> {
  await readAll(client, pickLists(client));
}

async function readAll(client: Client, refs: readonly KeyRef[]): Promise<(Item | null)[] | null> {
  const call = client.cluster.nowMs();
  const body: TxnBody = { compares: [], then: refs.map(getOf), otherwise: null };
  const outcome = await client.request((service) => service.transact(client.context(), body));
  if (outcome.kind !== 'ok') return null;
  const items = outcome.value.outcome.results.map((result) =>
    result.type === 'got' ? result.item : null,
  );
  client.history.see(outcome.value.outcome.revision);
  noteLists(client, { reads: readsOf(refs, items), appends: [], outcome: 'done', call });
  return items;
}

/** All lists by a scan: a snapshot over all groups, held to the same order in time as everything else. */
export async function scanLists(client: Client): Promise<void> {
  const first = listRef(client, 0);
  const { tenant, space } = first;
  const prefix = first.key.slice(0, -1);
  const call = client.cluster.nowMs();
  const outcome = await client.request((service) =>
    service.scan(client.context(), {
      ...{ tenant, space, start: prefix, end: `${prefix}~`, reverse: false, limit: LISTS_MAX },
      ...{ values: true, consistency: 'linearizable', revision: null },
    }),
  );
  if (outcome.kind !== 'ok') return;
  client.history.see(outcome.value.revision);
  const found = new Map(outcome.value.items.map((item) => [item.ref.key, item]));
  const refs = Array.from({ length: LISTS_MAX }, (_, n) => ({ ...first, key: `${prefix}${n}` }));
  const items = refs.map(({ key }) => found.get(key) ?? null);
  noteLists(client, { reads: readsOf(refs, items), appends: [], outcome: 'done', call });
}

/** One list alone, as a plain read. */
export async function readOneList(client: Client): Promise<void> {
  const [ref] = pickLists(client);
  if (ref === undefined) return;
  const call = client.cluster.nowMs();
  const options = { consistency: 'linearizable', revision: null } as const;
  const outcome = await client.request((s) => s.get(client.context(), ref, options));
  if (outcome.kind !== 'ok') return;
  noteLists(client, {
    ...{ reads: readsOf([ref], [outcome.value.item]), appends: [], outcome: 'done', call },
  });
}

/** Reads lists, then appends to some of them if none of them has changed; sometimes says the same twice. */
export async function appendLists(client: Client): Promise<void> {
  const refs = pickLists(client);
  const items = await readAll(client, refs);
  if (items === null) return;
  const compares: Compare[] = [];
  const then: TxnOp[] = [];
  const appends: { key: string; element: string }[] = [];
  const reads: { key: string; elements: string[] }[] = [];
  for (const [i, ref] of refs.entries()) {
    const item = items[i] ?? null;
    if (i > 0 && client.random.next() < 0.3) {
      then.push(getOf(ref));
      continue;
    }
    const element = client.uniqueElement();
    compares.push({
      ...{ ref, relation: '=', target: { type: 'revision', revision: item?.revision ?? 0 } },
    });
    const value = Buffer.from([...elementsOf(item), element].join(' '), 'latin1');
    then.push({ type: 'put', ref, value, contentType: null, ttlMs: null });
    appends.push({ key: ref.key, element });
    reads.push({ key: ref.key, elements: elementsOf(item) });
  }
  const hash = new Uint8Array(32).fill(appends.length);
  const idempotency =
    client.random.next() < 0.3 ? { key: `txn-${appends[0]?.element}`, requestHash: hash } : null;
  const body: TxnBody = { compares, then, otherwise: null };
  const call = client.cluster.nowMs();
  const outcome = await client.request((s) => s.transact(client.context(idempotency), body));
  const values = valuesOf(then);
  const { together } = client.history;
  if (outcome.kind !== 'ok') {
    together.push({ values, outcome: outcome.kind, revision: 0, call });
    return noteLists(client, { reads: [], appends, outcome: outcome.kind, call });
  }
  const { succeeded, results, revision } = outcome.value.outcome;
  client.history.see(revision);
  together.push({
    ...{ values, call },
    ...(succeeded ? { outcome: 'done', revision } : { outcome: 'refused', revision: 0 }),
  });
  if (!succeeded) return noteLists(client, { reads: [], appends, outcome: 'refused', call });
  for (const [i, op] of then.entries()) {
    const result = results[i];
    if (op.type !== 'get' || result?.type !== 'got') continue;
    reads.push({ key: op.ref.key, elements: elementsOf(result.item) });
  }
  noteLists(client, { reads, appends, outcome: 'done', call });
}

/** What the puts of a branch put, as the history shows it. */
export function valuesOf(ops: readonly TxnOp[]): string[] {
  return ops.flatMap((op) => (op.type === 'put' ? [Buffer.from(op.value).toString('latin1')] : []));
}

function getOf(ref: KeyRef): TxnOp {
  return { type: 'get', ref };
}

export function readsOf(
  refs: readonly KeyRef[],
  items: readonly (Item | null)[],
): TxnSeen['reads'] {
  return refs.map((ref, i) => ({ key: ref.key, elements: elementsOf(items[i] ?? null) }));
}

export function noteLists(client: Client, seen: Omit<TxnSeen, 'name' | 'ret'>): void {
  const { txns } = client.history;
  const ret = seen.outcome === 'unknown' ? Number.POSITIVE_INFINITY : client.cluster.nowMs();
  txns.push({ ...seen, name: `${client.name}/${txns.length}`, ret });
}
