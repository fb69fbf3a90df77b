import type { Clock } from '../../protocol/clock.ts';
import type { KvEngine } from '../ports.ts';

/** Rows of one call to the engine, and calls at once: they share the threads that also sync the log. */
const KEYS_MAX = 64;
const CALLS_MAX = 2;

type Done = (row: Uint8Array | null | undefined) => void;

/** Gathers point lookups of one turn of the event loop into few calls, which other threads serve. */
export class Fetcher {
  readonly #engine: KvEngine;
  readonly #clock: Pick<Clock, 'soon'>;
  #keys: string[] = [];
  #dones: Done[] = [];
  #calls = 0;
  #isScheduled = false;

  constructor(engine: KvEngine, clock: Pick<Clock, 'soon'>) {
    this.#engine = engine;
    this.#clock = clock;
  }

  fetch(key: string, done: Done): void {
    this.#keys.push(key);
    this.#dones.push(done);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#calls >= CALLS_MAX || this.#keys.length === 0) return;
    this.#isScheduled = true;
    this.#clock.soon(() => {
      this.#isScheduled = false;
      this.#call();
      this.#schedule();
    });
  }

  #call(): void {
    const keys = this.#keys.slice(0, KEYS_MAX);
    const dones = this.#dones.slice(0, KEYS_MAX);
    this.#keys = this.#keys.slice(KEYS_MAX);
    this.#dones = this.#dones.slice(KEYS_MAX);
    this.#calls++;
    const ended = (rows: readonly (Uint8Array | null)[] | null) => {
      this.#calls--;
      for (let i = 0; i < dones.length; i++) (dones[i] as Done)(rows?.[i]);
      this.#schedule();
    };
    // Why it failed is told by the next get() of such a row.
    this.#engine.getMany(keys).then(ended, () => ended(null));
  }
}
