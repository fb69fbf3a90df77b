import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePositions, positionAfter, positionOf } from '../../../../actors/apply/position.ts';
import { FeedMerge } from '../../../../actors/feed/merge.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../../../protocol/messages/request.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { changeAt } from '../../../kit/change-events.ts';

const G1 = 1 as GroupId;
const G2 = 2 as GroupId;
const START = positionAfter(10);
const inOrder = (a: ChangeEvent, b: ChangeEvent) => comparePositions(positionOf(a), positionOf(b));
const revisions = (events: readonly ChangeEvent[]) => events.map(({ revision }) => revision);

/** What a replica that is closed up to `closed` answers, as actors/replica/feed.ts does. */
function pageOf(events: readonly ChangeEvent[], after: Position, closed: number, limit: number) {
  const open = events.filter(
    (event) => event.revision <= closed && comparePositions(positionOf(event), after) > 0,
  );
  const page = open.slice(0, limit);
  const last = page.at(-1);
  const cut = open.length > limit && last !== undefined;
  return { page, closed: cut ? Math.min(closed, last.revision - 1) : closed };
}

/** All that is left, in pieces. */
function takeAll(merge: FeedMerge, eventsMax: number, bytesMax: number): ChangeEvent[] {
  const out: ChangeEvent[] = [];
  do {
    const piece = merge.take(eventsMax, bytesMax);
    if (merge.hasMore) {
      expect(piece.length).toBeGreaterThan(0);
      expect(merge.emitted).toEqual(positionOf(piece.at(-1) as ChangeEvent));
    }
    expect(piece.length).toBeLessThanOrEqual(eventsMax);
    out.push(...piece);
  } while (merge.hasMore);
  return out;
}

