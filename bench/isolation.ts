import { type ChildProcess, fork } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ProcessCluster } from '../test/kit/process-cluster.ts';
import { HttpResponseReader } from './client/http-response.ts';
import { cpuSecondsOf } from './system/process-use.ts';

/**
 * What a key that asks for 20 times its limit costs another one: p99 alone and beside it, in turn, open loops, measured
 * from when each request was due. `npx tsx bench/isolation.ts [--nodes 3] [--times 1] [--no-limit]` (after `npm run build`).
 */

const ADMIN = `mkv_admin_${'b'.repeat(43)}`;
const LIMIT = 100;
const VICTIM_PER_SECOND = 200;
const BAR = 1.5;
const CONNECTIONS = 24;

interface Load {
  readonly urls: readonly string[];
  readonly key: string;
  readonly perSecond: number;
  readonly ms: number;
}

interface Seen {
  /** ms from when each was due, of those that were served. */
  readonly served: number[];
  readonly refused: number;
  readonly failed: number;
}

/** An open loop: a request is sent when it is due, whatever became of those before. Puts and gets in turn. */
async function run(load: Load, isTold: () => Promise<void> = async () => {}): Promise<Seen> {
  const { urls, key, perSecond, ms } = load;
  const seen = { served: [] as number[], refused: 0, failed: 0 };
  const lines = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, i) => Line.open(urls[i % urls.length] as string)),
  );
  await isTold();
  const startMs = performance.now();
  const total = Math.floor((perSecond * ms) / 1_000);
  let answered = 0;
  for (let sent = 0; sent < total || answered < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1_000));
    for (; sent < due; sent++) {
      const dueMs = startMs + (sent * 1_000) / perSecond;
      const name = `/v1/kv/isolation-${Math.floor(sent / 2) % 100}`;
      (lines[sent % CONNECTIONS] as Line).send(requestText(name, key, sent % 2 === 0), (status) => {
        answered++;
        if (status === 429) seen.refused++;
        else if (status < 300) seen.served.push(performance.now() - dueMs);
        else seen.failed++;
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (const line of lines) line.close();
  return seen;
}

function requestText(path: string, key: string, isPut: boolean): string {
  const head = `${isPut ? 'PUT' : 'GET'} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\n`;
  return isPut ? `${head}Content-Length: 100\r\n\r\n${'x'.repeat(100)}` : `${head}\r\n`;
}

/** One connection: what is sent is answered in order. */
class Line {
  readonly #socket: Socket;
  readonly #waiting: ((status: number) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new HttpResponseReader(({ status }) => this.#waiting.shift()?.(status));
    socket.on('data', (chunk) => reader.feed(chunk));
    socket.on('close', () => {
      for (const failed of this.#waiting.splice(0)) failed(599);
    });
    socket.on('error', () => socket.destroy());
  }

  static open(url: string): Promise<Line> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true });
      socket.once('connect', () => resolve(new Line(socket)));
      socket.once('error', reject);
    });
  }

  send(text: string, answered: (status: number) => void): void {
    if (this.#socket.destroyed) {
      answered(599);
      return;
    }
    this.#waiting.push(answered);
    this.#socket.write(text, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** The same in a process of its own, so that no loop waits for another. Resolves when it could begin, which is when it is told to. */
function elsewhere(load: Load): Promise<{ readonly begin: () => Promise<Seen> }> {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ['--worker'], {
    execArgv: ['--import', 'tsx'],
  });
  const told = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', (message) => resolve(message as T));
      child.once('exit', (code) => reject(new Error(`a load ended with ${code}`)));
    });
  const ready = told<string>().then(() => ({
    begin: () => {
      const seen = told<Seen>();
      child.send('begin');
      return seen;
    },
  }));
  child.send(load);
  return ready;
}

function percentile(all: readonly number[], part: number): number {
  const sorted = [...all].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

async function admin(url: string, method: string, path: string, body: object) {
  const headers = { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' };
  const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as Record<string, string>;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '1' },
      rounds: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '8' },
      times: { type: 'string', default: '20' },
      'no-limit': { type: 'boolean', default: false },
    },
  });
  const env = { MINIKV_AUTH_ADMIN_KEY: ADMIN };
  const cluster = await ProcessCluster.start({
    ...{ nodes: Number(values.nodes), flags: ['--auth'], env },
  });
  try {
    const urls = cluster.urls();
    const [url = ''] = urls;
    const make = (name: string) => admin(url, 'POST', '/admin/keys', { name, role: 'read_write' });
    const [victim, other] = [await make('victim'), await make('other')];
    const ms = Number(values.seconds) * 1_000;
    const times = Number(values.times);
    const mine = { urls, key: victim['key'] as string, perSecond: VICTIM_PER_SECOND, ms };
    const theirs = { urls, key: other['key'] as string, perSecond: LIMIT * times, ms: ms + 2_000 };
    // Whatever is read later is there, and both keys were verified once.
    await run({ ...mine, ms: 3_000 });
    await run({ ...mine, key: theirs.key, ms: 1_000 });
    if (!values['no-limit']) {
      const limit = { requestsPerSecond: LIMIT };
      await admin(url, 'PUT', `/admin/limits/key:${other['id']}`, limit);
    }
    const ratios: number[] = [];
    for (let round = 1; round <= Number(values.rounds); round++) {
      const pids = urls.map((_, i) => cluster.node(i).pid ?? 0);
      const cpu = [cpuSecondsOf(pids)];
      const alone = await (await elsewhere(mine)).begin();
      cpu.push(cpuSecondsOf(pids));
      // Both are there before either begins: that a process starts beside another is nobody's limit.
      const [first, second] = [await elsewhere(theirs), await elsewhere(mine)];
      const storm = first.begin();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      cpu.push(cpuSecondsOf(pids));
      const beside = await second.begin();
      cpu.push(cpuSecondsOf(pids));
      const { served, refused, failed } = await storm;
      const [from = 0, to = 0, again = 0, until = 0] = cpu.map((seconds) => seconds ?? Number.NaN);
      const each = ((until - again - (to - from)) * 1e9) / (LIMIT * times * ms);
      const [before, after] = [percentile(alone.served, 0.99), percentile(beside.served, 0.99)];
      ratios.push(after / before);
      const p50 = [alone, beside].map((seen) => percentile(seen.served, 0.5).toFixed(2));
      console.log(
        `round ${round}: a request of the other one takes ${each.toFixed(0)} us of processor time; p99 ${before.toFixed(2)} ms alone, ${after.toFixed(2)} ms beside: ${(after / before).toFixed(2)} x` +
          ` (p50 ${p50.join(', ')}); the other one: ${served.length} served, ${refused} refused, ${failed} failed`,
      );
      if (alone.failed + beside.failed + alone.refused + beside.refused > 0) {
        throw new Error('a request of the key without a limit was not served');
      }
    }
    const median = percentile(ratios, 0.5);
    console.log(`median ${median.toFixed(2)} x, wanted below ${BAR} x`);
    return median < BAR ? 0 : 1;
  } finally {
    await cluster.dispose();
  }
}

if (process.argv.includes('--worker')) {
  process.once('message', async (load) => {
    const isTold = (): Promise<void> =>
      new Promise((resolve) => {
        process.once('message', () => resolve());
        process.send?.('ready');
      });
    const seen = await run(load as Load, isTold);
    process.send?.(seen, () => process.disconnect());
  });
} else process.exit(await main());
