import { decode as libraryDecode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecodeError, packBytes, unpackBytes } from '../../../protocol/codec.ts';

const BOUNDS = { bytesMax: 1 << 20, itemsMax: 1000, depthMax: 16 };
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Everything the wire carries: no floats that are integers in disguise, no undefined. */
const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 300 }),
  ),
  value: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
})).value;

/** Equal up to Buffer or Uint8Array. */
function plain(raw: unknown): unknown {
  if (raw instanceof Uint8Array) return { hex: Buffer.from(raw).toString('hex') };
  if (Array.isArray(raw)) return raw.map(plain);
  if (typeof raw !== 'object' || raw === null) return raw;
  return Object.entries(raw).map(([key, inner]) => [key, plain(inner)]);
}

describe('unpackBytes', () => {
  it('reverses packBytes', () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(plain(unpackBytes(packBytes(v), BOUNDS))).toEqual(plain(v));
      }),
      { numRuns: 500 },
    );
  });

  it('agrees with the library about its own output', () => {
    fc.assert(
      fc.property(value, (v) => {
        const bytes = packBytes(v);
        expect(plain(unpackBytes(bytes, BOUNDS))).toEqual(plain(libraryDecode(bytes)));
      }),
    );
  });

  it('throws only DecodeError, whatever the bytes', () => {
    const tolerant = (bytes: Uint8Array): void => {
      try {
        unpackBytes(bytes, BOUNDS);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), tolerant), { numRuns: 5_000 });
    for (let tag = 0; tag < 256; tag++) {
      for (const tail of ['', '00', 'ff', 'ffffffff', 'ffffffffffffffff', '00000001', '7fffffff']) {
        tolerant(Buffer.concat([Buffer.from([tag]), hex(tail)]));
      }
    }
  });

  it('throws only DecodeError for any damage to a good message', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (v, at, flip) => {
        const bytes = packBytes(v).slice();
        const i = at % bytes.length;
        bytes[i] = (bytes[i] ?? 0) ^ flip;
        try {
          unpackBytes(bytes, BOUNDS);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('I39 refuses the five bytes that would reserve 134 MB, without reserving them', () => {
    const bombs = [
      'dd 00ffffff',
      'dd ffffffff',
      'df 00ffffff',
      'dc ffff',
      'de ffff',
      'c6 7fffffff',
    ];
    const before = process.memoryUsage().rss;
    for (const bomb of bombs) {
      for (let i = 0; i < 20; i++) {
        expect(() => unpackBytes(hex(bomb), { ...BOUNDS, itemsMax: 1 << 25 })).toThrow(DecodeError);
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
  });

  it('refuses many small lists that each declare more than is there', () => {
    const bytes = new Uint8Array(60_000);
    for (let i = 0; i < bytes.length; i += 3) bytes.set([0xdc, 0x03, 0xe8], i);
    expect(() => unpackBytes(bytes, { ...BOUNDS, depthMax: 64 })).toThrow(DecodeError);
  });

  it('I39 refuses a depth of 100,000 at once', () => {
    const deep = new Uint8Array(100_001).fill(0x91);
    deep[100_000] = 0xc0;
    const maps = Buffer.concat([Buffer.from('81a161'.repeat(33_000), 'hex'), hex('c0')]);
    const start = performance.now();
    for (const bytes of [deep, maps]) {
      expect(() => unpackBytes(bytes, BOUNDS)).toThrow(DecodeError);
    }
    expect(performance.now() - start).toBeLessThan(50);
  });

  it('takes exactly the depth and the items it is told', () => {
    const nested = (depth: number): Uint8Array => Buffer.from(`${'91'.repeat(depth)}c0`, 'hex');
    expect(() => unpackBytes(nested(16), BOUNDS)).not.toThrow();
    expect(() => unpackBytes(nested(17), BOUNDS)).toThrow(DecodeError);
    const items = (count: number): Uint8Array => packBytes(new Array(count).fill(0));
    expect(unpackBytes(items(1000), BOUNDS)).toHaveLength(1000);
    expect(() => unpackBytes(items(1001), BOUNDS)).toThrow(DecodeError);
    expect(() => unpackBytes(new Uint8Array(11), { ...BOUNDS, bytesMax: 10 })).toThrow(DecodeError);
  });

  it('I20 refuses __proto__ and leaves the prototype alone', () => {
    const bytes = packBytes({ ['__proto__x']: 1 });
    const attack = Buffer.from(
      Buffer.from(bytes).toString('latin1').replace('\xaa__proto__x', '\xa9__proto__'),
      'latin1',
    );
    expect(() => unpackBytes(attack, BOUNDS)).toThrow(DecodeError);
    expect(unpackBytes(packBytes({ constructor: 1, prototype: 2, toString: 3 }), BOUNDS)).toEqual({
      constructor: 1,
      prototype: 2,
      toString: 3,
    });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('refuses bytes after the message, a cut message and extension types', () => {
    for (const bad of [
      'c0c0',
      '',
      '92c0',
      'a3 6162',
      'c7 01 01 00',
      'd4 01 00',
      'd6 ff 00000000',
      'c1',
    ]) {
      expect(() => unpackBytes(hex(bad), BOUNDS)).toThrow(DecodeError);
    }
  });

  it('I21 never changes a value silently: bad UTF-8, unsafe integers and other keys are refused', () => {
    const bad = [
      'a2 c328', // not UTF-8
      'a3 eda080', // a surrogate
      'd9 02 c0af', // overlong
      'cf 0020000000000001', // 2^53 + 1
      'd3 ffdfffffffffffff', // below -2^53
      '81 01 02', // a map key that is a number
      '81 c0 02',
      '82 a161 01 a161 02', // the same key twice
    ];
    for (const bytes of bad) expect(() => unpackBytes(hex(bytes), BOUNDS)).toThrow(DecodeError);
    expect(unpackBytes(hex('cf 001fffffffffffff'), BOUNDS)).toBe(Number.MAX_SAFE_INTEGER);
    expect(unpackBytes(hex('d3 ffe0000000000001'), BOUNDS)).toBe(Number.MIN_SAFE_INTEGER);
  });
});
