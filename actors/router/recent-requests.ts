import type { NodeId } from '../../protocol/types.ts';

/** A repeat follows its original at once, or after a stall of the bus (13 s were measured). */
const GENERATION_MS = 30_000;
const GENERATION_REQUESTS_MAX = 131_072;

/**
 * Which requests came in lately, so that one that the bus delivers twice is not proposed twice
 * (FAULTS B9). Two generations: what is asked is remembered for at least one of them, unless more
 * requests than that came in. Pure: times come in as values.
 */
export class RecentRequests {
  #current = new Set<string>();
  #previous = new Set<string>();
  #sinceMs = 0;

  /** True when this request of this node was noted before. Notes it. */
  isRepeat(from: NodeId, requestId: number, nowMs: number): boolean {
    if (nowMs - this.#sinceMs > GENERATION_MS || this.#current.size >= GENERATION_REQUESTS_MAX) {
      this.#previous = this.#current;
      this.#current = new Set();
      this.#sinceMs = nowMs;
    }
    const name = `${requestId}@${from}`;
    if (this.#current.has(name) || this.#previous.has(name)) return true;
    this.#current.add(name);
    return false;
  }
}
