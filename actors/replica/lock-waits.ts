import { LIMITS } from '../../protocol/limits.ts';
import type { TxnBody } from '../../protocol/txn.ts';
import { footprintOf } from '../apply/txn-locks.ts';
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
  /** Names of rules whose change waits, and how many of them: no transaction may lock these meanwhile. */
  readonly #wanted = new Map<string, number>();

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

  /** The same for the change of a bucket's rule, which nobody overtakes: its name is wanted until it is tried again. */
  waitForRule(name: string, endMs: number, again: () => void, giveUp: () => void): void {
    const then = (go: () => void) => (): void => {
      const others = (this.#wanted.get(name) ?? 1) - 1;
      if (others === 0) this.#wanted.delete(name);
      else this.#wanted.set(name, others);
      go();
    };
    this.#wanted.set(name, (this.#wanted.get(name) ?? 0) + 1);
    this.wait(endMs, then(again), then(giveUp));
  }

  /** Whether the change of a rule waits that a transaction would lock. */
  isWanted(body: TxnBody): boolean {
    if (this.#wanted.size === 0) return false;
    return footprintOf(body).reads.some((name) => this.#wanted.has(name));
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
    this.#wanted.clear();
  }
}
