import { decodeCommand } from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import type { Random } from '../../protocol/random.ts';
import type { NodeId } from '../../protocol/types.ts';
import type { Fault } from './faults.ts';
import type { DiskMoment } from './machine.ts';
import type { ReplicaChange } from './probe.ts';
import type { SimNode } from './sim-node.ts';
import type { FaultKind } from './swarm.ts';
import type { World } from './world.ts';

/**
 * Faults that wait for a moment and then strike exactly there: between a write and the end of its
 * sync, between a term and its vote, right after a commit. They find an order of magnitude more
 * than the same faults at random times.
 */
type AimedKind = Extract<
  FaultKind,
  | 'crashBeforeSyncEnds'
  | 'crashAfterVote'
  | 'crashNewLeader'
  | 'crashAfterCommit'
  | 'cutLeaderAfterAppend'
  | 'crashDuringSnapshot'
  | 'laggardAfterLeader'
  | 'crashCoordinator'
>;

/** How long a fault waits for its moment. */
const ARMED: readonly [number, number] = [4000, 12_000];

export const AIMED_FAULTS: Readonly<Record<AimedKind, Fault>> = {
  crashBeforeSyncEnds: {
    durationMs: ARMED,
    begin: (world, random) =>
      onDisk(world, random, (moment) => moment.type === 'syncBegins', 'a sync was under way'),
  },
  crashDuringSnapshot: {
    durationMs: ARMED,
    begin: (world, random) =>
      onDisk(world, random, (moment) => moment.path.includes('snap'), 'a snapshot was written'),
  },
  crashAfterVote: {
    durationMs: ARMED,
    begin: (world, random) =>
      onChange(world, random, 'its vote or term was new', ({ before, after }) => {
        return (
          before !== null &&
          (before.votedFor !== after.votedFor || before.currentTerm !== after.currentTerm)
        );
      }),
  },
  crashNewLeader: {
    durationMs: ARMED,
    begin: (world, random) =>
      onChange(world, random, 'it had just been elected', ({ before, after }) => {
        return before !== null && before.role !== 'leader' && after.role === 'leader';
      }),
  },
  crashAfterCommit: {
    durationMs: ARMED,
    begin: (world, random) =>
      onChange(world, random, 'it had just committed', ({ before, after }) => {
        return before !== null && after.role === 'leader' && before.commitIndex < after.commitIndex;
      }),
  },
  cutLeaderAfterAppend: { durationMs: ARMED, begin: cutLeaderAfterAppend },
  laggardAfterLeader: { durationMs: [300, 2500], begin: laggardAfterLeader },
  crashCoordinator: { durationMs: ARMED, begin: crashCoordinator },
};

/** Kills one node a moment after something about one of its replicas has changed. */
function onChange(
  world: World,
  random: Random,
  why: string,
  matches: (change: ReplicaChange) => boolean,
): () => void {
  const wholeCluster = random.next() < 0.15;
  const kind = random.next() < 0.6 ? 'power' : 'process';
  const delayMs = random.next() < 0.5 ? 0 : random.next() * 5;
  const downMs = downTime(random);
  let armed = true;
  world.aim.changes.add((change) => {
    if (!armed) return false;
    if (!matches(change)) return true;
    armed = false;
    const node = world.node(change.node);
    const targets = wholeCluster ? world.nodes : node === undefined ? [] : [node];
    world.scheduler.after(delayMs, null, () => {
      for (const target of targets) strike(world, target, kind, why, downMs);
    });
    return false;
  });
  return () => {
    armed = false;
  };
}

/** A leader dies before or after a record of a transaction: proposed, or committed (F24). */
function crashCoordinator(world: World, random: Random): () => void {
  const kinds = ['txnPrepare', 'txnDecide', 'txnCommit', 'txnResolve', 'txnForget'];
  const wanted = kinds[Math.floor(random.next() * kinds.length)] as string;
  const committed = random.next() < 0.5;
  const why = `its ${wanted} was ${committed ? 'committed' : 'proposed'}`;
  const isWanted = (entry: LogEntry | null): boolean =>
    entry?.kind === 'command' && decodeCommand(entryPayload(entry)).type === wanted;
  return onChange(world, random, why, ({ before, after, appended, inspection }) => {
    if (before === null || after.role !== 'leader') return false;
    if (!committed) return appended.some(isWanted);
    for (let index = before.commitIndex + 1; index <= after.commitIndex; index++) {
      if (isWanted(inspection.entry(index))) return true;
    }
    return false;
  });
}

