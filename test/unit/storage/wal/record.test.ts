import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_HEADER_BYTES,
  BatchBuffer,
  markerBytes,
  nextMagic,
  readHeader,
  readPayload,
  visitRecords,
} from '../../../../storage/wal/record.ts';

const WAL_ID = Buffer.from('0123456789abcdef', 'hex');
const record = fc.record({
  stream: fc.integer({ min: 0, max: 0xffff_ffff }),
  payload: fc.uint8Array({ maxLength: 300 }),
});
const position = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

function sealed(records: { stream: number; payload: Uint8Array }[], at: number): Buffer {
  const batch = new BatchBuffer(null);
  for (const item of records) batch.add(item);
  return Buffer.from(batch.seal(WAL_ID, at, at));
}

describe('WAL batch', () => {
  it('encode then decode is identity, for every position up to 2^53 - 1', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), position, (records, at) => {
        const bytes = sealed(records, at);
        const header = readHeader(bytes, 0, WAL_ID)!;
        expect(header).toMatchObject({ position: at, syncedPosition: at });
        expect(header.recordCount).toBe(records.length);
        const payload = readPayload(bytes, 0, header) as Buffer;
        const seen: { stream: number; payload: Uint8Array }[] = [];
        visitRecords(payload, header.recordCount, 0, (stream, view) => {
          seen.push({ stream, payload: new Uint8Array(view) });
        });
        expect(seen).toEqual(records);
      }),
    );
  });

  it('a header is read only where it is whole, of this WAL, and unchanged', () => {
    fc.assert(
      fc.property(fc.nat(BATCH_HEADER_BYTES - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const marker = Buffer.from(markerBytes(WAL_ID, 4096));
        expect(readHeader(marker, 0, WAL_ID)?.recordCount).toBe(0);
        expect(readHeader(marker, 0, Buffer.alloc(8))).toBeNull();
        expect(readHeader(marker.subarray(0, at), 0, WAL_ID)).toBeNull();
        marker[at] = marker[at]! ^ mask;
        expect(readHeader(marker, 0, WAL_ID)).toBeNull();
      }),
    );
  });

  it('any flipped bit in a payload is found', () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.nat(7), (item, offset, bit) => {
        const bytes = sealed([item], 0);
        const at = BATCH_HEADER_BYTES + (offset % (bytes.length - BATCH_HEADER_BYTES));
        bytes[at] = bytes[at]! ^ (1 << bit);
        const header = readHeader(bytes, 0, WAL_ID)!;
        expect(readPayload(bytes, 0, header)).toBe('payload checksum');
        expect(readPayload(bytes.subarray(0, bytes.length - 1), 0, header)).toBe('cut short');
      }),
    );
  });

  it('arbitrary bytes are no header and never an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(50), (noise, at) => {
        const bytes = Buffer.concat([noise, Buffer.from('MKWB'), noise]);
        expect(nextMagic(bytes, 0)).toBeGreaterThanOrEqual(0);
        expect(readHeader(bytes, at, WAL_ID)).toBeNull();
      }),
    );
  });

  it('a reused buffer holds nothing of the batch before', () => {
    const batch = new BatchBuffer(null);
    batch.add({ stream: 1, payload: Buffer.alloc(5_000_000, 1) });
    batch.seal(WAL_ID, 0, 0);
    batch.reset();
    expect(batch.byteLength).toBe(0);
    batch.add({ stream: 2, payload: Buffer.from('x') });
    const bytes = Buffer.from(batch.seal(WAL_ID, 7, 7));
    expect(bytes.length).toBe(batch.byteLength);
    expect(readHeader(bytes, 0, WAL_ID)).toMatchObject({ position: 7, recordCount: 1 });
  });
});
