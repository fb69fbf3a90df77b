import { describe, expect, it } from 'vitest';
import { comparePositions, encodeToken, positionOf } from '../../../../actors/apply/position.ts';
import { FeedHub } from '../../../../actors/feed/hub.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type {
  RequestContext,
  Watch,
  WatchMessage,
  WatchOptions,
} from '../../../../protocol/service.ts';
import { changeAt } from '../../../kit/change-events.ts';
import { FakeFeed } from '../../../kit/fake-feed.ts';

const CTX: RequestContext = { deadlineMs: 2_000, traceparent: null, idempotency: null };
const OPTIONS: WatchOptions = {
  ...{ tenant: 't1', space: 'kv', prefix: '', from: null, initial: false, prev: false },
};

class World {
  readonly feed = new FakeFeed();
  readonly hub: FeedHub;

  constructor() {
    const { clock, reach, map } = this.feed;
    this.hub = new FeedHub(clock, reach.calls, NO_TELEMETRY, () => map);
  }

  async open(options: Partial<WatchOptions> = {}): Promise<Watch> {
    const opened = this.hub.watch(CTX, { ...OPTIONS, ...options });
    const watch = await this.feed.reach.outcome(opened);
    if (watch instanceof AppError) throw watch;
    return watch as Watch;
  }

  /** Everything a watcher gets within a while. */
  async read(watch: Watch, ms = 300): Promise<WatchMessage[]> {
    const out: WatchMessage[] = [];
    const loop = async (): Promise<void> => {
      for (let batch = await watch.next(); batch !== null; batch = await watch.next()) {
        out.push(...batch);
      }
    };
    const done = loop();
    done.catch(() => {});
    await this.feed.clock.pass(ms);
    return out;
  }
}

const brief = (messages: readonly WatchMessage[]) =>
  messages.map((message) => (message.type === 'event' ? message.event.revision : message.type));

