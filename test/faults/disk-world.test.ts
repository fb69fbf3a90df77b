import { describe, expect, it } from 'vitest';
import { startNode } from '../../actors/node.ts';
import { AppError } from '../../protocol/errors.ts';
import type { KvService } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { awaitConvergence, awaitLeaders } from '../sim/convergence.ts';
import { FAIR_WEATHER } from '../sim/network.ts';
import { SimMachine } from '../sim/sim-machine.ts';
import type { SimNode } from '../sim/sim-node.ts';
import { drawSwarm } from '../sim/swarm.ts';
import { World } from '../sim/world.ts';

/** One disk goes wrong, everything else is well: what must happen, step by step, in virtual time. */

const CONTEXT = { deadlineMs: 3000, traceparent: null, idempotency: null };
const refOf = (key: string) => ({ tenant: DEFAULT_TENANT, space: KV_SPACE, key });

async function formed(nodeCount: number, seed: number): Promise<World> {
  const drawn = drawSwarm(seed, { nodeCount, faults: [] });
  const config = {
    ...{ ...drawn, groupCount: 1, weather: FAIR_WEATHER, clockOffsetMsMax: 20, syncMsMean: 1 },
    ...{ walSegmentBytes: 512 * 1024 },
  };
  const world = new World(config, {
    startNode,
    machine: (w, index) => new SimMachine(w, index),
    filterPorts: (ports) => ports,
    ...{ verbose: false, sink: null },
  });
  world.start();
  await world.drive(awaitLeaders(world), 30_000, 'the cluster forms');
  return world;
}

function call<T>(world: World, node: SimNode, ask: (service: KvService) => Promise<T>) {
  return world.drive(
    node
      .connect()
      .call(6000, ask)
      .then(
        (value) => ({ value, code: 'ok' }),
        (error: unknown) => ({
          value: null,
          code: error instanceof AppError ? error.code : 'lost',
        }),
      ),
    10_000,
    'an answer',
  );
}

const put = (world: World, node: SimNode, key: string, text = 'v') =>
  call(world, node, (service) =>
    service.put(CONTEXT, {
      ...{ type: 'put', ref: refOf(key), value: Buffer.from(text) },
      ...{ contentType: null, ttlMs: null, condition: null },
    }),
  );

const get = async (world: World, node: SimNode, key: string): Promise<string | null> => {
  const options = { consistency: 'linearizable', revision: null } as const;
  const { value, code } = await call(world, node, (s) => s.get(CONTEXT, refOf(key), options));
  expect(code).toBe('ok');
  const found = value?.item ?? null;
  return found === null ? null : Buffer.from(found.value).toString();
};

/** The node that leads the data group, by its own account. */
function leaderOf(world: World): SimNode {
  const found = world.nodes.filter(({ node }) =>
    node?.inspect().some(({ group, role }) => group === 1 && role === 'leader'),
  );
  expect(found.length).toBeGreaterThan(0);
  return found.at(-1) as SimNode;
}

