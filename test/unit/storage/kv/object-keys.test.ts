import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../../../protocol/codec.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import * as ks from '../../../../storage/kv/keyspace.ts';
import * as ok from '../../../../storage/kv/object-keys.ts';

const PREFIX = ks.generationPrefix(3 as GroupId, 1);
const anyKey = fc
  .array(fc.constantFrom('\x00', '\x01', '\x02', 'a', 'b', '\xfe', '\xff'), {
    minLength: 1,
    maxLength: 6,
  })
  .map((chars) => chars.join(''));
const triple = (key: string): string => ks.tripleOf({ tenant: 't', space: 'bucket', key });
const sign = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

describe('row keys of objects', () => {
  test('versions round-trip, and order by key, then newest first', () => {
    fc.assert(
      fc.property(anyKey, anyKey, fc.maxSafeNat(), fc.maxSafeNat(), (a, b, i, j) => {
        const one = ok.versionKey(PREFIX, triple(a), i);
        const other = ok.versionKey(PREFIX, triple(b), j);
        expect(ok.parseVersionKey(one)).toEqual({ triple: triple(a), putAt: i });
        expect(sign(one, other)).toBe(sign(a, b) || Math.sign(j - i));
      }),
    );
  });

  test('uploads round-trip, and order by key, then id; a range of keys has exactly its own', () => {
    fc.assert(
      fc.property(anyKey, anyKey, fc.constantFrom('u', 'u1', 'x'), (a, b, upload) => {
        const row = ok.uploadKey(PREFIX, triple(a), upload);
        expect(ok.parseUploadKey(row)).toEqual({ triple: triple(a), upload });
        expect(sign(row, ok.uploadKey(PREFIX, triple(b), 'u'))).toBe(
          sign(a, b) || sign(upload, 'u'),
        );
        const [start, end] = ok.objectRange(PREFIX, 'w', { tenant: 't', space: 'bucket' }, b, null);
        expect(row >= start && row < end).toBe(a >= b);
        const [, upTo] = ok.objectRange(PREFIX, 'w', { tenant: 't', space: 'bucket' }, '', b);
        expect(row < upTo).toBe(a < b);
      }),
    );
  });

  test('parts of an upload are together and in order', () => {
    const at = (upload: string, number: number) => ok.partKey(PREFIX, triple('k'), upload, number);
    expect(ok.partOfKey(at('u', 10_000))).toBe(10_000);
    expect(at('u', 0) < at('u', 1) && at('u', 255) < at('u', 256)).toBe(true);
    expect(at('u', 10_000) < at('u1', 1)).toBe(true);
  });

  test('ended data orders by the revision of its end', () => {
    const key = ok.endedDataKey(PREFIX, 4096, 'x'.repeat(16));
    expect(ok.parseEndedDataKey(key)).toEqual({ at: 4096, id: 'x'.repeat(16) });
    expect(key >= ok.endedDataStart(PREFIX, 4096) && key < ok.endedDataStart(PREFIX, 4097)).toBe(
      true,
    );
  });

  test('what is no such key is refused', () => {
    expect(() => ok.parseVersionKey(`${PREFIX}nshort`)).toThrow(DecodeError);
    expect(() => ok.parseUploadKey(`${PREFIX}w`)).toThrow(DecodeError);
    expect(() => ok.parseEndedDataKey(`${PREFIX}E`)).toThrow(DecodeError);
  });
});
