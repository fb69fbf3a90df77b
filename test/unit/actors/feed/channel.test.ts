import { describe, expect, it } from 'vitest';
import { decodeToken, positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import { Channels } from '../../../../actors/feed/channel.ts';
import { shareEvent, Watcher } from '../../../../actors/feed/watcher.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import type { WatchMessage, WatchOptions } from '../../../../protocol/service.ts';
import { type ChangeOptions, changeAt } from '../../../kit/change-events.ts';

const OPTIONS: WatchOptions = {
  ...{ tenant: 't1', space: 'kv', prefix: '', from: null, initial: false, prev: false },
};

class World {
  readonly channels = new Channels();
  #before = positionAfter(0);

  watcher(options: Partial<WatchOptions> = {}): Watcher {
    const watcher = new Watcher({ ...OPTIONS, ...options }, positionAfter(0), (closed) =>
      this.channels.delete(closed),
    );
    this.channels.add(watcher);
    return watcher;
  }

  note(revision: number, more: ChangeOptions = {}): void {
    const event = changeAt(revision, more);
    const shared = shareEvent(event, positionOf(event), false);
    this.channels.note(shared, this.#before);
    this.#before = shared.position;
  }
}

async function all(watcher: Watcher): Promise<(number | string)[]> {
  const out: WatchMessage[] = [];
  watcher.end({ type: 'compacted', oldestRevision: 0 });
  for (let batch = await watcher.next(); batch !== null; batch = await watcher.next()) {
    out.push(...batch);
  }
  return out.map((message) => (message.type === 'event' ? message.event.revision : message.type));
}

describe('channels', () => {
  it('give all watchers of one selection the very same array, in one round', async () => {
    const world = new World();
    const [one, two] = [world.watcher({ prefix: 'a' }), world.watcher({ prefix: 'a' })];
    const [first, second] = [one.next(), two.next()];
    world.note(1, { key: 'a1' });
    world.note(2, { key: 'b' });
    world.note(3, { key: 'a' });
    expect(world.channels.isDirty).toBe(true);
    expect(world.channels.flush()).toBe(2);
    expect(world.channels.isDirty).toBe(false);
    expect(await first).toHaveLength(2);
    expect(await first).toBe(await second);
  });

  it('find every prefix that a key has, and nothing else', async () => {
    const random = seededRandom(1, 'prefixes');
    const world = new World();
    const word = (length: number): string =>
      Array.from({ length }, () => (random.next() < 0.5 ? 'a' : 'b')).join('');
    const prefixes = Array.from({ length: 40 }, () => word(Math.floor(random.next() * 5)));
    const watchers = prefixes.map((prefix) => world.watcher({ prefix }));
    const keys = Array.from({ length: 200 }, () => word(1 + Math.floor(random.next() * 6)));
    for (const [i, key] of keys.entries()) {
      world.note(i + 1, { key });
      if (random.next() < 0.1) world.channels.flush();
    }
    world.channels.flush();
    for (const [i, watcher] of watchers.entries()) {
      const expected = keys.flatMap((key, at) => (key.startsWith(prefixes[i]!) ? [at + 1] : []));
      expect(await all(watcher)).toEqual([...expected, 'compacted']);
    }
  });

  it('keep tenants, spaces and the wish for previous versions apart', async () => {
    const world = new World();
    const watchers = [
      world.watcher(),
      world.watcher({ tenant: 't2' }),
      world.watcher({ space: 'other' }),
      world.watcher({ prev: true }),
    ];
    world.note(1, { prevBytes: 3 });
    world.note(2, { tenant: 't2' });
    world.note(3, { space: 'other' });
    world.channels.flush();
    const [plain, other, space, prev] = await Promise.all(
      watchers.map((watcher) => watcher.next()),
    );
    const shown = (messages: typeof plain | undefined) =>
      messages?.map((message) =>
        message.type === 'event' ? [message.event.revision, message.event.prev !== null] : null,
      );
    expect(shown(plain)).toEqual([[1, false]]);
    expect(shown(other)).toEqual([[2, false]]);
    expect(shown(space)).toEqual([[3, false]]);
    expect(shown(prev)).toEqual([[1, true]]);
  });

  it('give one that joins between two rounds only what comes after', async () => {
    const world = new World();
    const early = world.watcher();
    world.note(1);
    const late = world.watcher();
    world.note(2);
    world.channels.flush();
    expect(await all(early)).toEqual([1, 2, 'compacted']);
    expect(await all(late)).toEqual([2, 'compacted']);
  });

  it('forget a watcher that ends, also in the middle of a round', async () => {
    const world = new World();
    const [one, two] = [world.watcher(), world.watcher()];
    world.note(1);
    one.close();
    expect(world.channels.flush()).toBe(1);
    expect(await all(two)).toEqual([1, 'compacted']);
    world.note(2);
    expect(world.channels.isDirty).toBe(false);
  });

  it('end a reader that never reads, with the position from which nothing is missing', async () => {
    const world = new World();
    const [slow, good] = [world.watcher(), world.watcher()];
    let revision = 0;
    const seen: number[] = [];
    while (!slow.ended && revision < 50_000) {
      for (let i = 0; i < 100; i++) world.note(++revision);
      world.channels.flush();
      while (!good.isIdle) {
        const batch = (await good.next()) ?? [];
        for (const message of batch)
          if (message.type === 'event') seen.push(message.event.revision);
      }
    }
    const got = await all(slow);
    expect(got.at(-1)).toBe('lagged');
    const events = got.slice(0, -1) as number[];
    expect(events).toEqual(Array.from({ length: events.length }, (_, i) => i + 1));
    expect(seen.at(-1)).toBe(revision);
  });

  it('say so with a token behind the last event given', async () => {
    const world = new World();
    const slow = world.watcher({ prefix: 'a' });
    world.note(1, { key: 'a', bytes: 3_000_000 });
    world.note(2, { key: 'b' });
    world.note(3, { key: 'a', bytes: 3_000_000 });
    world.channels.flush();
    expect(await slow.next()).toHaveLength(1);
    const [last] = (await slow.next()) ?? [];
    expect(last?.type).toBe('lagged');
    const token = last?.type === 'lagged' ? last.token : '';
    expect(decodeToken(token)).toEqual(positionOf(changeAt(2, { key: 'b' })));
  });
});
