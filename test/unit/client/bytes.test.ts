import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fitsPath,
  fromBase64,
  keyFields,
  percentEncode,
  queryOf,
  toBase64,
  toBytes,
  valueFields,
} from '../../../client/bytes.ts';

describe('bytes on the way', () => {
  it('base64 there and back is the same', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100_000 }), (bytes) => {
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
      { numRuns: 20 },
    );
  });

  it('a key in a path is decoded to the same bytes and is never a path of its own', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (key) => {
        fc.pre(fitsPath(key));
        const url = new URL(`http://host/v1/kv/${percentEncode(key)}`);
        expect(url.pathname.startsWith('/v1/kv/')).toBe(true);
        expect([...Buffer.from(unescape(url.pathname.slice(7)), 'latin1')]).toEqual([...key]);
      }),
    );
  });

  it('I15 the two names that every URL drops are told apart from the others', () => {
    expect(['.', '..'].map(fitsPath)).toEqual([false, false]);
    expect(['...', '.a', 'a/..', '%2e', './'].map(fitsPath)).toEqual(Array(5).fill(true));
    expect(fitsPath(Uint8Array.of(0x2e))).toBe(false);
  });

  it('what is UTF-8 travels as text, anything else as base64', () => {
    expect(keyFields('ä')).toEqual({ key: 'ä' });
    expect(keyFields(Uint8Array.of(0xc3, 0xa4))).toEqual({ key: 'ä' });
    expect(keyFields(Uint8Array.of(0xff))).toEqual({ keyBase64: '/w==' });
    expect(valueFields(Uint8Array.of(0xff))).toEqual({ base64: '/w==' });
    expect(valueFields('x')).toEqual({ value: 'x' });
  });

  it('text without UTF-8 is refused, not changed', () => {
    expect(() => toBytes('a\ud800')).toThrow(/surrogate/);
  });

  it('a query holds what was given, byte for byte', () => {
    const query = queryOf({ prefix: 'a b+&ä', limit: 3, values: false, end: undefined });
    expect(query).toBe('?prefix=a%20b%2B%26%C3%A4&limit=3&values=false');
  });
});