describe('one disk', () => {
  it('F15 disk full on a single node: 507 and definite, reads go on, and it recovers by itself', async () => {
    const world = await formed(1, 1);
    const [node] = world.nodes as [SimNode];
    expect((await put(world, node, 'a', 'one')).code).toBe('ok');
    node.machine.trouble.full = true;
    await world.runUntil(world.nowMs() + 1_000);
    for (let n = 0; n < 50; n++) {
      expect((await put(world, node, 'a', 'x'.repeat(500))).code).toBe('storage_full');
      expect(await get(world, node, 'a')).toBe('one');
    }
    // A minute of what has to be written all the same: the node lives and still answers.
    await world.runUntil(world.nowMs() + 60_000);
    expect(await get(world, node, 'a')).toBe('one');
    expect(node.lifeNumber).toBe(1);
    expect(node.node?.service.status().disk).toBe('full');
    node.machine.trouble.full = false;
    await world.runUntil(world.nowMs() + 1_000);
    expect((await put(world, node, 'a', 'two')).code).toBe('ok');
    expect(await get(world, node, 'a')).toBe('two');
    expect(node.node?.service.status().disk).toBe('ok');
  });

  it('F15 disk full in the instant of a write: it waits unacknowledged, and is done once there is room', async () => {
    const world = await formed(1, 2);
    const [node] = world.nodes as [SimNode];
    node.machine.trouble.full = true;
    // Not noticed yet: the append itself finds no room, or only for a part of it.
    const { code } = await put(world, node, 'a', 'x'.repeat(5000));
    expect(code).toBe('outcome_unknown');
    expect(node.lifeNumber).toBe(1);
    node.machine.trouble.full = false;
    await world.runUntil(world.nowMs() + 2_000);
    expect(await get(world, node, 'a')).toBe('x'.repeat(5000));
    expect((await put(world, node, 'b')).code).toBe('ok');
  });

  it('F15 disk full on the leader of three: it hands over, and writes go on', async () => {
    const world = await formed(3, 3);
    const full = leaderOf(world);
    full.machine.trouble.full = true;
    await world.runUntil(world.nowMs() + 5_000);
    expect(leaderOf(world)).not.toBe(full);
    for (const node of world.nodes) expect((await put(world, node, node.id)).code).toBe('ok');
    expect(full.lifeNumber).toBe(1);
    // It is not made the leader again for the sake of balance.
    await world.runUntil(world.nowMs() + 30_000);
    expect(leaderOf(world)).not.toBe(full);
    full.machine.trouble.full = false;
    await world.drive(awaitConvergence(world), 20_000, 'the full node catches up');
  });

  it('F15 disk full on a follower: it refuses entries without dying and holds up nobody', async () => {
    const world = await formed(3, 4);
    const leader = leaderOf(world);
    const follower = world.nodes.find((node) => node !== leader) as SimNode;
    follower.machine.trouble.full = true;
    for (let n = 0; n < 300; n++) {
      expect((await put(world, leader, `k-${n}`, 'x'.repeat(300))).code).toBe('ok');
    }
    expect(follower.lifeNumber).toBe(1);
    expect(await get(world, follower, 'k-299')).toBe('x'.repeat(300));
    follower.machine.trouble.full = false;
    await world.drive(awaitConvergence(world), 20_000, 'the full node catches up');
    leader.kill('power', 'test');
    await world.runUntil(world.nowMs() + 3_000);
    expect(await get(world, follower, 'k-299')).toBe('x'.repeat(300));
  });

  it('F18 slow disk on the leader, 7 fsyncs a second: it hands over to a healthy one, which stays', async () => {
    const world = await formed(3, 5);
    const slow = leaderOf(world);
    slow.machine.trouble.slowMs = 143;
    // It is used: only then can anybody tell.
    for (let n = 0; n < 30; n++) await put(world, slow, `k-${n}`);
    await world.runUntil(world.nowMs() + 3_000);
    const next = leaderOf(world);
    expect(next).not.toBe(slow);
    const startMs = world.nowMs();
    for (let n = 0; n < 50; n++) expect((await put(world, next, `fast-${n}`)).code).toBe('ok');
    expect((world.nowMs() - startMs) / 50).toBeLessThan(100);
    for (let n = 0; n < 20; n++) {
      await world.runUntil(world.nowMs() + 1_000);
      expect((await put(world, next, `later-${n}`)).code).toBe('ok');
      expect(leaderOf(world)).not.toBe(slow);
    }
  });

  it('B25 hung disk of the leader: it says nothing, another leads within two seconds and writes go on', async () => {
    const world = await formed(3, 6);
    const hung = leaderOf(world);
    const other = world.nodes.find((node) => node !== hung) as SimNode;
    expect((await put(world, other, 'a', 'one')).code).toBe('ok');
    hung.machine.trouble.hung = true;
    // What it is asked for now gets stuck in its log, and with it everything it would say.
    const stuck = hung.connect().call(6000, (service) =>
      service.put(CONTEXT, {
        ...{ type: 'put', ref: refOf('stuck'), value: Buffer.from('x') },
        ...{ contentType: null, ttlMs: null, condition: null },
      }),
    );
    stuck.catch(() => {});
    await world.runUntil(world.nowMs() + 2_000);
    const led = world.nodes.filter(
      (node) =>
        node !== hung &&
        node.node?.inspect().some(({ group, role }) => group === 1 && role === 'leader'),
    );
    expect(led.length).toBe(1);
    expect((await put(world, other, 'a', 'two')).code).toBe('ok');
    // The one that hangs never answers with what it had.
    const options = { consistency: 'linearizable', revision: null } as const;
    const asked = await call(world, hung, (s) => s.get(CONTEXT, refOf('a'), options));
    if (asked.code === 'ok') expect(Buffer.from(asked.value!.item!.value).toString()).toBe('two');
    hung.machine.trouble.hung = false;
    await world.drive(awaitConvergence(world), 20_000, 'it catches up');
    expect(await get(world, hung, 'a')).toBe('two');
  });
});
