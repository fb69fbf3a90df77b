import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { seededRandom } from '../protocol/random.ts';
import { ProcessCluster } from '../test/kit/process-cluster.ts';
import { sleep } from '../test/kit/wait.ts';
import { cpuSecondsOf } from './system/process-use.ts';

/**
 * What indexes cost and give, on one node of the build: `npx tsx bench/indexes.ts` (`npm run build` first).
 * Write cost of one index (rounds with and without in turn), backfill of many keys, equality queries of 10 rows,
 * search over documents of 1 KB. Ratios are medians of the rounds' ratios; the processor time is the server's.
 *
 * The backfill (alone with `--only backfill`): so many puts a second are offered, well below what the node can do, each timed from
 * when it was due, in pairs of rounds, one with the backfill paused and one with it going on, either first in
 * turn. Before the first round the node rests, so that compactions and unwritten pages of the loading are in
 * neither, and each round begins a second after the change. Said are the median of the pairs' ratios with its
 * spread, the ratio over all puts together, and how fast the backfill was beside them and without them.
 */
const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: 'write,query,search' },
    keys: { type: 'string', default: '1000000' },
    documents: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '64' },
    /** Seconds between the writing of the keys and the first round of puts beside the backfill. */
    settle: { type: 'string', default: '20' },
    /** Puts a second that are offered beside a backfill. */
    offered: { type: 'string', default: '500' },
    /** A folder for a profile of the server's processor time. */
    profile: { type: 'string' },
  },
});
const only = new Set(flags.only.split(','));
const connections = Number(flags.connections);
const random = seededRandom(1, 'bench');

const nodeFlags =
  flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`];
const cluster = await ProcessCluster.start({ nodes: 1, nodeFlags });
const { url } = cluster.node(0);
const pool = new Pool(url, { connections, pipelining: 1 });

async function send(method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, body?: unknown) {
  const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
  const headers = typeof body === 'object' ? { 'content-type': 'application/json' } : {};
  const answer = await pool.request({ method, path, body: text, headers });
  const answered = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${answered}`);
  return answered;
}

async function isLive(): Promise<boolean> {
  const { indexes } = JSON.parse(await send('GET', '/v1/indexes')) as {
    indexes: { state: string }[];
  };
  return indexes.every(({ state }) => state === 'live');
}

async function define(index: object): Promise<void> {
  await send('POST', '/v1/indexes', index);
  while (!(await isLive())) await sleep(50);
}

/** Processor seconds of the server so far. */
const cpuSeconds = (): number => cpuSecondsOf([cluster.node(0).pid ?? 0]) ?? Number.NaN;

/** Requests one after another on every connection until the time is over; latencies in ms. */
async function load(
  seconds: number,
  width: number,
  one: () => Promise<unknown>,
): Promise<number[]> {
  const endMs = performance.now() + seconds * 1000;
  const latencies: number[] = [];
  const loop = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      await one();
      latencies.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: width }, loop));
  return latencies.sort((a, b) => a - b);
}

/** So many requests a second, whatever becomes of them; latencies in ms from when each was due. */
async function offer(
  seconds: number,
  rate: number,
  one: () => Promise<unknown>,
): Promise<number[]> {
  const startMs = performance.now();
  const latencies: number[] = [];
  const sent: Promise<void>[] = [];
  for (let i = 0; i < seconds * rate; i++) {
    const dueMs = startMs + (i * 1000) / rate;
    if (dueMs > performance.now()) await sleep(dueMs - performance.now());
    sent.push(one().then(() => void latencies.push(performance.now() - dueMs)));
  }
  await Promise.all(sent);
  return latencies.sort((a, b) => a - b);
}

/** `load`, with the server's processor time of each request, in ms. */
async function measured(
  seconds: number,
  width: number,
  one: () => Promise<unknown>,
): Promise<{ latencies: number[]; cpuMs: number }> {
  const before = cpuSeconds();
  const latencies = await load(seconds, width, one);
  return { latencies, cpuMs: ((cpuSeconds() - before) * 1000) / latencies.length };
}

const at = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
const median = (all: readonly number[]): number =>
  at(
    [...all].sort((a, b) => a - b),
    0.5,
  );
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const shown = (sorted: readonly number[]): string =>
  `p50 ${at(sorted, 0.5).toFixed(2)} ms, p99 ${at(sorted, 0.99).toFixed(2)} ms (${sorted.length})`;
const shownWithCpu = ({ latencies, cpuMs }: { latencies: number[]; cpuMs: number }): string =>
  `${shown(latencies)}, ${cpuMs.toFixed(2)} ms of processor time each`;

