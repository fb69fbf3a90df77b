import type { Clock } from '../../protocol/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type {
  ChangeEvent,
  Position,
  ReplyBody,
  RequestOf,
} from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import type { AppliedChange } from '../apply/change.ts';
import { readFeed } from '../apply/feed.ts';
import { comparePositions, positionAfter, positionOf } from '../apply/position.ts';
import type { ReplicaContext } from './context.ts';

const RING_EVENTS_MAX = 8_192;
const RING_BYTES_MAX = 8 * 1024 * 1024;
const WAITERS_MAX = 1_024;
const CROWDED_MS = 250;
/** Without a reader for so long nothing is kept: the next one begins with a read of the state. */
const UNREAD_MS = 10_000;

type FeedRead = RequestOf<'FeedRead'>;

interface Waiter {
  readonly request: FeedRead;
  readonly reply: (body: ReplyBody) => void;
  cancel: () => void;
}

/** Reads a page of older events from the applied state. */
export type ReadOlder = (
  request: FeedRead,
  closed: Revision,
) => Promise<{ events: ChangeEvent[]; truncated: boolean } | 'compacted'>;

/**
 * A replica's side of the change feed: a ring of recent events while there are readers, and those
 * that wait for more (long polls). A page holds closed events only, in the one order; `closed` in a page never passes
 * an event that did not fit.
 */
export class ReplicaFeed {
  readonly #clock: Clock;
  readonly #readOlder: ReadOlder;
  readonly #waiters = new Set<Waiter>();
  /** Null before #first: cut off, and given back many at a time. */
  #ring: (AppliedChange | null)[] = [];
  #first = 0;
  #ringBytes = 0;
  /** Every event above this revision is in the ring. */
  #ringFloor: Revision;
  /** When it was last read; a new replica counts as read. */
  #readMs: number;

  constructor(clock: Clock, start: Revision, readOlder: ReadOlder) {
    this.#clock = clock;
    this.#readMs = clock.monotonicMs();
    this.#ringFloor = start;
    this.#readOlder = readOlder;
  }

