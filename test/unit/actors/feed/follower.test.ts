import { describe, expect, it } from 'vitest';
import { comparePositions, positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import { FeedFollower } from '../../../../actors/feed/follower.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { Position } from '../../../../protocol/messages/request.ts';
import { FakeFeed } from '../../../kit/fake-feed.ts';

class World {
  readonly feed = new FakeFeed();
  readonly seen: number[] = [];
  readonly keys: string[] = [];
  /** Most events handed over at once. */
  most = 0;
  readonly compacted: number[] = [];
  reached: Position = positionAfter(0);
  readonly follower: FeedFollower;

  constructor(start = 0) {
    const { clock, reach, groups } = this.feed;
    const ids = [...groups.keys()];
    const { calls } = reach;
    this.follower = new FeedFollower(clock, calls, NO_TELEMETRY, ids, positionAfter(start), {
      onEvents: (events, reached) => {
        this.seen.push(...events.map(({ revision }) => revision));
        this.keys.push(...events.map(({ ref }) => ref.key));
        this.most = Math.max(this.most, events.length);
        this.reached = reached;
      },
      onCompacted: (oldest) => this.compacted.push(oldest),
    });
  }
}

describe('the follower', () => {
  it('merges all groups into one stream, asking an idle group to close on demand', async () => {
    const world = new World();
    world.follower.start();
    world.feed.group(1).add(100);
    await world.feed.clock.pass(10);
    expect(world.seen).toEqual([100]);
    expect(world.feed.group(2).closed).toBe(100);
    world.feed.group(2).add(110);
    world.feed.group(1).add(120);
    await world.feed.clock.pass(10);
    expect(world.seen).toEqual([100, 110, 120]);
    expect(world.follower.emitted).toEqual(positionAfter(120));
    world.follower.stop();
  });

  it('begins at its start and asks for long backlogs page by page', async () => {
    const world = new World(5);
    world.feed.group(1).pageMax = 2;
    for (let i = 1; i <= 20; i++) world.feed.group(1 + (i % 2)).add(i);
    world.follower.start();
    await world.feed.clock.pass(500);
    expect(world.seen).toEqual(Array.from({ length: 15 }, (_, i) => 6 + i));
    world.follower.stop();
  });

  it('loses nothing and repeats nothing when requests and replies are lost', async () => {
    const world = new World();
    let turn = 0;
    world.feed.lost = () => turn++ % 3 !== 0;
    world.follower.start();
    for (let i = 1; i <= 30; i++) {
      world.feed.group(1 + (i % 2)).add(i * 10);
      await world.feed.clock.pass(700);
    }
    await world.feed.clock.pass(60_000);
    expect(world.seen).toEqual(Array.from({ length: 30 }, (_, i) => (i + 1) * 10));
    world.follower.stop();
  });

  it('shows nothing before a group that cannot close has closed', async () => {
    const world = new World();
    world.feed.group(2).closes = false;
    world.follower.start();
    world.feed.group(1).add(100);
    await world.feed.clock.pass(8_000);
    expect(world.seen).toEqual([]);
    world.feed.group(2).closes = true;
    await world.feed.clock.pass(8_000);
    expect(world.seen).toEqual([100]);
    world.follower.stop();
  });

  it('holds a bounded part of one group while another does not get on', async () => {
    const world = new World();
    world.feed.group(2).closes = false;
    const count = 20 * LIMITS.feedPageEventsMax;
    for (let i = 1; i <= count; i++) world.feed.group(1).add(i);
    world.feed.group(1).pageMax = LIMITS.feedPageEventsMax;
    world.follower.start();
    await world.feed.clock.pass(3_000);
    const pages = world.feed.reach.asked.filter(
      ({ group, body }) => group === 1 && body.type === 'FeedRead',
    );
    expect(pages).toHaveLength(4);
    expect(world.seen).toEqual([]);
    world.feed.group(2).close(count);
    await world.feed.clock.pass(5_000);
    expect(world.seen).toHaveLength(count);
    world.follower.stop();
  });

  it('lets revisions of more events than it may hold through, in pieces and once each', async () => {
    const world = new World();
    const count = 6 * LIMITS.feedPageEventsMax;
    const log: string[] = [];
    for (const revision of [100, 200]) {
      for (const group of [1, 2]) {
        const keys = Array.from({ length: count }, (_, i) => `${group}-${i}`);
        world.feed.group(group).pageMax = LIMITS.feedPageEventsMax;
        world.feed.group(group).addAll(revision, keys);
      }
    }
    world.follower.start();
    await world.feed.clock.pass(1_000);
    world.feed.group(1).add(300, 'last');
    await world.feed.clock.pass(10_000);
    for (const revision of [100, 200]) {
      const both = [1, 2].flatMap((group) => world.feed.group(group).events);
      const of = both.filter((event) => event.revision === revision);
      of.sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
      log.push(...of.map(({ ref }) => ref.key));
    }
    expect(world.keys).toEqual([...log, 'last']);
    expect(world.reached).toEqual(positionAfter(300));
    expect(world.most).toBe(LIMITS.feedPageEventsMax);
    world.follower.stop();
  });

  it('hands out nothing while it is paused, whatever it has, and the rest afterwards', async () => {
    const world = new World();
    const keys = Array.from({ length: 3_500 }, (_, i) => `${i}`);
    world.feed.group(1).pageMax = LIMITS.feedPageEventsMax;
    world.feed.group(2).closes = false;
    world.feed.group(1).addAll(100, keys);
    world.follower.start();
    await world.feed.clock.pass(100);
    world.follower.pause();
    world.feed.group(2).close(100);
    await world.feed.clock.pass(5_000);
    expect(world.keys).toEqual([]);
    world.follower.resume();
    expect(world.keys).toHaveLength(1_000);
    world.follower.pause();
    await world.feed.clock.pass(5_000);
    expect(world.keys).toHaveLength(1_000);
    world.follower.resume();
    await world.feed.clock.pass(5_000);
    expect(world.keys).toEqual(world.feed.group(1).events.map(({ ref }) => ref.key));
    world.follower.stop();
  });

  it('asks for nothing while it is paused, and goes on where it was', async () => {
    const world = new World();
    world.follower.start();
    await world.feed.clock.pass(10);
    world.follower.pause();
    world.feed.group(1).add(10);
    world.feed.group(2).add(20);
    await world.feed.clock.pass(5_000);
    const asked = world.feed.asked('FeedRead');
    world.feed.group(1).add(30);
    await world.feed.clock.pass(20_000);
    expect(world.feed.asked('FeedRead')).toBe(asked);
    world.follower.resume();
    await world.feed.clock.pass(100);
    expect(world.seen).toEqual([10, 20, 30]);
    world.follower.stop();
  });

  it('stops and says so when its position is no longer kept', async () => {
    const world = new World();
    world.feed.group(2).floor = 50;
    world.follower.start();
    world.feed.group(1).add(100);
    await world.feed.clock.pass(20_000);
    expect(world.compacted).toEqual([50]);
    expect(world.seen).toEqual([]);
    const asked = world.feed.asked('FeedRead');
    await world.feed.clock.pass(20_000);
    expect(world.feed.asked('FeedRead')).toBe(asked);
  });

  it('asks nobody after it was stopped', async () => {
    const world = new World();
    world.follower.start();
    await world.feed.clock.pass(10);
    world.follower.stop();
    world.feed.group(1).add(100);
    await world.feed.clock.pass(20_000);
    expect([world.seen, world.feed.asked('FeedRead')]).toEqual([[], 2]);
  });

  it('turns to the leader when the replica near by does not get on', async () => {
    const world = new World();
    for (const group of [1, 2] as const) world.feed.reach.local.add(group as never);
    const { reach, clock } = world.feed;
    const { answer } = reach;
    // The replica here was cut off: its long polls end empty. The leader is well.
    reach.answer = (asked) => {
      const { node, group, body } = asked;
      if (node !== 'n1' || group !== 2 || body.type !== 'FeedRead') return answer(asked);
      return new Promise((resolve) => {
        clock.after(2_000, () => resolve({ type: 'Feed', events: [], closed: 0, floor: 0 }));
      });
    };
    world.follower.start();
    world.feed.group(1).add(100);
    await world.feed.clock.pass(10_000);
    expect(world.seen).toEqual([100]);
    world.follower.stop();
  });
});
