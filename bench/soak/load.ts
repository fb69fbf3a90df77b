import { Agent, type ClientRequest, request } from 'node:http';
import { connect } from 'node:net';

/** Mixed load at a steady rate: what clients do in a day, also to themselves. */

export interface LoadCounts {
  ok: number;
  refused: number;
  failed: number;
  dropped: number;
  watches: number;
  events: number;
}

/** What these operations may be answered; anything else, a refused header for one, is no success. */
const ANSWERS = new Set([200, 201, 204, 404, 412]);

const KEYS = 10_000;
const BATCH = 20;
const FILL_BATCH = 200;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const below = (n: number): number => Math.floor(Math.random() * n);

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One of these per operation, drawn by weight. */
const OPERATIONS: readonly (readonly [weight: number, make: () => Call])[] = [
  [30, () => ({ method: 'PUT', path: key(), body: value() })],
  [35, () => ({ method: 'GET', path: key() })],
  [
    8,
    () => ({
      ...{ method: 'PUT', path: key(), body: value() },
      headers: { 'x-minikv-ttl': String(1 + below(20)) },
    }),
  ],
  [6, () => ({ method: 'DELETE', path: key() })],
  [
    6,
    () => ({
      ...{ method: 'PUT', path: key(), body: value() },
      headers: { 'idempotency-key': `soak-${Date.now()}-${below(1e9)}` },
    }),
  ],
  [5, () => ({ method: 'PUT', path: key(), body: 'x', headers: { 'if-none-match': '*' } })],
  [5, () => ({ method: 'GET', path: `/v1/kv?prefix=s/${below(10)}&limit=100` })],
  [5, batch],
];
const WEIGHTS = OPERATIONS.reduce((sum, [weight]) => sum + weight, 0);

function draw(): Call {
  let left = below(WEIGHTS);
  for (const [weight, make] of OPERATIONS) {
    if (left < weight) return make();
    left -= weight;
  }
  return batch();
}

function key(): string {
  return `/v1/kv/s%2F${String(below(KEYS)).padStart(5, '0')}`;
}

function value(): string {
  return 'v'.repeat(50 + below(900));
}

function batch(): Call {
  const headers = { 'content-type': 'application/json' };
  return { method: 'POST', path: '/v1/batch', body: ops(BATCH), headers };
}

function ops(count: number): string {
  const list = Array.from({ length: count }, () => ({
    ...{ op: 'put', key: `s/${String(below(KEYS)).padStart(5, '0')}`, value: value() },
  }));
  return JSON.stringify({ ops: list });
}

/**
 * Writes as many changes as buffers of recent ones hold, and somebody watches meanwhile: what only fills
 * up once is no leak.
 */
export async function fill(url: string, events: number): Promise<void> {
  const { hostname, port, host } = new URL(url);
  const watcher = connect(Number(port), hostname);
  watcher.on('error', () => {});
  watcher.resume();
  watcher.write(`GET /v1/watch?prefix=s/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await pause(1_000);
  const headers = { 'content-type': 'application/json' };
  for (let left = events; left > 0; left -= FILL_BATCH) {
    const answer = await fetch(`${url}/v1/batch`, {
      method: 'POST',
      headers,
      body: ops(FILL_BATCH),
    });
    if (!answer.ok) await pause(200);
    await answer.arrayBuffer();
  }
  watcher.destroy();
}

export class SoakLoad {
  readonly counts: LoadCounts = {
    ...{ ok: 0, refused: 0, failed: 0, dropped: 0, watches: 0, events: 0 },
  };
  readonly #urls: readonly string[];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  #isRunning = true;
  readonly #loops: Promise<void>[] = [];

  /** `perSecond` operations over all nodes, and a few dozen watchers that come and go. */
  constructor(urls: readonly string[], perSecond: number) {
    this.#urls = urls;
    const clients = 16;
    const everyMs = (clients * 1000) / perSecond;
    for (let i = 0; i < clients; i++) this.#loops.push(this.#client(everyMs));
    for (let i = 0; i < 20; i++) this.#loops.push(this.#watcher());
    for (let i = 0; i < 2; i++) this.#loops.push(this.#dropper());
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#loops);
    this.#agent.destroy();
  }

  #url(): URL {
    return new URL(this.#urls[below(this.#urls.length)] as string);
  }

  async #client(everyMs: number): Promise<void> {
    while (this.#isRunning) {
      const begunMs = performance.now();
      await this.#call(draw());
      // At random, so that clients do not march in step.
      await pause(Math.max(0, everyMs * 2 * Math.random() - (performance.now() - begunMs)));
    }
  }

  #call({ method, path, body, headers }: Call): Promise<void> {
    return new Promise((resolve) => {
      const options = { method, agent: this.#agent, headers: { ...headers }, timeout: 10_000 };
      const req: ClientRequest = request(new URL(path, this.#url()), options, (res) => {
        res.resume();
        res.on('close', () => {
          if (ANSWERS.has(res.statusCode ?? 0)) this.counts.ok++;
          else this.counts.refused++;
          resolve();
        });
      });
      req.on('error', () => {
        this.counts.failed++;
        resolve();
      });
      req.on('timeout', () => req.destroy());
      req.end(body);
    });
  }

  /** Watches for some seconds, one in four without reading, then is gone without a word. */
  async #watcher(): Promise<void> {
    while (this.#isRunning) {
      const url = this.#url();
      const socket = connect(Number(url.port), url.hostname);
      const initial = below(4) === 0 ? '&initial=true' : '';
      const path = `/v1/watch?prefix=s/${below(10)}${initial}`;
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        this.counts.events += bytes.toString('latin1').split('\nid: ').length - 1;
      });
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
      this.counts.watches++;
      if (below(4) === 0) socket.pause();
      await pause(500 + below(6_000));
      socket.destroy();
    }
  }

  /** Goes away in the middle of a request, or before its answer. */
  async #dropper(): Promise<void> {
    while (this.#isRunning) {
      const url = this.#url();
      const socket = connect(Number(url.port), url.hostname);
      socket.on('error', () => {});
      const length = below(2) === 0 ? 10 : 4_000;
      socket.write(
        `PUT ${key()} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Length: ${length}\r\n\r\n`,
      );
      socket.write('0123456789');
      await pause(below(60));
      socket.destroy();
      this.counts.dropped++;
      await pause(100);
    }
  }
}
