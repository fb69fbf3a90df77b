import type { Revision } from '../../protocol/types.ts';

/** From `start` on the first current row is the one at `next`. Both are row keys. */
interface Gap {
  readonly start: string;
  readonly next: string;
  /** Count of writes, and clock, of the view that saw it. */
  readonly since: number;
  readonly clock: Revision;
}

/** A listing may take a while: what was written last is held against what it saw. */
const RECENT_MAX = 512;

/**
 * Stretches without a current row, as listings found them, so that the next listing jumps over what is
 * rolled up into a common prefix without asking the store. Local, in memory, bounded.
 *
 *   J1  Whoever writes a current row says so first; a gap that the row lies in, or ends, is forgotten. So each gap
 *       that is known is true of this moment, and has been since the view that saw it.
 *   J2  Two gaps are apart or end at the same row, since no row lies in either.
 */
export class RowGaps {
  readonly #gapsMax: number;
  readonly #byStart = new Map<string, Gap>();
  readonly #byNext = new Map<string, Gap[]>();
  /** The keys of `#byNext`, sorted: a few thousand, so that an insertion costs microseconds. */
  readonly #nexts: string[] = [];
  readonly #recent: string[] = [];
  #writes = 0;

  constructor(gapsMax: number) {
    this.#gapsMax = gapsMax;
  }

  /** Current rows written so far. */
  get writes(): number {
    return this.#writes;
  }

  /** A current row is written or removed. */
  written(key: string): void {
    this.#recent[this.#writes++ % RECENT_MAX] = key;
    if (this.#byStart.size === 0) return;
    const nearest = this.#nexts[this.#placeOf(key)];
    if (nearest === undefined) return;
    const ending = this.#byNext.get(nearest) ?? [];
    for (const gap of ending.filter(({ start }) => start <= key)) this.#forget(gap);
  }

  /**
   * The first row from `start` on, for a reader of a view after so many writes who wants the rows of a revision. Null:
   * that is not known, or was not so then.
   */
  after(start: string, writes: number, revision: Revision): string | null {
    const gap = this.#byStart.get(start);
    if (gap === undefined || gap.since > writes || gap.clock > revision) return null;
    return gap.next;
  }

  /** As a view saw it. Dropped where a write has come between, or so many that nobody knows. */
  remember(gap: Gap): void {
    const { start, next, since } = gap;
    if (this.#writes - since > RECENT_MAX) return;
    for (let i = since; i < this.#writes; i++) {
      const key = this.#recent[i % RECENT_MAX] as string;
      if (key >= start && key <= next) return;
    }
    const before = this.#byStart.get(start);
    if (before !== undefined) this.#forget(before);
    this.#byStart.set(start, gap);
    const ending = this.#byNext.get(next);
    if (ending === undefined) this.#nexts.splice(this.#placeOf(next), 0, next);
    this.#byNext.set(next, [...(ending ?? []), gap]);
    if (this.#byStart.size <= this.#gapsMax) return;
    for (const oldest of this.#byStart.values()) {
      this.#forget(oldest);
      break;
    }
  }

  #forget(gap: Gap): void {
    const { start, next } = gap;
    this.#byStart.delete(start);
    const left = (this.#byNext.get(next) ?? []).filter((other) => other !== gap);
    if (left.length > 0) {
      this.#byNext.set(next, left);
      return;
    }
    this.#byNext.delete(next);
    this.#nexts.splice(this.#placeOf(next), 1);
  }

  /** Of the first of `#nexts` that is not below this key. */
  #placeOf(key: string): number {
    let low = 0;
    let high = this.#nexts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#nexts[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
