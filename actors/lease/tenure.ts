import type { LeaseEnd } from '../../protocol/commands.ts';
import type { Revision } from '../../protocol/types.ts';
import type { GroupState } from '../apply/group-state.ts';
import { readLeases, type StoredLease } from '../apply/lease.ts';
import { LeaseTable } from './table.ts';

const LOAD_ROWS = 1_024;

/** A lease whose keys are still to be removed. */
export interface EndedLease {
  readonly lease: number;
  readonly endRevision: Revision;
  readonly why: LeaseEnd;
}

/** What one leadership knows. Whatever waits in it when it is over is told so. */
export class Tenure {
  readonly term: number;
  readonly table: LeaseTable;
  readonly #ended = new Map<number, EndedLease>();
  /** Requests that wait until the leases are loaded, and those that wait for an end to be decided. */
  #waiting: (() => void)[] = [];
  #isLoaded = false;

  constructor(term: number, nowMs: number) {
    this.term = term;
    this.table = new LeaseTable(nowMs);
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** All that earlier leaders have left: living leases have their whole time. */
  load(leases: readonly StoredLease[], nowMs: number): void {
    for (const { lease, ttlMs, grantRevision, endRevision, why } of leases) {
      if (endRevision === 0) this.table.add(lease, ttlMs, grantRevision, nowMs);
      else this.noteEnd({ lease, endRevision, why });
    }
    // The time it took to load them is no pause.
    this.table.due(nowMs, 0);
    this.#isLoaded = true;
  }

  /** The oldest first. */
  ended(): readonly EndedLease[] {
    return [...this.#ended.values()];
  }

  noteEnd(ended: EndedLease): void {
    this.#ended.set(ended.lease, ended);
  }

  /** Nothing is attached to them any more. */
  forget(leases: readonly number[]): void {
    for (const lease of leases) this.#ended.delete(lease);
  }

  wait(serve: () => void): void {
    this.#waiting.push(serve);
  }

  /** False: nobody has waited. Who has to wait on waits anew. */
  serveWaiting(): boolean {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const serve of waiting) serve();
    return waiting.length > 0;
  }
}

/** Every lease of a group, ended ones too. */
export async function allLeases(state: GroupState): Promise<StoredLease[]> {
  const view = state.view();
  const found: StoredLease[] = [];
  try {
    for (;;) {
      const last = found[found.length - 1]?.lease ?? 0;
      const rows = await readLeases(view, last, LOAD_ROWS);
      found.push(...rows);
      if (rows.length < LOAD_ROWS) return found;
    }
  } finally {
    await view.close();
  }
}
