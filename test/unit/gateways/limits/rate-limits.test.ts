import { describe, expect, it } from 'vitest';
import { NO_LIMIT, type RateLimit } from '../../../../gateways/limits/limit-row.ts';
import { RateLimitRows } from '../../../../gateways/limits/rate-limit-rows.ts';
import { type Meters, RateLimits } from '../../../../gateways/limits/rate-limits.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import {
  DEMAND_EVERY_MS,
  type DemandExchange,
  type DemandsTold,
} from '../../../../protocol/demand.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { NodeId } from '../../../../protocol/types.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { ModelIdentities } from '../../../kit/model-identities.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const KEY = 'key:abcdefgh234567ab';

/** Nodes with one view of the rows, whose tellings take 1 to 40 ms. */
async function cluster(count: number, seed = 1) {
  const identities = new ModelIdentities();
  const rows = new RateLimitRows(identities);
  const random = seededRandom(seed, 'limits');
  const clock = new HandClock();
  const listeners = new Map<NodeId, (told: DemandsTold) => void>();
  const ids = Array.from({ length: count }, (_, i) => `n${i + 1}` as NodeId);
  const cut = new Set<NodeId>();
  const nodes = ids.map((id) => {
    const others = ids.filter((other) => other !== id);
    const exchange: DemandExchange = {
      others: () => others,
      onTold: (run) => {
        listeners.set(id, run);
        return () => listeners.delete(id);
      },
      tell: (sequence, demands) => {
        for (const other of others) {
          if (cut.has(id) || cut.has(other)) continue;
          const told = { from: id, life: 1, sequence, demands };
          clock.after(1 + random.next() * 39, () => listeners.get(other)?.(told));
        }
      },
    };
    const parts = { identities, clock, telemetry: NO_TELEMETRY, exchange: () => exchange };
    return new RateLimits(parts);
  });
  const set = (scope: string, limit: Partial<RateLimit>) =>
    rows.set(CTX, scope, { ...NO_LIMIT, ...limit });
  return { nodes, clock, set, rows, cut };
}

const asker = { who: KEY, tenant: 'default', address: '127.0.0.1', bucket: '' };

function metersOf(node: RateLimits, more: Partial<typeof asker> = {}): Meters {
  const meters = node.of({ ...asker, ...more });
  if (meters === null) throw new Error('nothing is limited');
  return meters;
}

/** Requests of `perSecond` to each node for `ms`. Returns when each was admitted, in all. */
async function load(
  { nodes, clock }: Awaited<ReturnType<typeof cluster>>,
  perSecond: readonly number[],
  ms: number,
): Promise<number[]> {
  const admitted: number[] = [];
  const owed = perSecond.map(() => 0);
  const endMs = clock.nowMs + ms;
  while (clock.nowMs < endMs) {
    await clock.pass(25);
    perSecond.forEach((rate, i) => {
      owed[i] = (owed[i] as number) + rate / 40;
      for (; (owed[i] as number) >= 1; owed[i] = (owed[i] as number) - 1) {
        const refusal = metersOf(nodes[i] as RateLimits).admit(0);
        if (refusal === null) admitted.push(clock.nowMs);
      }
    });
  }
  return admitted;
}

function count(admitted: readonly number[], fromMs: number, toMs: number): number {
  return admitted.filter((atMs) => atMs > fromMs && atMs <= toMs).length;
}

/** How far the worst window is above what its time brings. */
function excess(admitted: readonly number[], perSecond: number): number {
  let least = Number.POSITIVE_INFINITY;
  let worst = 0;
  admitted.forEach((atMs, i) => {
    const brought = (atMs * perSecond) / 1_000;
    least = Math.min(least, i - brought);
    worst = Math.max(worst, i + 1 - brought - least);
  });
  return worst;
}

