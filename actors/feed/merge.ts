import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { comparePositions, positionAfter, positionOf } from '../apply/position.ts';

interface Received {
  readonly event: ChangeEvent;
  readonly position: Position;
  readonly bytes: number;
}

interface Lane {
  /** Everything of the group at or before this has been received. */
  after: Position;
  /** What the group is known to have closed. */
  closed: Revision;
  readonly queue: Received[];
  /** How many of the queue leave with the piece that is being taken. */
  taken: number;
  bytes: number;
}

/** Events and bytes of one group that wait for others before no more is asked of it. */
const LANE_EVENTS_MAX = 4 * LIMITS.feedPageEventsMax;
const LANE_BYTES_MAX = 4 * LIMITS.pageBytesMax;

/**
 * Merges the groups' event streams into one, by position: a page holds closed events only, so all of a
 * group is known up to its last one, also inside a revision that has more events than a page. An event
 * leaves when that much is known of every group: nothing can come before it any more. Pure: no I/O,
 * no clock.
 */
export class FeedMerge {
  readonly #lanes = new Map<GroupId, Lane>();
  #emitted: Position;

  constructor(groups: readonly GroupId[], start: Position) {
    this.#emitted = start;
    const closed = start.revision - 1;
    for (const group of groups) {
      this.#lanes.set(group, { after: start, closed, queue: [], taken: 0, bytes: 0 });
    }
  }

  /** Where the next page of a group has to start. */
  after(group: GroupId): Position {
    return this.#lane(group).after;
  }

  /** Everything at or before this has been emitted. */
  get emitted(): Position {
    return this.#emitted;
  }

  /** What the group is known to have closed; pages behind it may still be on their way. */
  closed(group: GroupId): Revision {
    return this.#lane(group).closed;
  }

  /** Highest revision that waits for other groups to close it; null when nothing waits. */
  waitingFor(): Revision | null {
    let highest: Revision | null = null;
    for (const { queue } of this.#lanes.values()) {
      const last = queue[queue.length - 1];
      if (last !== undefined && (highest === null || last.event.revision > highest)) {
        highest = last.event.revision;
      }
    }
    return highest;
  }

  /**
   * Whether much of this group waits for others. Never so, once all has been taken, for the group that is
   * furthest behind: all that it sent may leave. So the others never wait for nobody.
   */
  isFull(group: GroupId): boolean {
    const { queue, bytes } = this.#lane(group);
    return queue.length >= LANE_EVENTS_MAX || bytes >= LANE_BYTES_MAX;
  }

  /**
   * Takes one page: closed events after `after(group)` in order, then the revision that is complete
   * with them. Events at or before the group's position are repeats and are dropped.
   */
  push(group: GroupId, events: readonly ChangeEvent[], closed: Revision): void {
    const lane = this.#lane(group);
    for (const event of events) {
      const position = positionOf(event);
      if (comparePositions(position, lane.after) <= 0) continue;
      const bytes = bytesOf(event);
      lane.queue.push({ event, position, bytes });
      lane.bytes += bytes;
      lane.after = position;
    }
    const behind = positionAfter(closed);
    if (comparePositions(behind, lane.after) > 0) lane.after = behind;
    const last = events[events.length - 1];
    lane.closed = Math.max(lane.closed, closed, last === undefined ? 0 : last.revision);
  }

  /**
   * The events that may leave now, in the one order: at most `eventsMax` of about `bytesMax` bytes, at
   * least one when there is one. `hasMore` tells whether others may leave as well.
   */
  take(eventsMax = Number.POSITIVE_INFINITY, bytesMax = Number.POSITIVE_INFINITY): ChangeEvent[] {
    const bound = this.#bound();
    const out: ChangeEvent[] = [];
    let bytes = 0;
    let reached = bound;
    for (;;) {
      const lane = this.#next(bound);
      if (lane === null) break;
      const received = lane.queue[lane.taken] as Received;
      if (out.length > 0 && (out.length >= eventsMax || bytes + received.bytes > bytesMax)) {
        reached = positionOf(out[out.length - 1] as ChangeEvent);
        break;
      }
      out.push(received.event);
      bytes += received.bytes;
      lane.bytes -= received.bytes;
      lane.taken++;
    }
    for (const lane of this.#lanes.values()) {
      if (lane.taken > 0) lane.queue.splice(0, lane.taken);
      lane.taken = 0;
    }
    if (comparePositions(reached, this.#emitted) > 0) this.#emitted = reached;
    return out;
  }

  /** Whether there is an event that may leave. */
  get hasMore(): boolean {
    return this.#next(this.#bound()) !== null;
  }

  /** Up to here every group is known. */
  #bound(): Position {
    let bound: Position | null = null;
    for (const { after } of this.#lanes.values()) {
      if (bound === null || comparePositions(after, bound) < 0) bound = after;
    }
    return bound ?? this.#emitted;
  }

  /** The lane whose next event is the first of all, when that is not behind `bound`. */
  #next(bound: Position): Lane | null {
    let first: Lane | null = null;
    let least = bound;
    for (const lane of this.#lanes.values()) {
      const received = lane.queue[lane.taken];
      if (received === undefined || comparePositions(received.position, least) > 0) continue;
      first = lane;
      least = received.position;
    }
    return first;
  }

  #lane(group: GroupId): Lane {
    const lane = this.#lanes.get(group);
    assert(lane !== undefined, `group ${group} is not merged here`);
    return lane;
  }
}

/** Bytes that an event holds in memory, roughly. */
function bytesOf({ ref, item, prev }: ChangeEvent): number {
  return 256 + ref.key.length + (item?.value.length ?? 0) + (prev?.value.length ?? 0);
}
