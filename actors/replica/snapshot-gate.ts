import type { ReplicaContext } from './context.ts';
import { LockWaits } from './lock-waits.ts';

/** A gate that nobody opens again opens by itself: the node that closed it may be gone. */
const CLOSED_MS_MAX = 500;
/** With a write that has waited for so long no further snapshot closes it. */
const PATIENCE_MS = 20;

/**
 * Closed while a snapshot read collects the clocks of all groups: nothing is assigned a revision, so what the
 * snapshot shows was assigned before any group's gate opened again, and what it leaves out afterwards (ADR 0029).
 * Writes that come meanwhile wait; they are a round trip of messages late.
 */
export class SnapshotGate {
  readonly #context: ReplicaContext;
  readonly #waits: LockWaits;
  /** By snapshot: cancels its limit. */
  readonly #closedBy = new Map<string, () => void>();
  #waitingSinceMs: number | null = null;

  constructor(context: ReplicaContext) {
    this.#context = context;
    this.#waits = new LockWaits(context);
  }

  get isClosed(): boolean {
    return this.#closedBy.size > 0;
  }

  /** False: writes have waited long enough, and this snapshot has to come again. */
  close(snapshot: string): boolean {
    const { clock } = this.#context.ports;
    const since = this.#waitingSinceMs;
    if (since !== null && clock.monotonicMs() - since >= PATIENCE_MS) return false;
    this.#closedBy.get(snapshot)?.();
    const cancel = clock.after(CLOSED_MS_MAX, () => this.open(snapshot));
    this.#closedBy.set(snapshot, cancel);
    this.#context.clock.isHeld = true;
    return true;
  }

  /** Whether it has been closed for this snapshot ever since. */
  open(snapshot: string): boolean {
    const cancel = this.#closedBy.get(snapshot);
    if (cancel === undefined) return false;
    cancel();
    this.#closedBy.delete(snapshot);
    if (this.#closedBy.size === 0) this.#release();
    return true;
  }

  /** `again` when it opens; `giveUp` at `endMs` (monotonic). */
  wait(endMs: number, again: () => void, giveUp: () => void): void {
    this.#waitingSinceMs ??= this.#context.ports.clock.monotonicMs();
    this.#waits.wait(endMs, again, giveUp);
  }

  /** This replica leads no more: its promises to snapshots are void. */
  lost(): void {
    for (const cancel of this.#closedBy.values()) cancel();
    this.#closedBy.clear();
    this.#release();
  }

  #release(): void {
    this.#context.clock.isHeld = false;
    this.#waitingSinceMs = null;
    this.#waits.release();
  }
}