describe('a limit of requests over three nodes', () => {
  it('is never passed by more than the burst and one request a node, wherever the load is and goes', async () => {
    for (const seed of [1, 2]) {
      const world = await cluster(3, seed);
      await world.set(KEY, { requestsPerSecond: 200, burst: 50 });
      await world.clock.pass(2_000);
      const random = seededRandom(seed, 'load');
      const all: number[] = [];
      for (let phase = 0; phase < 4; phase++) {
        const rates = world.nodes.map(() => (random.next() < 0.3 ? 0 : random.next() * 2_000));
        all.push(...(await load(world, rates, 2_000)));
      }
      expect(excess(all, 200)).toBeLessThanOrEqual(50 + 3 + 1e-6);
      for (const node of world.nodes) node.stop();
    }
  });

  it.each([
    ['all on one node', [4_000, 0, 0]],
    ['the same on all', [1_300, 1_300, 1_300]],
    ['mostly on one', [3_000, 100, 100]],
  ])('gives at least 9 tenths of it to who asks for 20 times as much: %s', async (_, rates) => {
    const world = await cluster(3);
    await world.set(KEY, { requestsPerSecond: 200 });
    const begin = await load(world, rates, 3_000);
    const fromMs = world.clock.nowMs;
    const admitted = await load(world, rates, 5_000);
    expect(begin.length).toBeGreaterThan(300);
    expect(count(admitted, fromMs, fromMs + 5_000)).toBeGreaterThanOrEqual(0.9 * 1_000);
    expect(admitted.length).toBeLessThanOrEqual(1_000 + 200 + 3);
    for (const node of world.nodes) node.stop();
  });

  it('refuses nothing to who stays below it, on one node or on all', async () => {
    for (const rates of [
      [150, 0, 0],
      [50, 50, 50],
      [10, 120, 20],
    ]) {
      const world = await cluster(3);
      await world.set(KEY, { requestsPerSecond: 200 });
      await load(world, rates, 4_000);
      const admitted = await load(world, rates, 4_000);
      const asked = rates.reduce((sum, rate) => sum + rate, 0) * 4;
      expect(admitted.length).toBeGreaterThanOrEqual(asked - 3);
      for (const node of world.nodes) node.stop();
    }
  });

  it('follows its load to another node within 3 seconds', async () => {
    const world = await cluster(3);
    await world.set(KEY, { requestsPerSecond: 200 });
    await load(world, [4_000, 0, 0], 4_000);
    await load(world, [0, 0, 4_000], 3_000);
    const admitted = await load(world, [0, 0, 4_000], 2_000);
    expect(admitted.length).toBeGreaterThanOrEqual(0.9 * 400);
    for (const node of world.nodes) node.stop();
  });

  it('is given by a node that the others do not hear, once it counts them as gone, and by them: one limit a part', async () => {
    const world = await cluster(3);
    await world.set(KEY, { requestsPerSecond: 200 });
    await load(world, [2_000, 2_000, 2_000], 3_000);
    world.cut.add('n1' as NodeId);
    await load(world, [2_000, 2_000, 2_000], 5_000);
    const admitted = await load(world, [2_000, 2_000, 2_000], 2_000);
    expect(admitted.length).toBeLessThanOrEqual(2 * 400 + 6);
    world.cut.clear();
    await load(world, [2_000, 2_000, 2_000], 2_000);
    const again = await load(world, [2_000, 2_000, 2_000], 2_000);
    expect(again.length).toBeLessThanOrEqual(400 + 6);
    for (const node of world.nodes) node.stop();
  });
});

