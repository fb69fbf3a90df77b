import { type Random, seededRandom } from '../../../protocol/random.ts';
import type { Change } from '../../check/truth.ts';
import { sleep } from '../../kit/wait.ts';
import { BANK, closeAccounts, readBank, transfer } from './bank.ts';
import { Client, type Shared } from './client.ts';
import { addBatchToSet, addToSet, appendToList, readList, readSet, scan } from './collections.ts';
import { send } from './http.ts';
import { KeyPool } from './key-pool.ts';
import { workUnderLock } from './locks.ts';
import type { Counts, ToWorkload, WorkloadOptions } from './port.ts';
import { now, Recorder } from './recorder.ts';
import { deleteRegister, readRegister, writeRegister } from './registers.ts';
import { groupFinder } from './transact.ts';
import { readTruth } from './truth-reader.ts';
import { appendToLists, Lists, readLists } from './txn-lists.ts';
import { RunWatcher } from './watcher.ts';

/**
 * The clients, as a process of their own: `main.ts OPTIONS` as JSON. It records everything with one
 * clock, and obeys the messages of workload/port.ts.
 */
const options = JSON.parse(process.argv[2] ?? '') as WorkloadOptions;
const { urls, seed } = options;
const recorder = new Recorder(options.history);
let processes = 0;
let values = 0;
/** Resolves when clients may go on. */
let gate: Promise<void> = Promise.resolve();
let openGate = (): void => {};
let isOver = false;

const shared: Shared = {
  urls,
  recorder,
  nextProcess: () => ++processes,
  nextValue: () => `v${(++values).toString(36)}`,
  groupOf: groupFinder(options.groups),
  groups: options.groups,
};
const registers = new KeyPool('r/', { keys: 12, usesMax: 300, processesMax: 10 });
const lists = new KeyPool('a/', { keys: 6, usesMax: 120, processesMax: 30 });
const sets = new KeyPool('s/', { keys: 4, usesMax: 40, processesMax: 60 });

const txnLists = new Lists();

async function runClient(
  random: Random,
  [low, high]: readonly [number, number],
  work: (client: Client) => Promise<void>,
): Promise<void> {
  const client = new Client(shared, random);
  for (;;) {
    await gate;
    if (isOver) return;
    await work(client);
    await client.rest();
    await sleep(low + random.next() * (high - low));
  }
}

async function oneTransaction(client: Client): Promise<void> {
  const dice = client.random.next();
  if (dice < 0.4) return appendToLists(client, txnLists.pick(client));
  if (dice < 0.55) {
    await readLists(client, txnLists.pick(client));
    return;
  }
  if (dice < 0.85) return transfer(client);
  if (dice < 0.96) return readBank(client);
  return dice < 0.962 ? closeAccounts(client) : workUnderLock(client);
}

async function oneOperation(client: Client): Promise<void> {
  const { random, process } = client;
  const dice = random.next();
  if (dice < 0.7) return registerOperation(client, dice / 0.7);
  if (dice < 0.84) {
    const { name } = lists.take(random, process);
    if (dice < 0.8) return appendToList(client, name);
    await readList(client, name);
    return;
  }
  if (dice < 0.94) {
    const { name } = sets.take(random, process);
    if (dice < 0.85) return addToSet(client, name);
    return dice < 0.93 ? addBatchToSet(client, name) : readSet(client, name);
  }
  const prefix = ['r/', 'a/', 's/0000', 'r/0'][Math.floor(random.next() * 4)] as string;
  const past = client.chance(0.2) && recorder.highestRevision > 0 ? recorder.highestRevision : null;
  const limit = 1 + Math.floor(random.next() * 40);
  await scan(client, prefix, { limit, reverse: client.chance(0.3), pages: 2, past });
}

function registerOperation(client: Client, dice: number): Promise<void> {
  const key = registers.take(client.random, client.process);
  if (dice < 0.45) return readRegister(client, key);
  if (dice < 0.51) return deleteRegister(client, key, client.chance(0.4));
  const choice = { condition: 'none', insist: false, ttl: null } as const;
  if (dice < 0.72) return writeRegister(client, key, choice);
  if (dice < 0.82) return writeRegister(client, key, { ...choice, insist: true });
  if (dice < 0.92) {
    return writeRegister(client, key, { ...choice, condition: 'revision', insist: dice < 0.85 });
  }
  if (dice < 0.95) return writeRegister(client, key, { ...choice, condition: 'absent' });
  if (dice < 0.97) return writeRegister(client, key, { ...choice, condition: 'exists' });
  return writeRegister(client, key, { ...choice, ttl: 1 + Math.floor(client.random.next() * 4) });
}