/** Kills one node in the middle of what its disk is doing. */
function onDisk(
  world: World,
  random: Random,
  matches: (moment: DiskMoment) => boolean,
  why: string,
): () => void {
  const victims = random.next() < 0.5 ? world.leaders() : world.nodes;
  const index = Math.floor(random.next() * victims.length);
  const victim = victims[index] ?? (world.nodes[0] as SimNode);
  const delayMs = random.next() < 0.5 ? 0 : random.next() * world.config.syncMsMean;
  const skip = Math.floor(random.next() * 4);
  const kind = random.next() < 0.7 ? 'power' : 'process';
  const downMs = downTime(random);
  let left = skip;
  let armed = true;
  world.aim.moments.add((node, moment) => {
    if (!armed) return false;
    if (node !== victim.index || !matches(moment)) return true;
    if (left-- > 0) return true;
    armed = false;
    world.scheduler.after(delayMs, null, () => strike(world, victim, kind, why, downMs));
    return false;
  });
  return () => {
    armed = false;
  };
}

/** A second crash while a node that lost its data moves the rest aside and takes a new identity. */
export function crashInRepair(world: World, node: SimNode, random: Random): void {
  let skip = Math.floor(random.next() * 4);
  const delayMs = random.next() * 0.5;
  const kind = random.next() < 0.5 ? 'power' : 'process';
  const expiresMs = world.nowMs() + 5000;
  world.aim.moments.add((index, moment) => {
    if (world.nowMs() > expiresMs) return false;
    if (index !== node.index || moment.type !== 'fileChanges') return true;
    if (skip-- > 0) return true;
    world.scheduler.after(delayMs, null, () => strike(world, node, kind, 'it was repairing', 200));
    return false;
  });
}

/** The leader has new entries that nobody else has yet: cut it off, let another lead, mend. */
function cutLeaderAfterAppend(world: World, random: Random): () => void {
  const cutMs = 800 + random.next() * 4000;
  let armed = true;
  let mend: (() => void) | null = null;
  world.aim.changes.add((change) => {
    if (!armed) return false;
    const { before, after } = change;
    if (before === null || after.role !== 'leader' || after.lastIndex <= before.lastIndex) {
      return true;
    }
    armed = false;
    mend = cutOff(world, change.node, 'it had just appended');
    world.scheduler.after(cutMs, null, () => {
      mend?.();
      mend = null;
    });
    return false;
  });
  return () => {
    armed = false;
    mend?.();
    mend = null;
  };
}

/** A follower falls behind; in the moment it is back the leader dies, and it may stand for election. */
function laggardAfterLeader(world: World, random: Random): (() => void) | null {
  const leaders = world.leaders();
  const leader = leaders[Math.floor(random.next() * leaders.length)];
  const others = world.nodes.filter((node) => node !== leader && node.isUp);
  const laggard = others[Math.floor(random.next() * others.length)];
  if (leader === undefined || laggard === undefined) return null;
  const mend = cutOff(world, laggard.id, 'it is to fall behind');
  const downMs = 700 + random.next() * 2000;
  return () => {
    mend();
    strike(world, leader, 'process', 'a laggard is back', downMs);
  };
}

function cutOff(world: World, node: NodeId, why: string): () => void {
  const others = world.nodes.filter((other) => other.id !== node);
  const set = (cut: boolean): void => {
    for (const other of others) {
      world.network.setCut(node, other.id, cut);
      world.network.setCut(other.id, node, cut);
    }
  };
  world.trace.note('network', `isolate ${node}: ${why}`);
  set(true);
  return () => {
    world.trace.note('network', `mended: isolate ${node}`);
    set(false);
  };
}

/** Often back within the term, so that what was forgotten can do harm. */
function downTime(random: Random): number {
  return random.next() < 0.6 ? 5 + random.next() * 150 : 200 + random.next() * 4000;
}

function strike(
  world: World,
  node: SimNode,
  kind: 'process' | 'power',
  why: string,
  downMs: number,
): void {
  if (!node.isUp) return;
  node.kill(kind, why);
  world.scheduler.after(downMs, null, () => node.start());
}
