import { describe, expect, it } from 'vitest';
import {
  decodeToken,
  encodeToken,
  positionAfter,
  positionOf,
} from '../../../../actors/apply/position.ts';
import { shareEvent, Watcher, type WatchSource } from '../../../../actors/feed/watcher.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { WatchMessage, WatchOptions } from '../../../../protocol/service.ts';
import { type ChangeOptions, changeAt } from '../../../kit/change-events.ts';
import { settle } from '../../../kit/hand-clock.ts';

const OPTIONS: WatchOptions = {
  ...{ tenant: 't1', space: 'kv', prefix: '', from: null, initial: false, prev: false },
};

class Source implements WatchSource {
  readonly calls: string[] = [];

  pull(): void {
    this.calls.push('pull');
  }

  stop(): void {
    this.calls.push('stop');
  }
}

class World {
  closed = 0;
  readonly watcher: Watcher;

  constructor(options: Partial<WatchOptions> = {}) {
    this.watcher = new Watcher({ ...OPTIONS, ...options }, positionAfter(10), () => {
      this.closed++;
    });
  }

  offer(revision: number, more: ChangeOptions = {}): void {
    const event = changeAt(revision, more);
    this.watcher.offer(shareEvent(event, positionOf(event), false));
  }
}

const brief = (messages: readonly WatchMessage[] | null) =>
  messages?.map((message) => (message.type === 'event' ? message.event.revision : message.type));

