import { prefixEnd } from '../../protocol/bytes.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { randomInt } from '../../protocol/random.ts';
import type { Compare, TxnBody, TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { accountKey, amountIn, type Bank, START } from '../check/bank.ts';
import type { Client } from './client.ts';
import { valuesOf } from './list-operations.ts';

/** Money that moves between accounts, in all groups: by transactions with compares, and with another branch. */
export const BANK: Bank = { prefix: 'b/', accounts: 6 };

const RANGE = {
  ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, start: BANK.prefix, end: prefixEnd(BANK.prefix) },
};
const ATTEMPTS_MAX = 3;

interface Account {
  readonly ref: KeyRef;
  readonly item: Item | null;
}

/** Moves money between two or three accounts; what was in the way is read by the transaction itself. */
export async function transfer(client: Client): Promise<void> {
  const refs = pickAccounts(client, randomInt(client.random, 2, 3));
  let accounts = await getAll(client, refs);
  for (let attempt = 0; accounts !== null && attempt < ATTEMPTS_MAX; attempt++) {
    accounts = await tryTransfer(client, accounts);
  }
}

/** What the accounts hold when they were not as expected; null when it is over. */
async function tryTransfer(
  client: Client,
  accounts: readonly Account[],
): Promise<Account[] | null> {
  const amounts = accounts.map(({ item }) => amountOf(item));
  for (let i = 1; i < amounts.length; i++) {
    const moved = randomInt(client.random, 0, Math.max(0, amounts[0] as number));
    amounts[0] = (amounts[0] as number) - moved;
    amounts[i] = (amounts[i] as number) + moved;
  }
  const compares = accounts.map((account) => compareOf(client, account));
  const puts = accounts.map(({ ref }, i) => putOf(client, ref, amounts[i] as number));
  const otherwise = accounts.map(({ ref }): TxnOp => ({ type: 'get', ref }));
  const body: TxnBody = { compares, then: puts, otherwise };
  const values = valuesOf(puts);
  const { together } = client.history;
  const call = client.cluster.nowMs();
  const outcome = await transact(client, body, values[0]);
  if (outcome.kind !== 'ok') {
    together.push({ values, outcome: outcome.kind, revision: 0, call });
    return null;
  }
  const { succeeded, revision, results } = outcome.value.outcome;
  client.history.see(revision);
  if (succeeded) {
    together.push({ values, outcome: 'done', revision, call });
    return null;
  }
  together.push({ values, outcome: 'refused', revision: 0, call });
  return accounts.map(({ ref }, i) => {
    const result = results[i];
    return { ref, item: result?.type === 'got' ? result.item : null };
  });
}

/** Every account holds again what it began with: one delete of them all. */
export async function closeAccounts(client: Client): Promise<void> {
  const then: TxnOp[] = [{ type: 'deleteRange', ...RANGE }];
  await transact(client, { compares: [], then, otherwise: null }, undefined);
}

/** The whole bank at one moment, in each of the ways in which that can be asked for. */
export async function readBank(client: Client): Promise<void> {
  const draw = client.random.next();
  if (draw < 0.3) {
    const refs = Array.from({ length: BANK.accounts }, (_, n) => refOf(n));
    const call = client.cluster.nowMs();
    const accounts = await getAll(client, refs);
    if (accounts === null) return;
    return note(
      client,
      'gets',
      accounts.flatMap(({ item }) => item ?? []),
      call,
    );
  }
  if (draw < 0.6) return readRange(client);
  const past = Math.floor(client.history.publicRevision - client.random.next() * 4e6);
  await scanBank(client, draw < 0.85 || past <= 0 ? null : past);
}

