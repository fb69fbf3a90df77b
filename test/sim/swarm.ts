import { type Random, randomInt, seededRandom } from '../../protocol/random.ts';
import { APART_HABITS, type ApartHabits } from './apart-client.ts';
import type { ClientConfig } from './client.ts';
import type { LeaseHabits } from './lease-client.ts';
import { FAIR_WEATHER, type LinkWeather } from './network.ts';
import type { Favourite } from './object-mix.ts';
import { CLIENT_OPERATIONS, type ClientOperation, LATER_OPERATIONS } from './operations.ts';
import {
  drawApart,
  drawChunkClients,
  drawIdentityClients,
  drawLeaseClients,
  drawNotifies,
  drawObjectClients,
  drawQuotaClients,
  drawUniqueClients,
} from './swarm-clients.ts';

/** Everything the nemesis can do; see faults.ts for what each means. */
export const FAULT_KINDS = [
  'killLeader',
  'killAny',
  'killAll',
  'powerCutOne',
  'powerCutAll',
  'pause',
  'pauseLeader',
  'partition',
  'partialPartition',
  'oneWayCut',
  'isolateLeader',
  'clog',
  'clockJump',
  'clockDrift',
  'syncError',
  'slowSync',
  'hungSync',
  'diskFull',
  'bitFlip',
  'emptyDisk',
  'busDown',
  'transferLeader',
  'crashBeforeSyncEnds',
  'crashAfterVote',
  'crashNewLeader',
  'crashAfterCommit',
  'cutLeaderAfterAppend',
  'crashDuringSnapshot',
  'laggardAfterLeader',
  'slowCpu',
  'lateRepeats',
  'writeError',
  'crashCoordinator',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What one seed runs: drawn, so that rare mixtures come up (swarm testing). */
export interface SwarmConfig {
  readonly seed: number;
  readonly nodeCount: number;
  /** Nodes beside the founders that join the cluster: empty, and of use to clients all the same. */
  readonly joinerCount: number;
  readonly groupCount: number;
  /** Virtual time under faults; convergence and final reads come on top. */
  readonly workMs: number;
  readonly weather: LinkWeather;
  /** Weights; a kind that is off is not in here. */
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly faultGapMsMean: number;
  readonly clockOffsetMsMax: number;
  readonly syncMsMean: number;
  readonly clientCount: number;
  readonly watcherCount: number;
  readonly keyCount: number;
  readonly client: ClientConfig;
  readonly retentionMs: number;
  /** Small segments make the log rotate and drop often. */
  readonly walSegmentBytes: number;
  /** All that is on the disks is sealed. By the seed and not drawn: it changes nothing else of a run. */
  readonly encrypted: boolean;
  /** Nodes die and return while the cluster is being formed. */
  readonly roughStart: boolean;
  /** Clients that live by leases and locks. */
  readonly leaseClientCount: number;
  readonly leaseHabits: LeaseHabits;
  /** Clients that keep the groups apart; how busy they are. */
  readonly apartCount: number;
  readonly apartThinkMsMean: number;
  readonly apartHabits: ApartHabits;
  /** Clients of a unique index. */
  readonly uniqueClientCount: number;
  /** Clients of buckets and objects. */
  readonly objectClientCount: number;
  /** What all of them do most; null: each draws its own. */
  readonly objectFavourite: Favourite | null;
  /** Their buckets have notifications. */
  readonly notifies: boolean;
  /** Clients that make and revoke keys; there are half as many of users of S3. */
  readonly identityClientCount: number;
  /** Clients of objects in chunks; with some, nodes look after their chunks. How busy they are. */
  readonly chunkClientCount: number;
  readonly chunkThinkMsMean: number;
  /** Clients of keys under a quota. */
  readonly quotaClientCount: number;
}

export const BUSY_KINDS = [
  'reads',
  'writes',
  'indexes',
  'leases',
  'transactions',
  'unique',
  'listReads',
  'snapshots',
  'ends',
  'objects',
  'identities',
  'chunks',
  'notifications',
  'quotas',
] as const;
export type BusyKind = (typeof BUSY_KINDS)[number];

/** Parts of a configuration that the command line may fix. */
export interface SwarmOverrides {
  readonly nodeCount?: number | undefined;
  readonly seconds?: number | undefined;
  readonly faults?: readonly FaultKind[] | undefined;
  /** Many reads, writes, queries or transactions of few keys and frequent faults, for bugs with a short window. */
  readonly busy?: BusyKind | undefined;
  /** With `busy: 'objects'`. */
  readonly favourite?: Favourite | undefined;
  readonly weather?: Partial<LinkWeather> | undefined;
}

/** Kinds that make no sense with one node: there is nobody to go on, or nothing to cut. */
const NEEDS_PEERS: ReadonlySet<FaultKind> = new Set([
  'partition',
  'partialPartition',
  'oneWayCut',
  'isolateLeader',
  'clog',
  'bitFlip',
  'emptyDisk',
  'transferLeader',
  'cutLeaderAfterAppend',
  'laggardAfterLeader',
]);

/** Drawn from a stream of their own, so that older seeds keep everything else. */
const LATER_KINDS: ReadonlySet<FaultKind> = new Set([
  'slowCpu',
  'lateRepeats',
  'writeError',
  'crashCoordinator',
]);

/** Snapshots in transactions, beside keys that mostly come and go. */
const HABITS_OF_ENDS: ApartHabits = { scanShare: 0.1, appendShare: 0.4 };

/** The configuration of a seed: a pure function of its arguments. */
export function drawSwarm(seed: number, overrides: SwarmOverrides): SwarmConfig {
  const random = seededRandom(seed, 'swarm');
  const draw = random.next();
  const drawnCount = draw < 0.1 ? 1 : draw < 0.8 ? 3 : 5;
  const nodeCount = overrides.nodeCount ?? drawnCount;
  const calm = random.next() < 0.06;
  const isAimed = overrides.busy !== undefined || overrides.faults !== undefined;
  const config: SwarmConfig = {
    seed,
    nodeCount,
    joinerCount: drawJoiners(seed, overrides.nodeCount ?? null, nodeCount),
    groupCount: groupCountOf(random.next()),
    workMs: (overrides.seconds ?? 200) * 1000,
    weather: { ...drawWeather(random), ...drawAbsence(seed), ...overrides.weather },
    faults: drawFaults(random, nodeCount, calm, overrides.faults, seed),
    faultGapMsMean: 1500 + random.next() * 8000,
    clockOffsetMsMax: random.next() < 0.5 ? 20 : 1500,
    syncMsMean: 0.3 + random.next() * random.next() * 15,
    clientCount: randomInt(random, 2, 6),
    watcherCount: randomInt(random, 0, 3),
    keyCount: randomInt(random, 1, 8),
    client: {
      // From a busy cluster to an almost idle one, evenly over the orders of magnitude. A busier one costs
      // more than it finds: what counts is how much happens to it, not how often nothing does.
      thinkMsMean: 75 * 6.4 ** random.next(),
      deadlineMs: random.next() < 0.5 ? 5000 : 1500,
      mix: drawMix(random, seed, isAimed),
      valueBytesMax: random.next() < 0.8 ? 300 : 20_000,
    },
    retentionMs: random.next() < 0.8 ? 3_600_000 : 20_000,
    encrypted: seed % 4 === 3,
    walSegmentBytes: random.next() < 0.5 ? 32 * 1024 : 512 * 1024,
    roughStart: random.next() < 0.3,
    ...drawLeaseClients(seed),
    ...drawApart(seed),
    apartHabits: APART_HABITS,
    // A run that is aimed at something stays what it was.
    uniqueClientCount: isAimed ? 0 : drawUniqueClients(seed),
    objectClientCount: isAimed ? 0 : drawObjectClients(seed),
    objectFavourite: overrides.favourite ?? null,
    notifies: !isAimed && drawNotifies(seed),
    identityClientCount: isAimed ? 0 : drawIdentityClients(seed),
    chunkClientCount: isAimed ? 0 : drawChunkClients(seed),
    chunkThinkMsMean: 4_000,
    quotaClientCount: isAimed ? 0 : drawQuotaClients(seed),
  };
  if (overrides.busy === undefined) return config;
  if (overrides.busy === 'leases') {
    const leaseHabits = { ...config.leaseHabits, revokesAtOnce: true, letsGo: true };
    return { ...config, leaseClientCount: 10, leaseHabits, groupCount: 2, faultGapMsMean: 1500 };
  }
  if (overrides.busy === 'objects' || overrides.busy === 'notifications') {
    const busy = { objectClientCount: 6, notifies: overrides.busy === 'notifications' };
    return { ...config, ...busy, groupCount: 2, faultGapMsMean: 1500, syncMsMean: 2 };
  }
  if (overrides.busy === 'identities') {
    return { ...config, identityClientCount: 6, groupCount: 1, faultGapMsMean: 1500 };
  }
  if (overrides.busy === 'chunks') {
    const few = { clientCount: 1, leaseClientCount: 0, watcherCount: 0 };
    const busy = { chunkClientCount: 4, chunkThinkMsMean: 800, faultGapMsMean: 1000 };
    return { ...config, ...few, ...busy, groupCount: 1, joinerCount: 0 };
  }
  if (overrides.busy === 'quotas') {
    return { ...config, quotaClientCount: 6, groupCount: 3, faultGapMsMean: 1500 };
  }
  if (overrides.busy === 'unique') {
    return { ...config, uniqueClientCount: 6, groupCount: 3, faultGapMsMean: 1500 };
  }
  if (overrides.busy === 'snapshots' || overrides.busy === 'ends') {
    const none = { clientCount: 0, leaseClientCount: 0, watcherCount: 0, joinerCount: 0 };
    const apart = { apartCount: 6, apartThinkMsMean: 10, clockOffsetMsMax: 150 };
    const ends = overrides.busy === 'ends';
    const habits = ends ? { apartHabits: HABITS_OF_ENDS, apartCount: 12 } : {};
    return { ...config, ...none, ...apart, ...habits, groupCount: 2, syncMsMean: 1 };
  }
  const mix = { ...config.client.mix };
  for (const name of Object.keys(mix) as ClientOperation[]) mix[name] = 0.01;
  mix.queryLists = 0;
  mix.get = overrides.busy === 'reads' ? 30 : 1;
  mix.put = overrides.busy === 'reads' ? 1 : 3;
  if (overrides.busy === 'indexes') {
    mix.queryIndex = 3;
    mix.changeIndex = 0.1;
    mix.delete = 1;
  } else if (overrides.busy === 'transactions' || overrides.busy === 'listReads') {
    Object.assign(mix, { get: 0.01, put: 0.01, scan: 0.5 });
    Object.assign(mix, { appendLists: 6, readLists: 2, readOneList: 1, scanLists: 2 });
    Object.assign(mix, { transfer: 4, readBank: 2, closeAccounts: 0.1 });
    // Plain reads beside transactions: they meet locks, and show what passes them.
    if (overrides.busy === 'listReads') Object.assign(mix, { readOneList: 16, transfer: 1 });
  }
  const client = { ...config.client, mix, thinkMsMean: 15, deadlineMs: 1000 };
  const keyCount = overrides.busy === 'indexes' ? 6 : 2;
  const groupCount = mix.appendLists > 1 ? 3 : config.groupCount;
  return { ...config, client, groupCount, clientCount: 8, keyCount, faultGapMsMean: 1500 };
}

/** Most have several: a transaction is of interest where it has to be in two places. */
function groupCountOf(draw: number): number {
  return draw < 0.4 ? 1 : draw < 0.9 ? 2 : 3;
}

function drawWeather(random: Random): LinkWeather {
  const isOn = (): boolean => random.next() < 0.35;
  return {
    ...FAIR_WEATHER,
    latencyMsMin: random.next() < 0.7 ? 0.2 : random.next() * 30,
    jitterMsMean: random.next() < 0.7 ? 0.3 : random.next() * 20,
    loss: isOn() ? random.next() * 0.15 : 0,
    duplicate: isOn() ? random.next() * 0.2 : 0,
    reorder: isOn() ? random.next() * 0.3 : 0,
    reorderMsMax: 5 + random.next() * 200,
    bytesPerMs: random.next() < 0.8 ? 100_000 : 2_000,
  };
}

function drawJoiners(seed: number, fixed: number | null, nodeCount: number): number {
  const isOn = seededRandom(seed, 'joiners').next() < 0.25;
  return isOn && fixed === null && nodeCount >= 3 ? 1 : 0;
}

/** From a stream of its own, so that older seeds keep everything else. */
function drawAbsence(seed: number): Pick<LinkWeather, 'tellsAbsence' | 'falseAbsence'> {
  const random = seededRandom(seed, 'absence');
  const tellsAbsence = random.next() < 0.6;
  return { tellsAbsence, falseAbsence: random.next() < 0.25 ? random.next() * 0.02 : 0 };
}

function drawFaults(
  random: Random,
  nodeCount: number,
  calm: boolean,
  only: readonly FaultKind[] | undefined,
  seed: number,
): Map<FaultKind, number> {
  const faults = new Map<FaultKind, number>();
  const share = 0.15 + random.next() * 0.5;
  for (const kind of FAULT_KINDS) {
    if (LATER_KINDS.has(kind)) continue;
    // Draw for every kind, so that fixing some does not shift the others.
    const isOn = random.next() < share;
    const weight = 0.2 + random.next();
    if (nodeCount === 1 && NEEDS_PEERS.has(kind)) continue;
    if (only === undefined ? isOn && !calm : only.includes(kind)) faults.set(kind, weight);
  }
  const later = seededRandom(seed, 'later-faults');
  for (const kind of LATER_KINDS) {
    const isOn = later.next() < share;
    const weight = 0.2 + later.next();
    if (only === undefined ? isOn && !calm : only.includes(kind)) faults.set(kind, weight);
  }
  return faults;
}

/** From a stream of its own, so that older seeds keep everything else. */
function drawIndexWork(mix: Record<ClientOperation, number>, seed: number): void {
  const random = seededRandom(seed, 'index-work');
  if (random.next() >= 0.6) return;
  mix.changeIndex = 0.02 + random.next() * 0.1;
  mix.queryIndex = 0.3 + random.next();
}

/** The same. */
function drawListWork(mix: Record<ClientOperation, number>, seed: number): void {
  const random = seededRandom(seed, 'later-operations');
  const names = ['appendLists', 'readLists', 'readOneList', 'scanLists'] as const;
  for (const name of names) mix[name] = random.next() < 0.7 ? random.next() * 3 : 0;
}

/** The same. */
function drawBankWork(mix: Record<ClientOperation, number>, seed: number): void {
  const random = seededRandom(seed, 'bank');
  if (random.next() >= 0.7) return;
  mix.transfer = random.next() * 3;
  mix.readBank = random.next();
  mix.closeAccounts = random.next() < 0.5 ? 0.05 : 0;
}

function drawMix(random: Random, seed: number, isAimed: boolean): Record<ClientOperation, number> {
  const mix = {} as Record<ClientOperation, number>;
  for (const name of Object.keys(CLIENT_OPERATIONS) as ClientOperation[]) {
    mix[name] = 0;
    if (!LATER_OPERATIONS.has(name)) mix[name] = random.next() < 0.7 ? random.next() : 0;
  }
  drawIndexWork(mix, seed);
  drawListWork(mix, seed);
  drawBankWork(mix, seed);
  if (!isAimed) drawListQueries(mix, seed);
  mix.get += 0.5;
  mix.put += 0.5;
  return mix;
}

/** The same. */
function drawListQueries(mix: Record<ClientOperation, number>, seed: number): void {
  const random = seededRandom(seed, 'list-queries');
  if (mix.appendLists > 0 && random.next() < 0.5) mix.queryLists = random.next();
}

/** One line for people. */
export function describeSwarm(config: SwarmConfig): string {
  const { weather: w } = config;
  const faults = [...config.faults.keys()].join(',') || 'none';
  return (
    `${config.nodeCount} nodes, ${config.joinerCount} join, ${config.groupCount} groups, ${config.clientCount}+${config.leaseClientCount}+${config.uniqueClientCount}+${config.objectClientCount}+${config.chunkClientCount} clients, ` +
    `${config.watcherCount} watchers, ${config.keyCount} keys, ` +
    `latency ${w.latencyMsMin.toFixed(1)}+${w.jitterMsMean.toFixed(1)} ms, ` +
    `loss ${w.loss.toFixed(2)} dup ${w.duplicate.toFixed(2)} reorder ${w.reorder.toFixed(2)}, ` +
    `sync ${config.syncMsMean.toFixed(1)} ms, faults every ${Math.round(config.faultGapMsMean)} ms: ${faults}`
  );
}
