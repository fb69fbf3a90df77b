import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergeUsage, type UsagePart } from '../../../../actors/router/usage.ts';
import { addUsage, NO_USAGE, type SpaceUsage } from '../../../../protocol/usage.ts';

const space = fc.record({
  tenant: fc.constantFrom('a', 'a-b', 'b'),
  space: fc.constantFrom('kv', 'one', 'one-two', 'two', 'z'),
  objects: fc.integer({ min: 1, max: 9 }),
});

function nameOf({ tenant, space }: Pick<SpaceUsage, 'tenant' | 'space'>): string {
  return `${tenant}\x00${space}`;
}

/** A group's rows, each space once, in order. */
const group = fc
  .uniqueArray(space, { selector: nameOf, maxLength: 12 })
  .map((found) =>
    found
      .map((one): SpaceUsage => ({ ...one, usage: { ...NO_USAGE, objects: one.objects } }))
      .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)),
  );

function pageOf(rows: readonly SpaceUsage[], after: SpaceUsage | null, limit: number): UsagePart {
  const rest = rows.filter((row) => after === null || nameOf(row) > nameOf(after));
  return { items: rest.slice(0, limit), more: rest.length > limit };
}

describe('usage over groups', () => {
  test('pages have every space once, in order, with what all groups have of it', () => {
    fc.assert(
      fc.property(fc.array(group, { maxLength: 4 }), fc.integer({ min: 1, max: 5 }), (rows, n) => {
        const wanted = new Map<string, number>();
        for (const one of rows.flat()) {
          wanted.set(nameOf(one), (wanted.get(nameOf(one)) ?? 0) + one.usage.objects);
        }
        const found: SpaceUsage[] = [];
        for (let more = true; more; ) {
          const after = found.at(-1) ?? null;
          const page = mergeUsage(
            rows.map((own) => pageOf(own, after, n)),
            n,
          );
          expect(page.items.length).toBeLessThanOrEqual(n);
          if (page.more) expect(page.items.length).toBeGreaterThan(0);
          found.push(...page.items);
          more = page.more;
        }
        const sorted = [...wanted].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(found.map((one) => [nameOf(one), one.usage.objects])).toEqual(sorted);
      }),
    );
  });

  test('sums field by field', () => {
    const one = { ...NO_USAGE, keys: 1, partBytes: 2 };
    expect(addUsage(one, { ...one, markers: 3 })).toEqual({
      ...{ ...NO_USAGE, keys: 2, partBytes: 4, markers: 3 },
    });
  });
});