describe('the hub', () => {
  it('shows what comes after now, from all groups, in order', async () => {
    const world = new World();
    world.feed.group(1).add(10);
    const watch = await world.open();
    const reading = world.read(watch, 500);
    world.feed.group(2).add(20);
    world.feed.group(1).add(30);
    expect(brief(await reading)).toEqual([20, 30]);
    world.hub.stop();
  });

  it('follows the groups once for all watchers, and shares their messages', async () => {
    const world = new World();
    const [one, two] = [await world.open(), await world.open()];
    world.feed.group(1).add(10);
    await world.feed.clock.pass(100);
    const polls = world.feed.asked('FeedRead');
    expect(polls).toBeLessThanOrEqual(6);
    const [first] = await world.read(one, 10);
    const [second] = await world.read(two, 10);
    expect(first).toBeDefined();
    expect(first).toBe(second);
    world.hub.stop();
  });

  it('writes to many readers in rounds, so that none costs a write per change', async () => {
    const world = new World();
    const watches = await Promise.all(Array.from({ length: 400 }, () => world.open()));
    let rounds = 0;
    const seen: WatchMessage[] = [];
    const first = watches[0] as Watch;
    const loop = async (): Promise<void> => {
      for (let batch = await first.next(); batch !== null; batch = await first.next()) {
        rounds++;
        seen.push(...batch);
      }
    };
    const done = loop();
    for (let i = 1; i <= 100; i++) {
      world.feed.group(1 + (i % 2)).add(1_000 + i);
      await world.feed.clock.pass(1);
    }
    await world.feed.clock.pass(200);
    expect(brief(seen)).toEqual(Array.from({ length: 100 }, (_, i) => 1_001 + i));
    // 400 readers: a round takes 20 ms, and the last events wait for the other group.
    expect(rounds).toBeGreaterThan(2);
    expect(rounds).toBeLessThanOrEqual(12);
    world.hub.stop();
    await done;
  });

  it('gives a reader whose start lies ahead of the merged stream nothing from before it', async () => {
    const world = new World();
    const early = await world.open();
    world.feed.group(2).closes = false;
    world.feed.group(1).add(40);
    await world.feed.clock.pass(10);
    world.feed.group(2).closes = true;
    const late = await world.open({ from: { revision: 50 } });
    const [one, two] = [world.read(early, 500), world.read(late, 500)];
    for (const revision of [45, 50, 55, 60]) world.feed.group(2).add(revision);
    expect(brief(await one)).toEqual([40, 45, 50, 55, 60]);
    expect(brief(await two)).toEqual([55, 60]);
    world.hub.stop();
  });

  it('lets a reader that comes back join from the ring, exactly behind its token', async () => {
    const world = new World();
    const first = await world.open();
    for (const revision of [10, 20, 30]) world.feed.group(1).add(revision);
    await world.feed.clock.pass(100);
    const polls = world.feed.asked('FeedRead');
    const token = encodeToken(positionOf(changeAt(20)));
    const second = await world.open({ from: { token } });
    expect(brief(await world.read(second, 20))).toEqual([30]);
    // Two to see that the position is kept, none to catch up.
    expect(world.feed.asked('FeedRead') - polls).toBe(2);
    first.close();
    world.hub.stop();
  });

  it('shows a revision of more events than a buffer holds to readers that take them', async () => {
    const world = new World();
    const keys = Array.from({ length: 15_000 }, (_, i) => `k${i}`);
    for (const group of [1, 2]) world.feed.group(group).pageMax = LIMITS.feedPageEventsMax;
    const [live, other] = [await world.open(), await world.open({ prefix: 'z' })];
    const reading = [world.read(live, 6_000), world.read(other, 6_000)];
    world.feed.group(2).closes = false;
    world.feed.group(1).addAll(100, keys);
    await world.feed.clock.pass(10);
    world.feed.group(2).closes = true;
    world.feed.group(2).addAll(100, ['z1', 'z2']);
    const [all, few] = await Promise.all(reading);
    const events = [1, 2].flatMap((group) => world.feed.group(group).events);
    events.sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
    const named = (messages: readonly WatchMessage[] | undefined) =>
      messages?.flatMap((message) => (message.type === 'event' ? [message.event.ref.key] : []));
    expect(named(all)).toEqual(events.map(({ ref }) => ref.key));
    expect(named(few)?.sort()).toEqual(['z1', 'z2']);
    // Progress names a revision when all of it has been shown, never while it is being shown.
    for (const [i, message] of all?.entries() ?? []) {
      if (message.type === 'progress' && i < keys.length + 2) expect(message.revision).toBe(99);
    }
    world.hub.stop();
  }, 20_000);

  it('goes on inside a revision: every reader that comes back sees each of its events once', async () => {
    const world = new World();
    const keys = Array.from({ length: 11_500 }, (_, i) => `k${i}`);
    world.feed.group(1).pageMax = LIMITS.feedPageEventsMax;
    const first = await world.open();
    world.feed.group(1).addAll(100, keys);
    world.feed.group(2).close(200);
    world.feed.group(1).add(150, 'behind');
    await world.feed.clock.pass(500);
    // It reads nothing meanwhile: it is told to come back, with the position that it has been given.
    const seen: string[] = [];
    let token: string | null = null;
    let sessions = 0;
    const note = (messages: readonly WatchMessage[]) => {
      for (const message of messages) {
        if (message.type === 'event') seen.push(message.event.ref.key);
        if (message.type === 'event' || message.type === 'lagged') token = message.token;
      }
    };
    note(await world.read(first, 10));
    expect(seen.length).toBeLessThanOrEqual(LIMITS.watcherBufferEventsMax);
    // Others go away in the middle of it, wherever they are.
    while (seen.length < keys.length + 1 && sessions++ < 30) {
      const watch = await world.open({ from: { token: token as unknown as string } });
      const batch = await world.feed.reach.outcome(watch.next());
      note((batch as readonly WatchMessage[]).slice(0, 700));
      watch.close();
    }
    const log = world.feed.group(1).events.map(({ ref }) => ref.key);
    expect(seen).toEqual(log);
    world.hub.stop();
  }, 20_000);

  it('lets a reader from further back catch up on its own, then join', async () => {
    const world = new World();
    for (const revision of [10, 20, 30]) world.feed.group(1).add(revision);
    world.feed.group(2).close(30);
    const watch = await world.open({ from: { revision: 10 } });
    expect(brief(await world.read(watch, 2_500))).toEqual([20, 30]);
    const polls = world.feed.asked('FeedRead');
    const reading = world.read(watch, 100);
    world.feed.group(2).add(40);
    expect(brief(await reading)).toEqual([40]);
    // One follower is left: no second poll per group.
    expect(world.feed.asked('FeedRead') - polls).toBeLessThanOrEqual(4);
    world.hub.stop();
  });

  it('gives the current state first, page by page, then synced, then changes', async () => {
    const world = new World();
    world.feed.group(1).add(50);
    world.feed.items = Array.from({ length: 250 }, (_, i) => `k${String(i).padStart(3, '0')}`);
    const watch = await world.open({ initial: true });
    const messages: WatchMessage[] = [];
    for (let i = 0; i < 3; i++) {
      messages.push(...((await world.feed.reach.outcome(watch.next())) as WatchMessage[]));
    }
    messages.push(...(await world.read(watch, 100)));
    const keys = messages.flatMap((m) =>
      m.type === 'event' && m.initial ? [m.event.ref.key] : [],
    );
    expect(keys).toEqual(world.feed.items);
    expect(messages.at(-1)).toMatchObject({ type: 'synced', revision: 50 });
    const reading = world.read(watch, 200);
    world.feed.group(2).add(60);
    expect(brief(await reading)).toEqual([60]);
    world.hub.stop();
  });

  it('refuses a start that is no longer kept, and a token that is none', async () => {
    const world = new World();
    world.feed.group(2).floor = 100;
    await expect(world.open({ from: { revision: 5 } })).rejects.toMatchObject({
      ...{ code: 'compacted', details: { oldestRevision: 100 } },
    });
    await expect(world.open({ from: { token: 'nonsense' } })).rejects.toMatchObject({
      code: 'invalid_argument',
    });
    expect(world.hub.watcherCount).toBe(0);
    world.hub.stop();
  });

  it('tells an idle reader how far the stream has come', async () => {
    const world = new World();
    const watch = await world.open();
    await world.feed.clock.pass(1);
    world.feed.group(1).clock = 500;
    const messages = await world.read(watch, 10_100);
    expect(messages.at(-1)).toMatchObject({ type: 'progress', revision: 500 });
    world.hub.stop();
  });

  it('stops following when nobody has watched for a while, and begins anew', async () => {
    const world = new World();
    const watch = await world.open();
    watch.close();
    expect(world.hub.watcherCount).toBe(0);
    await world.feed.clock.pass(45_000);
    const polls = world.feed.asked('FeedRead');
    await world.feed.clock.pass(20_000);
    expect(world.feed.asked('FeedRead')).toBe(polls);
    const again = await world.open();
    const reading = world.read(again, 100);
    world.feed.group(1).add(70);
    expect(brief(await reading)).toEqual([70]);
    world.hub.stop();
  });

  it('takes no more than watchersPerNodeMax, also when all of them come at once', async () => {
    const world = new World();
    const opened = Array.from({ length: LIMITS.watchersPerNodeMax + 10 }, () =>
      world.hub.watch(CTX, OPTIONS).then(
        () => 'open',
        (error: AppError) => error.code,
      ),
    );
    const outcome = (await world.feed.reach.outcome(Promise.all(opened))) as string[];
    expect(outcome.filter((one) => one === 'overloaded')).toHaveLength(10);
    expect(world.hub.watcherCount).toBe(LIMITS.watchersPerNodeMax);
    world.hub.stop();
    expect(await world.open()).toBeDefined();
    world.hub.stop();
  });

  it('ends every watch when it stops', async () => {
    const world = new World();
    const watch = await world.open();
    world.hub.stop();
    expect(await watch.next()).toBeNull();
    expect(world.hub.watcherCount).toBe(0);
  });
});