describe('the merged feed', () => {
  it('is the sorted union of all groups, whatever the events of a revision, the pages and their order, repeats included', () => {
    // Few revisions: most have events of all groups, and more of them than a page.
    const group = fc.uniqueArray(
      fc.tuple(fc.integer({ min: 11, max: 16 }), fc.integer({ min: 0, max: 30 })),
      { maxLength: 40, selector: ([at, key]) => `${at} ${key}` },
    );
    const asks = fc.array(
      fc.record({
        group: fc.nat(2),
        ahead: fc.integer({ min: 0, max: 3 }),
        limit: fc.integer({ min: 1, max: 4 }),
        old: fc.boolean(),
        piece: fc.integer({ min: 1, max: 6 }),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.tuple(group, group, group), asks, (drawn, turns) => {
        const ids = [1, 2, 3] as GroupId[];
        const logs = drawn.map((list, g) =>
          list.map(([at, key]) => changeAt(at, { key: `${g}-${key}` })).sort(inOrder),
        );
        const merge = new FeedMerge(ids, START);
        const closed = [10, 10, 10];
        const out: ChangeEvent[] = [];
        const ask = (g: number, limit: number, old: boolean, piece: number) => {
          const id = ids[g] as GroupId;
          const after = old ? START : merge.after(id);
          // A repeated reply to the first question: it says less, and nothing untrue.
          const answer = pageOf(logs[g] as ChangeEvent[], after, closed[g] as number, limit);
          merge.push(id, answer.page, answer.closed);
          const bound = Math.min(...closed);
          for (const event of takeAll(merge, piece, 1_000)) {
            expect(event.revision).toBeLessThanOrEqual(bound);
            out.push(event);
          }
          expect(merge.emitted.revision).toBeLessThanOrEqual(Math.max(10, bound));
          // Somebody can always be asked: whoever is furthest behind holds nothing back.
          const least = ids.map((one) => merge.after(one)).sort(comparePositions)[0];
          expect(merge.emitted).toEqual(least);
          for (const one of ids) {
            if (comparePositions(merge.after(one), merge.emitted) === 0) {
              expect(merge.isFull(one)).toBe(false);
            }
          }
        };
        for (const { group: g, ahead, limit, old, piece } of turns) {
          closed[g] = Math.min(100, (closed[g] as number) + ahead);
          ask(g, limit, old, piece);
        }
        closed.fill(100);
        for (let i = 0; i < 200; i++) ask(i % 3, 2, false, 5);
        expect(out).toEqual(logs.flat().sort(inOrder));
        expect(merge.waitingFor()).toBeNull();
        expect(merge.emitted).toEqual(positionAfter(100));
      }),
      { numRuns: 100 },
    );
  });

  it('goes on from any position inside a revision, with what follows and nothing else', () => {
    const keys = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 2, maxLength: 30 });
    fc.assert(
      fc.property(keys, fc.nat(), fc.integer({ min: 1, max: 4 }), (drawn, cut, limit) => {
        const events = drawn.map((key) => changeAt(50, { key: `${key}` })).sort(inOrder);
        const start = positionOf(events[cut % events.length] as ChangeEvent);
        const merge = new FeedMerge([G1, G2], start);
        const logs = [0, 1].map((g) => events.filter((_, i) => i % 2 === g));
        const out: ChangeEvent[] = [];
        for (let i = 0; i < 80; i++) {
          const id = i % 2 === 0 ? G1 : G2;
          const { page, closed } = pageOf(logs[i % 2] as ChangeEvent[], merge.after(id), 60, limit);
          merge.push(id, page, closed);
          out.push(...takeAll(merge, 3, 1_000));
        }
        expect(out).toEqual(events.slice((cut % events.length) + 1));
      }),
      { numRuns: 100 },
    );
  });

  it('lets a revision of more events and bytes than a lane holds through, page by page', () => {
    const count = 6 * LIMITS.feedPageEventsMax;
    const log = Array.from({ length: count }, (_, i) => changeAt(100, { key: `k${i}` }));
    log.sort(inOrder);
    const merge = new FeedMerge([G1, G2], START);
    merge.push(G2, [], 200);
    let seen = 0;
    while (seen < count) {
      expect(merge.isFull(G1)).toBe(false);
      const { page, closed } = pageOf(log.slice(seen), merge.after(G1), 200, 1000);
      merge.push(G1, page, closed);
      const piece = merge.take();
      expect(piece).toEqual(page);
      seen += piece.length;
    }
    const heavy = new FeedMerge([G1], START);
    for (const event of log.slice(0, 8)) {
      const large = changeAt(100, { key: event.ref.key, bytes: LIMITS.valueBytesMax });
      heavy.push(G1, [large], 99);
      expect(heavy.take()).toEqual([large]);
      expect(heavy.isFull(G1)).toBe(false);
    }
  });

  it('gives at most the bytes that are asked for, and at least one event', () => {
    const merge = new FeedMerge([G1], START);
    merge.push(
      G1,
      [20, 21, 22, 23].map((at) => changeAt(at, { bytes: 10_000 })),
      40,
    );
    expect(revisions(merge.take(100, 21_000))).toEqual([20, 21]);
    expect(merge.emitted).toEqual(positionOf(changeAt(21)));
    expect(revisions(merge.take(100, 1))).toEqual([22]);
    expect(merge.hasMore).toBe(true);
    expect(revisions(merge.take(100, 1))).toEqual([23]);
    expect([merge.hasMore, merge.emitted]).toEqual([false, positionAfter(40)]);
  });

  it('holds an event back until every group has closed its revision', () => {
    const merge = new FeedMerge([G1, G2], START);
    merge.push(G1, [changeAt(100)], 100);
    expect(merge.take()).toEqual([]);
    expect(merge.waitingFor()).toBe(100);
    merge.push(G2, [], 99);
    expect(merge.take()).toEqual([]);
    merge.push(G2, [], 100);
    expect(revisions(merge.take())).toEqual([100]);
    expect(merge.waitingFor()).toBeNull();
  });

  it('orders events that share a revision by vshard and key', () => {
    const merge = new FeedMerge([G1, G2], START);
    const [one, two] = [changeAt(50, { key: 'x' }), changeAt(50, { key: 'y' })];
    merge.push(G1, [one], 50);
    merge.push(G2, [two], 50);
    expect(merge.take()).toEqual([one, two].sort(inOrder));
  });

  it('begins inside a revision when it is told to', () => {
    const event = changeAt(50, { key: 'x' });
    const merge = new FeedMerge([G1, G2], { revision: 50, vshard: event.vshard, triple: '' });
    merge.push(G1, [event], 50);
    merge.push(G2, [], 50);
    expect(merge.take()).toEqual([event]);
  });

  it('drops what it has, and asks behind it', () => {
    const merge = new FeedMerge([G1], START);
    merge.push(G1, [changeAt(20), changeAt(30)], 29);
    expect(merge.after(G1)).toEqual(positionOf(changeAt(30)));
    merge.push(G1, [changeAt(20), changeAt(30)], 15);
    expect(merge.closed(G1)).toBe(30);
    expect(revisions(merge.take())).toEqual([20, 30]);
    merge.push(G1, [], 40);
    expect(merge.after(G1)).toEqual(positionAfter(40));
    expect(merge.take()).toEqual([]);
  });

  it('takes an event at or below a closed revision for a broken promise', () => {
    const merge = new FeedMerge([G1], START);
    merge.push(G1, [], 100);
    merge.push(G1, [changeAt(99)], 100);
    expect(merge.take()).toEqual([]);
    const inside = new FeedMerge([G1], { revision: 20, vshard: 0, triple: '' });
    inside.push(G1, [changeAt(21)], 22);
    expect(() => inside.push(G2, [], 1)).toThrow('group 2 is not merged here');
  });

  it('is full for a group far ahead of the others, never for the one they wait for', () => {
    const merge = new FeedMerge([G1, G2], START);
    const many = Array.from({ length: 4 * LIMITS.feedPageEventsMax }, (_, i) => changeAt(11 + i));
    merge.push(G1, many.slice(0, -1), many.length);
    expect(merge.isFull(G1)).toBe(false);
    merge.push(G1, many, many.length + 100);
    expect([merge.isFull(G1), merge.isFull(G2)]).toEqual([true, false]);
    merge.push(G2, [], many.length + 100);
    merge.take();
    expect([merge.isFull(G1), merge.isFull(G2)]).toEqual([false, false]);
    const large = [100, 101, 102].map((at) => changeAt(at, { bytes: LIMITS.valueBytesMax }));
    const heavy = new FeedMerge([G1, G2], START);
    heavy.push(G1, large, 200);
    expect(heavy.isFull(G1)).toBe(true);
  });
});
