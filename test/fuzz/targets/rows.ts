import { decodeIndexes, encodeIndexes } from '../../../actors/apply/index-codec.ts';
import {
  decodeVersionLink,
  decodeVersionsHead,
  encodeVersionLink,
  encodeVersionsHead,
  PartSet,
} from '../../../actors/apply/object-codec.ts';
import {
  decodeOpen,
  decodeSegment,
  encodeOpen,
  encodeSegment,
  keyIfHolds,
  keysInSegment,
} from '../../../actors/apply/text-codec.ts';
import { decodePosting, documentsIn, encodePostings } from '../../../actors/apply/trigrams.ts';
import { DecodeError } from '../../../protocol/codec.ts';
import { decodeLease, encodeLease } from '../../../storage/kv/lease-row.ts';
import {
  decodeCount,
  decodeCurrent,
  decodeFeed,
  decodeHead,
  decodeIdempotency,
  decodeMetaState,
  decodeVersion,
  encodeCount,
  encodeFeed,
  encodeIdempotency,
  encodeMetaState,
  encodeTombstone,
  encodeVersion,
  valueOffset,
} from '../../../storage/kv/rows.ts';
import { decodeWholeUsage, encodeWholeUsage } from '../../../storage/kv/usage-rows.ts';
import { Broken, checkAgain, type DecoderTarget } from '../target.ts';

/** Rows of the engine that have layouts of their own. */

function rows<T>(
  name: string,
  seeds: readonly Uint8Array[],
  decode: (bytes: Buffer) => T,
  encode: (value: T) => Uint8Array,
): DecoderTarget {
  return {
    name,
    seeds,
    take: (bytes) => checkAgain(decode(bytes), encode, decode),
    isRefusal: (error) => error instanceof DecodeError,
  };
}

const VERSION = {
  ...{ revision: 4_000_000, createRevision: 3_000_000, version: 2, expiresAtMs: null },
  ...{ contentType: null, value: Buffer.from('a value') },
};
const VERSIONS = [
  encodeVersion(VERSION),
  encodeVersion({
    ...VERSION,
    expiresAtMs: 1_800_000_000_000,
    contentType: 'text/plain',
    lease: 7,
  }),
  encodeTombstone(),
];
const PUT = { type: 'put', revision: 9, createRevision: 8, version: 2 } as const;

export const ROW_TARGETS: readonly DecoderTarget[] = [
  {
    ...rows('version row', VERSIONS, decodeVersion, (row) =>
      row === null ? encodeTombstone() : encodeVersion(row),
    ),
    take(bytes) {
      const row = decodeVersion(bytes);
      if (row === null) return;
      checkAgain(row, encodeVersion, decodeCurrent);
      // Two other ways to look at the same row see the same.
      const head = decodeHead(bytes);
      const isSame =
        head.revision === row.revision &&
        head.expiresAtMs === row.expiresAtMs &&
        head.lease === (row.lease ?? 0);
      if (!isSame) throw new Broken('the head of a row is not that of the row');
      if (bytes.length - valueOffset(bytes) !== row.value.length) {
        throw new Broken('the value of a row is not where it is looked for');
      }
    },
  },
  rows('feed row', [encodeFeed('put', 1, 0), encodeFeed('expire', 9, 8)], decodeFeed, (row) =>
    encodeFeed(row.kind, row.sequence, row.prevRevision),
  ),
  rows('count row', [encodeCount(77)], decodeCount, encodeCount),
  rows(
    'idempotency row',
    [
      encodeIdempotency({
        ...{ revision: 9, requestHash: Buffer.alloc(32, 5) },
        results: [PUT, { type: 'deleted', deleted: true, revision: 3 }],
      }),
    ],
    decodeIdempotency,
    (row) => {
      if (row.outcome === null) return encodeIdempotency(row);
      const head = Buffer.alloc(9, 0xff);
      head.writeBigUInt64BE(BigInt(row.revision), 1);
      return Buffer.concat([head, row.requestHash, row.outcome]);
    },
  ),
  rows(
    'meta row',
    [encodeMetaState({ revision: 3, createRevision: 2, version: 1, json: '{"v":1}' })],
    decodeMetaState,
    encodeMetaState,
  ),
  rows(
    'lease row',
    ['default', 'acme'].map((tenant) =>
      encodeLease({ tenant, ttlMs: 1000, grantRevision: 4, endRevision: 0, why: 'expired' }),
    ),
    decodeLease,
    encodeLease,
  ),
  rows(
    'usage row',
    [encodeWholeUsage({ counts: new Array<number>(10).fill(3), format: 1, appliedIndex: 4 })],
    decodeWholeUsage,
    encodeWholeUsage,
  ),
  rows(
    'versions head',
    [encodeVersionsHead({ newest: 3, nullAt: 0 })],
    decodeVersionsHead,
    encodeVersionsHead,
  ),
  rows(
    'version link',
    [encodeVersionLink({ newer: 3, older: 1 })],
    decodeVersionLink,
    encodeVersionLink,
  ),
  rows(
    'index definitions',
    [encodeIndexes({ epoch: 3, list: [], unique: [] })],
    decodeIndexes,
    encodeIndexes,
  ),
  {
    name: 'set of parts',
    seeds: [new PartSet(null).with(7), new PartSet(new PartSet(null).with(1)).with(10_000)],
    take: (bytes) => {
      const set = new PartSet(bytes);
      const numbers = set.numbers();
      const last = numbers.at(-1);
      if (last !== undefined && !set.has(last)) throw new Broken(`part ${last} is not there`);
    },
    isRefusal: (error) => error instanceof DecodeError,
  },
  {
    ...rows(
      'open document',
      [encodeOpen({ key: 'a/key', revision: 9, value: Buffer.from('text') })],
      decodeOpen,
      encodeOpen,
    ),
    take: (bytes) => {
      keyIfHolds(bytes, Buffer.from('te'));
      checkAgain(decodeOpen(bytes), encodeOpen, decodeOpen);
    },
  },
  {
    ...rows(
      'text segment',
      [
        encodeSegment({
          retiredAt: 0,
          documents: [
            { key: 'a', revision: 4 },
            { key: 'b/c', revision: 9 },
          ],
        }),
      ],
      decodeSegment,
      encodeSegment,
    ),
    take: (bytes) => {
      keysInSegment(bytes, [0, 1, 2]);
      checkAgain(decodeSegment(bytes), encodeSegment, decodeSegment);
    },
  },
  {
    name: 'postings',
    seeds: [
      encodePostings([
        [1, Buffer.from([0, 0, 3])],
        [2, Buffer.from([1, 255])],
      ]),
    ],
    take: (bytes) => {
      const found = [...decodePosting(bytes), ...documentsIn(bytes, 1), ...documentsIn(bytes, 2)];
      if (found.some((number) => !Number.isSafeInteger(number))) throw new Broken('no number');
    },
    isRefusal: () => false,
  },
];