/** The revision that a linearizable scan is at now: everything acknowledged is at or below it. */
async function currentRevision(timeoutMs = 30_000): Promise<number> {
  const deadline = now() + timeoutMs;
  for (let turn = 0; now() < deadline; turn++) {
    const reply = await send(urls[turn % urls.length] as string, 'GET', '/v1/kv?limit=1');
    if (typeof reply !== 'string' && reply.status === 200) {
      return (JSON.parse(reply.text) as { revision: number }).revision;
    }
    await sleep(100);
  }
  throw new Error('no node answers a scan');
}

const start = await currentRevision();
recorder.write({ t: 'run', seed, started: now() });
const watchers = ['', 'r/', 'a/', BANK.prefix].map((prefix, number) => {
  const random = seededRandom(seed, `watcher ${number}`);
  return new RunWatcher({ number, prefix, urls, random, recorder, from: start });
});
const clients = [
  ...Array.from({ length: options.clients }, (_, n) =>
    runClient(seededRandom(seed, `client ${n}`), options.pauseMs, oneOperation),
  ),
  ...Array.from({ length: options.txnClients }, (_, n) =>
    runClient(seededRandom(seed, `transactions ${n}`), [0, options.pauseMs[0] / 2], oneTransaction),
  ),
];

function counts(): Counts {
  return {
    ...{ operations: recorder.operations, successes: recorder.successes },
    unknown: recorder.unknown,
    answers: [...recorder.answers],
    connections: watchers.reduce((sum, { connections }) => sum + connections, 0),
  };
}

/** Ends the workload and writes down what the store says of its whole history. */
async function finish(): Promise<void> {
  isOver = true;
  openGate();
  await Promise.all(clients);
  // Without a last look nobody would miss what was lost at the end of a list.
  const reader = new Client(shared, seededRandom(seed, 'last look'));
  for (const keys of txnLists.all()) await readLists(reader, keys);
  const upTo = await currentRevision();
  const ttlOf = (value: string): number | null => recorder.ttls.get(value) ?? null;
  const read = (url: string) => readTruth({ url, from: start, upTo, timeoutMs: 180_000, ttlOf });
  const truths = await Promise.allSettled(urls.map(read));
  let first: Change[] | null = null;
  for (const [i, truth] of truths.entries()) {
    if (truth.status === 'rejected') recorder.flaw(`node ${i + 1}: ${String(truth.reason)}`);
    else if (first === null) first = truth.value;
    else compare(first, truth.value, i);
  }
  const deadline = now() + 30_000;
  while (watchers.some(({ revision }) => revision < upTo) && now() < deadline) await sleep(200);
  for (const watcher of watchers) watcher.close();
  for (const change of first ?? []) recorder.write({ t: 'truth', change });
  if (first !== null) recorder.write({ t: 'end', revision: upTo });
  await recorder.close();
}

/** Every node has the same history. */
function compare(first: readonly Change[], other: readonly Change[], node: number): void {
  const length = Math.max(first.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [JSON.stringify(first[at]), JSON.stringify(other[at])];
    if (a === b) continue;
    recorder.flaw(`the history of node ${node + 1} differs at change ${at}: ${a} is ${b}`);
    return;
  }
}

process.on('message', (message: ToWorkload) => {
  const done = () => process.send?.(counts());
  switch (message) {
    case 'pause':
      gate = new Promise((resolve) => {
        openGate = resolve;
      });
      return done();
    case 'resume':
      openGate();
      return done();
    case 'count':
      return done();
    case 'finish':
      finish().then(done, (error: unknown) => {
        recorder.flaw(`the workload could not end: ${String(error)}`);
        void recorder.close().then(done);
      });
  }
});
process.on('disconnect', () => process.exit(1));
process.send?.(counts());
