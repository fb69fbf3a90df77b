import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';

type Settle = (reply: ReplyBody | null) => void;

/** Whom a request was handed to, as the leader of which group; null when any replica may answer. */
export interface Asked {
  readonly group: GroupId;
  readonly leader: NodeId | null;
}

interface Waiting {
  readonly asked: Asked;
  readonly settle: Settle;
  readonly cancel: () => void;
}

/**
 * Requests that wait for a reply, each with its own time limit. A reply that comes after its limit,
 * or twice, finds nobody and is dropped. `settle(null)` means that nothing came in time.
 */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId: number;

  /** `firstId` is drawn at random, so that replies to an earlier life of this node match nothing. */
  constructor(clock: Clock, firstId: number) {
    this.#clock = clock;
    this.#nextId = firstId;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The id to send it with; null when too many requests wait already. */
  open(waitMs: number, asked: Asked, settle: Settle): number | null {
    if (this.#waiting.size >= LIMITS.pendingRequestsMax) return null;
    const id = this.#nextId++;
    const cancel = this.#clock.after(waitMs, () => this.#settle(id, null));
    this.#waiting.set(id, { asked, settle, cancel });
    return id;
  }

  /** False when nobody waits for it (late, repeated, or forged). */
  reply(id: number, body: ReplyBody): boolean {
    return this.#settle(id, body);
  }

  /** Another node leads the group now: the old leader will hardly answer, so nobody waits for it. */
  leaderChanged(group: GroupId, leader: NodeId): void {
    for (const [id, { asked }] of this.#waiting) {
      if (asked.group === group && asked.leader !== null && asked.leader !== leader) {
        this.#settle(id, null);
      }
    }
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
