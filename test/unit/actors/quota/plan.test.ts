import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clipped,
  divide,
  exceededKind,
  extentOf,
  type Shares,
  targetsOf,
} from '../../../../actors/quota/plan.ts';
import type { Bounds, QuotaShare } from '../../../../protocol/quotas.ts';
import type { GroupId } from '../../../../protocol/types.ts';

const G = (group: number): GroupId => group as GroupId;

function shares(...used: number[][]): Shares {
  const list = used.map((amounts, i): [GroupId, QuotaShare] => [
    G(i + 1),
    { round: 1, allowed: [...amounts], used: amounts, isCounted: true },
  ]);
  return new Map(list);
}

/** As a group answers the order to lower its allowance, where nothing has been written meanwhile. */
function lowered(known: Shares, targets: ReadonlyMap<GroupId, Bounds>): Shares {
  return new Map(
    [...known].map(([group, share]) => {
      const allowed = (targets.get(group) ?? []).map((target, kind) => {
        const bound = share.allowed?.[kind] ?? null;
        if (target === null || bound === null) return target ?? bound;
        return Math.min(target, bound);
      });
      return [group, { ...share, allowed }];
    }),
  );
}

const amount = fc.integer({ min: 0, max: 40 });
const anyShare = fc.record({
  round: fc.constant(1),
  allowed: fc.option(fc.tuple(fc.option(amount), fc.option(amount), fc.option(amount))),
  used: fc.tuple(amount, amount, amount),
  isCounted: fc.constant(true),
});
const anyShares = fc
  .array(anyShare, { minLength: 1, maxLength: 8 })
  .map((list): Shares => new Map(list.map((share, i) => [G(i + 1), share])));
const anyQuota = fc.tuple(
  fc.option(fc.integer({ min: 0, max: 300 })),
  fc.option(fc.integer({ min: 0, max: 300 })),
  fc.option(fc.integer({ min: 0, max: 300 })),
);
const anyWant = fc.option(
  fc.record({ group: fc.constant(G(1)), growth: fc.tuple(amount, amount, amount) }),
);

describe('the division of a quota over groups', () => {
  test('the rest is for all alike, and its last units for who wants something', () => {
    const known = shares([10, 0, 0], [20, 0, 0], [0, 0, 0]);
    const want = { group: G(2), growth: [7, 0, 0] };
    const targets = targetsOf([60, null, null], known, want);
    expect([...targets.values()]).toEqual([
      [17, null, null],
      [36, null, null],
      [7, null, null],
    ]);
    const { raises, isInForce } = divide([60, null, null], lowered(known, targets), targets, want);
    expect(Object.fromEntries(raises)).toEqual({
      1: [17, null, null],
      2: [36, null, null],
      3: [7, null, null],
    });
    expect(isInForce).toBe(true);
  });

  test('to the last byte: what is wanted and all that is left', () => {
    const known = shares([10, 0, 0], [20, 0, 0]);
    const want = { group: G(1), growth: [6, 0, 0] };
    expect(exceededKind([36, null, null], known, want.growth)).toBeNull();
    expect(exceededKind([35, null, null], known, want.growth)).toBe(0);
    expect(clipped([35, null, 9], known, [6, 1, 12])).toEqual([5, 1, 9]);
    const targets = targetsOf([36, null, null], known, want);
    const { raises } = divide([36, null, null], lowered(known, targets), targets, want);
    expect(raises.get(G(1))).toEqual([16, null, null]);
  });

  test('a quota below what is used allows nobody anything, and is in force', () => {
    const known = shares([10, 2, 0], [20, 2, 0]);
    const targets = targetsOf([25, 9, null], known, null);
    expect(targets.get(G(2))).toEqual([0, 4, null]);
    const { raises, isInForce } = divide([25, 9, null], lowered(known, targets), targets, null);
    expect(raises.get(G(1))?.[0]).toBe(0);
    expect(isInForce).toBe(true);
  });

  test('what was used between the look and the order is not given to others', () => {
    const known = shares([0, 0, 0], [0, 0, 0]);
    const targets = targetsOf([100, null, null], known, null);
    const grown: Shares = new Map([
      [G(1), { round: 2, allowed: [50, null, null], used: [80, 0, 0], isCounted: true }],
      [G(2), { round: 2, allowed: [50, null, null], used: [0, 0, 0], isCounted: true }],
    ]);
    const { raises, isInForce } = divide([100, null, null], grown, targets, null);
    expect(raises.size).toBe(0);
    expect(isInForce).toBe(false);
  });

  test('what groups may hold is within the quota whatever they used, and what is wanted is there', () => {
    fc.assert(
      fc.property(anyQuota, anyShares, anyWant, (quota, known, want) => {
        const fits = want === null || exceededKind(quota, known, want.growth) === null;
        const wanted = fits ? want : null;
        const targets = targetsOf(quota, known, wanted);
        const after = lowered(known, targets);
        const { raises, isInForce } = divide(quota, after, targets, wanted);
        expect(isInForce).toBe(true);
        for (const kind of [0, 1, 2]) {
          const bound = quota[kind] ?? null;
          if (bound === null) continue;
          let extent = 0;
          let used = 0;
          for (const [group, share] of after) {
            const allowed = raises.get(group) ?? share.allowed;
            extent += extentOf({ ...share, allowed: allowed && [...allowed] }, kind);
            used += share.used[kind] as number;
          }
          expect(extent).toBeLessThanOrEqual(Math.max(bound, used));
          // Nothing is left over.
          if (used <= bound) expect(extent).toBe(bound);
          if (wanted === null) continue;
          const own = after.get(wanted.group) as QuotaShare;
          const allowed = raises.get(wanted.group) ?? own.allowed;
          const need = (own.used[kind] as number) + (wanted.growth[kind] as number);
          if ((wanted.growth[kind] as number) > 0) {
            expect(allowed?.[kind]).toBeGreaterThanOrEqual(need);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
