import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startMinikv } from '../peers/minikv.ts';
import { cellLines } from '../report/cell-table.ts';
import { count } from '../report/numbers.ts';
import type { Cell, GrowthFound } from '../results.ts';
import { folderBytes } from '../system/folder-bytes.ts';
import { residentBytesOf, residentPeakBytesOf } from '../system/process-use.ts';
import { type CellPlan, LoadedPeer, type LoadSettings, measureCell } from './load.ts';
import { settle } from './settle.ts';

/** A run must end. */
const FILL_MS_MAX = 420_000;
const FILL_STEP = 500_000;

/**
 * The same node with more and more keys: one node of each size at once, measured in turn. Reads come first, from nodes that
 * have sorted what they were filled with; writes begin to unsort it.
 */

export function sizeName(keys: number): string {
  return `${keys.toLocaleString('en-US')} keys`;
}

export async function runGrowth(
  sizesWanted: readonly number[],
  folder: string,
  settings: LoadSettings,
): Promise<{ sizes: GrowthFound[]; cells: Cell[] }> {
  const { say } = settings;
  const peers: LoadedPeer[] = [];
  const filled: number[] = [];
  const settled: (number | null)[] = [];
  try {
    for (const keys of sizesWanted) {
      const own = join(folder, `${keys}`);
      mkdirSync(own, { recursive: true });
      const peer = new LoadedPeer(
        await startMinikv({ nodes: 1, folder: own, name: sizeName(keys) }),
        keys,
      );
      peers.push(peer);
      const rate = await fillInTime(peer, keys, settings.seed);
      if (rate === null) {
        say(`growth: ${sizeName(keys)} were not written in ${FILL_MS_MAX / 1000} s, given up`);
        await peers.pop()?.close();
        break;
      }
      filled.push(rate);
      settled.push(await settle(peer, settings.seed));
      const rest = settled.at(-1)?.toFixed(0) ?? '?';
      say(`growth: ${sizeName(keys)} written, ${count(rate)} keys/s, at rest after ${rest} s`);
    }
    for (const peer of peers) await peer.warm(settings);
    const sizes = sizesWanted.slice(0, filled.length);
    const cells: Cell[] = [];
    for (const kind of ['get', 'put'] as const) {
      const name = `${kind} as it grows`;
      const plan: CellPlan = {
        ...{ workload: 'growth', name, nodes: 1, connections: 64, operation: { kind } },
      };
      const cell = await measureCell(plan, peers, settings);
      cells.push(cell);
      for (const line of cellLines(cell, sizeName(sizes.at(-1) as number))) say(line);
    }
    const found = peers.map(
      ({ peer }, i): GrowthFound => ({
        keys: sizes[i] as number,
        fillKeysPerSecond: filled[i] as number,
        settledSeconds: settled[i] ?? null,
        residentBytes: residentBytesOf(peer.pids()),
        residentPeakBytes: residentPeakBytesOf(peer.pids()),
        dataBytes: folderBytes(join(folder, `${sizes[i]}`)),
      }),
    );
    for (const size of found) {
      const mega = (bytes: number | null) => (bytes === null ? '?' : Math.round(bytes / 1e6));
      say(
        `growth: ${sizeName(size.keys)}: resident ${mega(size.residentBytes)} MB (peak ` +
          `${mega(size.residentPeakBytes)}), on disk ${mega(size.dataBytes)} MB`,
      );
    }
    return { sizes: found, cells };
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}

/** Keys per second; null when it would take too long. */
async function fillInTime(peer: LoadedPeer, keys: number, seed: number): Promise<number | null> {
  const startMs = performance.now();
  for (let from = 0; from < keys; from += FILL_STEP) {
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs > FILL_MS_MAX) return null;
    await peer.fill(seed, from, Math.min(keys, from + FILL_STEP));
  }
  return (keys * 1000) / (performance.now() - startMs);
}
