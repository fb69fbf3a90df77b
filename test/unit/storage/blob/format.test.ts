import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../protocol/limits.ts';
import {
  BLOCK_BYTES,
  BlockSums,
  blockCount,
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
} from '../../../../storage/blob/format.ts';
import { chunkAt, pathOfChunk } from '../../../../storage/blob/paths.ts';
import { Room } from '../../../../storage/blob/room.ts';
import { crc32c } from '../../../../storage/checksum.ts';
import { bytesOf, chunkOf } from '../../../conformance/blob-store.ts';

const name = chunkOf(1_800_000_000_000, 1, 77);

describe("a chunk's checksums", () => {
  it('are those of its bytes and blocks, in whatever pieces they came', () => {
    fc.assert(
      fc.property(
        fc.nat(4 * BLOCK_BYTES),
        fc.array(fc.integer({ min: 1, max: 2 * BLOCK_BYTES }), { maxLength: 20 }),
        (length, cuts) => {
          const bytes = bytesOf(length, 3);
          const sums = new BlockSums();
          let at = 0;
          for (const cut of [...cuts, length]) {
            sums.add(bytes.subarray(at, at + cut));
            at = Math.min(length, at + cut);
          }
          sums.add(bytes.subarray(at));
          expect(sums.sum).toEqual({ bytes: length, crc: crc32c(bytes) });
          const blocks = Array.from({ length: blockCount(length) }, (_, i) =>
            crc32c(bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES)),
          );
          expect(sums.blockCrcs).toEqual(blocks);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('the header', () => {
  const blockCrcs = Array.from(
    { length: blockCount(LIMITS.blobChunkBytesMax) },
    (_, i) => (i * 2654435761) >>> 0,
  );
  const header = { name, sum: { bytes: LIMITS.blobChunkBytesMax, crc: 0xdead_beef }, blockCrcs };

  it('comes back as it was, of the largest chunk too', () => {
    expect(decodeHeader(encodeHeader(header))).toEqual(header);
    const empty = { name, sum: { bytes: 0, crc: 0 }, blockCrcs: [] };
    expect(decodeHeader(encodeHeader(empty))).toEqual(empty);
  });

  it('with any bit changed, or any other bytes, is refused with a reason', () => {
    fc.assert(
      fc.property(fc.nat(HEADER_BYTES - 1), fc.nat(7), (at, bit) => {
        const bytes = Uint8Array.from(encodeHeader(header));
        bytes[at]! ^= 1 << bit;
        expect(typeof decodeHeader(bytes)).toBe('string');
      }),
    );
    for (const length of [0, 100, HEADER_BYTES]) {
      expect(typeof decodeHeader(new Uint8Array(length))).toBe('string');
    }
  });

  it('of another version, or of a chunk that is too long, is refused', () => {
    const forged = (offset: number, value: number) => {
      const bytes = Buffer.from(encodeHeader(header));
      bytes.writeUInt32LE(value, offset);
      bytes.writeUInt32LE(0, 40);
      bytes.writeUInt32LE(crc32c(bytes), 40);
      return decodeHeader(bytes);
    };
    expect(forged(4, 2)).toBe('it was written by another version');
    expect(forged(36, 4096)).toBe('it was written by another version');
    expect(forged(28, LIMITS.blobChunkBytesMax + 1)).toBe('it is longer than a chunk may be');
  });
});

describe('paths', () => {
  it('lead back to their names, and sort as they do', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 48 - 1), fc.nat(2 ** 48 - 1), fc.nat(9), (a, b, number) => {
        const [first, second] = [chunkOf(a, 1, number), chunkOf(b, 2, number)];
        expect(chunkAt(pathOfChunk(first))).toEqual(first);
        if (a !== b) expect(pathOfChunk(first) < pathOfChunk(second)).toBe(a < b);
      }),
    );
    expect(chunkAt(`blobs/chunks/000000/000/${pathOfChunk(name).slice(-41)}`)).toBeNull();
  });
});

describe('room', () => {
  it('F15 counts what was taken until the disk was asked again, also where it always says the same', () => {
    let nowMs = 0;
    let freeBytes = LIMITS.diskReserveBytes + 100;
    const health = { trouble: () => null, refusesWrites: () => false, freeBytes: () => freeBytes };
    const room = new Room(health, { monotonicMs: () => nowMs });
    room.take(60);
    expect(() => room.take(60)).toThrow('what is left of it is for the log');
    freeBytes -= 10;
    room.take(60);
    expect(() => room.take(60)).toThrow();
    nowMs += 2_000;
    room.take(60);
    expect(() => room.take(60)).toThrow();
  });
});
