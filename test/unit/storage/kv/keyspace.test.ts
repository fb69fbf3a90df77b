import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../../../protocol/codec.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import type { KeyRef } from '../../../../protocol/vshard.ts';
import * as ks from '../../../../storage/kv/keyspace.ts';

const GROUP = 3 as GroupId;
const PREFIX = ks.generationPrefix(GROUP, 1);

/** Few characters, many of them the ones that escaping and separators are about. */
const anyKey = fc
  .array(fc.constantFrom('\x00', '\x01', '\x02', 'a', 'b', '\xfe', '\xff'), {
    minLength: 1,
    maxLength: 6,
  })
  .map((chars) => chars.join(''));
const anyName = fc.constantFrom('a', 'ab', 'b', 'A-.', 'z_0');
const anyRef: fc.Arbitrary<KeyRef> = fc.record({ tenant: anyName, space: anyName, key: anyKey });
const anyCount = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.maxSafeNat(),
  fc.constantFrom(0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER),
);

const sign = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const bySegments = (a: KeyRef, b: KeyRef): number =>
  sign(a.tenant, b.tenant) || sign(a.space, b.space) || sign(a.key, b.key);

describe('integers in row keys', () => {
  test('u64 round-trips and orders by value', () => {
    fc.assert(
      fc.property(anyCount, anyCount, (a, b) => {
        expect(ks.u64(a)).toHaveLength(8);
        expect(ks.readU64(ks.u64(a), 0)).toBe(a);
        expect(sign(ks.u64(a), ks.u64(b))).toBe(Math.sign(a - b));
      }),
    );
  });

  test('a cut or too large u64 is refused', () => {
    expect(() => ks.readU64('\x00\x00', 0)).toThrow(DecodeError);
    expect(() => ks.readU64('\xff'.repeat(8), 0)).toThrow(DecodeError);
  });
});

describe('triples', () => {
  test('and row keys are functions of what they are made of, whatever was asked for in between', () => {
    const refs = Array.from({ length: 3_000 }, (_, i) => ({
      tenant: i % 7 === 0 ? 'other' : 'default',
      space: i % 11 === 0 ? 'objects' : 'kv',
      key: `${'x'.repeat(i % 13 === 0 ? 250 : i % 5)}${i % 600}`,
    }));
    for (const ref of [...refs, ...refs.reverse()]) {
      const triple = `${ref.tenant}\x00${ref.space}\x00${ref.key}`;
      expect(ks.tripleOf(ref)).toBe(triple);
      for (const prefix of [PREFIX, `${PREFIX}2`]) {
        expect(ks.currentKey(prefix, triple)).toBe(`${prefix}c${triple}`);
      }
    }
    expect(ks.tripleOf({ tenant: '', space: '', key: '' })).toBe('\x00\x00');
    expect(ks.currentKey('', '')).toBe('c');
  });

  test('round-trip for every key, and order by tenant, space, key', () => {
    fc.assert(
      fc.property(anyRef, anyRef, (a, b) => {
        expect(ks.refOfTriple(ks.tripleOf(a))).toEqual(a);
        const order = sign(
          ks.currentKey(PREFIX, ks.tripleOf(a)),
          ks.currentKey(PREFIX, ks.tripleOf(b)),
        );
        expect(order).toBe(bySegments(a, b));
      }),
    );
  });

  test.each(['', 'a', 'a\x00b', 'a\x00b\x00', '\x00b\x00c', 'a\x00\x00c'])(
    '%j is no triple',
    (text) => {
      expect(ks.refOfTriple(text)).toBeNull();
      expect(() => ks.refOfStoredTriple(text)).toThrow(DecodeError);
    },
  );
});

