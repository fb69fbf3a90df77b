import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startMinikv } from '../peers/minikv.ts';
import { cellLines } from '../report/cell-table.ts';
import { count } from '../report/numbers.ts';
import type { Cell, GrowthFound } from '../results.ts';
import { folderBytes } from '../system/folder-bytes.ts';
import { residentBytesOf, residentPeakBytesOf } from '../system/process-use.ts';
import { type CellPlan, LoadedPeer, type LoadSettings, measureCell } from './load.ts';

/** The same node with more and more keys: one node of each size at once, measured in turn. */

export function sizeName(keys: number): string {
  return `${keys.toLocaleString('en-US')} keys`;
}

export async function runGrowth(
  sizes: readonly number[],
  folder: string,
  settings: LoadSettings,
): Promise<{ sizes: GrowthFound[]; cells: Cell[] }> {
  const { say } = settings;
  const peers: LoadedPeer[] = [];
  const filled: number[] = [];
  try {
    for (const keys of sizes) {
      const own = join(folder, `${keys}`);
      mkdirSync(own, { recursive: true });
      const peer = new LoadedPeer(
        await startMinikv({ nodes: 1, folder: own, name: sizeName(keys) }),
        keys,
      );
      peers.push(peer);
      filled.push(await peer.fill(settings.seed));
      say(`growth: ${sizeName(keys)} written, ${count(filled.at(-1) as number)} keys/s`);
    }
    const cells: Cell[] = [];
    for (const kind of ['put', 'get'] as const) {
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
