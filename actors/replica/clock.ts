import { nextRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';

/**
 * A group's hybrid logical clock on one replica (ARCHITECTURE section 2). Invariants:
 * C1 every revision assigned is above every revision assigned, applied or promised before;
 * C2 a promise about revision R is given only while R <= committedBound, so a later leader, which
 *    starts above every bound in its log, cannot break it;
 * C3 closed <= clock: no event at or below `closed` comes after it was published.
 */
export class GroupClock {
  /** Highest revision assigned, applied, or promised. */
  #clock: Revision;
  /** Highest clockBound among committed entries. */
  #committedBound: Revision;
  #closed: Revision;

  constructor(clock: Revision, committedBound: Revision) {
    this.#clock = clock;
    this.#committedBound = committedBound;
    this.#closed = clock;
  }

  get clock(): Revision {
    return this.#clock;
  }

  get committedBound(): Revision {
    return this.#committedBound;
  }

  get closed(): Revision {
    return this.#closed;
  }

  /** The first of `count` consecutive revisions for a proposal made now. Leaders only. */
  assign(count: number, wallMs: number): Revision {
    const first = nextRevision(this.#clock, wallMs);
    this.#clock = first + count - 1;
    return first;
  }

  /** Nothing at or below `revision` will be assigned any more. */
  raise(revision: Revision): void {
    if (revision > this.#clock) this.#clock = revision;
  }

  /** A committed entry was applied: `lastRevision` is its last revision (0 when it has none). */
  applied(lastRevision: Revision, clockBound: Revision): void {
    this.raise(lastRevision);
    if (clockBound > this.#committedBound) this.#committedBound = clockBound;
    if (lastRevision > this.#closed) this.#closed = lastRevision;
  }

  /** The group has no event at or below `revision` still to come. */
  close(revision: Revision): boolean {
    if (revision <= this.#closed) return false;
    this.raise(revision);
    this.#closed = revision;
    return true;
  }
}
