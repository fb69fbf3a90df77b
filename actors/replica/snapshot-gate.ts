import { randomInt } from '../../protocol/random.ts';
import type { ReplicaContext } from './context.ts';
import { LockWaits } from './lock-waits.ts';

/** A gate that nobody opens again opens by itself: the node that closed it may be gone. */
const CLOSED_MS_MAX = 500;
/** With a write that has waited for so long no further snapshot closes it. */
const PATIENCE_MS = 20;
/** Nodes, in each of their lives, whose latest snapshot is remembered. */
const ASKERS_MAX = 256;

/** One closing of the gate. */
interface Closing {
  readonly snapshot: string;
  /** Ends its limit. */
  readonly cancel: () => void;
}

/**
 * Closed while a snapshot read collects the clocks of all groups: nothing is assigned a revision, so what the
 * snapshot shows was assigned before any group's gate opened again, and what it leaves out afterwards (ADR 0029).
 * Writes that come meanwhile wait; they are a round trip of messages late.
 */
export class SnapshotGate {
  readonly #context: ReplicaContext;
  readonly #waits: LockWaits;
  readonly #closings = new Map<number, Closing>();
  /** By the node and life that numbers its snapshots: the latest one. What is not later is late or repeated. */
  readonly #latest = new Map<string, number>();
  #waitingSinceMs: number | null = null;

  constructor(context: ReplicaContext) {
    this.#context = context;
    this.#waits = new LockWaits(context);
  }

  get isClosed(): boolean {
    return this.#closings.size > 0;
  }

  /**
   * The name of this closing: no other one, of this leader or another, has it. Null: writes have waited long enough,
   * and this snapshot has to come again; or it has come before, and whoever asked has its answer.
   */
  close(snapshot: string): number | null {
    for (const [gate, closing] of this.#closings) if (closing.snapshot === snapshot) return gate;
    if (!this.#isLater(snapshot)) return null;
    const { clock, random } = this.#context.ports;
    const since = this.#waitingSinceMs;
    if (since !== null && clock.monotonicMs() - since >= PATIENCE_MS) return null;
    const gate = randomInt(random, 1, 0xffff_ffff) * 0x10_0000 + randomInt(random, 0, 0xf_ffff);
    const cancel = clock.after(CLOSED_MS_MAX, () => this.open(gate));
    this.#closings.set(gate, { snapshot, cancel });
    this.#context.clock.isHeld = true;
    return gate;
  }

  /** `snapshot` is `<node and life>.<number>`, and a node takes them one after another. */
  #isLater(snapshot: string): boolean {
    const dot = snapshot.lastIndexOf('.');
    const asker = snapshot.slice(0, dot);
    const number = Number(snapshot.slice(dot + 1));
    if (!(number > (this.#latest.get(asker) ?? 0))) return false;
    // Kept in the order in which they last came.
    this.#latest.delete(asker);
    this.#latest.set(asker, number);
    const [first] = this.#latest.keys();
    if (this.#latest.size > ASKERS_MAX && first !== undefined) this.#latest.delete(first);
    return true;
  }

  /** Whether it was closed under this name until now. */
  open(gate: number): boolean {
    const closing = this.#closings.get(gate);
    if (closing === undefined) return false;
    closing.cancel();
    this.#closings.delete(gate);
    if (this.#closings.size === 0) this.#release();
    return true;
  }

  /** `again` when it opens; `giveUp` at `endMs` (monotonic). */
  wait(endMs: number, again: () => void, giveUp: () => void): void {
    this.#waitingSinceMs ??= this.#context.ports.clock.monotonicMs();
    this.#waits.wait(endMs, again, giveUp);
  }

  /** This replica leads no more: its promises to snapshots are void. */
  lost(): void {
    for (const { cancel } of this.#closings.values()) cancel();
    this.#closings.clear();
    this.#release();
  }

  #release(): void {
    this.#context.clock.isHeld = false;
    this.#waitingSinceMs = null;
    this.#waits.release();
  }
}