  /** Events just applied, in order; those of a transaction perhaps below others that came before. */
  add(events: readonly AppliedChange[]): void {
    if (!this.#isRead()) {
      const last = events[events.length - 1];
      if (last !== undefined) this.reset(Math.max(this.#ringFloor, last.revision));
      return;
    }
    let late: AppliedChange[] | null = null;
    for (let i = 0; i < events.length; i++) {
      const event = events[i] as AppliedChange;
      if (event.revision <= this.#ringFloor) continue;
      this.#ringBytes += event.bytes;
      const last = this.#ring[this.#ring.length - 1];
      if (last === undefined || last === null || last.revision < event.revision) {
        this.#ring.push(event);
      } else if (late === null) late = [event];
      else late.push(event);
    }
    if (late !== null) this.#insert(late);
    while (this.#ring.length - this.#first > RING_EVENTS_MAX || this.#ringBytes > RING_BYTES_MAX) {
      const oldest = this.#ring[this.#first] as AppliedChange;
      this.#ringFloor = oldest.revision;
      this.#ringBytes -= oldest.bytes;
      this.#ring[this.#first++] = null;
    }
    if (this.#first < RING_EVENTS_MAX) return;
    this.#ring = this.#ring.slice(this.#first);
    this.#first = 0;
  }

  /**
   * A transaction's events: many at one revision, and they may come late, behind others; all those are not
   * closed yet. Sorted at once: one by one, thousands would move each other.
   */
  #insert(late: readonly AppliedChange[]): void {
    let lowest = Number.POSITIVE_INFINITY;
    for (const event of late) lowest = Math.min(lowest, event.revision);
    const tail = this.#ring.splice(this.#firstAfter(lowest)) as AppliedChange[];
    const placed = [...tail, ...late].map((event) => ({ event, position: positionOf(event) }));
    placed.sort((a, b) => comparePositions(a.position, b.position));
    for (const { event } of placed) this.#ring.push(event);
  }

  /** Nothing up to `start` is known here in memory. */
  reset(start: Revision): void {
    if (this.#ring.length > 0) this.#ring = [];
    this.#first = 0;
    this.#ringBytes = 0;
    this.#ringFloor = start;
  }

  /** Answers now when there is something to say, else when there is, or when waitMs have passed. */
  read(
    request: FeedRead,
    closed: Revision,
    floor: Revision,
    reply: (body: ReplyBody) => void,
  ): void {
    this.#readMs = this.#clock.monotonicMs();
    if (request.after.revision < floor) {
      reply(compacted(floor));
      return;
    }
    if (isBehind(request.after, closed)) {
      this.#answer(request, closed, floor, reply);
      return;
    }
    if (request.waitMs === 0) {
      reply({ type: 'Feed', events: [], closed, floor });
      return;
    }
    if (this.#waiters.size >= WAITERS_MAX) {
      // Not at once: the asker would ask again at once.
      this.#clock.after(CROWDED_MS, () => reply({ type: 'Feed', events: [], closed, floor }));
      return;
    }
    const waiter: Waiter = { request, reply, cancel: () => {} };
    waiter.cancel = this.#clock.after(request.waitMs, () => {
      this.#waiters.delete(waiter);
      reply({ type: 'Feed', events: [], closed: Math.min(closed, request.after.revision), floor });
    });
    this.#waiters.add(waiter);
  }

  /** The closed revision has moved: waiting readers get what is new. */
  advanced(closed: Revision, floor: Revision): void {
    for (const waiter of this.#waiters) {
      if (!isBehind(waiter.request.after, closed)) continue;
      this.#waiters.delete(waiter);
      waiter.cancel();
      this.#answer(waiter.request, closed, floor, waiter.reply);
    }
  }

  stop(): void {
    for (const waiter of this.#waiters) waiter.cancel();
    this.#waiters.clear();
  }

  #answer(
    request: FeedRead,
    closed: Revision,
    floor: Revision,
    reply: (body: ReplyBody) => void,
  ): void {
    if (isBehind(request.after, this.#ringFloor)) {
      this.#readOlder(request, closed).then(
        (page) => {
          if (page === 'compacted') reply(compacted(floor));
          else reply(pageOf(page.events, page.truncated, closed, floor));
        },
        () => reply(unreadable()),
      );
      return;
    }
    const limit = Math.min(request.limit, LIMITS.feedPageEventsMax);
    const events: ChangeEvent[] = [];
    let bytes = 0;
    let truncated = false;
    for (let i = this.#firstAfter(request.after.revision); i < this.#ring.length; i++) {
      const event = this.#ring[i] as AppliedChange;
      if (event.revision > closed) break;
      if (comparePositions(positionOf(event), request.after) <= 0) continue;
      bytes += event.bytes;
      if (events.length >= limit || (bytes > LIMITS.pageBytesMax && events.length > 0)) {
        truncated = true;
        break;
      }
      events.push(event.eventOf(request.prev && event.bytes <= LIMITS.entryBytesMax));
    }
    reply(pageOf(events, truncated, closed, floor));
  }

  #isRead(): boolean {
    return this.#waiters.size > 0 || this.#clock.monotonicMs() - this.#readMs < UNREAD_MS;
  }

  /** Index of the first ring event at or above `revision` (binary search). */
  #firstAfter(revision: Revision): number {
    let low = this.#first;
    let high = this.#ring.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ring[middle] as AppliedChange).revision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Reads older pages from the applied state of a replica. */
export function olderEvents(context: ReplicaContext): ReadOlder {
  return async ({ after, limit, prev }, closed) => {
    const view = context.state.view();
    try {
      const max = Math.min(limit, LIMITS.feedPageEventsMax);
      const events = await readFeed(view, after, closed, max, LIMITS.pageBytesMax, prev);
      if (events === 'compacted') return events;
      // Whether more would have fitted is not told, so the asker asks on behind the last one.
      return { events: events.map((event) => fitted(event, prev)), truncated: events.length > 0 };
    } finally {
      await view.close();
    }
  };
}

/**
 * Whether something at or below `revision` may come after the position. Groups share revisions, so a
 * position inside of one (another group's event) does not stand for this group's event there.
 */
function isBehind(position: Position, revision: Revision): boolean {
  return comparePositions(position, positionAfter(revision)) < 0;
}

function sizeOf(event: ChangeEvent): number {
  return (
    200 +
    event.ref.key.length * 3 +
    (event.item?.value.length ?? 0) +
    (event.prev?.value.length ?? 0)
  );
}

/** One event with both versions may be larger than a message: then the previous one is left out. */
function fitted(event: ChangeEvent, prev: boolean): ChangeEvent {
  if (event.prev === null || (prev && sizeOf(event) <= LIMITS.entryBytesMax)) return event;
  return { ...event, prev: null };
}

function pageOf(
  events: ChangeEvent[],
  truncated: boolean,
  closed: Revision,
  floor: Revision,
): ReplyBody {
  const last = events[events.length - 1];
  const reached = truncated && last !== undefined ? Math.min(closed, last.revision - 1) : closed;
  return { type: 'Feed', events, closed: reached, floor };
}

function compacted(floor: Revision): ReplyBody {
  return {
    type: 'Rejected',
    code: 'compacted',
    definite: true,
    message: 'the resume point is older than the retention window',
    leader: null,
    hint: floor,
  };
}

function unreadable(): ReplyBody {
  return {
    type: 'Rejected',
    code: 'unavailable',
    definite: true,
    message: 'the feed cannot be read here now',
    leader: null,
    hint: 0,
  };
}
