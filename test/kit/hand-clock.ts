import type { Clock } from '../../protocol/clock.ts';
import { REVISION_EPOCH_MS } from '../../protocol/revision.ts';

interface Timer {
  readonly atMs: number;
  readonly run: () => void;
}

/** A Clock that stands still until the test moves it. Timers run in the order they fall due. */
export class HandClock implements Clock {
  nowMs = 0;
  /** Unix ms at monotonic 0; a test may move it like a time daemon would. */
  wallStartMs = REVISION_EPOCH_MS + 1_000_000;
  #timers: Timer[] = [];
  #soon: (() => void)[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.wallStartMs + this.nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + Math.max(0, delayMs), run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  soon(run: () => void): void {
    this.#soon.push(run);
  }

  /** Timers that wait. */
  get timerCount(): number {
    return this.#timers.length;
  }

  /** Runs what was asked for `soon`, and what that asks for, until nothing is left. */
  runSoon(): void {
    while (this.#soon.length > 0) this.#runBatch();
  }

  #runBatch(): void {
    const batch = this.#soon;
    this.#soon = [];
    for (const run of batch) run();
  }

  /** Lets `ms` go by, timer by timer, with all microtasks after each. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await settle();
    for (;;) {
      while (this.#soon.length > 0) {
        this.#runBatch();
        await settle();
      }
      const due = this.#timers.filter((timer) => timer.atMs <= endMs);
      const next = due.reduce<Timer | null>(
        (first, timer) => (first === null || timer.atMs < first.atMs ? timer : first),
        null,
      );
      if (next === null) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      await settle();
    }
    this.nowMs = endMs;
  }
}

/** All microtasks, and those they ask for. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
