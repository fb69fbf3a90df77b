import { describe, expect, it } from 'vitest';
import { judge, laterHalf, median, type Point } from '../../../../bench/soak/flatness.ts';
import { seededRandom } from '../../../../protocol/random.ts';

const points = (value: (minute: number) => number): Point[] =>
  Array.from({ length: 61 }, (_, i) => ({ minute: i / 6, value: value(i / 6) }));
const BOUND = { slopeMax: 2, noise: 4 };

describe('flatness', () => {
  it('finds a leak under noise, and its size', () => {
    const random = seededRandom(1, 'noise');
    const verdict = judge(
      points((minute) => 100 + 3 * minute + random.next() * 10),
      BOUND,
    );
    expect(verdict.isFlat).toBe(false);
    expect(verdict.slopePerMinute).toBeCloseTo(3, 0);
  });

  it('is not misled by a sawtooth, nor by single peaks', () => {
    expect(
      judge(
        points((minute) => 100 + 30 * ((minute * 2.3) % 1)),
        BOUND,
      ).isFlat,
    ).toBe(true);
    const peaks = points((minute) => (minute > 9 && minute < 9.4 ? 900 : 100));
    expect(judge(peaks, BOUND)).toMatchObject({ isFlat: true, slopePerMinute: 0, median: 100 });
  });

  it('does not call steep what is too little to be told', () => {
    const short = points((minute) => 100 + 3 * minute).filter(({ minute }) => minute <= 1);
    expect(judge(short, BOUND).isFlat).toBe(true);
    expect(judge(short, { ...BOUND, noise: 1 }).isFlat).toBe(false);
  });

  it('looks at the later half, and takes medians of nothing as 0', () => {
    expect(laterHalf(points(() => 1))[0]?.minute).toBe(5);
    expect([median([]), median([3]), median([4, 1]), median([9, 1, 2])]).toEqual([0, 3, 2.5, 2]);
  });
});
