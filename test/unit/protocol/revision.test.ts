import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantViolation } from '../../../protocol/assert.ts';
import {
  nextRevision,
  REVISION_EPOCH_MS,
  REVISIONS_PER_MS,
  revisionAtWallMs,
  wallMsOfRevision,
} from '../../../protocol/revision.ts';

const YEAR_2090_MS = Date.UTC(2090, 0, 1);
const wall = fc.integer({ min: REVISION_EPOCH_MS, max: YEAR_2090_MS });

describe('revisions', () => {
  it('grow with every step, whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(wall, { minLength: 1 }), (walls) => {
        let clock = 0;
        for (const wallMs of walls) {
          const next = nextRevision(clock, wallMs);
          expect(next).toBeGreaterThan(clock);
          expect(next).toBeGreaterThanOrEqual(revisionAtWallMs(wallMs));
          clock = next;
        }
      }),
    );
  });

  it('follow the wall clock when it is ahead, and count on when it is not', () => {
    const clock = revisionAtWallMs(YEAR_2090_MS);
    expect(nextRevision(0, YEAR_2090_MS)).toBe(clock);
    expect(nextRevision(clock, YEAR_2090_MS)).toBe(clock + 1);
    expect(nextRevision(clock, REVISION_EPOCH_MS)).toBe(clock + 1);
  });

  it('tell their millisecond', () => {
    fc.assert(
      fc.property(wall, fc.nat({ max: REVISIONS_PER_MS - 1 }), (wallMs, counter) => {
        expect(wallMsOfRevision(revisionAtWallMs(wallMs) + counter)).toBe(wallMs);
      }),
    );
    expect(wallMsOfRevision(0)).toBe(REVISION_EPOCH_MS);
  });

  it('are 0 before 2025, whole for a fraction, and last until 2094', () => {
    expect(revisionAtWallMs(0)).toBe(0);
    expect(revisionAtWallMs(REVISION_EPOCH_MS + 1.9)).toBe(REVISIONS_PER_MS);
    expect(Number.isSafeInteger(revisionAtWallMs(Date.UTC(2094, 0, 1)))).toBe(true);
    expect(() => nextRevision(Number.MAX_SAFE_INTEGER, 0)).toThrow(InvariantViolation);
  });
});
