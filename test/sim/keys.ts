import { type Random, randomInt } from '../../protocol/random.ts';

const OPS_PER_KEY_MAX = 250;
/** An operation without an answer overlaps with everything after it on its key. */
const UNKNOWN_PER_KEY_MAX = 5;

export interface LiveKey {
  readonly name: string;
  ops: number;
  unknown: number;
  /** Last revision a client saw, for compares that have a chance. */
  lastRevision: number;
}

/**
 * The keys in use at one moment. A key is retired when it has seen many operations, because the
 * cost of checking grows with what overlaps on one key, not with the length of a run.
 */
export class KeyPool {
  readonly #random: Random;
  readonly #prefix: string;
  readonly #slots: LiveKey[] = [];
  #generation = 0;
  readonly retired: string[] = [];

  constructor(random: Random, prefix: string, slotCount: number) {
    this.#random = random;
    this.#prefix = prefix;
    for (let i = 0; i < slotCount; i++) this.#slots.push(this.#fresh());
  }

  pick(): LiveKey {
    const slot = randomInt(this.#random, 0, this.#slots.length - 1);
    const key = this.#slots[slot] as LiveKey;
    if (key.ops < OPS_PER_KEY_MAX && key.unknown < UNKNOWN_PER_KEY_MAX) {
      key.ops++;
      return key;
    }
    this.retired.push(key.name);
    const fresh = this.#fresh();
    fresh.ops = 1;
    this.#slots[slot] = fresh;
    return fresh;
  }

  /** Every key that was ever in use. */
  all(): string[] {
    return [...this.retired, ...this.#slots.map((slot) => slot.name)];
  }

  #fresh(): LiveKey {
    // Some variety in first bytes and lengths, so that keys spread over vshards and ranges.
    const tail = 'x'.repeat(randomInt(this.#random, 0, 12));
    const name = `${this.#prefix}/${this.#generation++}${tail}`;
    return { name, ops: 0, unknown: 0, lastRevision: 0 };
  }
}
