import { describe, expect, it } from 'vitest';
import { comparePositions, positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import { olderEvents, ReplicaFeed } from '../../../../actors/replica/feed.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type {
  ChangeEvent,
  Position,
  ReplyBody,
  RequestOf,
} from '../../../../protocol/messages/request.ts';
import { put } from '../../../kit/applied-group.ts';
import { appliedAt, changeAt } from '../../../kit/change-events.ts';
import { FakeReplica } from '../../../kit/fake-replica.ts';
import { HandClock, settle } from '../../../kit/hand-clock.ts';

type Page = { readonly revisions: readonly number[]; readonly closed: number };

class World {
  readonly clock = new HandClock();
  readonly older: RequestOf<'FeedRead'>[] = [];
  olderPage: { events: ChangeEvent[]; truncated: boolean } | 'compacted' = {
    events: [],
    truncated: false,
  };
  readonly feed: ReplicaFeed;
  readonly answers: ReplyBody[] = [];
  closed: number;
  floor = 0;

  constructor(start = 0) {
    this.closed = start;
    this.feed = new ReplicaFeed(this.clock, start, async (request) => {
      this.older.push(request);
      return this.olderPage;
    });
  }

  /** Applied and closed. */
  add(...revisions: number[]): void {
    this.feed.add(revisions.map((revision) => appliedAt(revision)));
    this.closed = Math.max(this.closed, ...revisions);
  }

  read(after: number | Position, more: Partial<RequestOf<'FeedRead'>> = {}): void {
    const position = typeof after === 'number' ? positionAfter(after) : after;
    const request = {
      type: 'FeedRead' as const,
      after: position,
      waitMs: 0,
      limit: 100,
      prev: true,
    };
    this.feed.read({ ...request, ...more }, this.closed, this.floor, (body) =>
      this.answers.push(body),
    );
  }

  pages(): (Page | string)[] {
    return this.answers.splice(0).map((body) => {
      if (body.type !== 'Feed') return body.type === 'Rejected' ? body.code : body.type;
      return { revisions: body.events.map(({ revision }) => revision), closed: body.closed };
    });
  }
}

