import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeOpen,
  decodeSegment,
  encodeOpen,
  encodeSegment,
  keyIfHolds,
  keysInSegment,
} from '../../../../actors/apply/text-codec.ts';
import { DecodeError } from '../../../../protocol/codec.ts';

const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).map((text) => {
  return Buffer.from(text).toString('latin1');
});
const document = fc.record({ key, revision: fc.maxSafeNat() });

describe('rows of a text index', () => {
  it('an open document comes back, and tells whether its value holds some bytes', () => {
    fc.assert(
      fc.property(
        document,
        fc.uint8Array({ max: 3 }),
        fc.uint8Array({ max: 3, maxLength: 3 }),
        (one, value, needle) => {
          const row = encodeOpen({ ...one, value });
          const open = decodeOpen(row);
          expect({ key: open.key, revision: open.revision }).toEqual(one);
          expect(Buffer.from(open.value)).toEqual(Buffer.from(value));
          const holds = Buffer.from(value).includes(Buffer.from(needle));
          expect(keyIfHolds(row, needle)).toBe(holds ? one.key : null);
        },
      ),
    );
  });

  it('a segment comes back, and gives the keys of some of its documents', () => {
    const documents = fc.array(document, { maxLength: 20 });
    fc.assert(
      fc.property(documents, fc.maxSafeNat(), fc.func(fc.boolean()), (all, retiredAt, isWanted) => {
        const row = encodeSegment({ retiredAt, documents: all });
        expect(decodeSegment(row)).toEqual({ retiredAt, documents: all });
        const numbers = [...all.keys()].filter((number) => isWanted(number));
        const keys = numbers.map((number) => all[number]?.key);
        expect(keysInSegment(row, numbers)).toEqual({ retiredAt, keys });
      }),
    );
  });

  it('damage throws DecodeError and nothing else', () => {
    const whole = Buffer.from(
      encodeSegment({ retiredAt: 0, documents: [{ key: 'abc', revision: 1 }] }),
    );
    for (let length = 0; length < whole.length; length++) {
      if (length === 8) continue;
      expect(() => decodeSegment(whole.subarray(0, length))).toThrow(DecodeError);
      expect(() => keysInSegment(whole.subarray(0, length), [0])).toThrow(DecodeError);
    }
    expect(() => decodeOpen(whole.subarray(0, 5))).toThrow(DecodeError);
    expect(() => keyIfHolds(whole.subarray(0, 5), whole)).toThrow(DecodeError);
  });

  it('a revision above 2^53 - 1 is refused, not rounded', () => {
    const open = Buffer.from(encodeOpen({ key: 'a', revision: 1, value: new Uint8Array(0) }));
    open.fill(0xff, 0, 8);
    expect(() => decodeOpen(open)).toThrow(DecodeError);
    const segment = Buffer.from(encodeSegment({ retiredAt: 0, documents: [] }));
    segment.fill(0xff, 0, 8);
    expect(() => decodeSegment(segment)).toThrow(DecodeError);
    expect(() => keysInSegment(segment, [])).toThrow(DecodeError);
  });
});
