import { Connection, type Meter } from './connection.ts';
import { bareDialect } from './dialects/bare.ts';
import type { MakeDialect } from './dialects/dialect.ts';
import { etcdDialect } from './dialects/etcd.ts';
import { minikvDialect } from './dialects/minikv.ts';
import { natsDialect } from './dialects/nats.ts';
import { redisDialect } from './dialects/redis.ts';
import { runDisk } from './disk-run.ts';
import { Histogram } from './histogram.ts';
import type { DialectName, Job, JobResult, Target } from './job.ts';
import { Random } from './random.ts';

const DIALECTS: Readonly<Record<DialectName, MakeDialect>> = {
  minikv: minikvDialect,
  bare: bareDialect,
  etcd: etcdDialect,
  redis: redisDialect,
  nats: natsDialect,
};
const VALUES = 512;
const TEXT = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** For requests that are under way when the window ends. */
const DRAIN_MS_MAX = 30_000;
const REQUESTS_MIN = 4;
const EXTRA_MS = 50;
const EXTRA_MS_MAX = 15_000;

/** Runs a job in this process. `onWindow` is called when the measured time begins. */
export async function runJob(job: Job, onWindow: () => void): Promise<JobResult> {
  if (job.dialect === 'disk') return runDisk(job, onWindow);
  const run = new LoadRun(job, DIALECTS[job.dialect]);
  await run.open();
  return run.measure(onWindow);
}

class LoadRun implements Meter {
  readonly #job: Job;
  readonly #histogram = new Histogram();
  readonly #connections: Connection[];
  #fillNext = 0;
  #keys = 0;
  #errors = 0;
  #firstError: string | null = null;
  #busy = 0;
  #isCounting = false;
  isOpen = true;
  #allIdle: () => void = () => {};

  constructor(job: Job, make: MakeDialect) {
    this.#job = job;
    const random = new Random(job.seed);
    const values = Array.from({ length: VALUES }, () => randomText(random, job.valueBytes));
    if (job.operation.kind === 'fill') this.#fillNext = job.operation.from;
    const { targets, operation, keys, valueBytes } = job;
    this.#connections = Array.from({ length: job.connections }, (_, i) => {
      const target = targets[i % targets.length] as Target;
      const options = { target, operation, keys, valueBytes, values };
      const own = { random: new Random(random.next()), nextRange: () => this.#nextRange() };
      return new Connection(target, (...on) => make({ ...options, ...own }, ...on), this);
    });
  }

  async open(): Promise<void> {
    try {
      await Promise.all(this.#connections.map(({ opened }) => opened));
    } catch (error) {
      for (const connection of this.#connections) connection.close();
      throw error;
    }
  }

  async measure(onWindow: () => void): Promise<JobResult> {
    const { warmupMs, windowMs, operation } = this.#job;
    const isFill = operation.kind === 'fill';
    const idle = new Promise<void>((resolve) => {
      this.#allIdle = resolve;
    });
    this.#busy = this.#connections.length;
    for (const connection of this.#connections) connection.start();
    if (!isFill) await sleep(warmupMs);
    this.#histogram.clear();
    this.#keys = 0;
    this.#isCounting = true;
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    onWindow();
    if (isFill) await idle;
    else await this.#window(windowMs);
    this.#isCounting = false;
    const seconds = (performance.now() - startMs) / 1000;
    const used = process.cpuUsage(cpu);
    this.isOpen = false;
    const isDrained = await Promise.race([idle.then(() => true), sleep(DRAIN_MS_MAX)]);
    for (const connection of this.#connections) connection.close();
    if (isDrained !== true) this.#fail('an answer never came');
    return {
      requests: this.#histogram.count,
      keys: this.#keys,
      errors: this.#errors,
      firstError: this.#firstError,
      seconds,
      clientCpuSeconds: (used.user + used.system) / 1e6,
      latency: this.#histogram.summary(),
    };
  }

  /** The window, and longer where requests are so slow that it would see next to none of them. */
  async #window(windowMs: number): Promise<void> {
    await sleep(windowMs);
    for (let ms = 0; this.#histogram.count < REQUESTS_MIN && ms < EXTRA_MS_MAX; ms += EXTRA_MS) {
      if (this.#busy === 0) return;
      await sleep(EXTRA_MS);
    }
  }

  answered(startMs: number, keys: number, error: string | null): void {
    if (error !== null) this.#fail(error);
    else if (this.#isCounting) {
      this.#histogram.record((performance.now() - startMs) * 1000);
      this.#keys += keys;
    }
  }

  idle(error: string | null): void {
    if (error !== null) this.#fail(error);
    if (--this.#busy === 0) this.#allIdle();
  }

  #fail(error: string): void {
    this.#errors++;
    this.#firstError ??= error;
  }

  #nextRange(): { from: number; count: number } | null {
    const { operation } = this.#job;
    if (operation.kind !== 'fill' || this.#fillNext >= operation.to) return null;
    const from = this.#fillNext;
    this.#fillNext += operation.size;
    return { from, count: operation.size };
  }
}

function randomText(random: Random, length: number): Buffer {
  const bytes = random.bytes(length);
  return bytes.map((byte) => TEXT.charCodeAt(byte & 63)) as Buffer;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
