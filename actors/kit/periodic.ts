import type { Clock } from '../../protocol/clock.ts';

interface Chore {
  readonly periodMs: number;
  readonly run: () => void;
  dueMs: number;
}

/**
 * What a node does again and again, on one timer: each chore about once in its period, which is a multiple of
 * the grain. What a process slept through is not made up for.
 */
export class Periodic {
  readonly #clock: Clock;
  readonly #grainMs: number;
  readonly #chores: Chore[] = [];
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(clock: Clock, grainMs: number) {
    this.#clock = clock;
    this.#grainMs = grainMs;
  }

  /** Before `start`; the first time comes one period after it. */
  every(periodMs: number, run: () => void): void {
    this.#chores.push({ periodMs, run, dueMs: this.#clock.monotonicMs() + periodMs });
  }

  start(): void {
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #arm(): void {
    const armedMs = this.#clock.monotonicMs();
    this.#cancel = this.#clock.after(this.#grainMs, () => {
      // After a pause, what arrived meanwhile is heard first: the silence was this process's own.
      const lateMs = this.#clock.monotonicMs() - armedMs - this.#grainMs;
      if (lateMs < this.#grainMs) this.#round();
      else this.#clock.soon(() => this.#round());
    });
  }

  #round(): void {
    if (this.#stopped) return;
    const nowMs = this.#clock.monotonicMs();
    for (const chore of this.#chores) {
      if (nowMs < chore.dueMs || this.#stopped) continue;
      // Timers are a little late: a chore of one grain is for every round.
      chore.dueMs = nowMs + chore.periodMs - this.#grainMs / 2;
      chore.run();
    }
    if (!this.#stopped) this.#arm();
  }
}