describe('a limit', () => {
  it('says whose it is, how much, and when to come again', async () => {
    const { nodes, clock, set } = await cluster(1);
    await set(KEY, { requestsPerSecond: 4, burst: 2 });
    const [node] = nodes as [RateLimits];
    expect(metersOf(node).standing()).toEqual({ limit: 4, remaining: 2, resetMs: 0 });
    expect(metersOf(node).admit(0)).toBeNull();
    expect(metersOf(node).admit(0)).toBeNull();
    const refusal = metersOf(node).admit(0);
    expect(refusal).toMatchObject({ code: 'rate_limited', definite: true, retryAfterMs: 250 });
    expect(refusal?.details).toEqual({ limit: 'requests', max: 4, scope: KEY });
    await clock.pass(250);
    expect(metersOf(node).admit(0)).toBeNull();
    node.stop();
  });

  it('is of nobody else, and of nobody where there is none', async () => {
    const { nodes, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    expect(node.of(asker)).toBeNull();
    await set(KEY, { requestsPerSecond: 1 });
    expect(node.of({ ...asker, who: 'key:abcdefgh234567zz' })).toBeNull();
    expect(node.of({ ...asker, who: null })).toBeNull();
    expect(node.of(asker)).not.toBeNull();
    node.stop();
  });

  it('by default is of each key, user and subject by itself, but of none with an own one', async () => {
    const { nodes, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set('default', { requestsPerSecond: 1 });
    await set(KEY, { requestsPerSecond: 2 });
    const standing = (who: string | null) => node.of({ ...asker, who })?.standing()?.limit ?? null;
    expect(standing(KEY)).toBe(2);
    expect(standing('key:abcdefgh234567zz')).toBe(1);
    expect(standing('s3-user:ada')).toBe(1);
    expect(standing(`issuer:${'x'.repeat(500)}`)).toBe(1);
    expect(standing('s3-account')).toBeNull();
    expect(standing(null)).toBeNull();
    expect(metersOf(node, { who: 's3-user:ada' }).admit(0)).toBeNull();
    expect(metersOf(node, { who: 's3-user:ada' }).admit(0)).not.toBeNull();
    expect(metersOf(node, { who: 's3-user:bob' }).admit(0)).toBeNull();
    node.stop();
  });

  it('of a tenant and of a bucket count beside that of a key; who is refused by one costs the others nothing', async () => {
    const { nodes, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set(KEY, { requestsPerSecond: 10 });
    await set('tenant:acme', { requestsPerSecond: 3 });
    await set('bucket:a.b', { requestsPerSecond: 2 });
    const about = { tenant: 'acme', bucket: 'a.b' };
    const results = Array.from({ length: 5 }, () => metersOf(node, about).admit(0)?.details);
    expect(results.map((details) => details?.['scope'] ?? 'served')).toEqual([
      'served',
      'served',
      ...Array(3).fill('bucket:a.b'),
    ]);
    expect(metersOf(node, { tenant: 'acme' }).standing()).toMatchObject({ limit: 3, remaining: 1 });
    expect(node.of(asker)?.standing()).toMatchObject({ limit: 10, remaining: 8 });
    node.stop();
  });

  it('of addresses tells nobody which', async () => {
    const { nodes, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set('anonymous', { requestsPerSecond: 1 });
    const from = (address: string) => metersOf(node, { who: null as never, address }).admit(0);
    expect(from('10.0.0.1')).toBeNull();
    expect(from('10.0.0.1')?.details['scope']).toBe('anonymous');
    expect(from('10.0.0.2')).toBeNull();
    node.stop();
  });

  it('holds for what comes when it is changed or taken away', async () => {
    const { nodes, set, rows } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set(KEY, { requestsPerSecond: 1 });
    expect(metersOf(node).admit(0)).toBeNull();
    expect(metersOf(node).admit(0)).not.toBeNull();
    await set(KEY, { bytesInPerSecond: 2_000 });
    expect(metersOf(node).admit(0)).toBeNull();
    await rows.delete(CTX, KEY);
    expect(node.of(asker)).toBeNull();
    await expect(rows.get(CTX, KEY)).rejects.toMatchObject({ code: 'not_found' });
    node.stop();
  });

  it('of bytes slows a stream down, and refuses who begins deep in debt', async () => {
    const { nodes, clock, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set(KEY, { bytesOutPerSecond: 10_000 });
    const meters = metersOf(node);
    expect(meters.admit(0)).toBeNull();
    let sent = 0;
    const stream = (async () => {
      for (; sent < 60_000; sent += 2_000) await meters.pace('bytesOut', 2_000);
    })();
    await clock.pass(2_000);
    expect(sent).toBeGreaterThanOrEqual(24_000);
    expect(sent).toBeLessThanOrEqual(32_000);
    await clock.pass(4_000);
    await stream;
    expect(sent).toBe(60_000);
    meters.move('bytesOut', 35_000);
    const refusal = metersOf(node).admit(0);
    expect(refusal?.details).toMatchObject({ limit: 'bytesOut', max: 10_000 });
    await clock.pass(refusal?.retryAfterMs ?? 0);
    expect(metersOf(node).admit(0)).toBeNull();
    node.stop();
  });

  it.each([
    ['few, asked of all nodes', 5, [2, 2, 2]],
    ['many, asked of all nodes', 90, [20, 40, 60]],
    ['many, asked of one', 90, [60, 0, 0]],
  ])(
    'of watches is passed by one a node at most, and closed ones make room: %s',
    async (_, max, wanted) => {
      const { nodes, clock, set } = await cluster(3);
      await set(KEY, { watchers: max });
      await clock.pass(2_000);
      const open: (() => void)[] = [];
      const tryOne = (node: RateLimits): void => {
        try {
          open.push(metersOf(node).openWatch());
        } catch (error) {
          if (!(error instanceof AppError) || error.code !== 'rate_limited') throw error;
        }
      };
      for (const phase of ['opened', 'again']) {
        for (let i = 0; i < 24; i++) {
          nodes.forEach((node, n) => {
            for (let asked = 0; asked < (wanted[n] as number); asked++) tryOne(node);
          });
          await clock.pass(DEMAND_EVERY_MS);
        }
        expect([phase, open.length >= max, open.length <= max + 2]).toEqual([phase, true, true]);
        for (const close of open.splice(0)) {
          close();
          close();
        }
      }
      for (const node of nodes) node.stop();
    },
  );

  it('of so many addresses that they cannot all be kept lets none wait', async () => {
    const { nodes, set } = await cluster(1);
    const [node] = nodes as [RateLimits];
    await set('anonymous', { requestsPerSecond: 1 });
    for (let i = 0; i < 5_000; i++) {
      const address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
      expect(metersOf(node, { who: null as never, address }).admit(0)).toBeNull();
    }
    node.stop();
  });
});
