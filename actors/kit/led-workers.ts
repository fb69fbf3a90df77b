import type { GroupId } from '../../protocol/types.ts';

/** A group that has a replica here. */
export interface LedGroup {
  readonly group: GroupId;
  isLed(): boolean;
}

/** Looks after one group. It rests while the group is not led here. */
export interface LedWorker<G extends LedGroup> {
  /** `group`: a replica that was taken away and came back is another one. */
  tick(group: G): void;
  stop(): void;
}

/** Workers of the groups that this node leads, each begun when it first does, and ended when its replica is gone from here. */
export class LedWorkers<G extends LedGroup, W extends LedWorker<G>> {
  readonly #groups: () => readonly G[];
  readonly #begin: (group: G) => W;
  readonly #workers = new Map<GroupId, W>();
  #stopped = false;

  constructor(groups: () => readonly G[], begin: (group: G) => W) {
    this.#groups = groups;
    this.#begin = begin;
  }

  [Symbol.iterator](): Iterator<W> {
    return this.#workers.values();
  }

  tick(): void {
    if (this.#stopped) return;
    const groups = this.#groups();
    if (this.#workers.size > 0) this.#endOthers(groups);
    for (const group of groups) {
      let worker = this.#workers.get(group.group);
      if (worker === undefined) {
        if (!group.isLed()) continue;
        worker = this.#begin(group);
        this.#workers.set(group.group, worker);
      }
      worker.tick(group);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const worker of this.#workers.values()) worker.stop();
  }

  #endOthers(groups: readonly G[]): void {
    const here = new Set(groups.map(({ group }) => group));
    for (const [group, worker] of this.#workers) {
      if (here.has(group)) continue;
      worker.stop();
      this.#workers.delete(group);
    }
  }
}
