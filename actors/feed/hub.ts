import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { RequestContext, Watch, WatchMessage, WatchOptions } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import {
  comparePositions,
  decodeToken,
  encodeToken,
  positionAfter,
  positionOf,
  revisionUpTo,
} from '../apply/position.ts';
import type { Calls } from '../router/calls.ts';
import { closedRevision, dataGroups, snapshotRevision } from '../router/scan.ts';
import type { ShardMap } from '../router/shard-map.ts';
import { Channels } from './channel.ts';
import { FeedFollower } from './follower.ts';
import { BackfillSource, type FeedAccess, InitialSource } from './sources.ts';
import { type SharedEvent, shareEvent, Watcher } from './watcher.ts';

const RING_EVENTS_MAX = 20_000;
const RING_BYTES_MAX = 32 * 1024 * 1024;
const PROGRESS_MS = 5_000;
/**
 * Writing to one reader takes some 10 to 20 microseconds whatever the size, so with many readers changes
 * are gathered: after n readers were served the next round begins no earlier than n times this.
 */
const PACE_MS_PER_READER = 0.05;
const PACE_MS_MAX = 100;
const IDLE_STOP_MS = 30_000;

/**
 * A node's watchers. One follower merges all groups for all of them; a ring of recent events lets a
 * watcher that resumes a little behind join without asking anybody. Others catch up on their own.
 * Live ones are served in rounds, by channel (channel.ts).
 */
export class FeedHub implements FeedAccess {
  readonly clock: Clock;
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  readonly #map: () => ShardMap;
  /** Joined, and served from the follower: in a channel, or still ahead of it. */
  readonly #live = new Set<Watcher>();
  /** Their start lies behind what the follower has merged so far. */
  readonly #ahead = new Set<Watcher>();
  readonly #channels = new Channels();
  readonly #all = new Set<Watcher>();
  /** Watches that ask the groups where to begin. */
  #opening = 0;
  #ring: SharedEvent[] = [];
  #ringBytes = 0;
  /** Everything after this and up to the follower's position is in the ring. */
  #ringStart: Position | null = null;
  /** Everything at or before this has been noted in the channels. */
  #position: Position = positionAfter(0);
  #nextRoundMs = 0;
  #cancelRound: (() => void) | null = null;
  #follower: FeedFollower | null = null;
  #cancelTimer: (() => void) | null = null;
  #idleSinceMs = 0;

  constructor(clock: Clock, calls: Calls, telemetry: Telemetry, map: () => ShardMap) {
    this.clock = clock;
    this.calls = calls;
    this.telemetry = telemetry;
    this.#map = map;
  }

