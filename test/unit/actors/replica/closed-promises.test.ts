import { describe, expect, it } from 'vitest';
import { GroupClock } from '../../../../actors/replica/clock.ts';
import { ClosedPromises } from '../../../../actors/replica/closed-promises.ts';

describe('closed promises of the leader', () => {
  it('hold where as much is applied as the leader had', () => {
    const clock = new GroupClock(10, 0, Number.POSITIVE_INFINITY);
    const promises = new ClosedPromises();
    promises.hold(100, 5);
    expect(promises.settle(clock, 4)).toBe(false);
    expect(clock.closed).toBe(10);
    expect(promises.settle(clock, 5)).toBe(true);
    expect([clock.closed, clock.clock]).toEqual([100, 100]);
    expect(promises.settle(clock, 9)).toBe(false);
  });

  it('settle in any order, each at its own index', () => {
    const clock = new GroupClock(0, 0, Number.POSITIVE_INFINITY);
    const promises = new ClosedPromises();
    promises.hold(300, 9);
    promises.hold(100, 5);
    promises.hold(200, 5);
    expect(promises.settle(clock, 6)).toBe(true);
    expect(clock.closed).toBe(200);
    expect(promises.settle(clock, 9)).toBe(true);
    expect(clock.closed).toBe(300);
  });

  it('an old one closes nothing again', () => {
    const clock = new GroupClock(0, 0, Number.POSITIVE_INFINITY);
    const promises = new ClosedPromises();
    clock.close(500);
    promises.hold(400, 1);
    expect(promises.settle(clock, 1)).toBe(false);
    expect(clock.closed).toBe(500);
  });

  it('are kept in a bounded number, the newest', () => {
    const clock = new GroupClock(0, 0, Number.POSITIVE_INFINITY);
    const promises = new ClosedPromises();
    for (let i = 1; i <= 100; i++) promises.hold(i, i);
    promises.settle(clock, 0);
    promises.settle(clock, 36);
    expect(clock.closed).toBe(0);
    promises.settle(clock, 37);
    expect(clock.closed).toBe(37);
  });
});
