import type { Revision } from '../../protocol/types.ts';
import type { GroupClock } from './clock.ts';

const HELD_MAX = 64;

/**
 * A leader's promises that a revision is closed, as they reach the other replicas: one holds here
 * once this replica has applied as far as the leader had when it gave it. A lost promise is made up
 * for by the next one, or by the next entry.
 */
export class ClosedPromises {
  #held: { readonly revision: Revision; readonly index: number }[] = [];

  hold(revision: Revision, index: number): void {
    this.#held.push({ revision, index });
  }

  /** Closes what can be closed now; true when the closed revision moved. */
  settle(clock: GroupClock, appliedIndex: number): boolean {
    if (this.#held.length === 0) return false;
    let moved = false;
    for (const { revision, index } of this.#held) {
      if (index <= appliedIndex && clock.close(revision)) moved = true;
    }
    this.#held = this.#held.filter(({ index }) => index > appliedIndex).slice(-HELD_MAX);
    return moved;
  }
}
