import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../../../actors/txn/deadlines.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

describe('deadlines', () => {
  it('come at their time or a moment later, each once, with few timers', async () => {
    const clock = new HandClock();
    const startMs = clock.monotonicMs();
    const passed = new Map<number, number>();
    const deadlines = new Deadlines(clock, (key) => {
      expect(passed.has(key)).toBe(false);
      passed.set(key, clock.monotonicMs() - startMs);
    });
    for (let key = 0; key < 1_000; key++) deadlines.add(key / 10, key);
    expect(clock.timerCount).toBeLessThan(30);
    await clock.pass(150);
    expect(passed.size).toBe(1_000);
    for (const [key, atMs] of passed) {
      expect(atMs).toBeGreaterThanOrEqual(key / 10);
      expect(atMs).toBeLessThan(key / 10 + 5);
    }
    expect(clock.timerCount).toBe(0);
  });

  it('may be added while others come', async () => {
    const clock = new HandClock();
    const passed: number[] = [];
    const deadlines: Deadlines = new Deadlines(clock, (key) => {
      passed.push(key);
      if (key < 3) deadlines.add(0, key + 1);
    });
    deadlines.add(5, 1);
    await clock.pass(100);
    expect(passed).toEqual([1, 2, 3]);
  });
});
