import type { Telemetry } from '../../observability/port.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { RequestContext, Watch, WatchOptions } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { comparePositions, decodeToken, positionAfter, positionOf } from '../apply/position.ts';
import type { Calls } from '../router/calls.ts';
import { closedRevision, dataGroups, snapshotRevision } from '../router/scan.ts';
import type { ShardMap } from '../router/shard-map.ts';
import { FeedFollower } from './follower.ts';
import { BackfillSource, type FeedAccess, InitialSource } from './sources.ts';
import { type SharedEvent, shareEvent, Watcher } from './watcher.ts';

const RING_EVENTS_MAX = 20_000;
const RING_BYTES_MAX = 32 * 1024 * 1024;
const PROGRESS_MS = 5_000;
const IDLE_STOP_MS = 30_000;

/**
 * A node's watchers. One follower merges all groups for all of them; a ring of recent events lets a
 * watcher that resumes a little behind join without asking anybody. Others catch up on their own.
 */
export class FeedHub implements FeedAccess {
  readonly clock: Clock;
  readonly calls: Calls;
  readonly telemetry: Telemetry;
  readonly #map: () => ShardMap;
  readonly #live = new Set<Watcher>();
  readonly #all = new Set<Watcher>();
  #ring: SharedEvent[] = [];
  #ringBytes = 0;
  /** Everything after this and up to the follower's position is in the ring. */
  #ringStart: Position | null = null;
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
    if (this.#all.size >= LIMITS.watchersPerNodeMax) {
      throw new AppError('overloaded', 'too many watchers on this node');
    }
    const from = startOf(options);
    const now = await closedRevision(this.calls, this.#map(), ctx);
    if (from !== null && !options.initial) await this.#checkKept(ctx, from);
    this.#ensureStarted(now);
    const start = from !== null && !options.initial ? from : positionAfter(now);
    const watcher = new Watcher(options, start, (closed) => {
      this.#live.delete(closed);
      this.#all.delete(closed);
      this.#idleSinceMs = this.clock.monotonicMs();
    });
    this.#all.add(watcher);
    if (options.initial) watcher.source = new InitialSource(this, watcher, now);
    else this.join(watcher);
    return watcher;
  }

  /** Attaches a watcher at its position: from the ring when it reaches back far enough. */
  join(watcher: Watcher): void {
    if (watcher.ended) return;
    if (!this.reaches(watcher.position)) {
      watcher.source = new BackfillSource(this, watcher);
      return;
    }
    watcher.source = null;
    this.#live.add(watcher);
    for (let i = this.#firstAfter(watcher.position); i < this.#ring.length; i++) {
      if (watcher.ended) return;
      watcher.offer(this.#ring[i] as SharedEvent);
    }
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
    for (const watcher of [...this.#all]) watcher.end(null);
    this.#stopFollower();
  }

  #ensureStarted(now: Revision): void {
    if (this.#follower !== null) return;
    const start = positionAfter(now);
    this.#ringStart = start;
    this.#ring = [];
    this.#ringBytes = 0;
    const follower = new FeedFollower(
      this.clock,
      this.calls,
      this.telemetry,
      this.groups(),
      start,
      {
        onEvents: (events, reached) => this.#onEvents(events, reached),
        onCompacted: (oldestRevision) => {
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
      for (const watcher of this.#live) watcher.offer(shared);
    }
    for (const watcher of this.#live) watcher.reached(reached);
    this.#trimRing();
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
    for (const watcher of this.#live) watcher.progress();
    snapshotRevision(this.calls, this.#map(), BACKGROUND).then(
      (revision) => follower.closeAt(revision),
      () => this.telemetry.count('feed_retries'),
    );
  }

  #stopFollower(): void {
    this.#follower?.stop();
    this.#follower = null;
    this.#ringStart = null;
    this.#ring = [];
    this.#cancelTimer?.();
    this.#cancelTimer = null;
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
