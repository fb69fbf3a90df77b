import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addTrigrams,
  decodePosting,
  encodePosting,
  intersect,
  trigramsOf,
} from '../../../../actors/apply/trigrams.ts';

const bytes = fc.uint8Array({ maxLength: 40, max: 4 });

describe('trigrams', () => {
  it('of a text are all in every value that holds it', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.uint8Array({ minLength: 3, maxLength: 12, max: 4 }),
        bytes,
        (a, b, c) => {
          const postings = new Map<number, number[]>();
          addTrigrams(postings, Buffer.concat([a, b, c]), 5);
          const wanted = trigramsOf(b, 4);
          expect(wanted.length).toBeGreaterThan(0);
          expect(wanted.length).toBeLessThanOrEqual(4);
          for (const trigram of wanted) expect(postings.get(trigram)).toEqual([5]);
        },
      ),
    );
  });

  it('are none below three bytes', () => {
    expect(trigramsOf(Buffer.from('ab'), 6)).toEqual([]);
    const postings = new Map<number, number[]>();
    addTrigrams(postings, Buffer.from('ab'), 0);
    expect(postings.size).toBe(0);
  });

  it('a posting comes back, as a list or as a bitmap', () => {
    const numbers = fc
      .uniqueArray(fc.nat(511), { minLength: 1 })
      .map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(numbers, (documents) => {
        const row = encodePosting(documents, 512);
        expect(row.length).toBeLessThanOrEqual(65);
        expect(decodePosting(row)).toEqual(documents);
      }),
    );
  });

  it('intersection keeps what both have', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(60)), fc.uniqueArray(fc.nat(60)), (a, b) => {
        const sorted = (all: number[]): number[] => [...all].sort((x, y) => x - y);
        expect(intersect(sorted(a), sorted(b))).toEqual(sorted(a.filter((one) => b.includes(one))));
      }),
    );
  });
});
