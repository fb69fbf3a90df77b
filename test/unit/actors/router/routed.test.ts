import { describe, expect, it } from 'vitest';
import { RoutedKvService, type ServiceHost } from '../../../../actors/router/kv-service.ts';
import { groupOf, initialShardMap, type ShardMap } from '../../../../actors/router/shard-map.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { ReadAnswer, ReadOptions, RequestContext } from '../../../../protocol/service.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';
import { FakeReach } from '../../../kit/fake-reach.ts';

const CTX: RequestContext = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const OP = put('a', '1') as Extract<ReturnType<typeof put>, { type: 'put' }>;

/** A cluster whose key has moved to another group, of which the map here knows nothing yet. */
class Moved {
  readonly reach = new FakeReach();
  map: ShardMap = initialShardMap(2);
  readonly before = groupOf(this.map, ref('a'));
  readonly after = (3 - this.before) as GroupId;
  readonly refreshed: number[] = [];
  /** Refreshes until the new map is there. */
  lateBy = 0;
  /** What a read of this very moment answers. */
  now: ReadAnswer | null = null;
  /** While its row is brought from the disk; settled by the test. */
  warming: Promise<boolean> | null = null;
  readonly asked: [number, string][] = [];
  readonly service: RoutedKvService;

  constructor() {
    for (const group of [1, 2]) this.reach.leaders.set(group as GroupId, 'n2' as NodeId);
    this.reach.answer = ({ group, body }) => {
      if (body.type === 'Read') return { type: 'Items', items: [itemAt(ref('a'), 7)], clock: 9 };
      const written = { type: 'Written' as const, clock: 9, repeated: true };
      if (group !== this.after) {
        return { ...written, results: [{ type: 'wrong_shard', epoch: 2 }] };
      }
      return {
        ...written,
        results: [{ type: 'put', revision: 8, createRevision: 8, version: 1 }],
      };
    };
    const host: Partial<ServiceHost> = {
      clock: this.reach.clock,
      map: () => this.map,
      refreshMap: async (epoch) => {
        this.refreshed.push(epoch);
        if (this.refreshed.length <= this.lateBy) return;
        this.map = { epoch: 2, groups: this.map.groups.map(() => this.after) };
      },
      readNow: (group, name, _trace, mayBlock) => {
        this.asked.push([group, name.key]);
        return this.warming !== null && !mayBlock ? null : this.now;
      },
      warm: () => this.warming,
      members: (group) => ({ voters: [`n${group}:1` as never], votersOld: null, learners: [] }),
    };
    this.service = new RoutedKvService(this.reach.calls, host as ServiceHost, 'n1.1');
  }
}

describe('the routed service', () => {
  it('answers a latest read on the spot where its group can, and asks for the others', async () => {
    const world = new Moved();
    world.now = { item: itemAt(ref('a'), 5), clock: 6 };
    const latest = { consistency: 'linearizable' as const, revision: null };
    const read = (options: Partial<ReadOptions>) =>
      world.reach.outcome(world.service.get(CTX, ref('a'), { ...latest, ...options }));
    expect(await read({})).toBe(world.now);
    expect(world.asked).toEqual([[world.before, 'a']]);
    const asked = { item: itemAt(ref('a'), 7), clock: 9 };
    expect(await read({ revision: 4 })).toEqual(asked);
    expect(await read({ consistency: 'stale' })).toEqual(asked);
    world.now = null;
    expect(await read({})).toEqual(asked);
    expect(world.asked).toHaveLength(2);
  });

  it('brings a row that is on the disk only, and reads it then; a disk that hangs is told', async () => {
    const latest = { consistency: 'linearizable' as const, revision: null };
    for (const isWarm of [true, false]) {
      const world = new Moved();
      let settle: (isWarm: boolean) => void = () => {};
      world.warming = new Promise((resolve) => {
        settle = resolve;
      });
      const reading = world.service.get(CTX, ref('a'), latest);
      // Read when it is brought, not as it was when it was asked for.
      world.now = { item: itemAt(ref('a'), 5), clock: 6 };
      settle(isWarm);
      if (isWarm) expect(await reading).toBe(world.now);
      else await expect(reading).rejects.toMatchObject({ code: 'deadline_exceeded' });
    }
  });

  it('follows a moved key to its new group', async () => {
    const world = new Moved();
    const done = await world.reach.outcome(world.service.put(CTX, OP));
    expect(done).toEqual({
      result: { type: 'put', revision: 8, createRevision: 8, version: 1 },
      ...{ clock: 9, repeated: true },
    });
    expect(world.refreshed).toEqual([2]);
    const asked = world.reach.asked.map(({ group, body }) => [
      group,
      body.type === 'Write' && body.epoch,
    ]);
    expect(asked).toEqual([
      [world.before, 1],
      [world.after, 2],
    ]);
  });

  it('asks again while the new map is on its way, and gives up at some point, for certain', async () => {
    const world = new Moved();
    world.lateBy = 3;
    const deleted = world.service.delete(CTX, ref('a'), null);
    expect(await world.reach.outcome(deleted)).toMatchObject({ clock: 9 });
    expect(world.refreshed).toHaveLength(4);
    const lost = new Moved();
    lost.lateBy = 99;
    const error = await lost.reach.outcome(lost.service.put(CTX, OP));
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'wrong_shard', definite: true });
    expect(lost.reach.asked).toHaveLength(5);
  });

  it('reads from the leader, or near by when it may be stale', async () => {
    const { reach, service, before } = new Moved();
    reach.local.add(before);
    const options = { consistency: 'linearizable' as const, revision: null };
    const got = await reach.outcome(service.get(CTX, ref('a'), options));
    expect(got).toEqual({ item: itemAt(ref('a'), 7), clock: 9 });
    await reach.outcome(service.get(CTX, ref('a'), { consistency: 'stale', revision: 5 }));
    expect(reach.asked.map(({ node }) => node)).toEqual(['n2', 'n1']);
    expect(reach.asked.at(-1)?.body).toMatchObject({ revision: 5, stale: true });
  });

  it('may repeat a write only under an idempotency key', async () => {
    const { reach, service } = new Moved();
    reach.answer = () => 'silence';
    const once = await reach.outcome(service.put(CTX, OP));
    expect(once).toMatchObject({ code: 'outcome_unknown', definite: false });
    expect(reach.asked).toHaveLength(1);
    const idempotency = { key: 'K', requestHash: new Uint8Array(32) };
    reach.noteLeader = () => {};
    for (const group of [1, 2]) reach.leaders.set(group as GroupId, 'n2' as NodeId);
    const again = await reach.outcome(service.put({ ...CTX, idempotency }, OP));
    expect(again).toMatchObject({ code: 'outcome_unknown', definite: false });
    expect(reach.asked.length).toBeGreaterThan(3);
  });

  it('passes a transfer to the group’s leader', async () => {
    const { reach, service } = new Moved();
    reach.answer = () => ({ type: 'Done', revision: 1 });
    await reach.outcome(service.transferLeader(CTX, 2, 'n3' as NodeId));
    expect(reach.asked).toMatchObject([{ group: 2, body: { type: 'TransferLeader', to: 'n3' } }]);
    expect(service.members(2)?.voters).toEqual(['n2:1']);
  });
});
