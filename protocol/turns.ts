/** What becomes of those who come when enough wait already. */
export interface TurnsBound {
  readonly waitingMax: number;
  refused(): Error;
}

/** Runs at most so many pieces of work at once, the others in the order in which they came. */
export class Turns {
  readonly #atOnceMax: number;
  readonly #bound: TurnsBound | null;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** `bound`: null where those who come are bounded already. */
  constructor(atOnceMax: number, bound: TurnsBound | null) {
    this.#atOnceMax = atOnceMax;
    this.#bound = bound;
  }

  /** Rejects with what the bound says, and then has not begun. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnceMax) this.#running++;
    // Whoever ends hands its place on, so nobody who comes meanwhile gets in before.
    else await this.#wait();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #wait(): Promise<void> {
    const bound = this.#bound;
    if (bound !== null && this.#waiting.length >= bound.waitingMax) throw bound.refused();
    return new Promise<void>((resolved) => this.#waiting.push(resolved));
  }
}
