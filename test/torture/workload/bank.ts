import { accountKey, amountIn, type Bank, START } from '../../check/bank.ts';
import type { Version } from '../../check/truth.ts';
import type { Client } from './client.ts';
import { scan } from './collections.ts';
import { type Compare, type Found, foundIn, type Op, transact } from './transact.ts';

/** Money that moves between accounts in all groups, as test/check/bank.ts wants. */
export const BANK: Bank = { prefix: 'b/', accounts: 24 };

const ATTEMPTS_MAX = 3;
const ACCOUNTS = Array.from({ length: BANK.accounts }, (_, n) => accountKey(BANK, n));

/** Moves money between two accounts, or from one to two; what was in the way is read by the transaction itself. */
export async function transfer(client: Client): Promise<void> {
  const keys = client.pick(ACCOUNTS, client.chance(0.7) ? 2 : 3);
  const gets = keys.map((key): Op => ({ op: 'get', key }));
  const first = await transact(client, { then: gets });
  if (first.outcome !== 'done') return;
  let accounts = first.results.map(foundIn);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const amounts = moved(client, accounts.map(amountOf));
    const then = keys.map((key, i) => putOf(client, key, amounts[i] as number));
    const compare = keys.map((key, i) => compareOf(client, key, accounts[i] as Found));
    const body = { compare, then, else: gets };
    const result = await transact(client, body, client.chance(0.3));
    if (result.outcome !== 'done' || result.succeeded) return;
    accounts = result.results.map(foundIn);
  }
}

/** Every account holds again what it began with. */
export async function closeAccounts(client: Client): Promise<void> {
  await transact(client, { then: [{ op: 'delete', prefix: BANK.prefix }] });
}

/** The whole bank at one moment. */
export async function readBank(client: Client): Promise<void> {
  const { call } = client.begin(BANK.prefix);
  const dice = client.random.next();
  if (dice < 0.5) {
    const { highestRevision } = client.shared.recorder;
    const past = dice < 0.15 && highestRevision > 0 ? highestRevision : null;
    const choice = { limit: BANK.accounts + 1, reverse: false, pages: 2, past };
    const items = await scan(client, BANK.prefix, choice);
    if (items !== null) note(client, past === null ? 'scan' : 'scan of the past', items, call);
    return;
  }
  if (dice < 0.75) {
    const result = await transact(client, { then: ACCOUNTS.map((key) => ({ op: 'get', key })) });
    if (result.outcome !== 'done') return;
    const all = result.results.map((found, i) => ({
      key: ACCOUNTS[i] as string,
      ...foundIn(found),
    }));
    const present = all.filter(({ revision }) => revision > 0);
    return note(client, 'gets', present, call);
  }
  const result = await transact(client, { then: [{ op: 'range', prefix: BANK.prefix }] });
  if (result.outcome !== 'done') return;
  note(client, 'range', result.results[0]?.['items'] as Version[], call);
}

function note(client: Client, how: string, items: readonly Version[], call: number): void {
  const amounts = Object.fromEntries(items.map(({ key, value }) => [key, amountIn(value)]));
  client.shared.recorder.write({ t: 'bank', bank: { how, amounts, call } });
}

/** From the first to the others. */
function moved(client: Client, amounts: readonly number[]): number[] {
  const after = [...amounts];
  for (let i = 1; i < after.length; i++) {
    const sum = Math.floor(client.random.next() * ((after[0] as number) + 1));
    after[0] = (after[0] as number) - sum;
    after[i] = (after[i] as number) + sum;
  }
  return after;
}

function compareOf(client: Client, key: string, { value, revision }: Found): Compare {
  const dice = client.random.next();
  if (revision === 0 && dice < 0.5) return { key, exists: false };
  return revision > 0 && dice < 0.3 ? { key, value } : { key, revision };
}

function putOf(client: Client, key: string, amount: number): Op {
  if (amount === START && client.chance(0.5)) return { op: 'delete', key };
  return { op: 'put', key, value: `${amount} ${client.shared.nextValue()}` };
}

function amountOf({ value, revision }: Found): number {
  return revision === 0 ? START : amountIn(value);
}
