import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePositions } from '../../../../actors/apply/index-query.ts';
import { pageOver } from '../../../../actors/router/index-page.ts';
import type { EntryPosition } from '../../../../protocol/indexes.ts';
import type { ReplyOf } from '../../../../protocol/messages/request.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { ref } from '../../../kit/applied-group.ts';
import { itemAt } from '../../../kit/change-events.ts';

const GROUPS = [1, 2, 3] as GroupId[];

/** A group that holds these positions, and cuts its answers by count, and by `cut` as for their bytes. */
function partOf(
  held: readonly EntryPosition[],
  { count, after, reverse, cut }: Asked & { readonly reverse: boolean; readonly cut: number },
): ReplyOf<'IndexPage'> {
  const order = (a: EntryPosition, b: EntryPosition) =>
    reverse ? comparePositions(b, a) : comparePositions(a, b);
  const inside = [...held].sort(order).filter((at) => after === null || order(at, after) > 0);
  const given = inside.slice(0, Math.min(count, cut));
  const hits = given.map(({ encoded, key }) => ({ encoded, item: itemAt(ref(key), 1) }));
  const reached = given.length < inside.length ? (given[given.length - 1] ?? null) : null;
  return { type: 'IndexPage', hits, reached, rows: given.length, clock: 1 };
}

interface Asked {
  readonly count: number;
  readonly after: EntryPosition | null;
}

const positions = fc.uniqueArray(
  fc.record({ encoded: fc.constantFrom('a', 'b', 'c'), key: fc.string({ maxLength: 2 }) }),
  { maxLength: 60, selector: ({ encoded, key }) => `${encoded}/${key}` },
);
const owners = fc.array(fc.constantFrom(...GROUPS), { minLength: 60, maxLength: 60 });

describe('a page over all groups', () => {
  it('is full unless it is the last one, whichever groups have the hits, in two rounds at most', async () => {
    const limits = fc.integer({ min: 1, max: 20 });
    await fc.assert(
      fc.asyncProperty(positions, owners, limits, fc.boolean(), async (all, of, limit, reverse) => {
        const asked: (Asked & { group: GroupId })[] = [];
        const page = await pageOver(GROUPS, { limit, reverse }, async (group, count, after) => {
          asked.push({ group, count, after });
          const held = all.filter((_, i) => of[i] === group);
          return partOf(held, { count, after, reverse, cut: 1000 });
        });
        const expected = [...all].sort(comparePositions);
        if (reverse) expected.reverse();
        const found = page.hits.map(({ encoded, item }) => ({ encoded, key: item.ref.key }));
        expect(found).toEqual(expected.slice(0, limit));
        expect(page.next === null).toBe(all.length <= limit);
        for (const group of GROUPS) {
          expect(asked.filter((one) => one.group === group).length).toBeLessThanOrEqual(2);
        }
        const rows = page.seen.reduce((sum, one) => sum + one.rows, 0);
        expect(rows).toBeGreaterThanOrEqual(found.length);
      }),
      { numRuns: 300 },
    );
  });

  it('and those after it have every hit once, in order, where groups cut by bytes', async () => {
    const cuts = fc.integer({ min: 1, max: 4 });
    await fc.assert(
      fc.asyncProperty(positions, owners, cuts, fc.boolean(), async (all, of, cut, reverse) => {
        const found: EntryPosition[] = [];
        let from: EntryPosition | null = null;
        do {
          const start: EntryPosition | null = from;
          const page = await pageOver(
            GROUPS,
            { limit: 7, reverse },
            async (group, count, after) => {
              const held = all.filter((_, i) => of[i] === group);
              return partOf(held, { count, after: after ?? start, reverse, cut });
            },
          );
          found.push(...page.hits.map(({ encoded, item }) => ({ encoded, key: item.ref.key })));
          from = page.next;
        } while (from !== null);
        const expected = [...all].sort(comparePositions);
        expect(found).toEqual(reverse ? expected.reverse() : expected);
      }),
      { numRuns: 200 },
    );
  });
});