const FILLER = 'x'.repeat(160);
let written = 0;
function record(): string {
  written++;
  return JSON.stringify({ n: written, city: `city-${written % 1000}`, filler: FILLER });
}

async function putMany(count: number, op: (i: number) => object, batch: number): Promise<void> {
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next = Math.min(count, next + batch);
      const ops = Array.from({ length: next - from }, (_, i) => op(from + i));
      await send('POST', '/v1/batch', { ops });
    }
  };
  await Promise.all(Array.from({ length: 4 }, loop));
}

/** Puts of keys that come again and again, with and without an index over their prefix. */
async function writeCost(): Promise<void> {
  await define({ name: 'write-cost', prefix: 'w/ix/', fields: [{ path: '/n', type: 'number' }] });
  const ratios: number[] = [];
  const cpuRatios: number[] = [];
  const put = (prefix: string) => () =>
    send('PUT', `/v1/kv/${prefix}${Math.floor(random.next() * 20_000)}`, record());
  for (const prefix of ['w/no/', 'w/ix/']) await load(2, connections, put(prefix));
  for (let round = 0; round < Number(flags.rounds); round++) {
    const order = round % 2 === 0 ? ['w/no/', 'w/ix/'] : ['w/ix/', 'w/no/'];
    const found: Record<string, { rate: number; cpuMs: number }> = {};
    for (const prefix of order) {
      const { latencies, cpuMs } = await measured(Number(flags.seconds), connections, put(prefix));
      found[prefix] = { rate: latencies.length / Number(flags.seconds), cpuMs };
    }
    const [plain, indexed] = [found['w/no/'], found['w/ix/']];
    if (plain === undefined || indexed === undefined) continue;
    ratios.push(plain.rate / indexed.rate);
    cpuRatios.push(indexed.cpuMs / plain.cpuMs);
    say(`put: ${plain.rate.toFixed(0)}/s plain, ${indexed.rate.toFixed(0)}/s with one index`);
  }
  say(`write cost of one index: x${median(ratios).toFixed(2)} by rate`);
  say(`write cost of one index: x${median(cpuRatios).toFixed(2)} by processor time`);
}

/** Of one round of puts beside a backfill, and before it: until what went on before has ended. */
const ROUND_SECONDS = 6;
const SETTLE_SECONDS = 1;

interface Progress {
  readonly isLive: boolean;
  readonly keys: number;
}

async function progressOf(name: string): Promise<Progress> {
  const { state, progress } = JSON.parse(await send('GET', `/v1/indexes/${name}`));
  return { isLive: state === 'live', keys: progress.keys };
}

/** One round of puts with the backfill paused or going on; null where it ended in it. */
async function putsBeside(
  name: string,
  change: 'pause' | 'resume',
  foreground: () => Promise<unknown>,
): Promise<{ latencies: number[]; keysPerSecond: number } | null> {
  await send('POST', `/v1/indexes/${name}/${change}`);
  await sleep(SETTLE_SECONDS * 1000);
  const before = await progressOf(name);
  const startMs = performance.now();
  const latencies = await offer(ROUND_SECONDS, Number(flags.offered), foreground);
  const after = await progressOf(name);
  if (after.isLive) return null;
  const seconds = (performance.now() - startMs) / 1000;
  return { latencies, keysPerSecond: (after.keys - before.keys) / seconds };
}

