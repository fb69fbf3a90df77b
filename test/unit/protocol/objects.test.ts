import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../../protocol/codec.ts';
import {
  decodeRecord,
  drawnAtMs,
  encodeRecord,
  isBucketName,
  markerRecord,
  NO_HEAD,
  type ObjectRecord,
  parseVersionId,
  versionIdOf,
} from '../../../protocol/objects.ts';

const RECORD: ObjectRecord = {
  ...{ putAt: 12_345_678_901_234, isNull: false, isMarker: false, size: 7, etag: 'abc-2' },
  checksum: { algorithm: 'crc64nvme', kind: 'full', value: new Uint8Array(8).fill(3) },
  head: {
    ...NO_HEAD,
    contentType: 'text/plain',
    metadata: [{ name: 'a', value: 'é' }],
    retention: { mode: 'compliance', untilMs: 1_800_000_000_000 },
    legalHold: true,
    owner: 'c'.repeat(64),
  },
  pieces: [
    { number: 1, size: 5, data: new Uint8Array(16), bytes: 5, chunkBytes: 4, checksum: null },
    { number: 2, size: 2, data: null, bytes: 0, chunkBytes: 0, checksum: new Uint8Array(4) },
  ],
  upload: 'u-1',
};

describe('object records', () => {
  test('round-trip, and damaged bytes are refused', () => {
    const bytes = encodeRecord(RECORD);
    expect(decodeRecord(bytes)).toEqual(RECORD);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeRecord(bytes.subarray(0, end))).toThrow(DecodeError);
    }
    const marker = markerRecord(5, true);
    expect(decodeRecord(encodeRecord(marker))).toEqual(marker);
  });

  test('version ids are 13 digits that name the put, or null', () => {
    for (const putAt of [1, 12_345_678_901_234, Number.MAX_SAFE_INTEGER]) {
      const id = versionIdOf({ putAt, isNull: false });
      expect(id).toMatch(/^[0-9a-v]{13}$/);
      expect(parseVersionId(id)).toBe(putAt);
    }
    expect(versionIdOf({ putAt: 7, isNull: true })).toBe('null');
    expect(parseVersionId('null')).toBe('null');
    for (const bad of ['', 'Null', '1', 'v'.repeat(13), '0'.repeat(14), '00000000000W0']) {
      expect(parseVersionId(bad)).toBeNull();
    }
  });

  test('a data id says when it was drawn', () => {
    const id = Buffer.alloc(16, 0xff);
    id.writeUIntBE(1_763_900_000_123, 0, 6);
    expect(drawnAtMs(id)).toBe(1_763_900_000_123);
    expect(() => drawnAtMs(id.subarray(1))).toThrow(DecodeError);
  });

  test('no bucket is called like a space of keys', () => {
    for (const name of ['kv', 'ab', 'a_b', 'A-b', '-ab', 'ab.', 'x'.repeat(64)]) {
      expect(isBucketName(name)).toBe(false);
    }
    for (const name of ['abc', 'a.b-c', 'x'.repeat(63)]) expect(isBucketName(name)).toBe(true);
  });
});
