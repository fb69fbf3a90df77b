import { comparePositions, positionAfter, positionOf } from '../../actors/apply/position.ts';
import { initialShardMap } from '../../actors/router/shard-map.ts';
import type { ChangeEvent, ReplyBody, RequestBody } from '../../protocol/messages/request.ts';
import type { GroupId, NodeId } from '../../protocol/types.ts';
import { changeAt, itemAt } from './change-events.ts';
import { FakeReach, rejected } from './fake-reach.ts';
import { HandClock } from './hand-clock.ts';

/** One group as its replicas show it: a feed, how far it is closed, and who polls. */
export class FakeGroup {
  events: ChangeEvent[] = [];
  closed = 0;
  clock = 0;
  floor = 0;
  /** Whether closing on demand works. */
  closes = true;
  pageMax = 100;
  #waiting: (() => void)[] = [];

  add(revision: number, key = `k${revision}`): void {
    this.events.push(changeAt(revision, { key }));
    this.clock = Math.max(this.clock, revision);
    this.close(revision);
  }

  /** Many changes at one revision, as a transaction makes them. */
  addAll(revision: number, keys: readonly string[], bytes = 1): void {
    const events = keys.map((key) => changeAt(revision, { key, bytes }));
    events.sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
    this.events.push(...events);
    this.close(revision);
  }

  close(revision: number): void {
    this.closed = Math.max(this.closed, revision);
    this.clock = Math.max(this.clock, revision);
    for (const go of this.#waiting.splice(0)) go();
  }

  read(body: Extract<RequestBody, { type: 'FeedRead' }>, clock: HandClock): Promise<ReplyBody> {
    return new Promise((resolve) => {
      const look = () => {
        const { after } = body;
        if (after.revision < this.floor) resolve(rejected('compacted', { hint: this.floor }));
        else if (comparePositions(after, positionAfter(this.closed)) < 0) resolve(this.#page(body));
        else if (body.waitMs === 0) resolve(this.#page(body));
        else this.#waiting.push(look);
      };
      if (body.waitMs > 0) clock.after(body.waitMs, () => resolve(this.#page(body)));
      look();
    });
  }

  #page({ after, limit }: Extract<RequestBody, { type: 'FeedRead' }>): ReplyBody {
    const open = this.events.filter(
      (event) => event.revision <= this.closed && comparePositions(positionOf(event), after) > 0,
    );
    const events = open.slice(0, Math.min(limit, this.pageMax));
    const last = events.at(-1);
    const cut = open.length > events.length && last !== undefined;
    const closed = cut ? Math.min(this.closed, last.revision - 1) : this.closed;
    return { type: 'Feed', events, closed, floor: this.floor };
  }
}

/** Two groups that the test writes to, behind Calls whose requests and replies it may lose. */
export class FakeFeed {
  readonly clock = new HandClock();
  readonly reach = new FakeReach(this.clock);
  readonly groups = new Map([
    [1 as GroupId, new FakeGroup()],
    [2 as GroupId, new FakeGroup()],
  ]);
  readonly map = initialShardMap(2);
  /** Keys at any revision, for scans. */
  items: string[] = [];
  lost: (body: RequestBody) => boolean = () => false;

  constructor() {
    for (const group of this.groups.keys()) this.reach.leaders.set(group, 'n2' as NodeId);
    this.reach.noteLeader = () => {};
    this.reach.answer = ({ group, body }) =>
      this.lost(body) ? 'silence' : this.#answer(this.group(group), group, body);
  }

  group(group: number): FakeGroup {
    return this.groups.get(group as GroupId) as FakeGroup;
  }

  /** How often a kind of request was asked. */
  asked(type: RequestBody['type']): number {
    return this.reach.asked.filter(({ body }) => body.type === type).length;
  }

  #answer(
    group: FakeGroup,
    id: GroupId,
    body: RequestBody,
  ): ReplyBody | Promise<ReplyBody> | 'silence' {
    switch (body.type) {
      case 'FeedRead':
        return group.read(body, this.clock);
      case 'ReadClock':
        return { type: 'Clock', gate: null, clock: group.clock };
      case 'Close':
        if (!group.closes) return 'silence';
        group.close(body.revision);
        return { type: 'Closed', wasClosed: false, closed: group.closed };
      case 'Range': {
        const keys = this.items.filter((_, i) => 1 + (i % 2) === id && this.items[i] !== undefined);
        const inside = keys.filter(
          (key) => key >= body.start && (body.end === null || key < body.end),
        );
        const items = inside
          .slice(0, body.limit)
          .map((key) => itemAt({ tenant: 't1', space: 'kv', key }, 1));
        const more = inside.length > items.length;
        return { type: 'Page', items, more, clock: body.revision };
      }
      default:
        return rejected('invalid_argument');
    }
  }
}