  groups(): GroupId[] {
    return dataGroups(this.#map());
  }

  map(): ShardMap {
    return this.#map();
  }

  get watcherCount(): number {
    return this.#all.size;
  }

  /** Opens a watch; rejects with `compacted` when its start is no longer kept. */
  async watch(ctx: RequestContext, options: WatchOptions): Promise<Watch> {
    if (this.#all.size + this.#opening >= LIMITS.watchersPerNodeMax) {
      throw new AppError('overloaded', 'too many watchers on this node');
    }
    const from = startOf(options);
    this.#opening++;
    const now = await this.#openAt(ctx, options.initial ? null : from).finally(() => {
      this.#opening--;
    });
    this.#ensureStarted(now);
    const start = from !== null && !options.initial ? from : positionAfter(now);
    const watcher = new Watcher(options, start, (closed) => {
      this.#live.delete(closed);
      this.#ahead.delete(closed);
      this.#channels.delete(closed);
      this.#all.delete(closed);
      this.#idleSinceMs = this.clock.monotonicMs();
    });
    this.#all.add(watcher);
    if (options.initial) watcher.source = new InitialSource(this, watcher, now);
    else this.join(watcher);
    return watcher;
  }

  /** The revision of now; a resume point must still be kept. */
  async #openAt(ctx: RequestContext, from: Position | null): Promise<Revision> {
    const now = await closedRevision(this.calls, this.#map(), ctx);
    if (from !== null) await this.#checkKept(ctx, from);
    return now;
  }

  /** Attaches a watcher at its position: from the ring when it reaches back far enough. */
  join(watcher: Watcher): void {
    if (watcher.ended) return;
    if (!this.reaches(watcher.position)) {
      watcher.source = new BackfillSource(this, watcher);
      return;
    }
    watcher.source = null;
    for (let i = this.#firstAfter(watcher.position); i < this.#ring.length; i++) {
      watcher.offer(this.#ring[i] as SharedEvent);
    }
    if (watcher.ended) return;
    this.#live.add(watcher);
    if (comparePositions(watcher.position, this.#position) > 0) this.#ahead.add(watcher);
    else this.#channels.add(watcher);
    watcher.deliver();
  }

  /**
   * Whether a watcher at this position could join from the ring: it holds all that follows, and that
   * is not more than a reader's buffer takes at once.
   */
  reaches(position: Position): boolean {
    if (this.#ringStart === null || comparePositions(position, this.#ringStart) < 0) return false;
    const first = this.#firstAfter(position);
    let bytes = 0;
    for (let i = first; i < this.#ring.length; i++) bytes += (this.#ring[i] as SharedEvent).bytes;
    return (
      this.#ring.length - first <= LIMITS.watcherBufferEventsMax / 2 &&
      bytes <= LIMITS.watcherBufferBytesMax / 2
    );
  }

  /** Index in the ring of the first event after a position (binary search). */
  #firstAfter(position: Position): number {
    let low = 0;
    let high = this.#ring.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { position: at } = this.#ring[middle] as SharedEvent;
      if (comparePositions(at, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  stop(): void {
    this.#channels.flush();
    for (const watcher of [...this.#all]) watcher.end(null);
    this.#stopFollower();
  }

  #ensureStarted(now: Revision): void {
    if (this.#follower !== null) return;
    const start = positionAfter(now);
    this.#ringStart = start;
    this.#ring = [];
    this.#ringBytes = 0;
    this.#position = start;
    const follower = new FeedFollower(
      this.clock,
      this.calls,
      this.telemetry,
      this.groups(),
      start,
      {
        onEvents: (events, reached) => this.#onEvents(events, reached),
        onCompacted: (oldestRevision) => {
          this.#channels.flush();
          this.#stopFollower();
          for (const watcher of [...this.#live]) watcher.end({ type: 'compacted', oldestRevision });
        },
      },
    );
    this.#follower = follower;
    follower.start();
    this.#cancelTimer = this.clock.after(PROGRESS_MS, () => this.#onTimer());
    this.#idleSinceMs = this.clock.monotonicMs();
  }

  #onEvents(events: readonly ChangeEvent[], reached: Position): void {
    for (const event of events) {
      const shared = shareEvent(event, positionOf(event), false);
      this.#ring.push(shared);
      this.#ringBytes += shared.bytes;
      this.#channels.note(shared, this.#position);
      for (const watcher of this.#ahead) watcher.offer(shared);
      this.#position = shared.position;
    }
    if (comparePositions(reached, this.#position) > 0) this.#position = reached;
    for (const watcher of this.#ahead) {
      watcher.deliver();
      if (watcher.ended || comparePositions(watcher.position, this.#position) > 0) continue;
      this.#ahead.delete(watcher);
      this.#channels.add(watcher);
    }
    this.#trimRing();
    this.#serve();
  }

  /** Serves the channels now, or when the last round's pace allows it. */
  #serve(): void {
    if (this.#cancelRound !== null || !this.#channels.isDirty) return;
    const waitMs = this.#nextRoundMs - this.clock.monotonicMs();
    if (waitMs > 0) this.#cancelRound = this.clock.after(waitMs, () => this.#round());
    else this.#round();
  }

  #round(): void {
    this.#cancelRound = null;
    const paceMs = Math.floor(this.#channels.flush() * PACE_MS_PER_READER);
    this.#nextRoundMs = this.clock.monotonicMs() + Math.min(paceMs, PACE_MS_MAX);
  }

  #trimRing(): void {
    let cut = 0;
    while (this.#ring.length - cut > RING_EVENTS_MAX || this.#ringBytes > RING_BYTES_MAX) {
      const oldest = this.#ring[cut] as SharedEvent;
      this.#ringStart = oldest.position;
      this.#ringBytes -= oldest.bytes;
      cut++;
    }
    if (cut > 0) this.#ring = this.#ring.slice(cut);
  }

  /** Progress marks, and a close on demand so that an idle stream's marks move. */
  #onTimer(): void {
    const follower = this.#follower;
    if (follower === null) return;
    this.#cancelTimer = this.clock.after(PROGRESS_MS, () => this.#onTimer());
    if (this.#all.size === 0) {
      if (this.clock.monotonicMs() - this.#idleSinceMs > IDLE_STOP_MS) this.#stopFollower();
      return;
    }
    this.#tellProgress();
    snapshotRevision(this.calls, this.#map(), BACKGROUND).then(
      (revision) => follower.closeAt(revision),
      () => this.telemetry.count('feed_retries'),
    );
  }

  /** Tells readers that have nothing else how far the stream has come. */
  #tellProgress(): void {
    this.#channels.flush();
    const revision = revisionUpTo(this.#position);
    const token = encodeToken(this.#position);
    const message: WatchMessage = { type: 'progress', revision, token };
    const batch = { messages: [message], bytes: 64 };
    for (const watcher of this.#live) {
      if (!watcher.isIdle || this.#ahead.has(watcher)) continue;
      watcher.give(batch, this.#position);
      watcher.deliver();
    }
  }

  #stopFollower(): void {
    this.#follower?.stop();
    this.#follower = null;
    this.#ringStart = null;
    this.#ring = [];
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#cancelRound?.();
    this.#cancelRound = null;
  }

  async #checkKept(ctx: RequestContext, from: Position): Promise<void> {
    await Promise.all(
      this.groups().map((group) =>
        this.calls.call(
          group,
          { type: 'FeedRead', after: from, waitMs: 0, limit: 1, prev: false },
          'Feed',
          {
            deadlineMs: ctx.deadlineMs,
            traceparent: ctx.traceparent,
            target: 'any',
            repeatable: true,
          },
        ),
      ),
    );
  }
}

const BACKGROUND: RequestContext = { deadlineMs: 2_000, traceparent: null, idempotency: null };

/** Where the options ask to begin; null is from now on. Throws invalid_argument. */
function startOf(options: WatchOptions): Position | null {
  if (options.from === null) return null;
  if ('revision' in options.from) return positionAfter(options.from.revision);
  const position = decodeToken(options.from.token);
  if (position === null) throw new AppError('invalid_argument', 'the resume token is not valid');
  return position;
}
