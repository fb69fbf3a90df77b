import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  comparePositions,
  decodeToken,
  encodeToken,
  positionAfter,
  positionOf,
} from '../../../../actors/apply/position.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { Position } from '../../../../protocol/messages/request.ts';
import { feedKey, generationPrefix, tripleOf } from '../../../../storage/kv/keyspace.ts';
import { AppliedGroup, GROUP, put, ref } from '../../../kit/applied-group.ts';

const triple = fc.oneof(
  fc.constant(''),
  fc.constantFrom('a', 'a\x00', 'a\x00\x00', '\xff', 'b').map((key) => tripleOf(ref(key))),
);
const position: fc.Arbitrary<Position> = fc.record({
  revision: fc.oneof(fc.nat(3), fc.maxSafeNat()),
  vshard: fc.nat(255),
  triple,
});

describe('positions', () => {
  test('order as feed rows do, totally', () => {
    const prefix = generationPrefix(GROUP, 1);
    fc.assert(
      fc.property(position, position, (a, b) => {
        const rowA = feedKey(prefix, a.revision, a.vshard, a.triple);
        const rowB = feedKey(prefix, b.revision, b.vshard, b.triple);
        expect(comparePositions(a, b)).toBe(rowA < rowB ? -1 : rowA > rowB ? 1 : 0);
        expect(comparePositions(b, a)).toBe(-comparePositions(a, b) + 0);
      }),
    );
  });

  test('positionAfter stands between the events of its revision and those of the next', () => {
    const after = positionAfter(7);
    expect(comparePositions({ revision: 7, vshard: 255, triple: '\xff' }, after)).toBe(-1);
    expect(comparePositions({ revision: 8, vshard: 0, triple: '' }, after)).toBe(1);
  });

  test('B22 equal timestamps: no two events of a group stand at one position', () => {
    const group = new AppliedGroup();
    const events = ['a', 'b', 'a', 'a'].flatMap(
      (key) => group.write([put(key, 'v', { ttlMs: 0 })]).events,
    );
    const tokens = events.map((event) => encodeToken(positionOf(event)));
    expect(new Set(tokens).size).toBe(events.length);
  });
});

describe('resume tokens', () => {
  test('round-trip', () => {
    fc.assert(
      fc.property(fc.oneof(position, fc.nat().map(positionAfter)), (p) => {
        expect(decodeToken(encodeToken(p))).toEqual(p);
      }),
    );
    const longest = tripleOf({
      tenant: 't'.repeat(64),
      space: 's'.repeat(64),
      key: 'k'.repeat(LIMITS.keyBytesMax),
    });
    const p = { revision: Number.MAX_SAFE_INTEGER, vshard: 255, triple: longest };
    expect(decodeToken(encodeToken(p))).toEqual(p);
  });

  test('anything else is null and never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.uint8Array({ maxLength: 30 }).map((b) => Buffer.from(b).toString('base64url')),
        ),
        (text) => {
          const decoded = decodeToken(text);
          if (decoded !== null) expect(encodeToken(decoded)).toBe(text);
        },
      ),
      { numRuns: 1000 },
    );
    const good = encodeToken({ revision: 5, vshard: 1, triple: tripleOf(ref('k')) });
    const bad = ['', 'AA', `${good}=`, `${good}A`, ` ${good}`, good.slice(1), 'A'.repeat(100_000)];
    for (const text of bad) expect(decodeToken(text)).toBeNull();
    expect(decodeToken(encodeToken({ revision: 5, vshard: 300, triple: '' }))).toBeNull();
    expect(decodeToken(encodeToken({ revision: 5, vshard: 1, triple: 'no-triple' }))).toBeNull();
    expect(
      decodeToken(encodeToken({ revision: 5, vshard: 256, triple: tripleOf(ref('k')) })),
    ).toBeNull();
  });
});
