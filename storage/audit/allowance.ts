import type { Clock } from '../../protocol/clock.ts';

/** So many at once, and then so many a second. */
export class Allowance {
  readonly #perSec: number;
  readonly #atOnce: number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #left: number;
  #atMs: number;

  constructor(perSec: number, atOnce: number, clock: Pick<Clock, 'monotonicMs'>) {
    this.#perSec = perSec;
    this.#atOnce = atOnce;
    this.#clock = clock;
    this.#left = atOnce;
    this.#atMs = clock.monotonicMs();
  }

  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const more = ((nowMs - this.#atMs) / 1000) * this.#perSec;
    this.#left = Math.min(this.#atOnce, this.#left + more);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
