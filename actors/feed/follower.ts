import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position, ReplyOf } from '../../protocol/messages/request.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { comparePositions } from '../apply/position.ts';
import type { Calls } from '../router/calls.ts';
import { FeedMerge } from './merge.ts';

/** Long poll: a page waits this long for something new. */
const WAIT_MS = 2_000;
const CALL_MS = 5_000;
const RETRY_MS = 100;
/** A cut-off or removed replica near by must not hold back the stream for ever. */
const STALLED_PAGES = 2;

export interface FollowerEvents {
  /** Events in the one order, then how far the merged stream is complete. */
  onEvents(events: readonly ChangeEvent[], reached: Position): void;
  /** The position is older than what the groups keep. The follower has stopped. */
  onCompacted(oldestRevision: Revision): void;
}

/**
 * Follows all groups from a position on and yields one merged stream. Pulls: each group is asked for
 * the page after what has been received (a long poll at any replica), so a lost, late or repeated
 * reply changes nothing. A group that lags behind an event is asked to close its revision.
 */
export class FeedFollower {
  readonly #clock: Clock;
  readonly #calls: Calls;
  readonly #telemetry: Telemetry;
  readonly #groups: readonly GroupId[];
  readonly #merge: FeedMerge;
  readonly #events: FollowerEvents;
  readonly #closing = new Map<GroupId, Revision>();
  /** Pages in a row that brought nothing although an event waits for the group. */
  readonly #stalled = new Map<GroupId, number>();
  /** Groups that are not asked now: it is paused, or much of theirs waits for others. */
  #idle: (() => void)[] = [];
  #paused = false;
  #stopped = false;
  /** The next piece is handed out soon. */
  #isDraining = false;

  constructor(
    clock: Clock,
    calls: Calls,
    telemetry: Telemetry,
    groups: readonly GroupId[],
    start: Position,
    events: FollowerEvents,
  ) {
    this.#clock = clock;
    this.#calls = calls;
    this.#telemetry = telemetry;
    this.#groups = groups;
    this.#merge = new FeedMerge(groups, start);
    this.#events = events;
  }

  get emitted(): Position {
    return this.#merge.emitted;
  }

  start(): void {
    for (const group of this.#groups) void this.#follow(group);
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /** Hands out and asks for nothing more until `resume`; pages already asked for still arrive. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#drain();
    this.#wake();
  }

  /** Asks every group that is behind to close `revision`, so that an idle stream moves on. */
  closeAt(revision: Revision): void {
    for (const group of this.#groups) this.#askToClose(group, revision);
  }

  async #follow(group: GroupId): Promise<void> {
    while (!this.#stopped) {
      while (!this.#stopped && (this.#paused || this.#merge.isFull(group))) await this.#wait();
      if (this.#stopped) return;
      try {
        const page = await this.#calls.call(
          group,
          {
            type: 'FeedRead',
            after: this.#merge.after(group),
            waitMs: WAIT_MS,
            limit: LIMITS.feedPageEventsMax,
            prev: true,
          },
          'Feed',
          { deadlineMs: CALL_MS, traceparent: null, target: this.#source(group), repeatable: true },
        );
        if (this.#stopped) return;
        this.#take(group, page);
        this.#drain();
      } catch (error) {
        if (this.#stopped) return;
        if (error instanceof AppError && error.code === 'compacted') {
          this.stop();
          this.#events.onCompacted(Number(error.details['oldestRevision'] ?? 0));
          return;
        }
        if (!(error instanceof AppError)) throw error;
        this.#telemetry.count('feed_retries');
        await new Promise<void>((resolve) => this.#clock.after(RETRY_MS, resolve));
      }
    }
  }

  /** The nearest replica; the leader when that one does not get on while others wait for it. */
  #source(group: GroupId): 'any' | 'leader' {
    return (this.#stalled.get(group) ?? 0) >= STALLED_PAGES ? 'leader' : 'any';
  }

  #take(group: GroupId, { events, closed }: ReplyOf<'Feed'>): void {
    const waiting = this.#merge.waitingFor();
    const isBehind = waiting !== null && this.#merge.closed(group) < waiting;
    const before = this.#merge.after(group);
    this.#merge.push(group, events, closed);
    const hasMoved = comparePositions(this.#merge.after(group), before) > 0;
    if (hasMoved || !isBehind) this.#stalled.delete(group);
    else this.#stalled.set(group, (this.#stalled.get(group) ?? 0) + 1);
  }

  /** Until `resume`, or until something has left the merge. */
  #wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #wake(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const go of idle) go();
  }

  /** Hands out in pieces, with a turn for the readers in between: they take what they were given. */
  #drain(): void {
    if (this.#isDraining || this.#paused || this.#stopped) return;
    const events = this.#merge.take(LIMITS.feedPageEventsMax, LIMITS.pageBytesMax);
    this.#events.onEvents(events, this.#merge.emitted);
    if (this.#stopped) return;
    if (this.#merge.hasMore) {
      this.#isDraining = true;
      this.#clock.soon(() => {
        this.#isDraining = false;
        this.#drain();
      });
    }
    if (events.length > 0) this.#wake();
    const waiting = this.#merge.waitingFor();
    if (waiting !== null) this.closeAt(waiting);
  }

  #askToClose(group: GroupId, revision: Revision): void {
    if (this.#stopped || this.#merge.closed(group) >= revision) return;
    const asked = this.#closing.get(group);
    if (asked !== undefined) {
      if (revision > asked) this.#closing.set(group, revision);
      return;
    }
    this.#closing.set(group, revision);
    const done = (): void => {
      const latest = this.#closing.get(group) ?? revision;
      this.#closing.delete(group);
      if (latest > revision) this.#askToClose(group, latest);
    };
    this.#calls
      .call(group, { type: 'Close', revision, gate: null }, 'Closed', {
        deadlineMs: CALL_MS,
        traceparent: null,
        target: 'leader',
        repeatable: true,
      })
      .then(done, () => {
        // The page that is waited for will come with a later close; ask again in a while.
        this.#telemetry.count('feed_retries');
        this.#clock.after(RETRY_MS, () => {
          done();
          const waiting = this.#merge.waitingFor();
          if (waiting !== null) this.#askToClose(group, waiting);
        });
      });
  }
}