describe('a watcher', () => {
  it('gets what it selects, in order, each with a token that resumes behind it', async () => {
    const { watcher, ...rest } = new World({ prefix: 'a' });
    const world = Object.assign(new World({ prefix: 'a' }), rest);
    world.offer(11, { key: 'a1' });
    world.offer(12, { key: 'b' });
    world.offer(13, { key: 'a', tenant: 't2' });
    world.offer(14, { key: 'a', space: 'other' });
    world.offer(15, { key: 'a' });
    const messages = await world.watcher.next();
    expect(brief(messages)).toEqual([11, 15]);
    expect(messages?.map((m) => 'token' in m && decodeToken(m.token))).toEqual([
      positionOf(changeAt(11, { key: 'a1' })),
      positionOf(changeAt(15, { key: 'a' })),
    ]);
    expect(watcher.ended).toBe(false);
  });

  it('drops repeats and what lies before its start', async () => {
    const world = new World();
    for (const revision of [9, 10, 11, 11, 12, 11]) world.offer(revision);
    expect(brief(await world.watcher.next())).toEqual([11, 12]);
    expect(world.watcher.position).toEqual(positionOf(changeAt(12)));
  });

  it('that waits gets all that was offered, once it is delivered', async () => {
    const world = new World();
    const next = world.watcher.next();
    world.offer(11);
    world.offer(12);
    world.watcher.deliver();
    world.offer(13);
    expect(brief(await next)).toEqual([11, 12]);
    expect(brief(await world.watcher.next())).toEqual([13]);
  });

  it('hands on whole batches as they were given, between what it was offered itself', async () => {
    const world = new World();
    const messages: WatchMessage[] = [{ type: 'progress', revision: 13, token: 'x' }];
    world.offer(11);
    world.watcher.give({ messages, bytes: 64 }, positionAfter(12));
    world.offer(14);
    expect(brief(await world.watcher.next())).toEqual([11]);
    expect(await world.watcher.next()).toBe(messages);
    expect(brief(await world.watcher.next())).toEqual([14]);
  });

  it('that has no room for a batch ends with the position before it', async () => {
    const world = new World();
    const messages: WatchMessage[] = [{ type: 'progress', revision: 13, token: 'x' }];
    const large = { messages, bytes: LIMITS.watcherBufferBytesMax };
    world.watcher.give(large, positionAfter(12));
    world.watcher.give({ messages, bytes: 1 }, positionAfter(20));
    expect([world.watcher.ended, world.closed]).toEqual([true, 1]);
    expect(await world.watcher.next()).toBe(messages);
    const token = encodeToken(positionAfter(20));
    expect(await world.watcher.next()).toEqual([{ type: 'lagged', token }]);
    expect(await world.watcher.next()).toBeNull();
  });

  it('carries previous versions only when they were asked for', async () => {
    for (const prev of [true, false]) {
      const world = new World({ prev });
      world.offer(11, { prevBytes: 3 });
      const [message] = (await world.watcher.next()) as readonly WatchMessage[];
      expect(message?.type === 'event' && message.event.prev !== null).toBe(prev);
    }
  });

  it('shares one message with others that want the same', () => {
    const event = changeAt(11, { prevBytes: 3 });
    const shared = shareEvent(event, positionOf(event), false);
    expect(shared.withPrev).not.toBe(shared.plain);
    const without = shareEvent(changeAt(12), positionOf(changeAt(12)), false);
    expect(without.withPrev).toBe(without.plain);
  });

  it('that does not keep up ends with the token from which nothing is missing (events)', async () => {
    const world = new World();
    const count = LIMITS.watcherBufferEventsMax;
    for (let i = 1; i <= count + 5; i++) world.offer(10 + i);
    expect([world.watcher.ended, world.closed]).toEqual([true, 1]);
    const messages = (await world.watcher.next()) as readonly WatchMessage[];
    expect(messages).toHaveLength(count + 1);
    expect(messages.at(-1)).toEqual({
      type: 'lagged',
      token: encodeToken(positionOf(changeAt(10 + count))),
    });
    expect(await world.watcher.next()).toBeNull();
  });

  it('that does not keep up ends so by bytes, too, but one event of any size fits', async () => {
    const world = new World();
    world.offer(11, { bytes: LIMITS.watcherBufferBytesMax });
    world.offer(12, { key: 'z', space: 'other' });
    world.offer(13);
    const messages = await world.watcher.next();
    expect(brief(messages)).toEqual([11, 'lagged']);
    // What it does not select is no reason to read again.
    const token = encodeToken(positionOf(changeAt(12, { key: 'z', space: 'other' })));
    expect(messages?.[1]).toEqual({ type: 'lagged', token });
  });

  it('has room again after it was read', async () => {
    const world = new World();
    world.offer(11, { bytes: LIMITS.watcherBufferBytesMax / 2 });
    expect(world.watcher.hasRoom()).toBe(false);
    await world.watcher.next();
    expect(world.watcher.hasRoom()).toBe(true);
  });

  it('asks its source only when it has nothing and somebody waits', async () => {
    const world = new World();
    const source = new Source();
    world.watcher.source = source;
    world.offer(11);
    await world.watcher.next();
    expect(source.calls).toEqual([]);
    const next = world.watcher.next();
    expect(source.calls).toEqual(['pull']);
    world.watcher.close();
    expect(await next).toBeNull();
    expect(source.calls).toEqual(['pull', 'stop']);
  });

  it('reads what is buffered before it hears of a failure or an end', async () => {
    const world = new World();
    world.offer(11);
    world.watcher.fail(new Error('gone'));
    world.watcher.fail(new Error('again'));
    world.offer(12);
    expect(brief(await world.watcher.next())).toEqual([11]);
    await expect(world.watcher.next()).rejects.toThrow('gone');
    const other = new World();
    other.offer(11);
    other.watcher.end({ type: 'compacted', oldestRevision: 7 });
    expect(brief(await other.watcher.next())).toEqual([11, 'compacted']);
    expect([await other.watcher.next(), other.closed]).toEqual([null, 1]);
  });

  it('that is closed forgets what it has and ends at once', async () => {
    const world = new World();
    world.offer(11);
    world.watcher.close();
    world.watcher.tell({ type: 'synced', revision: 1, token: '' }, null);
    world.watcher.reached(positionAfter(99));
    await settle();
    expect(await world.watcher.next()).toBeNull();
    expect(world.watcher.position).toEqual(positionOf(changeAt(11)));
  });

  it('gives initial items without a token, since they are no resume points', () => {
    const event = changeAt(5);
    const { plain } = shareEvent(event, positionOf(event), true);
    expect(plain).toEqual({ type: 'event', event, token: '', initial: true });
  });
});
