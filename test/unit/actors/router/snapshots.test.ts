import { describe, expect, it } from 'vitest';
import { initialShardMap } from '../../../../actors/router/shard-map.ts';
import { Snapshots } from '../../../../actors/router/snapshots.ts';
import type { ReplyBody } from '../../../../protocol/messages/request.ts';
import type { ScanPage } from '../../../../protocol/service.ts';
import type { GroupId, NodeId } from '../../../../protocol/types.ts';
import { ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';
import { type Answer, FakeReach, rejected } from '../../../kit/fake-reach.ts';

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const OPTIONS = {
  ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false, limit: 10, values: true },
  ...{ consistency: 'linearizable' as const, revision: null },
};

class World {
  readonly reach = new FakeReach();
  readonly snapshots: Snapshots;
  /** What each Close answers, in order; true afterwards. */
  closes: boolean[] = [];
  clocks = [40, 50, 45];

  constructor(groups = 3) {
    const map = initialShardMap(groups);
    for (let group = 1; group <= groups; group++) {
      this.reach.leaders.set(group as GroupId, 'n2' as NodeId);
    }
    this.reach.answer = ({ group, body }): Answer => {
      const clock = this.clocks[group - 1] as number;
      if (body.type === 'ReadClock') return { type: 'Clock', clock, gate: group * 10 };
      if (body.type === 'Close') {
        return { type: 'Closed', closed: clock, wasClosed: this.closes.shift() ?? true };
      }
      return { type: 'Page', items: [itemAt(ref(`k${group}`), 1)], more: false, clock };
    };
    this.snapshots = new Snapshots(this.reach.calls, this.reach.clock, () => map, 'n1.7');
  }

  scan(deadlineMs = 1_000): Promise<ScanPage> {
    return this.snapshots.scan({ ...CTX, deadlineMs }, OPTIONS);
  }

  count(type: string): number {
    return this.reach.asked.filter(({ body }) => body.type === type).length;
  }
}

describe('a scan of the latest', () => {
  it('reads all groups at the highest clock, and closes every gate there', async () => {
    const world = new World();
    const page = (await world.reach.outcome(world.scan())) as ScanPage;
    expect(page.revision).toBe(50);
    expect(page.items.map((item) => item.ref.key)).toEqual(['k1', 'k2', 'k3']);
    const closes = world.reach.asked.flatMap(({ body }) => (body.type === 'Close' ? [body] : []));
    expect(closes).toHaveLength(3);
    expect(closes.map(({ revision }) => revision)).toEqual([50, 50, 50]);
    expect(closes.map(({ gate }) => gate)).toEqual([10, 20, 30]);
  });

  it('is done again when a gate was open in between, and fails for certain when it always is', async () => {
    const world = new World();
    world.closes = [true, false, true];
    expect(((await world.reach.outcome(world.scan())) as ScanPage).items).toHaveLength(3);
    expect(world.count('ReadClock')).toBe(6);
    world.closes = Array<boolean>(3_000).fill(false);
    const error = await world.reach.outcome(world.scan());
    expect(error).toMatchObject({ code: 'unavailable', definite: true });
  });

  it('shares a collection with those that came before it began, and never one that began before', async () => {
    const world = new World();
    const all = [world.scan(), world.scan(), world.scan()];
    await world.reach.outcome(Promise.all(all));
    expect(world.count('ReadClock')).toBe(3);
    const first = world.scan();
    await Promise.resolve();
    await Promise.resolve();
    expect(world.count('ReadClock')).toBe(6);
    const second = world.scan();
    await world.reach.outcome(Promise.all([first, second]));
    expect(world.count('ReadClock')).toBe(9);
  });

  it('holds up nobody where one group has it all', async () => {
    const world = new World(1);
    await world.reach.outcome(world.scan());
    const asked = world.reach.asked.map(({ body }) => body);
    expect(asked).toMatchObject([{ type: 'ReadClock', snapshot: null }, { type: 'Range' }]);
  });

  it('ends at its deadline when a group does not answer', async () => {
    const world = new World();
    world.reach.answer = () => 'silence';
    expect(await world.reach.outcome(world.scan())).toMatchObject({ code: 'unavailable' });
  });

  it('holds nobody up for a group that is silent, but for a moment once', async () => {
    const world = new World();
    const { answer } = world.reach;
    world.reach.noteLeader = () => {};
    const slow = 3 as GroupId;
    let isSilent = true;
    world.reach.answer = (asked) =>
      isSilent && asked.group === slow && asked.body.type === 'ReadClock'
        ? 'silence'
        : answer(asked);
    const scans = Promise.all([world.scan(5_000), world.scan(5_000)]);
    await world.reach.clock.pass(150);
    const opened = world.reach.asked.flatMap(({ group, body }) =>
      body.type === 'Close' ? [[group, body.revision, body.gate]] : [],
    );
    expect(opened).toEqual([
      [1, 0, 10],
      [2, 0, 20],
    ]);
    const gates = (): number =>
      world.reach.asked.filter(({ body }) => body.type === 'ReadClock' && body.snapshot !== null)
        .length;
    const before = gates();
    await world.reach.clock.pass(2_000);
    expect(gates() - before).toBeLessThanOrEqual(2);
    isSilent = false;
    const [page] = (await world.reach.outcome(scans)) as ScanPage[];
    expect(page?.items).toHaveLength(3);
  });

  it('opens a gate that closes after it was given up', async () => {
    const world = new World();
    const { answer } = world.reach;
    let late: (reply: ReplyBody) => void = () => {};
    world.reach.answer = (asked): Answer => {
      if (asked.group !== 3 || asked.body.type !== 'ReadClock') return answer(asked);
      return new Promise((resolve) => {
        late = resolve;
      });
    };
    void world.scan(400).catch(() => {});
    await world.reach.clock.pass(90);
    const tell = late;
    await world.reach.clock.pass(60);
    tell({ type: 'Clock', clock: 45, gate: 77 });
    await world.reach.clock.pass(20);
    const bodies = world.reach.asked.map(({ body }) => body);
    expect(bodies).toContainEqual({ type: 'Close', revision: 0, gate: 77 });
  });

  it('opens every gate when a group refuses', async () => {
    const world = new World();
    const { answer } = world.reach;
    world.reach.answer = (asked) =>
      asked.group === 3 && asked.body.type === 'ReadClock' ? rejected('internal') : answer(asked);
    expect(await world.reach.outcome(world.scan())).toMatchObject({ code: 'internal' });
    expect(world.count('Close')).toBe(2);
  });
});
