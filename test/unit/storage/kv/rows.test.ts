import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeTxnRequest } from '../../../../actors/apply/txn-request.ts';
import { DecodeError } from '../../../../protocol/codec.ts';
import type { OpResult } from '../../../../protocol/commands.ts';
import { decodeLease, encodeLease } from '../../../../storage/kv/lease-row.ts';
import * as rows from '../../../../storage/kv/rows.ts';

const count = fc.maxSafeNat();
const bytes = fc.uint8Array({ maxLength: 40 });
const version: fc.Arbitrary<rows.VersionRow> = fc.record({
  revision: count,
  createRevision: count,
  version: count,
  expiresAtMs: fc.option(count),
  contentType: fc.option(fc.string({ maxLength: 20 })),
  value: bytes,
  lease: count,
});
const result: fc.Arbitrary<OpResult> = fc.oneof(
  fc.record({
    type: fc.constant('put' as const),
    revision: count,
    createRevision: count,
    version: count,
  }),
  fc.record({ type: fc.constant('deleted' as const), deleted: fc.boolean(), revision: count }),
  fc.record({ type: fc.constant('precondition_failed' as const), revision: count }),
  fc.record({ type: fc.constant('wrong_shard' as const), epoch: count }),
  fc.record({ type: fc.constant('lease_stale' as const), revision: count }),
);
const idempotency: fc.Arbitrary<rows.IdempotencyRow> = fc.record({
  revision: count,
  requestHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  results: fc.array(result, { maxLength: 5 }),
  outcome: fc.constant(null),
});
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, v) =>
      v?.type === 'Buffer' ? v.data : v instanceof Uint8Array ? [...v] : v,
    ),
  );

describe('rows', () => {
  test('a version round-trips with and without expiry, type and value', () => {
    fc.assert(
      fc.property(version, (row) => {
        expect(plain(rows.decodeVersion(rows.encodeVersion(row)))).toEqual(plain(row));
      }),
    );
  });

  test('the head of a version is what the version says, whatever else is in it', () => {
    fc.assert(
      fc.property(version, (row) => {
        const { contentType: _type, value: _value, ...head } = row;
        expect(rows.decodeHead(rows.encodeVersion(row))).toEqual(head);
      }),
    );
  });

  test('a lease round-trips', () => {
    const lease = fc.record({
      tenant: fc.constantFrom('default', 'acme', 'a', 'a'.repeat(32)),
      ttlMs: count,
      grantRevision: count,
      endRevision: count,
      why: fc.constantFrom('expired' as const, 'revoked' as const),
    });
    fc.assert(
      fc.property(lease, (row) => {
        expect(decodeLease(encodeLease(row))).toEqual(row);
      }),
    );
    expect(() => decodeLease(rows.encodeCounts([1, 2, 3, 4]))).toThrow(DecodeError);
    // Those of the cluster's own tenant are as they were before there were others.
    const old = rows.encodeCounts([1, 2, 3, 1]);
    expect(encodeLease(decodeLease(old))).toEqual(old);
    expect(decodeLease(old).tenant).toBe('default');
    for (const name of ['default', '\xff']) {
      const row = Buffer.concat([old, Buffer.from(name, 'latin1')]);
      expect(() => decodeLease(row)).toThrow(DecodeError);
    }
    expect(() => decodeLease(old.subarray(0, 31))).toThrow(DecodeError);
  });

  test('a tombstone is no version and no current row', () => {
    expect(rows.decodeVersion(rows.encodeTombstone())).toBeNull();
    expect(() => rows.decodeCurrent(rows.encodeTombstone())).toThrow(DecodeError);
  });

  test('a transaction under an idempotency key round-trips', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(count, hash, bytes, (revision, requestHash, outcome) => {
        const row = encodeTxnRequest(revision, requestHash, outcome);
        const want = { revision, requestHash, results: [], outcome };
        expect(plain(rows.decodeIdempotency(row))).toEqual(plain(want));
      }),
    );
  });

  test('idempotency rows round-trip with every kind of result', () => {
    fc.assert(
      fc.property(idempotency, (row) => {
        expect(plain(rows.decodeIdempotency(rows.encodeIdempotency(row)))).toEqual(plain(row));
      }),
    );
  });

  test('feed, count, counts and meta rows round-trip', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...rows.FEED_KINDS),
        count,
        count,
        fc.string(),
        (kind, a, b, json) => {
          expect(rows.decodeFeed(rows.encodeFeed(kind, a, b))).toEqual({
            kind,
            sequence: a,
            prevRevision: b,
          });
          expect(rows.decodeCount(rows.encodeCount(a))).toBe(a);
          expect(rows.decodeCounts(rows.encodeCounts([a, b]), 2)).toEqual([a, b]);
          const row = { revision: a, createRevision: b, version: 1, json };
          expect(rows.decodeMetaState(rows.encodeMetaState(row))).toEqual(row);
        },
      ),
    );
  });

  test('decoding any bytes, or a cut row, gives a row or DecodeError, nothing else', () => {
    const decoders: ((bytes: Uint8Array) => unknown)[] = [
      rows.decodeVersion,
      rows.decodeCurrent,
      rows.decodeFeed,
      rows.decodeCount,
      rows.decodeIdempotency,
      rows.decodeMetaState,
      (b) => rows.decodeCounts(b, 2),
    ];
    const cut = fc
      .tuple(
        fc.oneof(version.map(rows.encodeVersion), idempotency.map(rows.encodeIdempotency)),
        fc.nat(60),
      )
      .map(([row, length]) => row.subarray(0, length));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), cut), (input) => {
        for (const decode of decoders) {
          try {
            decode(input);
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
