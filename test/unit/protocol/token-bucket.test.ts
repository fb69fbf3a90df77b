import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../protocol/random.ts';
import { TokenBucket } from '../../../protocol/token-bucket.ts';

describe('a token bucket', () => {
  it('is full at first, gives what it has, and says when there is more', () => {
    const bucket = new TokenBucket(10, 3, 1_000);
    expect(bucket.msUntil(3, 1_000)).toBe(0);
    bucket.take(3, 1_000);
    expect(bucket.tokens(1_000)).toBe(0);
    expect(bucket.msUntil(1, 1_000)).toBe(100);
    expect(bucket.tokens(1_050)).toBeCloseTo(0.5);
    expect(bucket.msUntil(1, 1_050)).toBeCloseTo(50);
    expect(bucket.tokens(60_000)).toBe(3);
  });

  it('pays a debt before it gives anything', () => {
    const bucket = new TokenBucket(100, 100, 0);
    bucket.take(350, 0);
    expect(bucket.tokens(0)).toBe(-250);
    expect(bucket.msUntil(0, 0)).toBe(2_500);
    expect(bucket.msUntil(-100, 0)).toBe(1_500);
    expect(bucket.tokens(2_500)).toBe(0);
  });

  it('loses what is above a smaller capacity, and fills up to a larger one', () => {
    const bucket = new TokenBucket(10, 100, 0);
    bucket.change(10, 20, 0);
    expect(bucket.tokens(0)).toBe(20);
    bucket.change(10, 100, 0);
    expect(bucket.tokens(0)).toBe(20);
    expect(bucket.tokens(1_000)).toBe(30);
  });

  it('does not go back with a clock that does', () => {
    const bucket = new TokenBucket(10, 10, 1_000);
    bucket.take(10, 1_000);
    expect(bucket.tokens(500)).toBe(0);
    expect(bucket.tokens(1_000)).toBe(0);
    expect(bucket.tokens(1_100)).toBeCloseTo(1);
  });

  it('gives in any window at most its capacity and what the window brings, for any pace of takers', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed, 'bucket');
      const perSecond = 1 + random.next() * 500;
      const capacity = 1 + random.next() * 100;
      const bucket = new TokenBucket(perSecond, capacity, 0);
      const taken: number[] = [];
      let nowMs = 0;
      for (let i = 0; i < 2_000; i++) {
        nowMs += random.next() < 0.1 ? random.next() * 500 : random.next();
        if (bucket.msUntil(1, nowMs) > 0) continue;
        bucket.take(1, nowMs);
        taken.push(nowMs);
      }
      expect(taken.length).toBeGreaterThan(50);
      // The worst window that ends with each: what it took less what it brought, as one running maximum.
      let worst = 0;
      let least = Number.POSITIVE_INFINITY;
      taken.forEach((atMs, i) => {
        const brought = (atMs * perSecond) / 1_000;
        least = Math.min(least, i - brought);
        worst = Math.max(worst, i + 1 - brought - least);
      });
      expect(worst).toBeLessThanOrEqual(capacity + 1e-6);
    }
  });
});
