import type { LatencySummary } from '../client/histogram.ts';
import type { S3Target } from './signer.ts';

/** One measurement: `connections` closed loops of requests on objects of one size. Plain data: it crosses processes. */
export interface ObjectJob {
  readonly target: S3Target;
  readonly operation: 'put' | 'get';
  readonly bytes: number;
  /** Names are drawn from so many; `fill` puts each once instead. */
  readonly objects: number;
  readonly fill: boolean;
  /** The body's SHA-256 is signed, so the server has to hash it. */
  readonly isHashed: boolean;
  readonly connections: number;
  readonly warmupMs: number;
  readonly windowMs: number;
}

export interface ObjectResult {
  readonly perSecond: number;
  readonly megabytesPerSecond: number;
  readonly latency: LatencySummary;
  readonly clientCores: number;
}

export type FromClient =
  | { readonly type: 'ready' }
  | { readonly type: 'result'; readonly result: ObjectResult }
  | { readonly type: 'failed'; readonly reason: string };
