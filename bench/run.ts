import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from './options.ts';
import { bare } from './peers/bare.ts';
import { disk } from './peers/disk.ts';
import { etcd } from './peers/etcd.ts';
import { minikvKind } from './peers/minikv.ts';
import type { PeerKind } from './peers/peer.ts';
import { redis } from './peers/redis.ts';
import { type Profiled, runProfiles } from './profile/run.ts';
import { cellLines } from './report/cell-table.ts';
import type { Cell, FailoverFound, GrowthFound, MemoryFound, Results } from './results.ts';
import { commitOf, hardware } from './system/hardware.ts';
import { residentBytesOf } from './system/process-use.ts';
import { cellPlans } from './workloads/cells.ts';
import { runFailover } from './workloads/failover.ts';
import { runGrowth } from './workloads/growth.ts';
import { LoadedPeer, measureCell } from './workloads/load.ts';
import { runNats } from './workloads/nats.ts';
import { runRecovery, runStartup } from './workloads/startup.ts';
import { runWatch } from './workloads/watch.ts';

/** What a run needs all along. */
export interface RunContext {
  readonly options: Options;
  /** Empty; everything is put under it. */
  readonly folder: string;
  readonly root: string;
  readonly command: string;
  readonly say: (line: string) => void;
}

/** Sizes of the long workloads, normal and quick. */
const SIZES = {
  normal: {
    ...{ kills: 20, growth: [10_000, 1_000_000, 10_000_000], startupKeys: 1_000_000 },
    ...{ recoveryWrites: 200_000, watchSeconds: 10 },
  },
  quick: {
    ...{ kills: 4, growth: [10_000, 200_000], startupKeys: 200_000 },
    ...{ recoveryWrites: 20_000, watchSeconds: 4 },
  },
};

/** Everything that was asked for, one after another. */
export async function runAll(
  context: RunContext,
): Promise<{ results: Results; profiles: readonly Profiled[] }> {
  const { options, folder, say } = context;
  const startMs = performance.now();
  const sizes = options.quick ? SIZES.quick : SIZES.normal;
  const settings = { ...options, say };
  const kinds = kindsOf(options);
  const peers = kinds.map(({ name, version, install }) => ({ name, version: version(), install }));
  for (const { name, version, install } of peers) {
    say(version === null ? `${name} is absent: ${install}` : `${name} ${version}`);
  }
  const present = kinds.filter((_, i) => peers[i]?.version !== null);
  const cells: Cell[] = [];
  const memory: MemoryFound[] = [];
  const own = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const wants = (name: Options['only'][number]): boolean => options.only.includes(name);
  for (const nodes of options.nodes) {
    const found = await runCells(context, present, nodes, own(`cells-${nodes}`));
    cells.push(...found.cells);
    memory.push(...found.memory);
    if (wants('nats')) cells.push(...(await runNats(nodes, own(`nats-${nodes}`), settings)));
  }
  const withEtcd = present.includes(etcd);
  const kills = { rounds: sizes.kills, withEtcd, folder: own('failover'), say };
  const failover: FailoverFound[] = wants('failover') ? await runFailover(kills) : [];
  const watch = wants('watch') ? await runWatch(sizes.watchSeconds, own('watch'), say) : null;
  const startup = wants('startup')
    ? await runStartup(sizes.startupKeys, own('startup'), settings)
    : null;
  const recovery = wants('recovery')
    ? await runRecovery(sizes.recoveryWrites, own('recovery'), settings)
    : null;
  let growth: GrowthFound[] = [];
  if (wants('growth')) {
    const found = await runGrowth(sizes.growth, own('growth'), settings);
    growth = found.sizes;
    cells.push(...found.cells);
  }
  const profiled = { ...options, folder: own('profiles'), say };
  const profiles = options.profile ? await runProfiles(profiled) : [];
  const results: Results = {
    version: 1,
    date: new Date().toISOString(),
    commit: commitOf(context.root),
    command: context.command,
    hardware: hardware(folder),
    seconds: Math.round((performance.now() - startMs) / 1000),
    ...{ peers, cells, memory, failover, growth, startup, recovery, watch },
    profiles: profiles.map(({ found }) => found),
  };
  return { results, profiles };
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
  { options, say }: RunContext,
  kinds: readonly PeerKind[],
  nodes: number,
  folder: string,
): Promise<{ cells: Cell[]; memory: MemoryFound[] }> {
  const plans = cellPlans(options, nodes);
  if (plans.length === 0) return { cells: [], memory: [] };
  const settings = { ...options, say };
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
    const memory = peers
      .filter(({ peer }) => peer.pids().length > 0)
      .map(({ peer }) => ({
        ...{ peer: peer.name, nodes, residentBytes: residentBytesOf(peer.pids()) },
      }));
    return { cells, memory };
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}
