import type { Clock } from '../../protocol/clock.ts';

interface Waiting {
  readonly subject: string;
  refusal: Error | null;
}

/** Who waits to hear that a server has, and allows, what was published to a subject. */
export class Confirming {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `flush` resolves when the server has seen everything sent so far. Rejects as it does, or with the refusal. */
  async settle(subject: string, flush: () => Promise<void>): Promise<void> {
    const waiting: Waiting = { subject, refusal: null };
    this.#waiting.add(waiting);
    try {
      await flush();
      // The server sends a refusal before its answer to that; the client tells of it a moment later.
      await new Promise<void>((resolve) => this.#clock.after(0, resolve));
    } finally {
      this.#waiting.delete(waiting);
    }
    if (waiting.refusal !== null) throw waiting.refusal;
  }

  /** The server allows nothing to be published there. */
  refused(subject: string, error: Error): void {
    for (const waiting of this.#waiting) {
      if (waiting.subject === subject) waiting.refusal = error;
    }
  }
}
