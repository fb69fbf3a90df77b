import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePosting,
  documentsIn,
  eachPair,
  encodePosting,
  encodePostings,
  intersect,
  pairOf,
  trigramsOf,
} from '../../../../actors/apply/trigrams.ts';

const bytes = fc.uint8Array({ maxLength: 40, max: 4 });

describe('trigrams', () => {
  it('are gathered as by looking at every three bytes of every value', () => {
    const values = fc.array(fc.uint8Array({ maxLength: 30, max: 3 }), { maxLength: 8 });
    fc.assert(
      fc.property(values, (all) => {
        const wanted = new Map<number, number[]>();
        for (const [document, value] of all.entries()) {
          for (let i = 0; i + 3 <= value.length; i++) {
            const [x = 0, y = 0, z = 0] = value.subarray(i, i + 3);
            const known = wanted.get(x * 65536 + y * 256 + z) ?? [];
            if (!known.includes(document)) known.push(document);
            wanted.set(x * 65536 + y * 256 + z, known);
          }
        }
        const found = new Map<number, readonly number[]>();
        let last = -1;
        eachPair(all, (pair, postings) => {
          expect(pair).toBeGreaterThan(last);
          last = pair;
          for (const [trigram, documents] of postings) {
            expect(pairOf(trigram)).toBe(pair);
            found.set(trigram, documents);
          }
        });
        const inOrder = (map: ReadonlyMap<number, readonly number[]>) =>
          [...map].sort(([a], [b]) => a - b);
        expect(inOrder(found)).toEqual(inOrder(wanted));
      }),
    );
  });

  it('of a text are all in every value that holds it', () => {
    const text = fc.uint8Array({ minLength: 3, maxLength: 12, max: 4 });
    fc.assert(
      fc.property(bytes, text, bytes, (a, b, c) => {
        const held = new Set<number>();
        eachPair([Buffer.concat([a, b, c])], (_, postings) => {
          for (const [trigram] of postings) held.add(trigram);
        });
        const wanted = trigramsOf(b, 4);
        expect(wanted.length).toBeGreaterThan(0);
        expect(wanted.length).toBeLessThanOrEqual(4);
        for (const trigram of wanted) expect(held.has(trigram)).toBe(true);
      }),
    );
  });

  it('are none below three bytes', () => {
    expect(trigramsOf(Buffer.from('ab'), 6)).toEqual([]);
    eachPair([Buffer.from('ab')], () => expect.unreachable());
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

  it('postings of one pair of bytes lie in one row, each found by its third', () => {
    const list = encodePosting([1, 5], 8);
    const bitmap = encodePosting([0, 1, 2, 3, 4, 5], 8);
    const row = encodePostings([
      [0x616200, list],
      [0x6162ff, bitmap],
    ]);
    expect(documentsIn(row, 0x616200)).toEqual([1, 5]);
    expect(documentsIn(row, 0x6162ff)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(documentsIn(row, 0x616201)).toEqual([]);
    expect(pairOf(0x6162ff)).toBe(0x6162);
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
