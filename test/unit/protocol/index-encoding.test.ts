import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../../../protocol/codec.ts';
import {
  decodeEntry,
  encodedEnd,
  encodeNumber,
  encodeString,
  encodeStringPrefix,
  encodeTime,
  encodeValue,
  type IndexValue,
  NULL_COMPONENT,
  timeOf,
} from '../../../protocol/index-encoding.ts';
import { LIMITS } from '../../../protocol/limits.ts';

const number = fc.double({ noNaN: true, noDefaultInfinity: true });
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const withNul = fc.string({
  unit: fc.constantFrom('\0', '\x01', 'a', 'é', '\u{10000}'),
  maxLength: 6,
});

function sign(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Order of code points, which is not that of UTF-16 units. */
function byCodePoints(a: string, b: string): number {
  return Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

describe('an encoded field', () => {
  it('orders numbers as numbers', () => {
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(sign(encodeNumber(a), encodeNumber(b))).toBe(sign(a, b));
        expect(sign(encodeTime(a), encodeTime(b))).toBe(sign(a, b));
      }),
    );
    const ordered = [-Infinity, -1e308, -2, -1, -5e-324, 0, 5e-324, 1, 1.5, 2, 1e308];
    const encoded = ordered.slice(1).map(encodeNumber);
    expect([...encoded].sort()).toEqual(encoded);
    expect(encodeNumber(-0)).toBe(encodeNumber(0));
  });

  it('orders text by code points, whatever is in it', () => {
    fc.assert(
      fc.property(fc.oneof(text, withNul), fc.oneof(text, withNul), (a, b) => {
        expect(sign(encodeString(a), encodeString(b))).toBe(byCodePoints(a, b));
      }),
    );
  });

  it('begins with its encoded prefix exactly when the text does', () => {
    fc.assert(
      fc.property(withNul, withNul, (a, b) => {
        expect(encodeString(a).startsWith(encodeStringPrefix(b))).toBe(a.startsWith(b));
        expect(encodeString(b + a).startsWith(encodeStringPrefix(b))).toBe(true);
      }),
    );
  });

  it('tells long text apart by its first bytes, above all text that ends there', () => {
    const max = LIMITS.indexValueBytesMax;
    const whole = 'x'.repeat(max);
    expect(encodeString(`${whole}a`)).toBe(encodeString(`${whole}b`));
    expect(encodeString(whole) < encodeString(`${whole}a`)).toBe(true);
    expect(encodeString(`${whole}a`) < encodeString(`${whole.slice(1)}y`)).toBe(true);
    const wide = 'é'.repeat(max);
    expect(encodeString(wide)).toBe(encodeString(`${wide}z`));
  });

  it('null comes first; values of another type are none', () => {
    for (const first of [encodeNumber(-1e308), encodeTime(-1e15), encodeString('')]) {
      expect(NULL_COMPONENT < first).toBe(true);
    }
    expect(encodeValue('number', '1')).toBe(null);
    expect(encodeValue('string', 1)).toBe(null);
    expect(encodeValue('time', 'yesterday')).toBe(null);
    expect(encodeValue('time', '2024-05-01T12:00:00')).toBe(null);
  });

  it('times are Unix ms, given as RFC 3339 with a zone, a date, or ms', () => {
    expect(timeOf('2025-01-01')).toBe(1_735_689_600_000);
    expect(timeOf('2025-01-01T01:00:00+01:00')).toBe(1_735_689_600_000);
    expect(timeOf('2025-01-01T00:00:00.25Z')).toBe(1_735_689_600_250);
    expect(timeOf(-5)).toBe(-5);
    expect(timeOf('2025-13-01')).toBe(null);
  });

  it('comes back as it was, one after another', () => {
    const value: fc.Arbitrary<IndexValue> = fc.oneof(number, withNul, text, fc.constant(null));
    fc.assert(
      fc.property(fc.array(value, { maxLength: 5 }), fc.string(), (values, key) => {
        const parts = values.map((one) =>
          one === null
            ? NULL_COMPONENT
            : typeof one === 'string'
              ? encodeString(one)
              : encodeNumber(one),
        );
        const encoded = parts.join('');
        expect(encodedEnd(encoded + key, 0, parts.length)).toBe(encoded.length);
        expect(decodeEntry(encoded)).toEqual(values.map((one) => (one === 0 ? 0 : one)));
      }),
    );
  });

  it('no encoding is a prefix of another, so entries order field by field', () => {
    const pair = fc.tuple(withNul, number);
    fc.assert(
      fc.property(pair, pair, ([a, m], [b, n]) => {
        const order = byCodePoints(a, b) || sign(m, n);
        expect(sign(encodeString(a) + encodeNumber(m), encodeString(b) + encodeNumber(n))).toBe(
          order,
        );
      }),
    );
  });

  it('decoding damage throws DecodeError and nothing else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (bytes) => {
        try {
          decodeEntry(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
    );
    expect(() => encodedEnd('\x02abc', 0, 1)).toThrow(DecodeError);
  });
});
