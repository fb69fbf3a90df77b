import { request } from 'node:http';
import { parseArgs } from 'node:util';
import type { Operation, Output, Precondition } from '../check/history.ts';
import { checkLinearizability } from '../check/linearizability.ts';
import { UNKNOWN } from '../check/register-model.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

/**
 * Races conditional writes (If-None-Match: *, If-Match) of parallel clients over HTTP against three nodes that are killed
 * and started meanwhile, and checks that what they were told is linearizable, key by key. Exits with 1 if not.
 *
 *     npm run s3-race -- --writes 50000 --clients 24 --seconds 600
 */
const BUCKET = 'race';
/** Keys that are raced for at once; each is given up after so many operations, or so many without an answer. */
const KEYS = 8;
const OPERATIONS_PER_KEY = 48;
const UNKNOWN_PER_KEY = 6;

interface Key {
  readonly name: string;
  operations: number;
  unknown: number;
  /** Of the newest version that anybody has heard of. */
  etag: string | null;
}

interface Answer {
  readonly status: number;
  readonly etag: string | null;
  /** The version's id is the revision of its put. */
  readonly revision: number;
  readonly body: string;
}

const { values } = parseArgs({
  options: {
    writes: { type: 'string', default: '50000' },
    clients: { type: 'string', default: '24' },
    seconds: { type: 'string', default: '600' },
  },
});
const writesMax = Number(values.writes);

class Race {
  readonly history: Operation[] = [];
  readonly counts = { writes: 0, done: 0, refused: 0, unknown: 0, reads: 0, kills: 0 };
  readonly #cluster: ProcessCluster;
  readonly #keys: Key[] = [];
  readonly #revisions = new Map<string, number>();
  #named = 0;
  #processes = 0;
  isOver = false;

  constructor(cluster: ProcessCluster) {
    this.#cluster = cluster;
    for (let i = 0; i < KEYS; i++) this.#keys.push(this.#newKey());
  }

  #newKey(): Key {
    return { name: `k${this.#named++}`, operations: 0, unknown: 0, etag: null };
  }

  async client(): Promise<void> {
    let process = this.#processes++;
    while (!this.isOver && this.counts.writes < writesMax) {
      const at = Math.floor(Math.random() * KEYS);
      let key = this.#keys[at] as Key;
      if (key.operations++ >= OPERATIONS_PER_KEY || key.unknown >= UNKNOWN_PER_KEY) {
        key = this.#newKey();
        this.#keys[at] = key;
      }
      const node = Math.floor(Math.random() * this.#cluster.size);
      const isKnown =
        Math.random() < 0.15
          ? await this.#read(process, node, key)
          : await this.#write(process, node, key);
      if (!isKnown) process = this.#processes++;
    }
  }

  async #read(process: number, node: number, key: Key): Promise<boolean> {
    const call = performance.now();
    const answer = await this.#send(node, 'GET', key.name, {}, null);
    if (answer === null || answer === 'unsent') return true;
    if (answer.status !== 200 && answer.status !== 404) return true;
    const isThere = answer.status === 200;
    if (isThere) this.#learn(key, answer);
    const output: Output = isThere
      ? { type: 'got', value: answer.body, revision: answer.revision }
      : { type: 'got', value: null, revision: 0 };
    this.counts.reads++;
    this.#note({
      process,
      key: key.name,
      input: { type: 'get' },
      output,
      call,
      ret: performance.now(),
    });
    return true;
  }

  async #write(process: number, node: number, key: Key): Promise<boolean> {
    const { etag } = key;
    const isFirst = etag === null || Math.random() < 0.4;
    const condition: Precondition = isFirst
      ? { type: 'absent' }
      : { type: 'revision', revision: this.#revisions.get(`${key.name} ${etag}`) as number };
    const headers = isFirst ? { 'if-none-match': '*' } : { 'if-match': etag as string };
    const value = `${key.name} ${this.counts.writes++}`;
    const call = performance.now();
    const answer = await this.#send(node, 'PUT', key.name, headers, value);
    if (answer === 'unsent') return true;
    let output: Output | null = null;
    if (answer?.status === 200) {
      output = { type: 'put', revision: answer.revision };
      this.#learn(key, answer);
      this.counts.done++;
    } else if (answer?.status === 412) {
      output = { type: 'precondition_failed', revision: UNKNOWN };
      this.counts.refused++;
    } else {
      key.unknown++;
      this.counts.unknown++;
    }
    const ret = output === null ? Number.POSITIVE_INFINITY : performance.now();
    const input = { type: 'put', value, condition, expires: false } as const;
    this.#note({ process, key: key.name, input, output, call, ret });
    return output !== null;
  }

  #note(operation: Operation): void {
    this.history.push(operation);
  }

  #learn(key: Key, { etag, revision }: Answer): void {
    if (etag === null) return;
    this.#revisions.set(`${key.name} ${etag}`, revision);
    key.etag = etag;
  }

  /** Null: nobody can tell. `unsent`: nothing left this process. */
  #send(
    node: number,
    method: string,
    key: string,
    headers: Record<string, string>,
    body: string | null,
  ): Promise<Answer | null | 'unsent'> {
    const url = `${this.#cluster.node(node).url}/s3/${BUCKET}/${key}`;
    return new Promise((resolve) => {
      const sent = request(url, { method, headers, timeout: 10_000 }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', () => resolve(null));
        answer.on('end', () => {
          const version = String(answer.headers['x-amz-version-id'] ?? '');
          resolve({
            status: answer.statusCode ?? 0,
            etag: answer.headers.etag ?? null,
            revision: version === '' ? 0 : Number.parseInt(version, 32),
            body: Buffer.concat(chunks).toString(),
          });
        });
      });
      sent.on('timeout', () => sent.destroy());
      sent.on('error', (error: NodeJS.ErrnoException) =>
        resolve(error.code === 'ECONNREFUSED' ? 'unsent' : null),
      );
      sent.end(body ?? undefined);
    });
  }

  /** One node at a time is down. */
  async kill(): Promise<void> {
    while (!this.isOver) {
      await sleep(4_000 + Math.random() * 3_000);
      if (this.isOver) return;
      const victim = Math.floor(Math.random() * this.#cluster.size);
      await this.#cluster.kill(victim);
      this.counts.kills++;
      await sleep(1_000 + Math.random() * 2_000);
      this.#cluster.spawn(victim);
    }
  }
}

const cluster = await ProcessCluster.start({ nodes: 3, groups: 4 });
try {
  const url = `${cluster.node(0).url}/s3/${BUCKET}`;
  await fetch(url, { method: 'PUT' });
  const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
  const versioning = await fetch(`${url}?versioning`, { method: 'PUT', body });
  if (!versioning.ok) throw new Error(`the bucket could not be made: ${versioning.status}`);
  const race = new Race(cluster);
  const started = performance.now();
  const limit = setTimeout(() => {
    race.isOver = true;
  }, Number(values.seconds) * 1000);
  const killing = race.kill();
  await Promise.all(Array.from({ length: Number(values.clients) }, () => race.client()));
  race.isOver = true;
  clearTimeout(limit);
  const seconds = (performance.now() - started) / 1000;
  await killing;
  const verdict = checkLinearizability(race.history);
  const keys = new Set(race.history.map(({ key }) => key)).size;
  console.log(JSON.stringify({ ...race.counts, keys, seconds: Math.round(seconds), verdict }));
  if (verdict.result !== 'ok') process.exitCode = 1;
} finally {
  await cluster.dispose();
}
