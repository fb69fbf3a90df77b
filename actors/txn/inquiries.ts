import type { Prepared } from '../apply/txn-table.ts';

/** How long a prepared transaction waits for its coordinator before its home group is asked, and asked again. */
const ASK_AFTER_MS = 250;
const ASK_AGAIN_MS = 200;

interface Asked {
  dueMs: number;
  isAsking: boolean;
}

/**
 * When a participant's leader asks what became of what it has prepared. In memory: a new leader begins
 * anew. Pure but for what it remembers; time comes in as a value.
 */
export class Inquiries {
  readonly #asked = new Map<Prepared, Asked>();

  /** Those to ask about now; each counts as being asked until `answered`. */
  due(prepared: readonly Prepared[], nowMs: number): Prepared[] {
    const due: Prepared[] = [];
    for (const txn of prepared) {
      const known = this.#asked.get(txn);
      if (known === undefined) {
        this.#asked.set(txn, { dueMs: nowMs + ASK_AFTER_MS, isAsking: false });
      } else if (!known.isAsking && nowMs >= known.dueMs) {
        known.isAsking = true;
        due.push(txn);
      }
    }
    const isPrepared = new Set(prepared);
    for (const txn of this.#asked.keys()) if (!isPrepared.has(txn)) this.#asked.delete(txn);
    return due;
  }

  /** Whatever the answer was: what is still prepared is asked about again. */
  answered(txn: Prepared, nowMs: number): void {
    const known = this.#asked.get(txn);
    if (known === undefined) return;
    known.isAsking = false;
    known.dueMs = nowMs + ASK_AGAIN_MS;
  }

  clear(): void {
    this.#asked.clear();
  }
}
