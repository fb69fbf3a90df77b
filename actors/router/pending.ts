import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';

type Settle = (reply: ReplyBody | null) => void;

/**
 * Requests that wait for a reply, each with its own time limit. A reply that comes after its limit,
 * or twice, finds nobody and is dropped. `settle(null)` means that nothing came in time.
 */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, { settle: Settle; cancel: () => void }>();
  #nextId: number;

  /** `firstId` is drawn at random, so that replies to an earlier life of this node match nothing. */
  constructor(clock: Clock, firstId: number) {
    this.#clock = clock;
    this.#nextId = firstId;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Throws AppError `overloaded` when too many requests wait already. */
  open(waitMs: number, settle: Settle): number {
    if (this.#waiting.size >= LIMITS.pendingRequestsMax) {
      throw new AppError('overloaded', 'too many requests are waiting on this node');
    }
    const id = this.#nextId++;
    const cancel = this.#clock.after(waitMs, () => this.#settle(id, null));
    this.#waiting.set(id, { settle, cancel });
    return id;
  }

  /** False when nobody waits for it (late, repeated, or forged). */
  reply(id: number, body: ReplyBody): boolean {
    return this.#settle(id, body);
  }

  #settle(id: number, body: ReplyBody | null): boolean {
    const entry = this.#waiting.get(id);
    if (entry === undefined) return false;
    this.#waiting.delete(id);
    entry.cancel();
    entry.settle(body);
    return true;
  }
}
