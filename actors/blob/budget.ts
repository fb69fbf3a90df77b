import { assert } from '../../protocol/assert.ts';

interface Waiting {
  readonly bytes: number;
  readonly run: () => void;
}

/** Bytes that may be out at once, given in the order in which they are asked for. */
export class ByteBudget {
  readonly #bytesMax: number;
  #taken = 0;
  readonly #waiting: Waiting[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves when these bytes are taken; whoever has them gives them back. */
  take(bytes: number): Promise<void> {
    assert(bytes <= this.#bytesMax, 'what is asked for can be given');
    if (this.#waiting.length === 0 && this.#taken + bytes <= this.#bytesMax) {
      this.#taken += bytes;
      return Promise.resolve();
    }
    return new Promise((resolved) => this.#waiting.push({ bytes, run: resolved }));
  }

  give(bytes: number): void {
    this.#taken -= bytes;
    assert(this.#taken >= 0, 'what is given back was taken');
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#taken + next.bytes > this.#bytesMax) return;
      this.#waiting.shift();
      this.#taken += next.bytes;
      next.run();
    }
  }
}