describe('a page of the feed', () => {
  it('has what is closed after the position, in order, and how far that is complete', () => {
    const world = new World();
    world.add(10, 20, 30);
    world.read(10);
    expect(world.pages()).toEqual([{ revisions: [20, 30], closed: 30 }]);
  });

  it('has nothing above the closed revision', () => {
    const world = new World();
    world.add(10, 20, 30);
    world.closed = 25;
    world.read(0);
    expect(world.pages()).toEqual([{ revisions: [10, 20], closed: 25 }]);
  });

  it('never says closed past an event that did not fit', () => {
    const world = new World();
    world.add(10, 20, 30);
    world.read(0, { limit: 2 });
    expect(world.pages()).toEqual([{ revisions: [10, 20], closed: 19 }]);
    world.read(positionOf(changeAt(20)), { limit: 2 });
    expect(world.pages()).toEqual([{ revisions: [30], closed: 30 }]);
  });

  it('goes through a revision of many events piece by piece, from any position inside it', () => {
    const world = new World();
    world.add(10, 40);
    // A transaction's events: in the order of its operations, and behind a later one.
    const events = Array.from({ length: 7_000 }, (_, i) => appliedAt(30, { key: `k${i}` }));
    world.feed.add(events);
    const log = events.map(positionOf).sort(comparePositions);
    let after = positionAfter(10);
    const seen: Position[] = [];
    for (let page = 0; page < 7; page++) {
      world.read(after, { limit: 5_000 });
      const [body] = world.answers.splice(0);
      if (body?.type !== 'Feed') throw new Error('no page');
      expect(body.events).toHaveLength(LIMITS.feedPageEventsMax);
      expect(body.closed).toBe(29);
      seen.push(...body.events.map(positionOf));
      after = seen.at(-1) as Position;
    }
    expect(seen).toEqual(log);
    world.read(after);
    expect(world.pages()).toEqual([{ revisions: [40], closed: 40 }]);
  });

  it('ends at pageBytesMax, but the first event always fits', () => {
    const world = new World();
    const large = LIMITS.pageBytesMax * 0.75;
    world.feed.add([10, 20, 30].map((revision) => appliedAt(revision, { bytes: large })));
    world.closed = 30;
    world.read(0);
    expect(world.pages()).toEqual([{ revisions: [10], closed: 9 }]);
  });

  it('leaves previous versions out when they are not asked for, or do not fit a message', () => {
    const world = new World();
    const half = LIMITS.entryBytesMax * 0.6;
    world.feed.add([
      appliedAt(10, { bytes: 5, prevBytes: 5 }),
      appliedAt(20, { bytes: half, prevBytes: half }),
    ]);
    world.closed = 20;
    const prevs = () =>
      world.answers.splice(0).map((body) => body.type === 'Feed' && body.events.map((e) => e.prev));
    world.read(0, { limit: 1 });
    world.read(0, { limit: 1, prev: false });
    world.read(10);
    expect(prevs()).toEqual([[expect.objectContaining({ revision: 1 })], [null], [null]]);
  });

  it('that begins inside a revision has this group’s event of that revision', () => {
    const world = new World();
    const before = { revision: 10, vshard: 0, triple: 'another group’s' };
    world.add(10);
    world.read(before, { waitMs: 1000 });
    expect(world.pages()).toEqual([{ revisions: [10], closed: 10 }]);
    world.read(positionOf(changeAt(10)), { waitMs: 1000 });
    expect(world.pages()).toEqual([{ revisions: [], closed: 10 }]);
  });

  it('that begins inside the last revision before the ring is read from the state (no gap)', async () => {
    const world = new World(10);
    world.olderPage = { events: [changeAt(10)], truncated: true };
    world.read({ revision: 10, vshard: 0, triple: '' });
    await settle();
    expect(world.pages()).toEqual([{ revisions: [10], closed: 9 }]);
    expect(world.older).toHaveLength(1);
    world.read(10, { waitMs: 0 });
    expect(world.pages()).toEqual([{ revisions: [], closed: 10 }]);
  });

  it('older than the ring comes from the state, and goes on behind its last event', async () => {
    const world = new World(100);
    world.add(110);
    world.olderPage = { events: [changeAt(50), changeAt(60)], truncated: true };
    world.read(40);
    await settle();
    world.olderPage = { events: [], truncated: false };
    world.read(60);
    await settle();
    expect(world.pages()).toEqual([
      { revisions: [50, 60], closed: 59 },
      { revisions: [], closed: 110 },
    ]);
  });

  it('below the floor is refused, in memory and in the state', async () => {
    const world = new World(100);
    world.floor = 50;
    world.read(49);
    world.olderPage = 'compacted';
    world.read(60);
    await settle();
    expect(world.answers.map((body) => 'hint' in body && body.hint)).toEqual([50, 50]);
    expect(world.pages()).toEqual(['compacted', 'compacted']);
  });

  it('that cannot be read now is refused for certain', async () => {
    const clock = new HandClock();
    const feed = new ReplicaFeed(clock, 100, () => Promise.reject(new Error('EIO')));
    const answers: ReplyBody[] = [];
    const request = { type: 'FeedRead' as const, waitMs: 0, limit: 10, prev: true };
    feed.read({ ...request, after: positionAfter(1) }, 100, 0, (body) => answers.push(body));
    await settle();
    expect(answers).toMatchObject([{ code: 'unavailable', definite: true }]);
  });
});

