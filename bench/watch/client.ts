import { BAR, type FanoutPlan, type FanoutResult, Histogram } from './plan.ts';
import { eventValue, Subscriber } from './subscriber.ts';
import { Writer } from './writer.ts';

/**
 * The client of one fan-out run, in a process of its own: opens the watches, writes at a steady rate,
 * checks what arrives. Takes its plan, and tells `measure`, `measured` and the result, as messages.
 */

const TICK_MS = 5;
const OPEN_AT_ONCE = 50;
const SETTLE_MS = 15_000;
const FLAWS_MAX = 10;

type Message = { type: 'measure' | 'measured' } | { type: 'result'; result: FanoutResult };

const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const say = (message: Message): void => void process.send?.(message);

/** The order in which the watchers of one prefix see its events: the first to see one settles it. */
class Order {
  readonly #sequences: number[] = [];
  readonly #seen = new Set<number>();
  #revision = 0;

  get length(): number {
    return this.#sequences.length;
  }

  /** Null, or what is wrong with this as the event number `at` of a watcher. */
  check(at: number, sequence: number, revision: number): string | null {
    if (at < this.#sequences.length) {
      const known = this.#sequences[at] as number;
      return known === sequence ? null : `event ${at} is ${sequence}, and ${known} for another`;
    }
    if (this.#seen.has(sequence)) return `event ${sequence} came twice`;
    if (revision < this.#revision) return `event ${sequence} came after a later revision`;
    this.#revision = revision;
    this.#seen.add(sequence);
    this.#sequences.push(sequence);
    return null;
  }
}

class Run {
  readonly #plan: FanoutPlan;
  readonly #url: URL;
  readonly #orders: Order[] = [];
  readonly #counts: Uint32Array;
  readonly #subscribers: Subscriber[] = [];
  readonly #delivery = new Histogram();
  readonly #write = new Histogram();
  readonly #flaws: string[] = [];
  /** Answered with success, by prefix. */
  readonly #written: Uint32Array;
  readonly #dueUs: number[] = [];
  #measureFromUs = Number.POSITIVE_INFINITY;
  #isMeasuring = false;
  #clientCpu = 0;

  constructor(plan: FanoutPlan) {
    this.#plan = plan;
    this.#url = new URL(plan.url);
    this.#counts = new Uint32Array(plan.subscribers);
    this.#written = new Uint32Array(plan.prefixes);
    for (let i = 0; i < plan.prefixes; i++) this.#orders.push(new Order());
  }

  async run(): Promise<FanoutResult> {
    await this.#subscribe();
    await this.#load();
    await this.#settle();
    for (const subscriber of this.#subscribers) subscriber.close();
    return {
      events: this.#written.reduce((sum, count) => sum + count, 0),
      deliveries: this.#counts.reduce((sum, count) => sum + count, 0),
      delivery: this.#delivery.latencies(),
      write: this.#write.latencies(),
      flaws: this.#flaws,
      clientCpu: this.#clientCpu,
      serverCpuPerThousandMs: null,
      seconds: this.#plan.seconds,
    };
  }

  async #subscribe(): Promise<void> {
    const { subscribers, prefixes, transport } = this.#plan;
    for (let i = 0; i < subscribers; i++) {
      const prefix = i % prefixes;
      const subscriber = new Subscriber(
        this.#url,
        prefixName(prefix),
        transport,
        (sequence, dueUs, revision) => this.#arrived(i, prefix, sequence, dueUs, revision),
        (what) => this.#flaw(what),
      );
      this.#subscribers.push(subscriber);
      if (i % OPEN_AT_ONCE === OPEN_AT_ONCE - 1) await subscriber.opened;
    }
    await Promise.all(this.#subscribers.map(({ opened }) => opened));
  }

  #arrived(i: number, prefix: number, sequence: number, dueUs: number, revision: number): void {
    const at = this.#counts[i]!++;
    const flaw = (this.#orders[prefix] as Order).check(at, sequence, revision);
    if (flaw !== null) this.#flaw(`watcher ${i}: ${flaw}`);
    if (dueUs < this.#measureFromUs) return;
    this.#delivery.note((nowUs() - dueUs) / 1000);
  }

  async #load(): Promise<void> {
    const { prefixes, eventsPerSecond, seconds, warmSeconds, valueBytes } = this.#plan;
    const writers: Writer[] = [];
    for (let i = 0; i < this.#plan.writers; i++) {
      writers.push(
        new Writer(
          this.#url,
          (sequence, status) => this.#answered(sequence, status),
          (what) => this.#flaw(what),
        ),
      );
    }
    const startUs = nowUs();
    const total = Math.round(eventsPerSecond * (warmSeconds + seconds));
    let cpu = process.cpuUsage();
    for (let sequence = 0; sequence < total; ) {
      const elapsedUs = nowUs() - startUs;
      if (!this.#isMeasuring && elapsedUs >= warmSeconds * 1e6) {
        this.#isMeasuring = true;
        this.#measureFromUs = startUs + warmSeconds * 1e6;
        cpu = process.cpuUsage();
        say({ type: 'measure' });
      }
      const due = Math.min(total, Math.floor((elapsedUs / 1e6) * eventsPerSecond));
      for (; sequence < due; sequence++) {
        const dueUs = startUs + Math.floor((sequence / eventsPerSecond) * 1e6);
        this.#dueUs.push(dueUs);
        const key = `${prefixName(sequence % prefixes)}${sequence % 5_000}`;
        const writer = writers[sequence % writers.length] as Writer;
        writer.put(sequence, key, eventValue(sequence, dueUs, valueBytes));
      }
      await sleep(TICK_MS);
    }
    const used = process.cpuUsage(cpu);
    this.#clientCpu = (used.user + used.system) / 1e6 / seconds;
    const endMs = Date.now() + SETTLE_MS;
    while (writers.some(({ openCount }) => openCount > 0) && Date.now() < endMs) await sleep(20);
    if (writers.some(({ openCount }) => openCount > 0)) this.#flaw('writes without an answer');
    for (const writer of writers) writer.close();
  }

  #answered(sequence: number, status: number): void {
    const dueUs = this.#dueUs[sequence] as number;
    if (status >= 300) this.#flaw(`a write was answered with ${status}`);
    else this.#written[sequence % this.#plan.prefixes]!++;
    if (dueUs >= this.#measureFromUs) this.#write.note((nowUs() - dueUs) / 1000);
  }

  /** Waits until all have everything, then a moment for what comes twice. */
  async #settle(): Promise<void> {
    const { prefixes } = this.#plan;
    const endMs = Date.now() + SETTLE_MS;
    const missing = (): number[] =>
      [...this.#counts.keys()].filter(
        (i) => (this.#counts[i] as number) < (this.#written[i % prefixes] as number),
      );
    while (missing().length > 0 && Date.now() < endMs) await sleep(20);
    say({ type: 'measured' });
    await sleep(500);
    for (const i of missing()) {
      const expected = this.#written[i % prefixes];
      this.#flaw(`watcher ${i} got ${this.#counts[i]} of ${expected} events`);
    }
    for (let i = 0; i < prefixes; i++) {
      const { length } = this.#orders[i] as Order;
      if (length !== this.#written[i]) this.#flaw(`${length} events of ${this.#written[i]} writes`);
    }
  }

  #flaw(what: string): void {
    if (this.#flaws.length < FLAWS_MAX) this.#flaws.push(what);
  }
}

function prefixName(prefix: number): string {
  return `fan/${String(prefix).padStart(3, '0')}/`;
}

process.once('message', (plan: FanoutPlan) => {
  new Run({ ...BAR, ...plan }).run().then(
    (result) => process.send?.({ type: 'result', result }, () => process.exit(0)),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
