import { type Random, randomInt } from '../../protocol/random.ts';
import { AIMED_FAULTS, crashInRepair } from './aimed.ts';
import type { SimNode } from './sim-node.ts';
import type { FaultKind } from './swarm.ts';
import type { World } from './world.ts';

/** One kind of fault. */
export interface Fault {
  /** How long it lasts, ms: shortest and longest. */
  readonly durationMs: readonly [number, number];
  /** Begins it; null when it cannot do anything now, else how it is ended. */
  begin(world: World, random: Random): (() => void) | null;
}

export function pickOne<T>(random: Random, items: readonly T[]): T | null {
  return items.length === 0 ? null : (items[randomInt(random, 0, items.length - 1)] as T);
}

const SHORT: readonly [number, number] = [200, 4000];
const LONG: readonly [number, number] = [1000, 13_000];

/** Every kind; the compiler finds the ones that are missing. */
export const FAULTS: Readonly<Record<FaultKind, Fault>> = {
  ...AIMED_FAULTS,
  killLeader: { durationMs: SHORT, begin: (w, r) => killOne(pickOne(r, w.leaders()), 'process') },
  killAny: { durationMs: LONG, begin: (w, r) => killOne(pickUp(w, r), 'process') },
  killAll: { durationMs: [100, 1500], begin: (w) => killAll(w, 'process') },
  powerCutOne: { durationMs: LONG, begin: (w, r) => killOne(pickUp(w, r), 'power') },
  powerCutAll: { durationMs: [100, 1500], begin: (w) => killAll(w, 'power') },
  pause: { durationMs: SHORT, begin: (w, r) => pauseOne(pickUp(w, r)) },
  pauseLeader: { durationMs: [300, 5000], begin: (w, r) => pauseOne(pickOne(r, w.leaders())) },
  partition: { durationMs: LONG, begin: partition },
  partialPartition: { durationMs: LONG, begin: partialPartition },
  oneWayCut: { durationMs: LONG, begin: oneWayCut },
  isolateLeader: {
    durationMs: [500, 8000],
    begin: (w, r) => isolate(w, pickOne(r, w.leaders())),
  },
  clog: { durationMs: LONG, begin: clog },
  clockJump: { durationMs: LONG, begin: clockJump },
  clockDrift: { durationMs: LONG, begin: clockDrift },
  syncError: { durationMs: SHORT, begin: syncError },
  slowSync: { durationMs: LONG, begin: slowSync },
  hungSync: { durationMs: SHORT, begin: hungSync },
  diskFull: { durationMs: LONG, begin: diskFull },
  bitFlip: { durationMs: SHORT, begin: bitFlip },
  emptyDisk: { durationMs: SHORT, begin: emptyDisk },
  busDown: { durationMs: SHORT, begin: busDown },
  transferLeader: { durationMs: [1, 2], begin: transferLeader },
  slowCpu: { durationMs: LONG, begin: slowCpu },
  lateRepeats: { durationMs: LONG, begin: lateRepeats },
  writeError: { durationMs: SHORT, begin: writeError },
};

function pickUp(world: World, random: Random): SimNode | null {
  return pickOne(
    random,
    world.nodes.filter((node) => node.isUp),
  );
}

/** F1, F9, F27: the end of a process or of a machine; its heal is the restart. */
function killOne(node: SimNode | null, kind: 'process' | 'power'): (() => void) | null {
  if (node === null) return null;
  node.kill(kind, 'nemesis');
  return () => node.start();
}

/** F8, F9 for all. */
function killAll(world: World, kind: 'process' | 'power'): () => void {
  for (const node of world.nodes) node.kill(kind, 'nemesis, all');
  return () => {
    for (const node of world.nodes) node.start();
  };
}

/** F2: SIGSTOP and SIGCONT. */
function pauseOne(node: SimNode | null): (() => void) | null {
  if (node === null) return null;
  node.pause();
  return () => node.resume();
}

/** F3: two sides that cannot hear each other. */
function partition(world: World, random: Random): (() => void) | null {
  const side = world.nodes.filter(() => random.next() < 0.5);
  if (side.length === 0 || side.length === world.nodes.length) return null;
  const other = world.nodes.filter((node) => !side.includes(node));
  const pairs = side.flatMap((a) => other.map((b) => [a, b] as const));
  const names = side.map((node) => node.id).join(',');
  return cut(world, `partition ${names} from the rest`, [
    ...pairs,
    ...pairs.map(([a, b]) => [b, a] as const),
  ]);
}

