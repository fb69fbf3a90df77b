import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from './options.ts';
import { bare } from './peers/bare.ts';
import { disk } from './peers/disk.ts';
import { etcd } from './peers/etcd.ts';
import { minikvKind } from './peers/minikv.ts';
import type { PeerKind } from './peers/peer.ts';
import { redis } from './peers/redis.ts';
import { cellLines } from './report/cell-table.ts';
import type { Cell, PeerSeen } from './results.ts';
import { cellPlans } from './workloads/cells.ts';
import { LoadedPeer, type LoadSettings, measureCell } from './workloads/load.ts';

const startMs = performance.now();
function say(line: string): void {
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${seconds.padStart(7)} s  ${line}\n`);
}

/** Everything that was asked for. False when a measurement was void. */
export async function runAll(options: Options, folder: string, command: string): Promise<boolean> {
  const kinds = kindsOf(options);
  const seen: PeerSeen[] = kinds.map((kind) => ({
    ...{ name: kind.name, version: kind.version(), install: kind.install },
  }));
  for (const { name, version, install } of seen) {
    say(version === null ? `${name} is absent (${install})` : `${name} ${version}`);
  }
  const present = kinds.filter((kind) => seen.some((s) => s.name === kind.name && s.version));
  const settings = { ...options, say };
  const cells: Cell[] = [];
  for (const nodes of options.nodes) {
    cells.push(...(await runCells(options, settings, present, nodes, join(folder, `${nodes}`))));
  }
  void command;
  return cells.every(({ samples }) => samples.every(({ flaw }) => flaw === null));
}

function kindsOf(options: Options): PeerKind[] {
  const builds = options.against.map(({ name, main }) => minikvKind(name, main));
  const all = [minikvKind(), ...builds, bare, etcd, redis, disk];
  const { peers } = options;
  if (peers === null) return all;
  for (const name of peers) {
    if (!all.some((kind) => kind.name === name)) throw new Error(`--peers: there is no ${name}`);
  }
  return all.filter((kind) => peers.includes(kind.name));
}

async function runCells(
  options: Options,
  settings: LoadSettings,
  kinds: readonly PeerKind[],
  nodes: number,
  folder: string,
): Promise<Cell[]> {
  const plans = cellPlans(options, nodes);
  if (plans.length === 0) return [];
  const peers: LoadedPeer[] = [];
  const cells: Cell[] = [];
  try {
    for (const kind of kinds.filter(({ maxNodes }) => maxNodes >= nodes)) {
      const own = join(folder, kind.name.replace(/\W/g, '-'));
      mkdirSync(own, { recursive: true });
      peers.push(new LoadedPeer(await kind.start({ nodes, folder: own })));
    }
    for (const peer of peers) await peer.fill(settings.seed);
    for (const plan of plans) {
      const cell = await measureCell(plan, peers, settings);
      cells.push(cell);
      for (const line of cellLines(cell)) say(line);
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
  return cells;
}
