import { nextRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';

/**
 * A group's hybrid logical clock on one replica (ARCHITECTURE section 2). Invariants:
 * C1 every revision assigned is above every revision assigned, applied or promised before;
 * C2 a promise about revision R is given only while R <= committedBound, so a later leader, which
 *    starts above every bound in its log, cannot break it;
 * C3 closed <= clock: no event at or below `closed` comes after it was published;
 * C4 closed < every prepared transaction's revision, since that may commit at it.
 */
export class GroupClock {
  /** Highest revision assigned, applied, or promised. */
  #clock: Revision;
  /** Highest clockBound among committed entries. */
  #committedBound: Revision;
  #closed: Revision;
  /** A snapshot is being taken: nothing new is to be seen or assigned just now (snapshot-gate.ts). */
  isHeld = false;
  /** Everything in the log at or below this has been applied. */
  #settled: Revision;

  /** `openFrom`: the lowest prepared transaction, infinity when there is none. */
  constructor(clock: Revision, committedBound: Revision, openFrom: Revision) {
    this.#clock = clock;
    this.#committedBound = committedBound;
    this.#settled = clock;
    this.#closed = Math.min(clock, openFrom - 1);
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

  /**
   * Committed entries were applied: `lastRevision` is their highest revision (0 when they have none),
   * `openFrom` the lowest transaction that is prepared now.
   */
  applied(lastRevision: Revision, clockBound: Revision, openFrom: Revision): void {
    this.raise(lastRevision);
    if (clockBound > this.#committedBound) this.#committedBound = clockBound;
    if (lastRevision > this.#settled) this.#settled = lastRevision;
    const closed = Math.min(this.#settled, openFrom - 1);
    if (closed > this.#closed) this.#closed = closed;
  }

  /** The group has no event at or below `revision` still to come. */
  close(revision: Revision): boolean {
    if (revision <= this.#closed) return false;
    this.raise(revision);
    this.#closed = revision;
    return true;
  }
}