/** Builds the index under a steady load of puts, which goes on while it is paused, too; then without load. */
async function backfill(foreground: () => Promise<unknown>): Promise<void> {
  const fields = [{ path: '/n', type: 'number' }];
  await send('POST', '/v1/indexes', { name: 'by-n', prefix: 'q/', fields });
  await send('POST', '/v1/indexes/by-n/pause');
  say(`${flags.settle} s for what the writing of the keys has left to do`);
  await sleep(Number(flags.settle) * 1000);
  await offer(ROUND_SECONDS, Number(flags.offered), foreground);
  const [without, beside]: [number[], number[]] = [[], []];
  const [ratios, rates]: [number[], number[]] = [[], []];
  for (let round = 0; round < Number(flags.rounds); round++) {
    // Each goes first in turn: what one leaves behind is in the other's round.
    const first = round % 2 === 0 ? 'pause' : 'resume';
    const one = await putsBeside('by-n', first, foreground);
    const other = await putsBeside('by-n', first === 'pause' ? 'resume' : 'pause', foreground);
    const [paused, going] = first === 'pause' ? [one, other] : [other, one];
    if (paused === null || going === null) break;
    say(
      `puts, backfill paused: ${shown(paused.latencies)}; at ${going.keysPerSecond.toFixed(0)} keys/s: ${shown(going.latencies)}`,
    );
    without.push(...paused.latencies);
    beside.push(...going.latencies);
    ratios.push(at(going.latencies, 0.99) / at(paused.latencies, 0.99));
    rates.push(going.keysPerSecond);
  }
  for (const all of [without, beside, ratios]) all.sort((a, b) => a - b);
  say(`all puts, backfill paused: ${shown(without)}; going on: ${shown(beside)}`);
  say(
    `p99 of puts beside a backfill: x${median(ratios).toFixed(2)} (${at(ratios, 0).toFixed(2)} to ${at(ratios, 1).toFixed(2)}), of all together x${(at(beside, 0.99) / at(without, 0.99)).toFixed(2)}`,
  );
  await send('POST', '/v1/indexes/by-n/resume');
  const { keys } = await progressOf('by-n');
  const startMs = performance.now();
  while (!(await progressOf('by-n')).isLive) await sleep(100);
  const seconds = (performance.now() - startMs) / 1000;
  const left = Number(flags.keys) - keys;
  say(
    `backfill: ${median(rates).toFixed(0)} keys/s beside the puts; the last ${left} keys without them in ${seconds.toFixed(1)} s, ${(left / seconds).toFixed(0)} keys/s`,
  );
}

/** Backfill over many keys, its effect on others, and queries of ten rows. */
async function queries(): Promise<void> {
  const count = Number(flags.keys);
  const groups = Math.max(1, Math.floor(count / 10));
  const startMs = performance.now();
  await putMany(
    count,
    (i) => ({
      ...{ op: 'put', key: `q/${i}` },
      value: JSON.stringify({ n: i % groups, filler: FILLER.slice(0, 60) }),
    }),
    1000,
  );
  say(`${count} keys in ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  const foreground = () => send('PUT', `/v1/kv/f/${Math.floor(random.next() * 1000)}`, record());
  await backfill(foreground);
  if (only.has('backfill')) return;
  const one = async () => {
    const n = Math.floor(random.next() * groups);
    const page = JSON.parse(await send('GET', `/v1/indexes/by-n/query?eq=${n}`));
    if (page.items.length !== 10) throw new Error(`${page.items.length} rows`);
  };
  await load(2, 1, one);
  say(`equality query of 10 rows of ${count}: ${shownWithCpu(await measured(5, 1, one))}`);
}

/** Substrings over documents of 1 KB made of words. */
async function searches(): Promise<void> {
  const words = Array.from({ length: 20_000 }, () => {
    let word = '';
    const length = 3 + Math.floor(random.next() * 8);
    while (word.length < length)
      word += 'etaoinshrdlucmfwypvbgkjqxz'[Math.floor(26 * random.next() ** 2)];
    return word;
  });
  const pick = (): string => words[Math.floor(words.length * random.next() ** 3)] as string;
  const text = (): string => {
    let out = '';
    while (out.length < 1024) out += `${pick()} `;
    return out.slice(0, 1024);
  };
  await define({ name: 'text', kind: 'text', prefix: 'd/' });
  const startMs = performance.now();
  const count = Number(flags.documents);
  const wanted: string[] = [];
  await putMany(
    count,
    (i) => {
      const value = text();
      if (i % 100 === 0) wanted.push(value.slice(400, 416));
      return { op: 'put', key: `d/${i}`, value };
    },
    200,
  );
  say(
    `${count} documents in ${((performance.now() - startMs) / 1000).toFixed(1)} s, text index on`,
  );
  const one = (q: () => string) => async () => {
    const page = JSON.parse(await send('GET', `/v1/search?prefix=d/&q=${encodeURIComponent(q())}`));
    if (page.items.length === 0) throw new Error('nothing found');
  };
  const rare = one(() => wanted[Math.floor(random.next() * wanted.length)] as string);
  await load(2, 1, rare);
  say(`search, 16 bytes of one document: ${shownWithCpu(await measured(5, 1, rare))}`);
  const word = one(() => pick().slice(0, 6).padEnd(3));
  say(`search, a word, first 100 hits: ${shownWithCpu(await measured(5, 1, word))}`);
}

try {
  if (only.has('write')) await writeCost();
  if (only.has('query') || only.has('backfill')) await queries();
  if (only.has('search')) await searches();
} catch (error) {
  say(cluster.node(0).output().slice(-4000));
  throw error;
} finally {
  await pool.destroy();
  // An orderly stop makes Node write the profile.
  if (flags.profile !== undefined) await cluster.stop(0);
  await cluster.dispose();
}
