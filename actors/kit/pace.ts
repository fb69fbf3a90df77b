import type { Clock } from '../../protocol/clock.ts';
import type { GroupId } from '../../protocol/types.ts';

/** A step of long work is followed by a rest that is so many times as long as it took, beside clients. */
const REST_SHARE = 12;
/** However slow a step was: the work goes on. */
const REST_MS_MAX = 250;
/** Clients whose last request came within this time are still there. */
const PRESENCE_MS = 100;
/** How often it is looked whether the engine has caught up. */
const BEHIND_POLL_MS = 10;
/** A step that has not ended by then holds up no other: its group may have lost its leader. */
const STEP_MS_MAX = 1_000;

/** How long to rest after a step that took so long: none while nobody else wants the node. */
export function restMs(tookMs: number, isAttended: boolean): number {
  return isAttended ? Math.min(REST_MS_MAX, Math.max(0, tookMs) * REST_SHARE) : 0;
}

/**
 * The order and the speed of long work in the background of a node, such as the backfill of an index: one step at
 * a time over all its groups, one after the other while no client is there, else with rests. What a step
 * costs others is less its own few milliseconds than what follows from many of them: garbage, compactions of the
 * engine, and a disk that syncs their log entries. While the engine is behind, no step begins at all.
 */
export class BackgroundPace {
  readonly #clock: Clock;
  readonly #isBehind: () => boolean;
  readonly #waiting = new Map<GroupId, (ended: () => void) => void>();
  #requests = 0;
  /** Of `#requests`, at the last look. */
  #seen = 0;
  #seenMs = Number.NEGATIVE_INFINITY;
  #freeMs = Number.NEGATIVE_INFINITY;
  /** Names the step that is under way. */
  #step = 0;
  #cancel: (() => void) | null = null;
  #stopped = false;

  /** `isBehind`: whether what was applied piles up in memory. */
  constructor(clock: Clock, isBehind: () => boolean) {
    this.#clock = clock;
    this.#isBehind = isBehind;
  }

  /** A client's request is here. Called for each of them, so it does next to nothing. */
  request(): void {
    this.#requests++;
  }

  /**
   * Runs a step of the group when its turn has come, perhaps at once; `run` is to call `ended` when it is over.
   * A step of the same group that still waits is dropped: who asked for it has given up.
   */
  enter(group: GroupId, run: (ended: () => void) => void): void {
    if (this.#stopped) return;
    this.#waiting.set(group, run);
    this.#next();
  }

  /** What waits is dropped. */
  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    this.#cancel?.();
  }

  #next(): void {
    this.#cancel?.();
    this.#cancel = null;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const waitMs =
      nowMs < this.#freeMs ? this.#freeMs - nowMs : this.#isBehind() ? BEHIND_POLL_MS : 0;
    if (waitMs > 0) {
      this.#cancel = this.#clock.after(waitMs, () => this.#next());
      return;
    }
    const [group, run] = next;
    this.#waiting.delete(group);
    this.#freeMs = nowMs + STEP_MS_MAX;
    const step = ++this.#step;
    this.#look(nowMs);
    run(() => this.#ended(step, nowMs));
    this.#next();
  }

  /** A step that was given up on ends unheard. */
  #ended(step: number, startMs: number): void {
    if (step !== this.#step || this.#stopped) return;
    this.#step++;
    const nowMs = this.#clock.monotonicMs();
    this.#look(nowMs);
    this.#freeMs = nowMs + restMs(nowMs - startMs, nowMs - this.#seenMs < PRESENCE_MS);
    this.#next();
  }

  #look(nowMs: number): void {
    if (this.#requests === this.#seen) return;
    this.#seen = this.#requests;
    this.#seenMs = nowMs;
  }
}
