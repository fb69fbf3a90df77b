import { describe, expect, it } from 'vitest';
import { LeaseSweeper } from '../../../../actors/lease/sweeper.ts';
import type { EndedLease } from '../../../../actors/lease/tenure.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { promiseEnd } from '../../../../protocol/lease.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { RequestOf } from '../../../../protocol/messages/request.ts';
import { revisionAtWallMs } from '../../../../protocol/revision.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { FakeReach, rejected } from '../../../kit/fake-reach.ts';

const GROUPS = [1, 2] as GroupId[];

/** Two groups led by n2, and one lease that has ended in group 1. */
class World {
  readonly reach = new FakeReach();
  ended: EndedLease[] = [];
  /** Steps that a group has left to do. */
  readonly left = new Map<number, number>();
  readonly sweeper: LeaseSweeper;

  constructor() {
    for (const group of GROUPS) this.reach.leaders.set(group, 'n2' as NodeId);
    this.reach.answer = ({ group, body }) => {
      if (body.type === 'LeaseForget') {
        this.ended = [];
        return { type: 'Done', revision: 1 };
      }
      const left = this.left.get(group) ?? 0;
      this.left.set(group, Math.max(0, left - 1));
      return { type: 'Swept', removed: left === 0 ? 0 : 5, isAll: left === 0, clock: 1 };
    };
    this.sweeper = new LeaseSweeper({
      ...{ calls: this.reach.calls, telemetry: NO_TELEMETRY, dataGroups: () => GROUPS },
      ended: () => [{ group: 1 as GroupId, leases: this.ended }],
    });
  }

  end(): number {
    const endRevision = revisionAtWallMs(this.reach.clock.wallMs());
    this.ended = [{ lease: 7, endRevision, why: 'expired' }];
    return endRevision;
  }

  /** Time goes by in ticks; what was asked meanwhile. */
  async pass(ms: number) {
    this.reach.asked.length = 0;
    for (let at = 0; at < ms; at += 50) {
      this.sweeper.tick();
      await this.reach.clock.pass(50);
    }
    return this.reach.asked;
  }
}

describe('the sweeper', () => {
  it('asks nobody while no lease has ended', async () => {
    expect(await new World().pass(5_000)).toEqual([]);
  });

  it('sweeps all groups at once, and again when all promises have run out; then the lease is forgotten', async () => {
    const world = new World();
    const close = promiseEnd(world.end());
    const first = await world.pass(LIMITS.leasePromiseMs - 100);
    const sweeps = first.map(({ group, body }) => [group, (body as RequestOf<'LeaseSweep'>).close]);
    expect(sweeps).toEqual([
      [1, 0],
      [2, 0],
    ]);
    const last = await world.pass(500);
    expect(last.map(({ body }) => body.type)).toEqual(['LeaseSweep', 'LeaseSweep', 'LeaseForget']);
    expect(last[0]?.body).toMatchObject({ close, leases: [{ lease: 7, why: 'expired' }] });
    expect(await world.pass(2_000)).toEqual([]);
  });

  it('asks a group until nothing is left', async () => {
    const world = new World();
    world.end();
    world.left.set(2, 3);
    const asked = await world.pass(500);
    expect(asked.map(({ group }) => group).sort()).toEqual([1, 2, 2, 2, 2]);
  });

  it('leaves alone for a while what a group could not remove, and comes back for it', async () => {
    const world = new World();
    const { answer } = world.reach;
    world.end();
    const stuck = { type: 'Swept' as const, removed: 0, isAll: false, clock: 1 };
    world.reach.answer = (asked) => (asked.group === 2 ? stuck : answer(asked));
    const asked = await world.pass(500);
    const again = asked.filter(({ group }) => group === 2).length;
    expect(again).toBeGreaterThan(2);
    expect(again).toBeLessThanOrEqual(10);
    world.reach.answer = answer;
    await world.pass(LIMITS.leasePromiseMs + 500);
    expect(world.ended).toEqual([]);
  });

  it('is held up by no silent group in the others, nor for leases of other homes', async () => {
    const { reach } = new World();
    const homes = [1, 2, 3] as GroupId[];
    for (const group of homes) reach.leaders.set(group, 'n2' as NodeId);
    const swept = new Set<string>();
    reach.answer = ({ group, body }) => {
      if (group === 3) return 'silence';
      if (body.type !== 'LeaseSweep') throw new Error('only sweeps can be asked for');
      for (const { lease } of body.leases) swept.add(`${group}:${lease}:${Math.sign(body.close)}`);
      return { type: 'Swept', removed: 0, isAll: true, clock: 1 };
    };
    const endRevision = revisionAtWallMs(reach.clock.wallMs());
    const leasesOf = (home: number) =>
      Array.from({ length: LIMITS.leaseStepMax + 44 }, (_, i) => ({
        ...{ lease: home * 1_000 + i, endRevision, why: 'expired' as const },
      }));
    const ended = [1, 2].map((home) => ({ group: home as GroupId, leases: leasesOf(home) }));
    const sweeper = new LeaseSweeper({
      ...{ calls: reach.calls, telemetry: NO_TELEMETRY, dataGroups: () => homes },
      ended: () => ended,
    });
    for (let at = 0; at < LIMITS.leasePromiseMs + 1_000; at += 50) {
      sweeper.tick();
      await reach.clock.pass(50);
    }
    sweeper.stop();
    for (const { leases } of ended) {
      for (const { lease } of leases) {
        for (const group of [1, 2]) {
          expect(swept).toContain(`${group}:${lease}:0`);
          expect(swept).toContain(`${group}:${lease}:1`);
        }
      }
    }
  });

  it('is not held up in one group by a lease whose keys cannot be removed just now', async () => {
    const { reach } = new World();
    const swept = new Set<number>();
    reach.answer = ({ body }) => {
      if (body.type !== 'LeaseSweep') throw new Error('only sweeps can be asked for');
      const isStuck = body.leases.some(({ lease }) => lease === 1);
      if (!isStuck) for (const { lease } of body.leases) swept.add(lease);
      return { type: 'Swept', removed: 0, isAll: !isStuck, clock: 1 };
    };
    const endRevision = revisionAtWallMs(reach.clock.wallMs());
    const leases = Array.from({ length: 300 }, (_, i) => ({
      ...{ lease: i + 1, endRevision, why: 'expired' as const },
    }));
    const sweeper = new LeaseSweeper({
      ...{ calls: reach.calls, telemetry: NO_TELEMETRY, dataGroups: () => [1 as GroupId] },
      ended: () => [{ group: 1 as GroupId, leases }],
    });
    for (let at = 0; at < 1_500; at += 50) {
      sweeper.tick();
      await reach.clock.pass(50);
    }
    sweeper.stop();
    expect(swept.size).toBe(299);
  });

  it('forgets no lease before every group was swept, and goes on when one answers again', async () => {
    const world = new World();
    const { answer } = world.reach;
    world.end();
    world.reach.answer = (asked) => (asked.group === 2 ? rejected('unavailable') : answer(asked));
    const during = await world.pass(LIMITS.leasePromiseMs + 2_000);
    expect(during.some(({ body }) => body.type === 'LeaseForget')).toBe(false);
    world.reach.answer = answer;
    const after = await world.pass(3_000);
    expect(after.some(({ body }) => body.type === 'LeaseForget')).toBe(true);
    world.sweeper.stop();
    world.end();
    expect(await world.pass(3_000)).toEqual([]);
  });
});
