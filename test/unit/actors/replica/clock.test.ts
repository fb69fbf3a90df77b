import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GroupClock } from '../../../../actors/replica/clock.ts';
import {
  REVISION_EPOCH_MS,
  REVISIONS_PER_MS,
  revisionAtWallMs,
} from '../../../../protocol/revision.ts';

const WALL = REVISION_EPOCH_MS + 1_000_000;
const NOW = revisionAtWallMs(WALL);

type Step =
  | { readonly type: 'assign'; readonly count: number; readonly wallMs: number }
  | { readonly type: 'raise'; readonly ahead: number }
  | { readonly type: 'close'; readonly ahead: number }
  | { readonly type: 'applied'; readonly ahead: number; readonly bound: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant('assign' as const),
      count: fc.integer({ min: 1, max: 5 }),
      wallMs: fc.integer({ min: WALL - 50, max: WALL + 50 }),
    }),
    fc.record({
      type: fc.constantFrom<'raise' | 'close'>('raise', 'close'),
      ahead: fc.integer({ min: -5000, max: 50_000 }),
    }),
    fc.record({
      type: fc.constant('applied' as const),
      ahead: fc.integer({ min: -5000, max: 50_000 }),
      bound: fc.integer({ min: 0, max: 90_000 }),
    }),
  ),
  { maxLength: 60 },
);

describe('the group clock', () => {
  it('assigns above everything assigned, applied or promised before (C1), and closed <= clock (C3)', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const clock = new GroupClock(NOW, NOW, Number.POSITIVE_INFINITY);
        let highest = NOW;
        for (const step of all) {
          const target = step.type === 'assign' ? 0 : clock.clock + step.ahead;
          const before = clock.closed;
          if (step.type === 'assign') {
            const first = clock.assign(step.count, step.wallMs);
            expect(first).toBeGreaterThan(highest);
            highest = first + step.count - 1;
          } else if (step.type === 'raise') clock.raise(target);
          else if (step.type === 'close') expect(clock.close(target)).toBe(target > before);
          else if (step.type === 'applied')
            clock.applied(target, NOW + step.bound, Number.POSITIVE_INFINITY);
          highest = Math.max(highest, target);
          expect(clock.clock).toBe(highest);
          expect(clock.closed).toBeLessThanOrEqual(clock.clock);
          expect(clock.closed).toBeGreaterThanOrEqual(before);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('knows a bound only when its entry was committed (C2)', () => {
    const clock = new GroupClock(10, 20, Number.POSITIVE_INFINITY);
    clock.raise(1000);
    expect(clock.committedBound).toBe(20);
    clock.applied(0, 500, Number.POSITIVE_INFINITY);
    expect(clock.committedBound).toBe(500);
    clock.applied(0, 400, Number.POSITIVE_INFINITY);
    expect(clock.committedBound).toBe(500);
    expect(clock.closed).toBe(10);
  });

  it('gives consecutive revisions, at the wall clock or just above itself when that is behind', () => {
    const clock = new GroupClock(0, 0, Number.POSITIVE_INFINITY);
    expect(clock.assign(3, WALL)).toBe(NOW);
    expect(clock.clock).toBe(NOW + 2);
    expect(clock.assign(1, WALL - 60_000)).toBe(NOW + 3);
    expect(clock.assign(1, WALL + 1)).toBe(NOW + REVISIONS_PER_MS);
  });

  it('closes no revision twice and none by a lower one', () => {
    const clock = new GroupClock(5, 0, Number.POSITIVE_INFINITY);
    expect(clock.closed).toBe(5);
    expect(clock.close(5)).toBe(false);
    expect(clock.close(9)).toBe(true);
    expect(clock.close(8)).toBe(false);
    expect([clock.clock, clock.closed]).toEqual([9, 9]);
  });
});