describe('a long poll', () => {
  it('is answered as soon as the closed revision moves, once', async () => {
    const world = new World();
    world.read(0, { waitMs: 1000 });
    expect(world.pages()).toEqual([]);
    world.add(10);
    world.feed.advanced(10, 0);
    world.feed.advanced(11, 0);
    await world.clock.pass(2000);
    expect(world.pages()).toEqual([{ revisions: [10], closed: 10 }]);
    expect(world.clock.timerCount).toBe(0);
  });

  it('moves on without events, too', () => {
    const world = new World();
    world.read(0, { waitMs: 1000 });
    world.feed.advanced(500, 0);
    expect(world.pages()).toEqual([{ revisions: [], closed: 500 }]);
  });

  it('ends empty after its time, promising nothing new', async () => {
    const world = new World();
    world.read(0, { waitMs: 1000 });
    await world.clock.pass(1000);
    expect(world.pages()).toEqual([{ revisions: [], closed: 0 }]);
  });

  it('waits on while the closed revision is behind its position', () => {
    const world = new World();
    world.read(100, { waitMs: 1000 });
    world.feed.advanced(100, 0);
    expect(world.pages()).toEqual([]);
    world.feed.advanced(101, 0);
    expect(world.pages()).toEqual([{ revisions: [], closed: 101 }]);
  });

  it('is not held beyond a bounded number of readers', async () => {
    const world = new World();
    for (let i = 0; i < 1_024; i++) world.read(0, { waitMs: 1000 });
    expect(world.answers).toEqual([]);
    world.read(0, { waitMs: 1000 });
    expect(world.answers).toEqual([]);
    await world.clock.pass(250);
    expect(world.pages()).toEqual([{ revisions: [], closed: 0 }]);
    world.feed.stop();
    expect(world.clock.timerCount).toBe(0);
  });
});

describe('the ring', () => {
  it('is bounded by events, and what left it comes from the state', async () => {
    const world = new World();
    const revisions = Array.from({ length: 8_192 + 5 }, (_, i) => i + 1);
    world.add(...revisions);
    world.read(5, { limit: 1 });
    world.read(4, { limit: 1 });
    await settle();
    expect(world.pages()).toEqual([
      { revisions: [6], closed: 5 },
      { revisions: [], closed: 8_197 },
    ]);
    expect(world.older).toHaveLength(1);
  });

  it('is bounded by bytes', async () => {
    const world = new World();
    for (let i = 1; i <= 20; i++) world.feed.add([appliedAt(i, { bytes: 700_000 })]);
    world.closed = 20;
    world.read(8);
    world.read(9);
    await settle();
    expect(world.older.map(({ after }) => after.revision)).toEqual([8]);
  });

  it('keeps nothing while nobody reads, and is whole again for the next reader', async () => {
    const world = new World();
    await world.clock.pass(20_000);
    world.add(10, 20);
    world.read(0);
    await settle();
    expect(world.older.map(({ after }) => after.revision)).toEqual([0]);
    world.answers.length = 0;
    world.add(30);
    world.read(20);
    expect(world.pages()).toEqual([{ revisions: [30], closed: 30 }]);
    expect(world.older).toHaveLength(1);
  });

  it('knows nothing from before a snapshot', async () => {
    const world = new World();
    world.add(10, 20);
    world.feed.reset(50);
    world.closed = 50;
    world.read(10);
    await settle();
    expect(world.older).toHaveLength(1);
    world.add(60);
    world.read(50);
    expect(world.pages().at(-1)).toEqual({ revisions: [60], closed: 60 });
  });
});

describe('older events', () => {
  it('are read from the applied state, page by page, and no view is left open', async () => {
    const replica = FakeReplica.owning();
    const revisions: number[] = [];
    for (const key of ['a', 'b', 'c']) {
      const revision = replica.clock.assign(1, replica.ports.clock.wallMs());
      revisions.push(revision);
      replica.apply({
        ...{ type: 'write', revision, epoch: 1, ops: [put(key, '1')] },
        ...{ idempotency: null, traceparent: null },
      });
    }
    const read = olderEvents(replica);
    const request = { type: 'FeedRead' as const, waitMs: 0, limit: 2, prev: false };
    const first = await read({ ...request, after: positionAfter(0) }, replica.clock.closed);
    expect(first).toMatchObject({ truncated: true });
    const seen = first === 'compacted' ? [] : first.events.map(({ revision }) => revision);
    expect(seen).toEqual(revisions.slice(0, 2));
    replica.apply({ type: 'compact', floor: revisions[1] as number });
    expect(await read({ ...request, after: positionAfter(0) }, replica.clock.closed)).toBe(
      'compacted',
    );
    expect(replica.store.viewsOpen).toBe(0);
  });
});