/** F4: two nodes lose each other, all others see both. */
function partialPartition(world: World, random: Random): (() => void) | null {
  const a = pickOne(random, world.nodes);
  const b = pickOne(
    random,
    world.nodes.filter((node) => node !== a),
  );
  if (a === null || b === null) return null;
  return cut(world, `cut ${a.id} and ${b.id} from each other`, [
    [a, b],
    [b, a],
  ]);
}

/** F5: a node speaks but does not hear, or hears but cannot speak. */
function oneWayCut(world: World, random: Random): (() => void) | null {
  const node = pickOne(random, world.nodes) as SimNode;
  const others = world.nodes.filter((other) => other !== node);
  if (random.next() < 0.5) {
    const pairs = others.map((other) => [other, node] as const);
    return cut(world, `${node.id} hears nobody`, pairs);
  }
  const pairs = others.map((other) => [node, other] as const);
  return cut(world, `nobody hears ${node.id}`, pairs);
}

export function isolate(world: World, node: SimNode | null): (() => void) | null {
  if (node === null || world.nodeCount === 1) return null;
  const others = world.nodes.filter((other) => other !== node);
  return cut(world, `isolate ${node.id}`, [
    ...others.map((other) => [other, node] as const),
    ...others.map((other) => [node, other] as const),
  ]);
}

function cut(
  world: World,
  what: string,
  pairs: readonly (readonly [SimNode, SimNode])[],
): () => void {
  world.trace.note('network', what);
  for (const [from, to] of pairs) world.network.setCut(from.id, to.id, true);
  return () => {
    world.trace.note('network', `mended: ${what}`);
    for (const [from, to] of pairs) world.network.setCut(from.id, to.id, false);
  };
}

/** F6, F30: messages of some links wait, for up to 13 s, and then all come at once. */
function clog(world: World, random: Random): (() => void) | null {
  const pairs: (readonly [SimNode, SimNode])[] = [];
  for (const from of world.nodes) {
    for (const to of world.nodes) {
      if (from !== to && random.next() < 0.4) pairs.push([from, to]);
    }
  }
  if (pairs.length === 0) return null;
  const names = pairs.map(([a, b]) => `${a.id}>${b.id}`).join(' ');
  world.trace.note('network', `clog ${names}`);
  for (const [from, to] of pairs) world.network.setClogged(from.id, to.id, true);
  return () => {
    world.trace.note('network', `burst ${names}`);
    for (const [from, to] of pairs) world.network.setClogged(from.id, to.id, false);
  };
}

/**
 * F19: a wall clock that is an hour, or some seconds, off. Only a minority at a time: nobody can tell
 * the time when most clocks are wrong. A single node has nobody to ask and is only set back.
 */
function clockJump(world: World, random: Random): (() => void) | null {
  const size = random.next() < 0.5 ? 3_600_000 : random.next() * 20_000;
  const isBack = random.next() < 0.5;
  const jumpMs = Math.round(isBack || world.nodeCount === 1 ? -size : size);
  return disturbClock(world, random, (node) => {
    world.trace.note(node.id, `wall clock jumps ${jumpMs} ms`);
    node.wall.jump(jumpMs);
  });
}

/** F19: a wall clock at double or half speed. */
function clockDrift(world: World, random: Random): (() => void) | null {
  const rate = random.next() < 0.5 && world.nodeCount > 1 ? 2 : 0.5;
  return disturbClock(world, random, (node) => {
    world.trace.note(node.id, `wall clock runs at x${rate}`);
    node.wall.setRate(rate);
  });
}

function disturbClock(
  world: World,
  random: Random,
  disturb: (node: SimNode) => void,
): (() => void) | null {
  const node = pickOne(random, world.nodes) as SimNode;
  const minority = Math.max(1, Math.floor((world.nodeCount - 1) / 2));
  const wrong = world.nodes.filter((other) => other.wall.isWrong).length;
  if (node.wall.isWrong || wrong >= minority) return null;
  disturb(node);
  return () => {
    world.trace.note(node.id, 'wall clock is set right');
    node.wall.correct(0);
  };
}

/** F14: the next fsync fails; the process must exit and never acknowledge. */
function syncError(world: World, random: Random): (() => void) | null {
  const node = pickUp(world, random);
  if (node === null) return null;
  world.trace.note(node.id, 'the next fsync will fail');
  node.machine.trouble.failNextSync = true;
  return () => {
    node.machine.trouble.failNextSync = false;
  };
}

/** F18: 7 fsyncs a second. */
function slowSync(world: World, random: Random): (() => void) | null {
  const node = pickOne(random, world.nodes) as SimNode;
  const slowMs = 20 + random.next() * 300;
  world.trace.note(node.id, `fsync takes ${Math.round(slowMs)} ms`);
  node.machine.trouble.slowMs = slowMs;
  return () => {
    node.machine.trouble.slowMs = 0;
  };
}

