import { LIMITS } from '../../protocol/limits.ts';
import { REVISIONS_PER_MS, revisionAtWallMs } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { type ReplicaContext, trustedWallMs } from './context.ts';
import { SnapshotGate } from './snapshot-gate.ts';

export type Settled = 'ok' | 'refused';

interface Waiting {
  readonly revision: Revision;
  /**
   * The end of the log behind the batch that raised the clock: once applied, nothing at or below
   * `revision` is open. Null until the batch is decided; 0 for a mere reservation.
   */
  index: number | null;
  readonly settle: (result: Settled) => void;
}

const WAITING_MAX = 4_096;
const AHEAD_MS_MAX = 24 * 60 * 60 * 1000;

/**
 * Promises about revisions (ARCHITECTURE section 2). `reserve` waits until a committed entry bounds
 * R, so that what was seen at R stays true under every later leader; `close` waits further until
 * everything at or below R has been applied and no transaction is prepared there, so that no event at
 * or below R can still come.
 * One reserve entry is in flight at a time and reaches some hundred ms ahead, so promises are cheap
 * while they are in use and cost nothing when they are not.
 */
export class Closer {
  readonly gate: SnapshotGate;
  readonly #context: ReplicaContext;
  readonly #onClosed: (revision: Revision) => void;
  #waiting: Waiting[] = [];
  #reserving: Revision = 0;

  constructor(context: ReplicaContext, onClosed: (revision: Revision) => void) {
    this.#context = context;
    this.gate = new SnapshotGate(context);
    this.#onClosed = onClosed;
  }

  /** Raises the clock to R and settles when a committed bound covers it. Leaders only. */
  reserve(revision: Revision, settle: (result: Settled) => void): void {
    if (!this.#mayPromise()) {
      settle('refused');
      return;
    }
    this.#context.clock.raise(revision);
    if (revision <= this.#context.clock.committedBound) {
      settle('ok');
      return;
    }
    this.#wait({ revision, index: 0, settle });
  }

  /** Settles when R is closed here. A replica that does not lead answers from what it knows. */
  close(revision: Revision, settle: (result: Settled) => void): void {
    const { clock } = this.#context;
    if (revision <= clock.closed) {
      settle('ok');
      return;
    }
    if (!this.#mayPromise() || revision > highestPromise(this.#context)) {
      settle('refused');
      return;
    }
    clock.raise(revision);
    this.#wait({ revision, index: null, settle });
  }

  /** Everything of this batch is in the log, or was refused. */
  batchDecided(lastLogIndex: number): void {
    if (this.#waiting.length === 0) return;
    for (const waiting of this.#waiting) waiting.index ??= lastLogIndex;
    this.advanced();
  }

  /** Entries were applied, or the bound moved: settle what can be. */
  advanced(): void {
    if (this.#waiting.length === 0) return;
    const { clock, state } = this.#context;
    const ready: Waiting[] = [];
    const still: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const done =
        waiting.revision <= clock.committedBound &&
        waiting.index !== null &&
        waiting.index <= state.appliedIndex;
      // What is prepared at or below it may commit there: that ends first.
      const isOpen = waiting.index !== 0 && waiting.revision >= state.txns.lowest;
      (done && !isOpen ? ready : still).push(waiting);
    }
    this.#waiting = still;
    for (const waiting of ready) {
      if (waiting.index !== 0 && clock.close(waiting.revision)) this.#onClosed(waiting.revision);
      waiting.settle('ok');
    }
    this.#reserveMore();
  }

  /** Leadership is lost: another replica will have to promise. */
  lost(): void {
    this.gate.lost();
    this.#refuseAll();
  }

  #refuseAll(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#reserving = 0;
    for (const one of waiting) one.settle('refused');
  }

  #mayPromise(): boolean {
    return (
      this.#context.isLeader() && this.#context.clockTrusted() && this.#waiting.length < WAITING_MAX
    );
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#reserveMore();
  }

  /** Proposes one reserve entry that covers everything that waits and some time to come. */
  #reserveMore(): void {
    const { clock } = this.#context;
    let highest = 0;
    for (const waiting of this.#waiting) highest = Math.max(highest, waiting.revision);
    if (highest <= clock.committedBound || this.#reserving >= highest) return;
    const now = Math.max(highest, revisionAtWallMs(trustedWallMs(this.#context)));
    const bound = now + LIMITS.reserveAheadMs * REVISIONS_PER_MS;
    this.#reserving = bound;
    this.#context.propose({ type: 'reserve', bound }, (outcome) => {
      this.#reserving = 0;
      if (outcome.type === 'applied') this.advanced();
      else this.#refuseAll();
    });
  }
}

/**
 * Sanity only. What is closed came from some group's clock, and clocks may run ahead of the wall: after
 * the wall was set back, or when another group's leader is ahead. Which revisions a client may name is
 * the router's to say.
 */
export function highestPromise({ clock, ports }: ReplicaContext): Revision {
  return Math.max(clock.clock, revisionAtWallMs(ports.clock.wallMs() + AHEAD_MS_MAX));
}
