import type { Clock } from '../../protocol/clock.ts';

/** Deadlines that end within this many ms share a timer: each is passed by at most so much. */
const GRAIN_MS = 4;

/**
 * Many deadlines, nearly all of which nobody is there for any more when they come: nothing is cancelled, and only a
 * number is kept of each.
 */
export class Deadlines {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly #passed: (key: number) => void;
  readonly #keys = new Map<number, number[]>();

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, passed: (key: number) => void) {
    this.#clock = clock;
    this.#passed = passed;
  }

  /** `passed` is called with the key in `afterMs`, or up to GRAIN_MS later. */
  add(afterMs: number, key: number): void {
    const nowMs = this.#clock.monotonicMs();
    const grain = Math.ceil((nowMs + afterMs) / GRAIN_MS);
    const keys = this.#keys.get(grain);
    if (keys !== undefined) {
      keys.push(key);
      return;
    }
    this.#keys.set(grain, [key]);
    this.#clock.after(grain * GRAIN_MS - nowMs, () => {
      const ended = this.#keys.get(grain) ?? [];
      this.#keys.delete(grain);
      for (const one of ended) this.#passed(one);
    });
  }
}
