import { expect, it } from 'vitest';
import { type LedGroup, LedWorkers } from '../../../../actors/kit/led-workers.ts';
import type { GroupId } from '../../../../protocol/types.ts';

/** Groups by number, and what their workers were told. */
function looked(led: Map<number, boolean>) {
  const told: string[] = [];
  let begun = 0;
  const groups = (): LedGroup[] =>
    [...led].map(([group, isLed]) => ({ group: group as GroupId, isLed: () => isLed }));
  const workers = new LedWorkers(groups, ({ group }) => {
    const number = ++begun;
    told.push(`${number} begins with ${group}`);
    return {
      tick: (now: LedGroup) => told.push(`${number} ${now.isLed() ? 'leads' : 'rests'}`),
      stop: () => told.push(`${number} stops`),
    };
  });
  const ticked = (): string[] => {
    told.length = 0;
    workers.tick();
    return [...told];
  };
  return { workers, ticked, told };
}

it('a worker begins when its group is first led here, and is told of every tick from then on', () => {
  const led = new Map([
    [1, false],
    [2, true],
  ]);
  const { ticked, workers } = looked(led);
  expect(ticked()).toEqual(['1 begins with 2', '1 leads']);
  led.set(2, false);
  expect(ticked()).toEqual(['1 rests']);
  led.set(1, true);
  expect(ticked()).toEqual(['2 begins with 1', '2 leads', '1 rests']);
  expect([...workers].length).toBe(2);
});

it('a worker ends with its replica, also one that leads, and another begins when the replica is back', () => {
  const led = new Map([[1, true]]);
  const { ticked, workers } = looked(led);
  ticked();
  led.delete(1);
  expect(ticked()).toEqual(['1 stops']);
  expect([...workers]).toEqual([]);
  expect(ticked()).toEqual([]);
  led.set(1, true);
  expect(ticked()).toEqual(['2 begins with 1', '2 leads']);
});

it('nothing begins or ticks after the end', () => {
  const led = new Map([[1, true]]);
  const { ticked, workers, told } = looked(led);
  ticked();
  told.length = 0;
  workers.stop();
  expect(told).toEqual(['1 stops']);
  led.set(2, true);
  expect(ticked()).toEqual([]);
});
