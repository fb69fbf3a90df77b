/** How a transfer deals with silence. */
export interface TransferTimes {
  /** The first silence after which something is sent again; each one in a row is twice as long. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  /** The other side is given up after a silence of this length. */
  readonly giveUpMs: number;
}

/** When to ask again, and when to give up. */
export class Patience {
  readonly #times: TransferTimes;
  #retryMs: number;
  #retryAtMs: number;
  #heardMs: number;

  constructor(times: TransferTimes, nowMs: number) {
    this.#times = times;
    this.#retryMs = times.retryMsMin;
    this.#heardMs = nowMs;
    this.#retryAtMs = nowMs + this.#retryMs;
  }

  /** The other side was heard. Only progress makes it worth asking sooner again: a full one says so at once. */
  heard(nowMs: number, hasProgressed: boolean): void {
    this.#heardMs = nowMs;
    if (hasProgressed) this.#retryMs = this.#times.retryMsMin;
    this.#retryAtMs = nowMs + this.#retryMs;
  }

  /** Whether it is time to ask again; from then on the next silence counts. */
  isOver(nowMs: number): boolean {
    if (nowMs < this.#retryAtMs) return false;
    this.#retryMs = Math.min(this.#retryMs * 2, this.#times.retryMsMax);
    this.#retryAtMs = nowMs + this.#retryMs;
    return true;
  }

  isLost(nowMs: number): boolean {
    return nowMs - this.#heardMs >= this.#times.giveUpMs;
  }
}
