import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../../../gateways/http/strict-json.ts';
import { parseMsgpack } from '../../../../gateways/http/strict-msgpack.ts';
import { percentDecode, queryOf, routedUrl } from '../../../../gateways/http/url.ts';
import { decodeCursor, encodeCursor } from '../../../../gateways/kv/cursor.ts';
import { packBytes } from '../../../../protocol/codec.ts';
import { AppError } from '../../../../protocol/errors.ts';

const json = (text: string): unknown => parseJson(Buffer.from(text));

describe('strict JSON', () => {
  it('gives what JSON.parse gives for any document it takes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        try {
          expect(json(text)).toEqual(JSON.parse(text));
        } catch (error) {
          // Numbers beyond 2^53 and lone surrogates only.
          expect(error).toBeInstanceOf(AppError);
          expect(text).toMatch(/\d{16}|e\+?\d|\\ud/i);
        }
      }),
    );
  });
  it('says the same of a short text as of a long one', () => {
    const space = fc.constantFrom('', ' ', '\n\t');
    const name = fc.constantFrom('a', 'b', 'a:', ' :', '__proto__', '1');
    const leaf = fc.constantFrom(
      '1',
      '-0.5',
      '9007199254740993',
      '1e400',
      '":"',
      '"x : y"',
      'null',
    );
    const { value } = fc.letrec<{ value: string; object: string; list: string }>((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, leaf, tie('object'), tie('list')),
      object: fc
        .array(fc.tuple(name, space, tie('value')), { maxLength: 4 })
        .map((all) => `{${all.map(([key, gap, one]) => `"${key}"${gap}:${gap}${one}`).join(',')}}`),
      list: fc.array(tie('value'), { maxLength: 4 }).map((all) => `[${all.join(', ')}]`),
    }));
    const verdict = (text: string): unknown => {
      try {
        return json(text);
      } catch (error) {
        return (error as AppError).message;
      }
    };
    const seen = new Set<string>();
    fc.assert(
      fc.property(value, (text) => {
        const short = verdict(text);
        expect(short).toEqual(verdict(text + ' '.repeat(5_000)));
        seen.add(typeof short === 'string' ? short : 'taken');
      }),
      { numRuns: 3_000 },
    );
    expect([...seen]).toContain('an object has the same name twice');
    expect([...seen]).toContain('taken');
    for (const flaw of ['{"a":1,"a":2}', '{"a":1,"a" :2}', '{"a":{"b":1,"b":":"}}', '[1e16]']) {
      expect(() => json(flaw), flaw).toThrow(AppError);
    }
    expect(json('{"a":"b\\":c","d":"e:"}')).toEqual({ a: 'b":c', d: 'e:' });
  });
  it('throws nothing but malformed, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        for (const parse of [parseJson, parseMsgpack]) {
          try {
            parse(bytes);
          } catch (error) {
            expect((error as AppError).code).toBe('malformed');
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
  it('keeps __proto__ as a name and pollutes nothing', () => {
    const value = json('{"__proto__":{"polluted":1},"constructor":{"prototype":{}}}') as object;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
  });
  it('takes equal names in different objects and 64 levels', () => {
    expect(json('[{"a":1},{"a":{"a":2}}]')).toEqual([{ a: 1 }, { a: { a: 2 } }]);
    expect(() => json('['.repeat(64) + ']'.repeat(64))).not.toThrow();
    expect(() => json('['.repeat(65) + ']'.repeat(65))).toThrow('nested too deep');
  });
});

describe('strict MessagePack', () => {
  it('gives back any document', () => {
    const names = fc.dictionary(
      fc.string().filter((name) => name !== '__proto__'),
      fc.oneof(fc.string(), fc.maxSafeInteger(), fc.boolean(), fc.uint8Array()),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(fc.array(names), (value) => {
        expect(parseMsgpack(packBytes(value))).toEqual(value);
      }),
    );
  });
  it('takes halves, and no number that JSON could not carry, however deep it is', () => {
    const float = (value: number): Buffer => {
      const bytes = Buffer.alloc(9, 0xcb);
      bytes.writeDoubleBE(value, 1);
      return bytes;
    };
    expect(parseMsgpack(float(0.5))).toBe(0.5);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1e300, 2 ** 53]) {
      // Alone, in a list, and in {"a": [..]}.
      const list = Buffer.concat([Buffer.from([0x91]), float(bad)]);
      for (const bytes of [
        float(bad),
        list,
        Buffer.concat([Buffer.from([0x81, 0xa1, 0x61]), list]),
      ]) {
        expect(() => parseMsgpack(bytes)).toThrow('beyond 2^53');
      }
    }
  });
  it('refuses what strict JSON refuses: bytes that are no text, a name twice, other names', () => {
    const cases = [
      'a2c328',
      '82a16101a16102',
      '8101c0',
      'cf0020000000000000',
      'd3ffe0000000000000',
    ];
    for (const hex of cases) {
      expect(() => parseMsgpack(Buffer.from(hex, 'hex')), hex).toThrow(AppError);
    }
  });
});

describe('URLs', () => {
  it('any bytes come back from their escapes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        const text = [...bytes].map((b) => `%${b.toString(16).padStart(2, '0')}`).join('');
        expect(Buffer.from(percentDecode(text), 'latin1')).toEqual(Buffer.from(bytes));
      }),
    );
  });
  it('are decoded once', () => {
    expect(percentDecode('%252e')).toBe('%2e');
    expect(queryOf('/x?a=%252b&b=1+2&c')).toEqual({ a: '%2b', b: '1 2', c: '' });
  });
  it('with a key are routed without it', () => {
    expect(routedUrl('/v1/kv/a/b?x=1')).toBe('/v1/kv/k');
    expect(routedUrl('/%ff')).toBe('/k');
    expect(routedUrl('/v1/kv?prefix=%ff')).toBe('/v1/kv?prefix=%ff');
  });
});

describe('cursors', () => {
  const range = { start: 'a', end: 'b', reverse: false };
  it('come back for their range only', () => {
    const text = encodeCursor({ revision: 5, next: 'a\xff\0' }, range);
    expect(decodeCursor(text, range)).toEqual({ revision: 5, next: 'a\xff\0' });
    for (const other of [
      { ...range, start: 'a0' },
      { ...range, end: null },
      { ...range, reverse: true },
    ]) {
      expect(() => decodeCursor(text, other)).toThrow(AppError);
    }
  });
  it('any change of one is refused', () => {
    const text = encodeCursor({ revision: 5, next: 'abc' }, range);
    for (let i = 0; i < text.length; i++) {
      const changed = `${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`;
      expect(() => decodeCursor(changed, range)).toThrow(AppError);
    }
  });
});
