import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../protocol/random.ts';
import { Life, Scheduler } from '../../sim/scheduler.ts';
import { SIM_WALL_START_MS, simClock, WallClock } from '../../sim/sim-clock.ts';

describe('the virtual-time scheduler', () => {
  it('runs events by time, and those of one instant in the order they were asked for', async () => {
    const scheduler = new Scheduler();
    const order: string[] = [];
    scheduler.after(5, null, () => order.push('late'));
    scheduler.after(1, null, () => order.push('first'));
    scheduler.after(1, null, () => order.push('second'));
    scheduler.after(0, null, () => order.push('now'));
    await scheduler.run(10);
    expect(order).toEqual(['now', 'first', 'second', 'late']);
    expect(scheduler.nowMs()).toBe(10);
  });

  it('orders ten thousand random events', async () => {
    const scheduler = new Scheduler();
    const random = seededRandom(7);
    const seen: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      scheduler.after(Math.floor(random.next() * 500), null, () => seen.push(scheduler.nowMs()));
    }
    await scheduler.run(1000);
    expect(seen).toHaveLength(10_000);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('finishes all promise continuations of an event before the next one', async () => {
    const scheduler = new Scheduler();
    const order: string[] = [];
    scheduler.after(1, null, () => {
      void (async () => {
        for (let i = 0; i < 100; i++) await null;
        order.push('deep continuation');
      })();
    });
    scheduler.after(1, null, () => order.push('next event'));
    await scheduler.run(2);
    expect(order).toEqual(['deep continuation', 'next event']);
  });

  it('never runs a callback of a life that has ended', async () => {
    const scheduler = new Scheduler();
    const life = new Life('n1', 0);
    let ran = 0;
    scheduler.after(1, life, () => ran++);
    scheduler.after(3, life, () => ran++);
    scheduler.after(2, null, () => scheduler.kill(life));
    await scheduler.run(10);
    expect(ran).toBe(1);
  });

  it('runs a life with little processor in its slices only, late and in order', async () => {
    const scheduler = new Scheduler();
    const life = new Life('n1', 0);
    const seen: [number, number][] = [];
    life.quota = { periodMs: 100, runMs: 20 };
    for (const atMs of [5, 30, 60, 99, 110, 150]) {
      scheduler.after(atMs, life, () => seen.push([atMs, scheduler.nowMs()]));
    }
    scheduler.after(70, null, () => {
      scheduler.runIn(life, () => seen.push([70, scheduler.nowMs()]));
    });
    scheduler.after(120, null, () => {
      life.quota = null;
    });
    await scheduler.run(300);
    expect(seen).toEqual([
      ...[
        [5, 5],
        [30, 100],
        [60, 100],
        [99, 100],
        [70, 100],
      ],
      ...[
        [110, 110],
        [150, 150],
      ],
    ]);
  });

  it('keeps what falls due in a pause and runs it, in order, afterwards', async () => {
    const scheduler = new Scheduler();
    const life = new Life('n1', 0);
    const seen: [string, number][] = [];
    scheduler.after(2, life, () => seen.push(['a', scheduler.nowMs()]));
    scheduler.after(4, life, () => seen.push(['b', scheduler.nowMs()]));
    scheduler.after(1, null, () => scheduler.pause(life));
    scheduler.after(6, null, () => scheduler.resume(life));
    await scheduler.run(10);
    expect(seen).toEqual([
      ['a', 6],
      ['b', 6],
    ]);
  });

  it('drops what was kept when the paused life is killed', async () => {
    const scheduler = new Scheduler();
    const life = new Life('n1', 0);
    let ran = 0;
    scheduler.after(2, life, () => ran++);
    scheduler.after(1, null, () => scheduler.pause(life));
    scheduler.after(3, null, () => scheduler.kill(life));
    scheduler.after(4, null, () => scheduler.resume(life));
    await scheduler.run(10);
    expect(ran).toBe(0);
  });

  it('cancels timers', async () => {
    const scheduler = new Scheduler();
    let ran = 0;
    const cancel = scheduler.after(1, null, () => ran++);
    cancel();
    await scheduler.run(5);
    expect(ran).toBe(0);
  });

  it('hands throws to the one who asked', async () => {
    const scheduler = new Scheduler();
    const seen: unknown[] = [];
    scheduler.onThrow = (error) => seen.push(error);
    scheduler.after(1, null, () => {
      throw new Error('broken');
    });
    await scheduler.run(2);
    expect(String(seen[0])).toContain('broken');
  });
});

describe('clocks', () => {
  it('a jump or a drift of the wall clock leaves monotonic time and timers alone (F19)', async () => {
    const scheduler = new Scheduler();
    const life = new Life('n1', 0);
    const wall = new WallClock(scheduler, 0);
    const clock = simClock(scheduler, life, wall, seededRandom(1));
    let firedAtMs = 0;
    clock.after(100, () => {
      firedAtMs = scheduler.nowMs();
    });
    wall.jump(3_600_000);
    wall.setRate(2);
    await scheduler.run(1000);
    expect(firedAtMs).toBeGreaterThanOrEqual(100);
    expect(firedAtMs).toBeLessThan(102);
    expect(clock.monotonicMs()).toBe(1000);
    expect(clock.wallMs()).toBe(SIM_WALL_START_MS + 3_600_000 + 2000);
    wall.correct(0);
    expect(clock.wallMs()).toBe(SIM_WALL_START_MS + 1000);
  });
});
