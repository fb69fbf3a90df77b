import { expect, it } from 'vitest';
import { Periodic } from '../../../../actors/kit/periodic.ts';
import type { Clock } from '../../../../protocol/clock.ts';
import { HandClock } from '../../../kit/hand-clock.ts';

function started() {
  const clock = new HandClock();
  const periodic = new Periodic(clock, 20);
  const ran: string[] = [];
  periodic.every(20, () => ran.push('tick'));
  periodic.every(100, () => ran.push('tenth'));
  periodic.start();
  const count = (name: string) => ran.filter((one) => one === name).length;
  return { clock, periodic, count };
}

it('runs each chore about once in its period, on one timer', async () => {
  const { clock, periodic, count } = started();
  await clock.pass(15);
  expect([count('tick'), count('tenth'), clock.timerCount]).toEqual([0, 0, 1]);
  await clock.pass(1_985);
  expect(count('tick')).toBe(100);
  expect(count('tenth')).toBe(20);
  expect(clock.timerCount).toBe(1);
  periodic.stop();
  expect(clock.timerCount).toBe(0);
  await clock.pass(1_000);
  expect(count('tick')).toBe(100);
});

it('after a pause first lets be heard what has arrived, and makes nothing up', () => {
  let nowMs = 0;
  let fire = (): void => {};
  const soon: (() => void)[] = [];
  const clock: Clock = {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs,
    after: (_delayMs, run) => {
      fire = run;
      return () => {};
    },
    soon: (run) => soon.push(run),
  };
  const periodic = new Periodic(clock, 20);
  let ticks = 0;
  periodic.every(20, () => ticks++);
  periodic.start();
  nowMs += 21;
  fire();
  expect([ticks, soon.length]).toEqual([1, 0]);
  nowMs += 5_000;
  fire();
  expect([ticks, soon.length]).toEqual([1, 1]);
  soon[0]?.();
  expect(ticks).toBe(2);
  nowMs += 21;
  fire();
  expect(ticks).toBe(3);
});

it('ends in the middle of a round when a chore stops it', async () => {
  const clock = new HandClock();
  const periodic = new Periodic(clock, 20);
  const ran: string[] = [];
  periodic.every(20, () => {
    ran.push('first');
    periodic.stop();
  });
  periodic.every(20, () => ran.push('second'));
  periodic.start();
  await clock.pass(100);
  expect(ran).toEqual(['first']);
});
