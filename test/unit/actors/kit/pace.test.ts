import { describe, expect, test } from 'vitest';
import { BackgroundPace, restMs } from '../../../../actors/kit/pace.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

describe('the rest after a step', () => {
  test('is none without clients, else in proportion to the step, with a bound', () => {
    expect(restMs(5, false)).toBe(0);
    expect(restMs(5, true)).toBe(60);
    expect(restMs(0, true)).toBe(0);
    expect(restMs(10_000, true)).toBe(250);
    expect(restMs(-1, true)).toBe(0);
  });
});

/** Steps that end when the test says so. */
class World {
  readonly clock = new HandClock();
  isBehind = false;
  readonly pace = new BackgroundPace(this.clock, () => this.isBehind);
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  enter(name: string, group: number = name.charCodeAt(0)): void {
    this.pace.enter(group as GroupId, (ended) => {
      this.begun.push(name);
      this.#ends.set(name, ended);
    });
  }

  end(name: string): void {
    this.#ends.get(name)?.();
  }
}

describe('the pace of work in the background', () => {
  test('without clients each step follows the one before at once, in the order they came', async () => {
    const world = new World();
    for (const name of ['a', 'b', 'c']) world.enter(name);
    expect(world.begun).toEqual(['a']);
    await world.clock.pass(7);
    world.end('a');
    expect(world.begun).toEqual(['a', 'b']);
    world.end('b');
    expect(world.begun).toEqual(['a', 'b', 'c']);
    world.end('c');
    await world.clock.pass(2_000);
    expect(world.clock.timerCount).toBe(0);
  });

  test('beside clients it rests for twelve times the step, and no longer once they are gone', async () => {
    const world = new World();
    world.enter('a');
    world.pace.request();
    await world.clock.pass(5);
    world.end('a');
    world.enter('b');
    await world.clock.pass(59);
    expect(world.begun).toEqual(['a']);
    await world.clock.pass(1);
    expect(world.begun).toEqual(['a', 'b']);
    // 65 ms after the last request was seen there may still be clients.
    await world.clock.pass(5);
    world.end('b');
    world.enter('c');
    await world.clock.pass(60);
    expect(world.begun).toEqual(['a', 'b', 'c']);
    await world.clock.pass(100);
    world.end('c');
    world.enter('d');
    expect(world.begun).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a request that came while nothing was to do makes the next step a polite one', async () => {
    const world = new World();
    world.enter('a');
    world.end('a');
    await world.clock.pass(500);
    world.pace.request();
    world.enter('b');
    await world.clock.pass(1);
    world.end('b');
    world.enter('c');
    await world.clock.pass(11);
    expect(world.begun).toEqual(['a', 'b']);
    await world.clock.pass(1);
    expect(world.begun).toEqual(['a', 'b', 'c']);
  });

  test('a step that does not end holds up the others for a second, and is not heard later', async () => {
    const world = new World();
    world.enter('lost');
    world.enter('b');
    world.enter('c');
    await world.clock.pass(999);
    expect(world.begun).toEqual(['lost']);
    await world.clock.pass(1);
    expect(world.begun).toEqual(['lost', 'b']);
    world.end('lost');
    expect(world.begun).toEqual(['lost', 'b']);
    world.end('b');
    world.end('b');
    expect(world.begun).toEqual(['lost', 'b', 'c']);
    world.enter('d');
    world.end('b');
    expect(world.begun).toEqual(['lost', 'b', 'c']);
  });

  test('while the engine is behind none begins, with clients or without', async () => {
    const world = new World();
    world.isBehind = true;
    world.enter('a');
    world.enter('b');
    await world.clock.pass(3_000);
    expect(world.begun).toEqual([]);
    world.isBehind = false;
    await world.clock.pass(10);
    expect(world.begun).toEqual(['a']);
    world.isBehind = true;
    world.end('a');
    await world.clock.pass(100);
    expect(world.begun).toEqual(['a']);
    world.isBehind = false;
    await world.clock.pass(10);
    expect(world.begun).toEqual(['a', 'b']);
  });

  test('a step may end before it returns', () => {
    const world = new World();
    const begun: number[] = [];
    for (let i = 0; i < 3; i++) {
      world.pace.enter(i as GroupId, (ended) => {
        begun.push(i);
        ended();
      });
    }
    expect(begun).toEqual([0, 1, 2]);
  });

  test('a group has one step waiting: a later one takes its place', () => {
    const world = new World();
    world.enter('first', 1);
    world.enter('late', 2);
    world.enter('other', 3);
    world.enter('repeated', 2);
    world.end('first');
    world.end('repeated');
    world.end('other');
    expect(world.begun).toEqual(['first', 'repeated', 'other']);
  });

  test('once stopped nothing begins', async () => {
    const world = new World();
    world.enter('a');
    world.enter('b');
    world.pace.stop();
    world.end('a');
    world.enter('c');
    await world.clock.pass(5_000);
    expect(world.begun).toEqual(['a']);
    expect(world.clock.timerCount).toBe(0);
  });
});
