import { describe, expect, it } from 'vitest';
import { randomHex, randomInt, seededRandom } from '../../../protocol/random.ts';

const draw = (seed: number, stream: string): string => randomHex(seededRandom(seed, stream), 32);

describe('the seeded generator', () => {
  it('repeats itself for the same seed and stream', () => {
    expect(draw(1, 'net')).toBe(draw(1, 'net'));
    const golden = seededRandom(42);
    expect([golden.next(), golden.next()]).toEqual([seededRandom(42).next(), expect.any(Number)]);
  });

  it('differs for other seeds and other streams', () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 500; seed++) {
      seen.add(draw(seed, ''));
      seen.add(draw(seed, 'net'));
      seen.add(draw(seed, 'disk'));
    }
    expect(seen.size).toBe(1500);
  });

  it('spreads over [0, 1) and over every byte', () => {
    const random = seededRandom(7);
    const buckets = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const value = random.next();
      expect(value >= 0 && value < 1).toBe(true);
      const bucket = Math.floor(value * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.min(...buckets)).toBeGreaterThan(880);
    expect(Math.max(...buckets)).toBeLessThan(1120);
    expect(new Set(random.bytes(10_000)).size).toBe(256);
  });

  it('randomInt includes both ends', () => {
    const random = seededRandom(3);
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) seen.add(randomInt(random, 5, 8));
    expect([...seen].sort()).toEqual([5, 6, 7, 8]);
    expect(randomInt(random, 4, 4)).toBe(4);
  });

  it('randomHex has two digits for each byte', () => {
    expect(randomHex(seededRandom(1), 8)).toMatch(/^[0-9a-f]{16}$/);
    expect(randomHex(seededRandom(1), 0)).toBe('');
  });
});
