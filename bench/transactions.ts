import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vshardOf } from '../protocol/vshard.ts';
import { Connection, request } from './client/asked-connection.ts';
import { ServerProcess } from './system/server-process.ts';

/**
 * What transactions cost beside plain PUTs, in one run, turn by turn: 64 connections with one request each under
 * way, one node, durable, two groups. And a counter that 32 clients increment by compare-and-set.
 *
 *   node --import tsx bench/transactions.ts [--seconds 5] [--rounds 3] [--port 21900]
 */
const CONNECTIONS = 64;
const KEYS = 10_000;
const CLIENTS = 32;
const INCREMENTS = 40;

/** Requests of each kind are made before they are measured. */
const PREPARED = 8_192;

type Make = (i: number) => string;

function keyIn(group: number, i: number): string {
  for (let n = i * 64; ; n++) {
    const key = `bench/${n}`;
    if (vshardOf({ tenant: 'default', space: 'kv', key }) % 2 === group) return key;
  }
}

const VALUE = 'v'.repeat(100);
const KEYS_OF = [0, 1].map((group) => Array.from({ length: KEYS }, (_, i) => keyIn(group, i)));
const pick = (group: number): string => KEYS_OF[group]?.[Math.floor(Math.random() * KEYS)] ?? '';

const KINDS: Readonly<Record<string, Make>> = {
  put: (i) => request('PUT', `/v1/kv/${pick(i % 2)}`, VALUE),
  'one group': (i) => txn([pick(i % 2)]),
  'two groups': () => txn([pick(0), pick(1)]),
};

/** A compare of the first key, which is there, and a put of each. */
function txn(keys: readonly string[]): string {
  const compare = [{ key: keys[0], exists: true }];
  const then = keys.map((key) => ({ op: 'put', key, value: VALUE }));
  return request('POST', '/v1/txn', JSON.stringify({ compare, then }));
}

/** Puts every key once. */
async function fill(connection: Connection): Promise<void> {
  const all = KEYS_OF.flat();
  for (let i = 0; i < all.length; i += 1_000) {
    const ops = all.slice(i, i + 1_000).map((key) => ({ op: 'put', key, value: VALUE }));
    const { status } = await connection.ask(request('POST', '/v1/batch', JSON.stringify({ ops })));
    if (status >= 300) throw new Error(`filling: ${status}`);
  }
}

/** Requests per second over all connections. */
async function rate(connections: readonly Connection[], make: Make, ms: number): Promise<number> {
  const requests = Array.from({ length: PREPARED }, (_, i) => make(i));
  const startMs = performance.now();
  let done = 0;
  const work = connections.map(async (connection, n) => {
    for (let i = n * 127; performance.now() - startMs < ms; i++) {
      const { status, body } = await connection.ask(requests[i % PREPARED] as string);
      if (status >= 300) throw new Error(`${status} ${body}`);
      done++;
    }
  });
  await Promise.all(work);
  return (done * 1000) / (performance.now() - startMs);
}

/** All clients increment one key until each has done its part; the longest time one increment took. */
async function counter(port: number): Promise<{ sum: number; slowestMs: number; ms: number }> {
  const startMs = performance.now();
  let slowestMs = 0;
  const clients = Array.from({ length: CLIENTS }, async () => {
    const connection = new Connection(port);
    for (let i = 0; i < INCREMENTS; i++) {
      const beganMs = performance.now();
      for (;;) {
        const read = await connection.ask(
          request('POST', '/v1/txn', '{"then":[{"op":"get","key":"count"}]}'),
        );
        const { value = '0', revision } = JSON.parse(read.body).results[0];
        const compare = [{ key: 'count', revision }];
        const then = [{ op: 'put', key: 'count', value: String(Number(value) + 1) }];
        const { status } = await connection.ask(
          request('POST', '/v1/txn', JSON.stringify({ compare, then })),
        );
        if (status === 200) break;
        if (status !== 409) throw new Error(`increment: ${status}`);
      }
      slowestMs = Math.max(slowestMs, performance.now() - beganMs);
    }
    connection.close();
  });
  await Promise.all(clients);
  const connection = new Connection(port);
  const { body } = await connection.ask(request('GET', '/v1/kv/count', ''));
  connection.close();
  return { sum: Number(body), slowestMs, ms: performance.now() - startMs };
}

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

async function main(): Promise<void> {
  const port = option('port', 21_900);
  const data = mkdtempSync(join(tmpdir(), 'minikv-bench-txn-'));
  const args = [
    'dist/cli/main.js',
    'serve',
    '--data',
    data,
    '--port',
    String(port),
    '--groups',
    '2',
  ];
  const server = new ServerProcess(process.execPath, args);
  try {
    await server.until(
      async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok,
      30_000,
    );
    const connections = Array.from({ length: CONNECTIONS }, () => new Connection(port));
    await fill(connections[0] as Connection);
    const rates = new Map<string, number[]>();
    for (let round = 0; round <= option('rounds', 3); round++) {
      for (const [kind, make] of Object.entries(KINDS)) {
        const perSecond = await rate(connections, make, option('seconds', 5) * 1000);
        // The first round warms the program.
        if (round > 0) rates.set(kind, [...(rates.get(kind) ?? []), perSecond]);
      }
    }
    const median = (all: number[]) => all.sort((a, b) => a - b)[all.length >> 1] as number;
    const plain = median(rates.get('put') ?? []);
    for (const [kind, all] of rates) {
      const perSecond = median(all);
      console.log(`${kind}: ${perSecond.toFixed(0)}/s, ${(perSecond / plain).toFixed(2)} of put`);
    }
    for (const connection of connections) connection.close();
    const { sum, slowestMs, ms } = await counter(port);
    const wanted = CLIENTS * INCREMENTS;
    console.log(
      `counter: ${sum} of ${wanted} increments by ${CLIENTS} clients in ${(ms / 1000).toFixed(1)} s, ` +
        `the slowest took ${slowestMs.toFixed(0)} ms`,
    );
    if (sum !== wanted) process.exitCode = 1;
  } finally {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

await main();
