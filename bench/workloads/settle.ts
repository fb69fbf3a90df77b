import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSecondsOf } from '../system/process-use.ts';
import type { LoadedPeer } from './load.ts';

/** A node that has been filled still sorts its tables, and so does one whose reads find keys in too many of them. */

const LOOK_MS = 1_000;
/** Of a core; a node that nobody asks uses about 0.05. */
const IDLE_CPU = 0.12;
const SETTLE_MS_MAX = 180_000;
const ASKED_MS = 4_000;
const CONNECTIONS = 64;

/**
 * Reads keys at random until the node, twice in a row, does nothing by itself once the reading pauses. Seconds that it took,
 * about `SETTLE_MS_MAX / 1000` where it did not come to rest; null where the system does not tell what processes use.
 */
export async function settle(peer: LoadedPeer, seed: number): Promise<number | null> {
  const startMs = performance.now();
  const elapsedMs = (): number => performance.now() - startMs;
  for (let round = 0, rests = 0; rests < 2 && elapsedMs() < SETTLE_MS_MAX; round++) {
    await peer.run({
      ...{ operation: { kind: 'get' }, connections: CONNECTIONS, seed: seed * 1000 + round },
      ...{ warmupMs: 0, windowMs: ASKED_MS },
    });
    const used = await cpuOver(peer, LOOK_MS);
    if (used === null) return null;
    rests = used < IDLE_CPU ? rests + 1 : 0;
  }
  return elapsedMs() / 1000;
}

/** Cores in use by the peer's processes, over so many milliseconds. */
async function cpuOver(peer: LoadedPeer, ms: number): Promise<number | null> {
  const pids = peer.peer.pids();
  const before = cpuSecondsOf(pids);
  await sleep(ms);
  const after = cpuSecondsOf(pids);
  return before === null || after === null ? null : ((after - before) * 1000) / ms;
}
