import { AppError } from '../../protocol/errors.ts';
import type { Standing } from './scope-meters.ts';

type Pair = readonly [name: string, value: string];

/** How far somebody is from their limit of requests, in the answer to one of them. */
export function standingHeaders({ limit, remaining, resetMs }: Standing): Pair[] {
  return [
    ['x-ratelimit-limit', String(limit)],
    ['x-ratelimit-remaining', String(remaining)],
    ['x-ratelimit-reset', String(Math.ceil(resetMs / 1_000))],
  ];
}

/** Of a refusal for a limit; none of any other error. */
export function refusalHeaders(error: unknown): Pair[] {
  if (!(error instanceof AppError) || error.code !== 'rate_limited') return [];
  const { max } = error.details;
  if (typeof max !== 'number') return [];
  return standingHeaders({ limit: max, remaining: 0, resetMs: error.retryAfterMs ?? 0 });
}

/** The same as lines. */
export function linesOf(pairs: readonly Pair[]): string {
  return pairs.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}