/** B25: fsync does not return while the network goes on. */
function hungSync(world: World, random: Random): (() => void) | null {
  const node = pickUp(world, random);
  if (node === null) return null;
  world.trace.note(node.id, 'fsync hangs');
  node.machine.trouble.hung = true;
  return () => {
    world.trace.note(node.id, 'fsync returns again');
    node.machine.trouble.hung = false;
  };
}

/** F15: no space, with short writes. */
function diskFull(world: World, random: Random): (() => void) | null {
  const node = pickOne(random, world.nodes) as SimNode;
  world.trace.note(node.id, 'disk is full');
  node.machine.trouble.full = true;
  return () => {
    world.trace.note(node.id, 'disk has space');
    node.machine.trouble.full = false;
  };
}

/** F11: damage in the synced log of one machine; it is down while the bits flip. */
function bitFlip(world: World, random: Random): (() => void) | null {
  const node = pickUp(world, random);
  if (node === null || !world.damage.mayDamage(node)) return null;
  node.kill('process', 'bits will flip');
  if (node.machine.flipBits()) {
    world.trace.note(node.id, 'bits of its log have flipped');
    world.damage.note(node);
  }
  const crashAgain = random.next() < 0.4;
  return () => {
    if (crashAgain) crashInRepair(world, node, random);
    node.start();
  };
}

/** F13: a machine comes back with an empty disk. */
function emptyDisk(world: World, random: Random): (() => void) | null {
  const node = pickUp(world, random);
  if (node === null || !world.damage.mayDamage(node)) return null;
  node.kill('process', 'its disk is replaced');
  node.machine.wipe();
  world.damage.note(node);
  const crashAgain = random.next() < 0.4;
  return () => {
    if (crashAgain) crashInRepair(world, node, random);
    node.start();
  };
}

/** F16, F17: the disk is read-only, or the process has no more file handles. */
function writeError(world: World, random: Random): (() => void) | null {
  const { id, machine } = pickOne(random, world.nodes) as SimNode;
  const code = random.next() < 0.5 ? 'EROFS' : 'EMFILE';
  world.trace.note(id, `writes fail with ${code}`);
  machine.trouble.writeError = code;
  return () => {
    world.trace.note(id, 'writes succeed again');
    machine.trouble.writeError = null;
  };
}

/** F28: 10 to 30 % of a processor, in slices of a cgroup's length or long enough to lose an election. */
function slowCpu(world: World, random: Random): (() => void) | null {
  const node = pickOne(random, world.nodes) as SimNode;
  const periodMs = random.next() < 0.6 ? 100 : 300 + random.next() * 1700;
  const runMs = periodMs * (0.1 + random.next() * 0.2);
  const slice = `${Math.round(runMs)} of ${Math.round(periodMs)} ms`;
  world.trace.note(node.id, `runs ${slice}`);
  node.throttle({ periodMs, runMs });
  return () => {
    world.trace.note(node.id, 'has its processor again');
    node.throttle(null);
  };
}

/** F6: messages come a second time, up to 13 s later, also to a process that was not there then. */
function lateRepeats(world: World, random: Random): (() => void) | null {
  world.network.lateRepeats = 0.02 + random.next() * 0.2;
  world.trace.note('network', 'messages are repeated late');
  return () => {
    world.trace.note('network', 'no more late repeats');
    world.network.lateRepeats = 0;
  };
}

/** F25: one node's bus server, or all of them. */
function busDown(world: World, random: Random): () => void {
  const down = random.next() < 0.3 ? world.nodes : [pickOne(random, world.nodes) as SimNode];
  world.trace.note('network', `bus down: ${down.map((node) => node.id).join(',')}`);
  for (const node of down) world.network.setBusDown(node.id, true);
  return () => {
    world.trace.note('network', 'bus is back');
    for (const node of down) world.network.setBusDown(node.id, false);
  };
}

/** Leadership moves under load, to a named node or to any. */
function transferLeader(world: World, random: Random): (() => void) | null {
  const node = pickUp(world, random);
  const to = random.next() < 0.5 ? null : (pickOne(random, world.nodes)?.id ?? null);
  const group = randomInt(random, 0, world.config.groupCount);
  if (node === null || node.node === null) return null;
  world.trace.note('nemesis', `move the lead of group ${group} to ${to ?? 'anyone'}`);
  const context = { deadlineMs: 2000, traceparent: null, idempotency: null };
  node
    .connect()
    .call(3000, (service) => service.transferLeader(context, group, to))
    .then(
      () => {},
      () => {},
    );
  return () => {};
}
