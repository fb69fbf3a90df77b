import { describe, expect, it } from 'vitest';
import { startNode } from '../../actors/node.ts';
import { decodeCommand } from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import type { NodeId } from '../../protocol/types.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { awaitLeaders } from '../sim/convergence.ts';
import type { ReplicaChange } from '../sim/probe.ts';
import { SimMachine } from '../sim/sim-machine.ts';
import { drawSwarm } from '../sim/swarm.ts';
import { World } from '../sim/world.ts';

const RECORDS = ['txnPrepare', 'txnDecide', 'txnCommit', 'txnResolve', 'txnForget'] as const;
type Record = (typeof RECORDS)[number];
const RECOVERY_MS_MAX = 2_000;

function worldOf(seed: number): World {
  const drawn = drawSwarm(seed, { nodeCount: 3, seconds: 30, faults: [] });
  const weather = { ...drawn.weather, loss: 0, duplicate: 0, reorder: 0, latencyMsMin: 0.3 };
  const calm = {
    clientCount: 0,
    watcherCount: 0,
    joinerCount: 0,
    groupCount: 3,
    roughStart: false,
  };
  const config = {
    ...drawn,
    ...calm,
    weather: { ...weather, jitterMsMean: 0.3, bytesPerMs: 100_000 },
  };
  return new World(config, {
    ...{ startNode, filterPorts: (ports) => ports, verbose: false, sink: null },
    machine: (world, index) => new SimMachine(world, index),
  });
}

/** Whether this step of a leader proposed, or committed, such a record. */
function matches(change: ReplicaChange, record: Record, committed: boolean): boolean {
  const { before, after, appended, inspection } = change;
  if (before === null || after.role !== 'leader') return false;
  const isIt = (entry: LogEntry | null): boolean =>
    entry?.kind === 'command' && decodeCommand(entryPayload(entry)).type === record;
  if (!committed) return appended.some(isIt);
  for (let index = before.commitIndex + 1; index <= after.commitIndex; index++) {
    if (isIt(inspection.entry(index))) return true;
  }
  return false;
}

const ALL = { tenant: DEFAULT_TENANT, space: KV_SPACE, start: 'all/', end: 'all0' };

/** Ten keys, all with one value: a transaction over all groups. With a range the home group prepares as well. */
function body(value: string, ranged: boolean) {
  const range: TxnOp = { type: 'range', ...ALL, reverse: false, limit: 10, values: false };
  const puts = Array.from({ length: 10 }, (_, i): TxnOp => {
    const ref = { tenant: DEFAULT_TENANT, space: KV_SPACE, key: `all/${i}` };
    return { type: 'put', ref, value: Buffer.from(value), contentType: null, ttlMs: null };
  });
  return { compares: [], then: ranged ? [...puts, range] : puts, otherwise: null };
}

/** Kills the leader at the record; gives how long anything stayed locked, and what is read afterwards. */
async function killAt(seed: number, record: Record, committed: boolean) {
  const world = worldOf(seed);
  const context = { deadlineMs: 2_000, traceparent: null, idempotency: null };
  let killed: NodeId | null = null;
  let killedMs = 0;
  let lockedMs = 0;
  world.start();
  await world.drive(awaitLeaders(world), 30_000, 'the cluster forms');
  world.aim.changes.add((change) => {
    if (!matches(change, record, committed)) return true;
    killed = change.node;
    killedMs = world.nowMs();
    world.scheduler.after(0, null, () => world.node(change.node)?.kill('power', record));
    return false;
  });
  for (let i = 0; killed === null; i++) {
    const asked = world.nodes[i % 3]!.connect().call(2_500, (s) =>
      s.transact(context, body(`v${i}`, record === 'txnDecide')),
    );
    const end = world.nowMs() + 3_000;
    let isOver = false;
    asked.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    while (!isOver && killed === null && world.nowMs() < end)
      await world.runUntil(world.nowMs() + 1);
    if (i > 20) throw new Error(`no ${record} came by`);
    // What is told is forgotten a moment later.
    if (record === 'txnForget' && killed === null) await world.runUntil(world.nowMs() + 200);
  }
  while (world.nowMs() < killedMs + 4_000) {
    await world.runUntil(world.nowMs() + 5);
    if (world.model.txns.open().length > 0) lockedMs = world.nowMs() - killedMs;
  }
  const alive = world.nodes.filter((node) => node.id !== killed);
  const options = { consistency: 'linearizable', revision: null, reverse: false } as const;
  const scan = alive[0]!
    .connect()
    .call(3_000, (s) => s.scan(context, { ...ALL, ...options, limit: 100, values: true }));
  const { items } = await world.drive(scan, 5_000, 'everything can be read');
  return {
    lockedMs,
    flaws: world.model.txns.flaws,
    values: new Set(items.map(({ value }) => Buffer.from(value).toString())),
    count: items.length,
  };
}

describe('a coordinator dies', { timeout: 120_000 }, () => {
  it.each(RECORDS.flatMap((record) => [false, true].map((committed) => ({ record, committed }))))(
    'F24 at $record (committed: $committed): every outcome agrees and no lock is left within 2 s',
    async ({ record, committed }) => {
      for (const seed of [1, 2]) {
        const { lockedMs, flaws, values, count } = await killAt(seed, record, committed);
        expect(flaws).toEqual([]);
        expect([0, 10]).toContain(count);
        expect(values.size).toBeLessThanOrEqual(1);
        expect(lockedMs, `seed ${seed}`).toBeLessThan(RECOVERY_MS_MAX);
      }
    },
  );
});