describe('history rows', () => {
  test('round-trip, and order by key and then newest first', () => {
    fc.assert(
      fc.property(anyRef, anyCount, anyRef, anyCount, (a, ra, b, rb) => {
        const rowA = ks.historyKey(PREFIX, ks.tripleOf(a), ra);
        const rowB = ks.historyKey(PREFIX, ks.tripleOf(b), rb);
        expect(ks.parseHistoryKey(rowA)).toEqual({ triple: ks.tripleOf(a), revision: ra });
        expect(sign(rowA, rowB)).toBe(bySegments(a, b) || Math.sign(rb - ra));
      }),
      { numRuns: 1000 },
    );
  });

  test('the head and the end of one triple enclose its rows and no others', () => {
    fc.assert(
      fc.property(anyRef, anyRef, anyCount, (a, b, revision) => {
        const row = ks.historyKey(PREFIX, ks.tripleOf(b), revision);
        const head = ks.historyHead(PREFIX, ks.tripleOf(a));
        const inside = row >= head && row < ks.historyAfter(PREFIX, ks.tripleOf(a));
        expect(inside).toBe(bySegments(a, b) === 0);
        expect(row.startsWith(head)).toBe(inside);
      }),
      { numRuns: 1000 },
    );
  });

  test('a malformed row key is refused', () => {
    expect(() => ks.parseHistoryKey(`${PREFIX}h`)).toThrow(DecodeError);
    expect(() => ks.parseHistoryKey(`${PREFIX}ha\x00b\x00c12345678`)).toThrow(DecodeError);
  });
});

describe('a range of a space', () => {
  test('holds exactly the keys in [start, end) of that space, current and history alike', () => {
    const bound = fc.option(anyKey, { nil: null });
    fc.assert(
      fc.property(
        anyRef,
        anyName,
        anyName,
        fc.option(anyKey, { nil: '' }),
        bound,
        (ref, tenant, space, start, end) => {
          const wanted =
            ref.tenant === tenant &&
            ref.space === space &&
            ref.key >= start &&
            (end === null || ref.key < end);
          const triple = ks.tripleOf(ref);
          const [c0, c1] = ks.spaceRange(PREFIX, 'c', { tenant, space }, start, end);
          const current = ks.currentKey(PREFIX, triple);
          expect(current >= c0 && current < c1).toBe(wanted);
          const [h0, h1] = ks.spaceRange(PREFIX, 'h', { tenant, space }, start, end);
          const past = ks.historyKey(PREFIX, triple, 7);
          expect(past >= h0 && past < h1).toBe(wanted);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('the other kinds', () => {
  test('feed rows round-trip and order by revision, vshard, key', () => {
    const place = fc.tuple(anyCount, fc.integer({ min: 0, max: 255 }), anyRef);
    fc.assert(
      fc.property(place, place, ([ra, va, a], [rb, vb, b]) => {
        const rowA = ks.feedKey(PREFIX, ra, va, ks.tripleOf(a));
        const rowB = ks.feedKey(PREFIX, rb, vb, ks.tripleOf(b));
        expect(ks.parseFeedKey(rowA)).toEqual({ revision: ra, vshard: va, triple: ks.tripleOf(a) });
        expect(sign(rowA, rowB)).toBe(Math.sign(ra - rb) || Math.sign(va - vb) || bySegments(a, b));
        expect(rowA >= ks.feedStart(PREFIX, ra)).toBe(true);
      }),
    );
    expect(() => ks.parseFeedKey(ks.feedStart(PREFIX, 1))).toThrow(DecodeError);
  });

  test('expiry, idempotency and meta rows round-trip', () => {
    fc.assert(
      fc.property(anyCount, anyRef, fc.string({ unit: 'grapheme' }), (n, ref, name) => {
        const triple = ks.tripleOf(ref);
        expect(ks.parseExpiryKey(ks.expiryKey(PREFIX, n, triple))).toEqual({
          expiresAtMs: n,
          triple,
        });
        const request = ks.idempotencyName(255, ref.tenant, ref.key);
        expect(ks.parseIdempotencyAgeKey(ks.idempotencyAgeKey(PREFIX, n, request))).toEqual({
          revision: n,
          name: request,
        });
        const metaKey = ks.metaStateKey(PREFIX, name);
        expect(ks.metaStateName(metaKey)).toBe(name);
        expect([...metaKey].every((c) => c.charCodeAt(0) < 256)).toBe(true);
      }),
    );
  });

  test('groups and generations do not overlap, and the pointer row is in none of them', () => {
    for (const group of [0, 1, 255, 256] as GroupId[]) {
      for (const generation of [1, 2, 255, 256, ks.GENERATION_MAX]) {
        const [start, end] = ks.generationRange(group, generation);
        const row = ks.currentKey(ks.generationPrefix(group, generation), '\xff\xff');
        expect(row >= start && row < end).toBe(true);
        expect(ks.generationOf(row)).toBe(generation);
        expect(ks.pointerKey(group) >= start && ks.pointerKey(group) < end).toBe(false);
        const next = ks.generationPrefix((group + 1) as GroupId, 1);
        expect(next >= end).toBe(true);
      }
    }
  });
});
