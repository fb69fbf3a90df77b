import type { Clock } from '../../protocol/clock.ts';
import type { Random } from '../../protocol/random.ts';
import type { Life, Scheduler } from './scheduler.ts';

/** Virtual time 0 as Unix ms: 2026-01-01T00:00:00Z. */
export const SIM_WALL_START_MS = Date.UTC(2026, 0, 1);
/** A timer of a real process fires up to this much late. */
const TIMER_LATE_MS_MAX = 1;
/** How long a turn of a real event loop takes when idle. */
const LOOP_TURN_MS = 0.01;

/**
 * One machine's wall clock. It outlives the processes on it. Faults move it; monotonic time and
 * timers never follow (F19).
 */
export class WallClock {
  readonly #scheduler: Scheduler;
  #rate = 1;
  #offsetMs: number;
  #sinceMs = 0;
  /** Since a jump or a change of rate, until it is set right. */
  isWrong = false;

  constructor(scheduler: Scheduler, offsetMs: number) {
    this.#scheduler = scheduler;
    this.#offsetMs = offsetMs;
  }

  nowMs(): number {
    const elapsedMs = this.#scheduler.nowMs() - this.#sinceMs;
    return Math.floor(SIM_WALL_START_MS + this.#sinceMs + this.#offsetMs + elapsedMs * this.#rate);
  }

  /** Moves the clock by `ms` at once. */
  jump(ms: number): void {
    this.isWrong = true;
    this.#rebase();
    this.#offsetMs += ms;
  }

  /** From now on the clock runs `rate` times as fast. */
  setRate(rate: number): void {
    this.isWrong = true;
    this.#rebase();
    this.#rate = rate;
  }

  /** Back to true time, as a time daemon would step it. */
  correct(offsetMs: number): void {
    this.isWrong = false;
    this.#rebase();
    this.#rate = 1;
    this.#offsetMs = offsetMs;
  }

  #rebase(): void {
    const nowMs = this.#scheduler.nowMs();
    this.#offsetMs += (nowMs - this.#sinceMs) * (this.#rate - 1);
    this.#sinceMs = nowMs;
  }
}

/** The Clock port of one life. */
export function simClock(scheduler: Scheduler, life: Life, wall: WallClock, random: Random): Clock {
  const bornMs = scheduler.nowMs();
  return {
    monotonicMs: () => scheduler.nowMs() - bornMs,
    wallMs: () => wall.nowMs(),
    after: (delayMs, run) =>
      scheduler.after(Math.max(0, delayMs) + random.next() * TIMER_LATE_MS_MAX, life, run),
    soon: (run) => {
      scheduler.after(LOOP_TURN_MS, life, run);
    },
  };
}