/** A range in a transaction is a snapshot over all groups, like a scan: held to the same. */
async function readRange(client: Client): Promise<void> {
  const limit = BANK.accounts + 1;
  const then: TxnOp[] = [{ type: 'range', ...RANGE, reverse: false, limit, values: true }];
  const call = client.cluster.nowMs();
  const outcome = await transact(client, { compares: [], then, otherwise: null }, undefined);
  if (outcome.kind !== 'ok') return;
  const { results, revision } = outcome.value.outcome;
  const [page] = results;
  if (page?.type !== 'page') throw new Error('a range was answered without a page');
  note(client, 'range', page.items, call);
  noteScan(client, page.items, { revision, limit, past: false, call });
}

async function scanBank(client: Client, past: number | null): Promise<void> {
  const limit = BANK.accounts + 1;
  const call = client.cluster.nowMs();
  const outcome = await client.request((service) =>
    service.scan(client.context(), {
      ...{ ...RANGE, reverse: false, limit, values: true },
      ...{ consistency: 'linearizable', revision: past },
    }),
  );
  if (outcome.kind !== 'ok') return;
  const { items, revision } = outcome.value;
  note(client, past === null ? 'scan' : 'scan of the past', items, call);
  noteScan(client, items, { revision, limit, past: past !== null, call });
}

function note(client: Client, how: string, items: readonly Item[], call: number): void {
  const amounts = Object.fromEntries(items.map((item) => [item.ref.key, amountOf(item)]));
  client.history.banks.push({ how, amounts, call });
}

function noteScan(
  client: Client,
  found: readonly Item[],
  at: { revision: number; limit: number; past: boolean; call: number },
): void {
  client.history.see(at.revision);
  const items = found.map(({ ref, revision, value }) => {
    return { key: ref.key, revision, value: Buffer.from(value).toString('latin1') };
  });
  const rest = { range: RANGE, reverse: false, next: null, ret: client.cluster.nowMs() };
  client.history.scans.push({ ...at, ...rest, items });
}

async function getAll(client: Client, refs: readonly KeyRef[]): Promise<Account[] | null> {
  const then = refs.map((ref): TxnOp => ({ type: 'get', ref }));
  const outcome = await transact(client, { compares: [], then, otherwise: null }, undefined);
  if (outcome.kind !== 'ok') return null;
  const { results, revision } = outcome.value.outcome;
  client.history.see(revision);
  return refs.map((ref, i) => {
    const result = results[i];
    return { ref, item: result?.type === 'got' ? result.item : null };
  });
}

/** `once`: sometimes an idempotency key for it. */
function transact(client: Client, body: TxnBody, once: string | undefined) {
  const isKeyed = once !== undefined && client.random.next() < 0.3;
  const requestHash = new Uint8Array(32).fill(body.then.length);
  const idempotency = isKeyed ? { key: `transfer-${once}`, requestHash } : null;
  return client.request((service) => service.transact(client.context(idempotency), body));
}

/** That an account is as it was: by its revision, its value, or what there is of it. */
function compareOf(client: Client, { ref, item }: Account): Compare {
  const draw = client.random.next();
  if (item === null) {
    const target = draw < 0.5 ? ABSENT : ({ type: 'revision', revision: 0 } as const);
    return { ref, relation: '=', target };
  }
  if (draw < 0.3) return { ref, relation: '=', target: { type: 'value', value: item.value } };
  return { ref, relation: '=', target: { type: 'revision', revision: item.revision } };
}

const ABSENT = { type: 'exists', exists: false } as const;

function putOf(client: Client, ref: KeyRef, amount: number): TxnOp {
  if (amount === START && client.random.next() < 0.5) return { type: 'delete', ref };
  const value = Buffer.from(`${amount} ${client.uniqueElement()}`, 'latin1');
  return { type: 'put', ref, value, contentType: null, ttlMs: null };
}

function amountOf(item: Item | null): number {
  return item === null ? START : amountIn(Buffer.from(item.value).toString('latin1'));
}

function refOf(n: number): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key: accountKey(BANK, n) };
}

function pickAccounts(client: Client, count: number): KeyRef[] {
  const picked = new Set<number>();
  while (picked.size < count) picked.add(randomInt(client.random, 0, BANK.accounts - 1));
  return [...picked].map(refOf);
}
