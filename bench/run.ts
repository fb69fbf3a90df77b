import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findNatsServer } from '../cli/nats-server.ts';
import { sleep } from '../test/kit/wait.ts';
import type { Options } from './options.ts';
import { bare } from './peers/bare.ts';
import { disk } from './peers/disk.ts';
import { etcd } from './peers/etcd.ts';
import { minikvKind } from './peers/minikv.ts';
import type { PeerKind } from './peers/peer.ts';
import { redis } from './peers/redis.ts';
import { type Profiled, runProfiles } from './profile/run.ts';
import { cellLines } from './report/cell-table.ts';
import type { Cell, MemoryFound, PeerSeen, Results } from './results.ts';
import { versionOf } from './system/binaries.ts';
import { commitOf, hardware } from './system/hardware.ts';
import { cpuSecondsOf, residentBytesOf } from './system/process-use.ts';
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

const IDLE_MS = 1_500;
const RAM_DISKS = new Set(['tmpfs', 'ramfs']);

/** Everything that was asked for, one after another; what fails is told and left out. */
export async function runAll(
  context: RunContext,
): Promise<{ results: Results; profiles: readonly Profiled[] }> {
  const { options, folder, say } = context;
  const startMs = performance.now();
  const sizes = options.quick ? SIZES.quick : SIZES.normal;
  const settings = { ...options, say };
  const kinds = kindsOf(options);
  const peers = [
    ...kinds.map(({ name, version, install }) => ({ name, version: version(), install })),
    natsSeen(),
  ];
  const hasNats = peers.at(-1)?.version !== null;
  for (const { name, version, install } of peers) {
    say(version === null ? `${name} is absent: ${install}` : `${name} ${version}`);
  }
  if (RAM_DISKS.has(hardware(folder).fileSystem)) {
    say('the data folder is on a RAM disk, where an fsync costs nothing: see --data');
  }
  const present = kinds.filter((_, i) => peers[i]?.version !== null);
  const failures: { workload: string; reason: string }[] = [];
  /** Runs one workload in a folder of its own; null when it was not asked for or failed. */
  const attempt = async <T>(
    workload: string,
    isWanted: boolean,
    run: (own: string) => Promise<T>,
  ): Promise<T | null> => {
    if (!isWanted) return null;
    const own = join(folder, workload.replace(/\W+/g, '-'));
    mkdirSync(own, { recursive: true });
    try {
      return await run(own);
    } catch (error) {
      const reason = (error as Error).message;
      say(`${workload} FAILED: ${(error as Error).stack}`);
      failures.push({ workload, reason });
      return null;
    } finally {
      rmSync(own, { recursive: true, force: true });
    }
  };
  const wants = (name: Options['only'][number]): boolean => options.only.includes(name);
  const cells: Cell[] = [];
  const memory: MemoryFound[] = [];
  for (const nodes of options.nodes.filter((count) => count === 1 || hasNats)) {
    const found = await attempt(`closed loops, nodes ${nodes}`, true, (own) =>
      runCells(context, present, nodes, own),
    );
    cells.push(...(found?.cells ?? []));
    memory.push(...(found?.memory ?? []));
    const overNats = await attempt(`NATS, nodes ${nodes}`, wants('nats') && hasNats, (own) =>
      runNats(nodes, own, settings),
    );
    cells.push(...(overNats ?? []));
  }
  const withEtcd = present.includes(etcd);
  const failover = await attempt('failover', wants('failover') && hasNats, (own) =>
    runFailover({ rounds: sizes.kills, withEtcd, folder: own, say }),
  );
  const watch = await attempt('watch', wants('watch'), (own) =>
    runWatch(sizes.watchSeconds, own, say),
  );
  const startup = await attempt('startup', wants('startup'), (own) =>
    runStartup(sizes.startupKeys, own, settings),
  );
  const recovery = await attempt('recovery', wants('recovery'), (own) =>
    runRecovery(sizes.recoveryWrites, own, settings),
  );
  const growth = await attempt('growth', wants('growth'), (own) =>
    runGrowth(sizes.growth, own, settings),
  );
  cells.push(...(growth?.cells ?? []));
  const profiled = await attempt('profiles', options.profile, (own) =>
    runProfiles({ ...options, folder: own, say }),
  );
  const profiles = profiled ?? [];
  const results: Results = {
    version: 1,
    date: new Date().toISOString(),
    commit: commitOf(context.root),
    command: context.command,
    hardware: hardware(folder),
    seconds: Math.round((performance.now() - startMs) / 1000),
    ...{ peers, failures, cells, memory, startup, recovery, watch },
    failover: failover ?? [],
    growth: growth?.sizes ?? [],
    profiles: profiles.map(({ found }) => found),
  };
  return { results, profiles };
}

/** Not a peer, but more than one node and requests over NATS need it. */
function natsSeen(): PeerSeen {
  const file = findNatsServer();
  return {
    name: 'nats-server',
    version: file === null ? null : versionOf(file),
    install:
      'apt-get install nats-server; without it there are no three nodes, failover and NATS requests',
  };
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
    for (const peer of peers) await peer.warm(settings);
    const idle = await idleCpuOf(peers);
    for (const plan of plans) {
      const cell = await measureCell(plan, peers, settings);
      cells.push(cell);
      for (const line of cellLines(cell)) say(line);
    }
    const memory = peers
      .filter(({ peer }) => peer.pids().length > 0)
      .map(({ peer }) => ({
        ...{ peer: peer.name, nodes, residentBytes: residentBytesOf(peer.pids()) },
        idleCpu: idle.get(peer.name) ?? null,
      }));
    return { cells, memory };
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
  }
}

/** CPU seconds in a second of each peer while none of them is asked anything. */
async function idleCpuOf(peers: readonly LoadedPeer[]): Promise<Map<string, number>> {
  await sleep(IDLE_MS);
  const before = peers.map(({ peer }) => cpuSecondsOf(peer.pids()));
  const startMs = performance.now();
  await sleep(IDLE_MS);
  const seconds = (performance.now() - startMs) / 1000;
  const found = new Map<string, number>();
  for (const [i, { peer }] of peers.entries()) {
    const from = before[i] ?? null;
    const to = cpuSecondsOf(peer.pids());
    if (from !== null && to !== null) found.set(peer.name, (to - from) / seconds);
  }
  return found;
}
