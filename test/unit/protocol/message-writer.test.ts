import { encode as libraryEncode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvariantViolation } from '../../../protocol/assert.ts';
import { MessageWriter } from '../../../protocol/message-writer.ts';

const writer = new MessageWriter();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Writes the same bytes as the reference implementation. */
function same(value: unknown): void {
  expect(hex(writer.write(value))).toBe(hex(libraryEncode(value)));
}

describe('MessageWriter', () => {
  it('writes what the reference implementation writes', () => {
    const leaf = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.integer(),
      fc.double(),
      fc.string({ unit: 'grapheme', maxLength: 400 }),
      fc.uint8Array({ maxLength: 300 }),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('any'), { maxLength: 20 }),
        fc.dictionary(fc.string({ maxLength: 60 }), tie('any'), { noNullPrototype: true }),
      ),
    })).any;
    fc.assert(fc.property(value, same), { numRuns: 2_000 });
  });

  it('writes numbers, text, binaries and lists alike at every change of form', () => {
    for (const edge of [0, 0x20, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 2 ** 31, 2 ** 32, 2 ** 53]) {
      for (const offset of [-2, -1, 0, 1, 2]) {
        same(edge + offset);
        same(-edge + offset);
      }
    }
    for (const special of [0.5, -0, Number.NaN, Infinity, -Infinity, 1e300, 5e-324]) same(special);
    for (const length of [0, 1, 31, 32, 47, 48, 49, 255, 256, 65_535, 65_536]) {
      same('x'.repeat(length));
      same('é'.repeat(length));
      same(new Uint8Array(length).fill(7));
      same(new Array(length).fill(0));
    }
    same(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, i])));
    same([undefined, null]);
  });

  it('gives a fresh array each time, also after a message larger than its buffer', () => {
    const first = writer.write('first');
    const large = new Uint8Array(3_000_000).fill(1);
    expect(writer.write(large).length).toBe(large.length + 5);
    expect(writer.write([large, 'x', large]).length).toBe(2 * large.length + 13);
    same('after');
    expect(hex(first)).toBe(hex(libraryEncode('first')));
  });

  it('refuses what is no message, and goes on', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const bad = [1n, () => 1, Symbol('s'), new Date(), new DataView(new ArrayBuffer(1)), cycle];
    for (const value of bad) expect(() => writer.write(value)).toThrow(InvariantViolation);
    same(['still', 'here']);
  });
});
