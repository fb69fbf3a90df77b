import { LIMITS } from '../../protocol/limits.ts';
import type { ReplicaContext } from './context.ts';

/** Requests of one replica that may wait for locks at once. */
const WAITING_MAX = LIMITS.inboxCommandsMax;

interface Waiting {
  readonly again: () => void;
  readonly giveUp: () => void;
  cancel: () => void;
}

/**
 * Requests that met a lock of a prepared transaction: each is tried again when transactions have ended, in
 * the order they came, until its deadline. Nothing that waits here holds anything.
 */
export class LockWaits {
  readonly #context: ReplicaContext;
  #waiting = new Set<Waiting>();

  constructor(context: ReplicaContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** `again` when a lock was released; `giveUp` at `endMs` (monotonic), or when too many wait. */
  wait(endMs: number, again: () => void, giveUp: () => void): void {
    const { clock, telemetry } = this.#context.ports;
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs <= 0 || this.#waiting.size >= WAITING_MAX) return giveUp();
    telemetry.count('lock_waits', 1, { group: this.#context.group });
    const waiting: Waiting = { again, giveUp, cancel: () => {} };
    waiting.cancel = clock.after(leftMs, () => {
      if (this.#waiting.delete(waiting)) giveUp();
    });
    this.#waiting.add(waiting);
  }

  /** Transactions have ended, or this replica leads no more: everybody tries again. */
  release(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const one of waiting) {
      one.cancel();
      one.again();
    }
  }

  stop(): void {
    for (const one of this.#waiting) one.cancel();
    this.#waiting.clear();
  }
}
