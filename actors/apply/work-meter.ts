/** Work between two turns of the event loop, in bytes that are parsed: a few milliseconds. */
const TURN_BYTES = 256 * 1024;

/**
 * Counts what a read or a step of maintenance has done since others had their turn. Sizes that clients choose
 * decide how long it takes, so it gives way, and ends when nobody waits for it any more.
 */
export class WorkMeter {
  readonly #soon: (run: () => void) => void;
  readonly #isOver: () => boolean;
  #bytes = 0;

  /** `soon` as the Clock's; `isOver`: whether its deadline has passed. */
  constructor(soon: (run: () => void) => void, isOver: () => boolean = () => false) {
    this.#soon = soon;
    this.#isOver = isOver;
  }

  /** Whether others should have a turn first, after `bytes` more. */
  add(bytes: number): boolean {
    this.#bytes += bytes;
    return this.#bytes >= TURN_BYTES;
  }

  /** Resolves behind the others' turn, with whether to go on. */
  turn(): Promise<boolean> {
    this.#bytes = 0;
    return new Promise((resolve) => this.#soon(() => resolve(!this.#isOver())));
  }
}

/** Of work that nobody else waits for: in tests. */
export function unhurried(): WorkMeter {
  return new WorkMeter(queueMicrotask);
}
