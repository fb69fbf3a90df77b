import type { TxnSeen } from '../../check/transactions.ts';
import type { Client } from './client.ts';
import { now } from './recorder.ts';
import { type Body, type Compare, type Found, foundIn, type Op, transact } from './transact.ts';

/** Lists that are only appended to, in transactions over several of them, as test/check/transactions.ts wants. */

const LISTS = 16;
/** Transactions before the names of the lists are new ones: what is read stays short. */
const GENERATION = 600;

/** The lists in use, for all clients of a run. */
export class Lists {
  #transactions = 0;

  /** Two or three different ones; for a plain compare-and-set one. */
  pick(client: Client): string[] {
    const generation = Math.floor(this.#transactions++ / GENERATION);
    const dice = client.random.next();
    return client.pick(keysOf(generation), dice < 0.1 ? 1 : dice < 0.7 ? 2 : 3);
  }

  /** The keys of every list there was, those of one time together. */
  all(): string[][] {
    const generations = Math.floor(this.#transactions / GENERATION);
    return Array.from({ length: generations + 1 }, (_, generation) => keysOf(generation));
  }
}

function keysOf(generation: number): string[] {
  const head = `x/${String(generation).padStart(5, '0')}/`;
  return Array.from({ length: LISTS }, (_, n) => head + n);
}

function elementsOf({ value }: Found): string[] {
  return value === '' ? [] : value.split(' ');
}

/** Reads lists at one moment; null when they could not be read. */
export async function readLists(client: Client, keys: readonly string[]): Promise<Found[] | null> {
  const { call } = client.begin('lists');
  const body: Body = { then: keys.map((key) => ({ op: 'get', key })) };
  const result = await transact(client, body);
  if (result.outcome !== 'done') return null;
  const found = keys.map((_, i) => foundIn(result.results[i]));
  const reads = keys.map((key, i) => ({ key, elements: elementsOf(found[i] as Found) }));
  note(client, { reads, appends: [], outcome: 'done', call });
  return found;
}

/** Reads lists, then appends to some of them if those are as they were. */
export async function appendToLists(client: Client, keys: readonly string[]): Promise<void> {
  const found = await readLists(client, keys);
  if (found === null) return;
  const compare: Compare[] = [];
  const then: Op[] = [];
  const appends: { key: string; element: string }[] = [];
  const reads: { key: string; elements: string[] }[] = [];
  for (const [i, key] of keys.entries()) {
    const list = found[i] as Found;
    if (i > 0 && client.chance(0.3)) {
      then.push({ op: 'get', key });
      continue;
    }
    const element = client.shared.nextValue();
    compare.push({ key, revision: list.revision });
    then.push({ op: 'put', key, value: [...elementsOf(list), element].join(' ') });
    appends.push({ key, element });
    reads.push({ key, elements: elementsOf(list) });
  }
  const { call } = client.begin('lists');
  const result = await transact(client, { compare, then }, client.chance(0.3));
  const { outcome } = result;
  if (outcome !== 'done') return note(client, { reads: [], appends, outcome, call });
  for (const [i, op] of then.entries()) {
    if (op.op !== 'get') continue;
    reads.push({ key: op.key, elements: elementsOf(foundIn(result.results[i])) });
  }
  note(client, { reads, appends, outcome, call });
}

function note(client: Client, seen: Omit<TxnSeen, 'name' | 'ret'>): void {
  const ret = seen.outcome === 'unknown' ? Number.POSITIVE_INFINITY : now();
  const name = `${client.process}/${client.shared.nextValue()}`;
  client.shared.recorder.write({ t: 'txn', txn: { ...seen, name, ret } });
}
