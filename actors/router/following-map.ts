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
 * has happened. `ask` gets what is left of the time, ms.
 */
export async function followingMap<T>(
  source: MapSource,
  deadlineMs: number,
  ask: (map: ShardMap, leftMs: number) => Promise<T>,
): Promise<T> {
  const endMs = source.clock.monotonicMs() + deadlineMs;
  for (let attempt = 1; ; attempt++) {
    const leftMs = endMs - source.clock.monotonicMs();
    try {
      return await ask(source.map(), leftMs);
    } catch (error) {
      const isMoved = error instanceof AppError && error.code === 'wrong_shard';
      if (!isMoved || attempt === MAP_RETRIES_MAX) throw error;
      const left = Math.max(1, endMs - source.clock.monotonicMs());
      await source.refreshMap(Number(error.details['epoch'] ?? 0), left);
    }
  }
}
