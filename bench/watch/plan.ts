/** What one fan-out run does, and what it found; plain data, because it crosses a process boundary. */

export type Transport = 'sse' | 'websocket';

export interface FanoutPlan {
  readonly url: string;
  readonly transport: Transport;
  readonly subscribers: number;
  /** Key prefixes; subscriber i watches prefix i mod `prefixes`, so each event matches one in so many. */
  readonly prefixes: number;
  readonly eventsPerSecond: number;
  /** Measured, after `warmSeconds` that are only checked. */
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly valueBytes: number;
  /** Connections that write. */
  readonly writers: number;
}

/** Milliseconds. */
export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface FanoutResult {
  readonly events: number;
  readonly deliveries: number;
  /** From the moment at which the write was due to the event's arrival; measured part only. */
  readonly delivery: Latencies;
  /** From the moment at which the write was due to its answer. */
  readonly write: Latencies;
  /** Empty when every subscriber got each of its events once and in the one order. */
  readonly flaws: readonly string[];
  /** Share of one core that this client used while measuring: near 1 it measures itself. */
  readonly clientCpu: number;
  /** Milliseconds of the server's CPU per 1,000 deliveries; null where it cannot be read. */
  readonly serverCpuPerThousandMs: number | null;
  readonly seconds: number;
}

export const BAR: Omit<FanoutPlan, 'url'> = {
  transport: 'sse',
  subscribers: 1_000,
  prefixes: 10,
  eventsPerSecond: 1_000,
  seconds: 10,
  warmSeconds: 3,
  valueBytes: 100,
  writers: 64,
};

const BUCKETS_PER_MS = 10;
const MS_MAX = 20_000;

/** Counts in buckets of a tenth of a millisecond. */
export class Histogram {
  readonly #buckets = new Uint32Array(MS_MAX * BUCKETS_PER_MS + 1);
  #count = 0;
  #max = 0;

  note(ms: number): void {
    const at = Math.min(MS_MAX, Math.max(0, ms)) * BUCKETS_PER_MS;
    this.#buckets[Math.floor(at)]!++;
    this.#count++;
    if (ms > this.#max) this.#max = ms;
  }

  latencies(): Latencies {
    return { p50: this.#quantile(0.5), p99: this.#quantile(0.99), max: round(this.#max) };
  }

  #quantile(q: number): number {
    let left = Math.ceil(this.#count * q);
    for (let i = 0; i < this.#buckets.length; i++) {
      left -= this.#buckets[i] as number;
      if (left <= 0) return round(Math.min((i + 1) / BUCKETS_PER_MS, this.#max));
    }
    return round(this.#max);
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
