import type { LatencySummary } from './histogram.ts';

/** What the client process is asked to do, and what it says of it. Plain data: it crosses processes. */

export type DialectName = 'minikv' | 'bare' | 'etcd' | 'redis' | 'nats';
/** `disk` asks nobody: it appends to `file` and syncs. */
export type LoadKind = DialectName | 'disk';

export interface Target {
  readonly host: string;
  readonly port: number;
}

/**
 * `put`, `get`: one key a request, drawn evenly from the key space. `mix`: gets, but for `putShare`.
 * `batch`: `size` keys a request, drawn likewise. `fill`: batches of `size` over keys `from` to below `to`,
 * each once, until done (plain puts when `size` is 1). `scan`: a page of `limit` from a drawn key on; `scan-all`: every key there is.
 */
export type Operation =
  | { readonly kind: 'put' }
  | { readonly kind: 'get' }
  | { readonly kind: 'mix'; readonly putShare: number }
  | { readonly kind: 'batch'; readonly size: number }
  | { readonly kind: 'fill'; readonly size: number; readonly from: number; readonly to: number }
  | { readonly kind: 'scan'; readonly limit: number }
  | { readonly kind: 'scan-all' };

export interface Job {
  readonly dialect: LoadKind;
  /** Only of `disk`. */
  readonly file?: string;
  /** Connections go to them in turn. */
  readonly targets: readonly Target[];
  readonly connections: number;
  readonly operation: Operation;
  readonly keys: number;
  readonly valueBytes: number;
  readonly seed: number;
  /** Not counted. */
  readonly warmupMs: number;
  readonly windowMs: number;
}

export interface JobResult {
  /** Requests answered as they should be within the window. */
  readonly requests: number;
  /** Keys that these requests wrote or read. */
  readonly keys: number;
  /** Over the whole run, warm-up included: one error makes the run void. */
  readonly errors: number;
  readonly firstError: string | null;
  readonly seconds: number;
  readonly clientCpuSeconds: number;
  readonly latency: LatencySummary;
}

export type ToWorker = { readonly type: 'run'; readonly job: Job };

/** `window`: the measured time begins. */
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'window' }
  | { readonly type: 'result'; readonly result: JobResult };
