import { type Random, randomInt } from '../../../protocol/random.ts';

export interface LiveKey {
  readonly name: string;
  uses: number;
  /** The processes that have used it. */
  readonly processes: Set<number>;
  /** Last revision a client saw, for compares that have a chance. */
  lastRevision: number;
}

export interface PoolLimits {
  readonly keys: number;
  readonly usesMax: number;
  readonly processesMax: number;
}

/**
 * The keys in use at one moment. A key is retired after so many operations or processes, because the
 * cost of checking grows with what overlaps on one key, not with the length of a run.
 */
export class KeyPool {
  readonly #prefix: string;
  readonly #limits: PoolLimits;
  readonly #slots: LiveKey[] = [];
  #made = 0;

  constructor(prefix: string, limits: PoolLimits) {
    this.#prefix = prefix;
    this.#limits = limits;
    for (let slot = 0; slot < limits.keys; slot++) this.#slots.push(this.#fresh());
  }

  /** A key for one operation of a process. */
  take(random: Random, process: number): LiveKey {
    const slot = randomInt(random, 0, this.#slots.length - 1);
    let key = this.#slots[slot] as LiveKey;
    const isNew = !key.processes.has(process);
    const { usesMax, processesMax } = this.#limits;
    if (key.uses >= usesMax || (isNew && key.processes.size >= processesMax)) {
      key = this.#fresh();
      this.#slots[slot] = key;
    }
    key.uses++;
    key.processes.add(process);
    return key;
  }

  #fresh(): LiveKey {
    const name = `${this.#prefix}${String(this.#made++).padStart(6, '0')}`;
    return { name, uses: 0, processes: new Set(), lastRevision: 0 };
  }
}
