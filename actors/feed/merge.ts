import { assert } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { comparePositions, positionAfter, positionOf } from '../apply/position.ts';

interface Lane {
  /** Everything at or before this has been received. */
  after: Position;
  closed: Revision;
  readonly queue: ChangeEvent[];
  /** Of the values in the queue. */
  bytes: number;
}

/** Events and bytes of one group that wait for others before no more is asked of it. */
const LANE_EVENTS_MAX = 4 * LIMITS.feedPageEventsMax;
const LANE_BYTES_MAX = 4 * LIMITS.pageBytesMax;

/**
 * Merges the groups' event streams into one, always by closed revision: an event leaves when every
 * group has closed its revision, so nothing can come before it any more. Pure: no I/O, no clock.
 */
export class FeedMerge {
  readonly #lanes = new Map<GroupId, Lane>();
  #emitted: Position;

  constructor(groups: readonly GroupId[], start: Position) {
    this.#emitted = start;
    for (const group of groups) {
      this.#lanes.set(group, { after: start, closed: start.revision - 1, queue: [], bytes: 0 });
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

  /** The group's closed revision as received so far. */
  closed(group: GroupId): Revision {
    return this.#lane(group).closed;
  }

  /** Highest revision that waits for other groups to close it; null when nothing waits. */
  waitingFor(): Revision | null {
    let highest: Revision | null = null;
    for (const lane of this.#lanes.values()) {
      const last = lane.queue[lane.queue.length - 1];
      if (last !== undefined && (highest === null || last.revision > highest)) {
        highest = last.revision;
      }
    }
    return highest;
  }

  /**
   * Whether much of this group waits for others. Never so for the group that is furthest behind: of
   * what it sent at most the last event of a cut page waits. So the others never wait for nobody.
   */
  isFull(group: GroupId): boolean {
    const { queue, bytes } = this.#lane(group);
    return queue.length >= LANE_EVENTS_MAX || bytes >= LANE_BYTES_MAX;
  }

  /**
   * Takes one page: events after `after(group)` in order, then the revision that the group has
   * closed behind them. Events at or before the group's position are repeats and are dropped.
   */
  push(group: GroupId, events: readonly ChangeEvent[], closed: Revision): void {
    const lane = this.#lane(group);
    for (const event of events) {
      const position = positionOf(event);
      if (comparePositions(position, lane.after) <= 0) continue;
      assert(event.revision > lane.closed, 'an event came at or below a closed revision');
      lane.queue.push(event);
      lane.bytes += bytesOf(event);
      lane.after = position;
    }
    if (closed > lane.closed) {
      lane.closed = closed;
      const behind = positionAfter(closed);
      if (comparePositions(behind, lane.after) > 0) lane.after = behind;
    }
  }

  /** The events that may leave now, in the one order. */
  take(): ChangeEvent[] {
    let bound = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) bound = Math.min(bound, lane.closed);
    const out: ChangeEvent[] = [];
    for (const lane of this.#lanes.values()) {
      let n = 0;
      while (n < lane.queue.length && (lane.queue[n] as ChangeEvent).revision <= bound) n++;
      for (const event of lane.queue.splice(0, n)) {
        lane.bytes -= bytesOf(event);
        out.push(event);
      }
    }
    out.sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
    const reached = positionAfter(bound);
    if (comparePositions(reached, this.#emitted) > 0) this.#emitted = reached;
    return out;
  }

  #lane(group: GroupId): Lane {
    const lane = this.#lanes.get(group);
    assert(lane !== undefined, `group ${group} is not merged here`);
    return lane;
  }
}

function bytesOf({ item, prev }: ChangeEvent): number {
  return (item?.value.length ?? 0) + (prev?.value.length ?? 0);
}
