import { initialShardMap } from '../actors/router/shard-map.ts';
import { DEFAULT_TENANT, KV_SPACE, vshardOf } from '../protocol/vshard.ts';
import { ProcessCluster, statusOf } from '../test/kit/process-cluster.ts';
import { sleep, until } from '../test/kit/wait.ts';
import { SteadyWriter } from './workloads/steady-writer.ts';

/**
 * How long clients of a surviving node are without a success when the node that leads most groups is
 * killed, paused or stopped: three processes of the build over one nats-server. One client per group
 * writes its key again and again, waiting for each answer; the gap of a group is the longest time
 * between two of its successes. `npm run bench` calls measureFailover; by itself: `npx tsx
 * bench/failover.ts [kill|pause|stop] [rounds]`.
 */

export type FaultKind = 'kill' | 'pause' | 'stop';

/** One group whose leader was hit. All times in ms after the fault. */
export interface GroupGap {
  readonly group: number;
  /** Longest time between two successes around the fault. */
  readonly gapMs: number;
  /** A survivor asks for votes, leads, has committed its first entry; null where its log does not tell. */
  readonly campaignMs: number | null;
  readonly electedMs: number | null;
  readonly servesMs: number | null;
  /** The first answer to a write that began after the fault. */
  readonly successMs: number;
}

export interface FailoverRound {
  readonly kind: FaultKind;
  readonly node: string;
  /** The longest gap of all groups that the node led. */
  readonly gapMs: number;
  readonly groups: readonly GroupGap[];
}

export interface FailoverReport {
  readonly kind: FaultKind;
  readonly rounds: readonly FailoverRound[];
  /** Over the rounds' longest gaps. */
  readonly medianMs: number;
  readonly maxMs: number;
}

export interface FailoverOptions {
  readonly kind: FaultKind;
  readonly rounds: number;
  /** Told what happens, for people. */
  readonly say?: (line: string) => void;
}

const GROUPS = 8;
const PAUSE_MS = 2_500;
const QUIET_MS = 1_200;

/** Runs the rounds on a cluster of its own and takes it down again. */
export async function measureFailover(options: FailoverOptions): Promise<FailoverReport> {
  const { kind, rounds: count, say = () => {} } = options;
  const cluster = await ProcessCluster.start({ nodes: 3, groups: GROUPS });
  const rounds: FailoverRound[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const round = await oneRound(cluster, kind);
      rounds.push(round);
      const { node, gapMs, groups } = round;
      say(`${kind} ${i + 1}/${count}: ${node} led ${groups.length} groups, gap ${gapMs} ms`);
      for (const group of groups) say(`  ${JSON.stringify(group)}`);
    }
  } finally {
    await cluster.dispose();
  }
  const gaps = rounds.map(({ gapMs }) => gapMs).sort((a, b) => a - b);
  const medianMs = gaps[gaps.length >> 1] ?? 0;
  return { kind, rounds, medianMs, maxMs: gaps[gaps.length - 1] ?? 0 };
}

async function oneRound(cluster: ProcessCluster, kind: FaultKind): Promise<FailoverRound> {
  const { victim, led } = await leaderOfMost(cluster);
  const others = [0, 1, 2].filter((index) => index !== victim);
  const asked = others[Math.floor(Math.random() * others.length)] as number;
  const writers = keysByGroup().map((key) => minikvWriter(cluster.node(asked).url, key));
  try {
    await until(() => writers.every(({ successes }) => successes.length > 20), 'a steady load');
    const logged = others.map((index) => cluster.node(index).output().length);
    const atMs = performance.now();
    const atWallMs = Date.now();
    const ended = strike(cluster, victim, kind);
    await until(
      () =>
        led.every((group) => (writers[group - 1] as SteadyWriter).firstBegunAfter(atMs) !== null),
      'writes to every group again',
      20_000,
    );
    await sleep(QUIET_MS);
    await ended;
    const endMs = performance.now();
    const logs = others.map((index, i) => cluster.node(index).output().slice(logged[i]));
    const groups = led.map((group): GroupGap => {
      const writer = writers[group - 1] as SteadyWriter;
      const after = (message: string) => firstLog(logs, message, group, atWallMs);
      return {
        group,
        gapMs: Math.round(writer.longestGap(atMs, endMs)),
        campaignMs: after('asks for votes'),
        electedMs: after('leads'),
        servesMs: after('serves'),
        successMs: Math.round((writer.firstBegunAfter(atMs) as number) - atMs),
      };
    });
    const gapMs = Math.max(...groups.map((group) => group.gapMs));
    return { kind, node: cluster.node(victim).id, gapMs, groups };
  } finally {
    await Promise.all(writers.map((writer) => writer.stop()));
    if (kind !== 'pause') cluster.spawn(victim);
    await cluster.ready();
  }
}

async function strike(cluster: ProcessCluster, victim: number, kind: FaultKind): Promise<void> {
  if (kind === 'kill') return cluster.kill(victim);
  if (kind === 'stop') return void (await cluster.stop(victim));
  cluster.signal(victim, 'SIGSTOP');
  await sleep(PAUSE_MS);
  cluster.signal(victim, 'SIGCONT');
}

/** The node that leads most data groups, once every group has a leader. */
async function leaderOfMost(cluster: ProcessCluster): Promise<{ victim: number; led: number[] }> {
  for (;;) {
    const status = await statusOf(cluster.node(0).url);
    const groups = (status?.groups ?? []).filter(({ group }) => group > 0);
    const led = [0, 1, 2].map((index) =>
      groups.filter(({ leader }) => leader === cluster.node(index).id).map(({ group }) => group),
    );
    if (led.flat().length === GROUPS) {
      const victim = [0, 1, 2].reduce((best, index) =>
        (led[index]?.length ?? 0) > (led[best]?.length ?? 0) ? index : best,
      );
      return { victim, led: led[victim] as number[] };
    }
    await sleep(50);
  }
}

function minikvWriter(base: string, key: string): SteadyWriter {
  return new SteadyWriter(`${base}/v1/kv/${key}`, { method: 'PUT', body: 'x'.repeat(100) });
}

/** A key of each data group, from group 1 on. */
function keysByGroup(): string[] {
  const map = initialShardMap(GROUPS);
  const keys = new Array<string>(GROUPS);
  for (let n = 0, found = 0; found < GROUPS; n++) {
    const key = `failover-${n}`;
    const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
    const slot = (map.groups[vshardOf(ref)] as number) - 1;
    if (keys[slot] !== undefined) continue;
    keys[slot] = key;
    found++;
  }
  return keys;
}

/** When a survivor first logged this for the group, in ms after `sinceWallMs`. */
function firstLog(
  logs: readonly string[],
  message: string,
  group: number,
  sinceWallMs: number,
): number | null {
  let first: number | null = null;
  for (const line of logs.join('\n').split('\n')) {
    if (!line.includes(`"msg":"${message}"`)) continue;
    const { time, group: of } = JSON.parse(line) as { time: string; group?: number };
    if (of !== group) continue;
    const ms = Date.parse(time) - sinceWallMs;
    if (ms >= 0 && (first === null || ms < first)) first = ms;
  }
  return first;
}

if (process.argv[1]?.endsWith('failover.ts')) {
  const [kind = 'kill', rounds = '20'] = process.argv.slice(2);
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const report = await measureFailover({ kind: kind as FaultKind, rounds: Number(rounds), say });
  say(`${report.kind}: median ${report.medianMs} ms, longest ${report.maxMs} ms`);
}
