/**
 * A token bucket: so many per second, and so many saved up at most. Time is a value (monotonic ms), so it is
 * pure; calls come in the order of their times. Tokens may be taken that are not there: then there is a debt, and
 * nothing is to be had until it is paid.
 */
export class TokenBucket {
  #perSecond: number;
  #capacity: number;
  #tokens: number;
  #atMs: number;

  /** Full. */
  constructor(perSecond: number, capacity: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#capacity = capacity;
    this.#tokens = capacity;
    this.#atMs = nowMs;
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Holds from now on. What is saved above the new capacity is lost; a larger one has to fill. */
  change(perSecond: number, capacity: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#perSecond = perSecond;
    this.#capacity = capacity;
    this.#tokens = Math.min(this.#tokens, capacity);
  }

  /** Below 0: a debt. */
  tokens(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens;
  }

  take(count: number, nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens -= count;
  }

  /** When there will be so many tokens, from now; 0: there are. `count` is at most the capacity. */
  msUntil(count: number, nowMs: number): number {
    const missing = count - this.tokens(nowMs);
    return missing <= 0 ? 0 : (missing / this.#perSecond) * 1_000;
  }

  #fill(nowMs: number): void {
    const gained = (Math.max(0, nowMs - this.#atMs) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + gained);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
