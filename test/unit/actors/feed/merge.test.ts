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

describe('the merged feed', () => {
  it('is the sorted union of all groups, whatever the order and size of pages, repeats included', () => {
    const group = fc.uniqueArray(fc.integer({ min: 11, max: 60 }), { maxLength: 25 });
    const asks = fc.array(
      fc.record({
        group: fc.nat(2),
        ahead: fc.integer({ min: 0, max: 20 }),
        limit: fc.integer({ min: 1, max: 4 }),
        old: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.tuple(group, group, group), asks, (drawn, turns) => {
        const ids = [1, 2, 3] as GroupId[];
        const logs = drawn.map((list, g) =>
          [...list].sort((a, b) => a - b).map((at) => changeAt(at, { key: `${g}-${at}` })),
        );
        const merge = new FeedMerge(ids, START);
        const closed = [10, 10, 10];
        const out: ChangeEvent[] = [];
        const ask = (g: number, limit: number, old: boolean) => {
          const id = ids[g] as GroupId;
          const after = old ? START : merge.after(id);
          // A repeated reply to the first question: it says less, and nothing untrue.
          const answer = pageOf(logs[g] as ChangeEvent[], after, closed[g] as number, limit);
          merge.push(id, old ? [] : answer.page, old ? Math.min(answer.closed, 10) : answer.closed);
          const bound = Math.min(...ids.map((one) => merge.closed(one)));
          for (const event of merge.take()) {
            expect(event.revision).toBeLessThanOrEqual(bound);
            out.push(event);
          }
          if (bound > 10) expect(merge.emitted).toEqual(positionAfter(bound));
        };
        for (const { group: g, ahead, limit, old } of turns) {
          closed[g] = Math.min(100, (closed[g] as number) + ahead);
          ask(g, limit, old);
        }
        closed.fill(100);
        for (let i = 0; i < 120; i++) ask(i % 3, 2, false);
        expect(out).toEqual(logs.flat().sort(inOrder));
        expect(merge.waitingFor()).toBeNull();
        expect(merge.emitted).toEqual(positionAfter(100));
      }),
      { numRuns: 200 },
    );
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
    expect(merge.closed(G1)).toBe(29);
    expect(revisions(merge.take())).toEqual([20]);
    merge.push(G1, [], 40);
    expect(merge.after(G1)).toEqual(positionAfter(40));
    expect(revisions(merge.take())).toEqual([30]);
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
