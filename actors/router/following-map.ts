import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { ShardMap } from './shard-map.ts';

const MAP_RETRIES_MAX = 5;

/** Where the map comes from, and the time. */
export interface MapSource {
  readonly clock: Clock;
  map(): ShardMap;
  /** Reads the shard map again; resolves when it is at least `epoch`. */
  refreshMap(epoch: number, deadlineMs: number): Promise<void>;
}

/**
 * Asks by the shard map as it is known here, and again by a newer one while the answer is `wrong_shard`: then nothing
 * has happened. `ask` gets what is left of the time, ms; `told` is what follows an answer, and may throw.
 */
export function followingMap<T>(
  source: MapSource,
  deadlineMs: number,
  ask: (map: ShardMap, leftMs: number) => Promise<T>,
  told?: (answer: T) => T,
): Promise<T> {
  const endMs = source.clock.monotonicMs() + deadlineMs;
  // The first try, without the frame of an async function: the map hardly ever changes.
  return ask(source.map(), deadlineMs).then(told, (error: unknown) => {
    const again = askAgain(source, endMs, ask, error);
    return told === undefined ? again : again.then(told);
  });
}

async function askAgain<T>(
  source: MapSource,
  endMs: number,
  ask: (map: ShardMap, leftMs: number) => Promise<T>,
  first: unknown,
): Promise<T> {
  let error = first;
  for (let attempt = 1; attempt < MAP_RETRIES_MAX; attempt++) {
    if (!(error instanceof AppError) || error.code !== 'wrong_shard') throw error;
    const left = Math.max(1, endMs - source.clock.monotonicMs());
    await source.refreshMap(Number(error.details['epoch'] ?? 0), left);
    try {
      return await ask(source.map(), endMs - source.clock.monotonicMs());
    } catch (again) {
      error = again;
    }
  }
  throw error;
}
