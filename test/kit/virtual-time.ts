import type { Clock } from '../../protocol/clock.ts';
import { type Random, seededRandom } from '../../protocol/random.ts';
import { Life, Scheduler } from '../sim/scheduler.ts';
import { simClock, WallClock } from '../sim/sim-clock.ts';

/** Virtual time below the promise that runs out without it: it waits for something that never comes. */
const STUCK_MS = 600_000;
const STEP_MS = 5;

/** Virtual time for a test of one storage part: promises are driven until they settle. */
export class VirtualTime {
  readonly scheduler = new Scheduler();
  readonly #wall = new WallClock(this.scheduler, 0);
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed, 'timers');
  }

  /** The clock of one process; `end` stops its timers for ever. */
  process(): { clock: Clock; end: () => void } {
    const life = new Life('test', 0);
    const clock = simClock(this.scheduler, life, this.#wall, this.#random);
    return { clock, end: () => this.scheduler.kill(life) };
  }

  /** Moves the wall clock of all processes, as a time daemon would. */
  jumpWall(ms: number): void {
    this.#wall.jump(ms);
  }

  /** Runs time until `work` settles. */
  async until<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    work.then(settle, settle);
    const endMs = this.scheduler.nowMs() + STUCK_MS;
    while (!settled) {
      if (this.scheduler.nowMs() > endMs)
        throw new Error('it waits for something that never comes');
      await this.pass(STEP_MS);
    }
    return work;
  }

  /** Lets `ms` go by. */
  pass(ms: number): Promise<void> {
    return this.scheduler.run(this.scheduler.nowMs() + ms);
  }
}
