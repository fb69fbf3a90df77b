import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';

type Settle = (reply: ReplyBody | null) => void;

/** Whom a request was handed to, and whether as the group's leader. */
export interface Asked {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly asLeader: boolean;
}

interface Waiting {
  readonly asked: Asked;
  readonly settle: Settle;
}

/** Requests whose limits end within this many ms share a timer: a limit is passed by at most so much. */
const GRAIN_MS = 16;

/**
 * Requests that wait for a reply, each with its own time limit. A reply that comes after its limit,
 * or twice, finds nobody and is dropped. `settle(null)` means that nothing came in time.
 */
export class PendingRequests {
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  /** Ids by the end of their grain; those that were answered are skipped when it comes. */
  readonly #ending = new Map<number, number[]>();
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
    this.#waiting.set(id, { asked, settle });
    const nowMs = this.#clock.monotonicMs();
    const grain = Math.ceil((nowMs + waitMs) / GRAIN_MS);
    const ids = this.#ending.get(grain);
    if (ids !== undefined) ids.push(id);
    else {
      this.#ending.set(grain, [id]);
      this.#clock.after(grain * GRAIN_MS - nowMs, () => this.#end(grain));
    }
    return id;
  }

  /** False when nobody waits for it (late, repeated, or forged). */
  reply(id: number, body: ReplyBody): boolean {
    return this.#settle(id, body);
  }

  /** Another node leads the group now: what was asked of earlier leaders is given up where `isGivenUp`. */
  leaderChanged(group: GroupId, leader: NodeId, isGivenUp: (node: NodeId) => boolean): void {
    for (const [id, { asked }] of this.#waiting) {
      if (asked.group !== group || !asked.asLeader || asked.node === leader) continue;
      if (isGivenUp(asked.node)) this.#settle(id, null);
    }
  }

  /** The node has left: it will answer nothing. */
  nodeGone(node: NodeId): void {
    for (const [id, { asked }] of this.#waiting) if (asked.node === node) this.#settle(id, null);
  }

  #end(grain: number): void {
    const ids = this.#ending.get(grain) ?? [];
    this.#ending.delete(grain);
    for (const id of ids) this.#settle(id, null);
  }

  #settle(id: number, body: ReplyBody | null): boolean {
    const entry = this.#waiting.get(id);
    if (entry === undefined) return false;
    this.#waiting.delete(id);
    entry.settle(body);
    return true;
  }
}
