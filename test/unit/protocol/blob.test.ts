import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chunkText,
  type DataId,
  dataIdBytes,
  dataIdMs,
  dataIdOf,
  makeDataId,
  parseChunkText,
  parseDataId,
} from '../../../protocol/blob.ts';
import { DecodeError, encodeWith, unpackBytes } from '../../../protocol/codec.ts';
import { type BlobMessage, blobMessageCodec } from '../../../protocol/messages/blob.ts';

const BOUNDS = { bytesMax: 1024 * 1024, itemsMax: 100, depthMax: 8 };
const id = makeDataId(1_700_000_000_123, Buffer.alloc(10, 0xab));

describe('data ids', () => {
  it('tell when they were drawn, and sort by it', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.nat(2 ** 48 - 1), fc.nat(2 ** 48 - 1)),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        ([a, b], random) => {
          const [first, second] = [makeDataId(a, random), makeDataId(b, random)];
          expect(dataIdMs(first)).toBe(a);
          expect(dataIdOf(dataIdBytes(first))).toBe(first);
          expect(parseDataId(first)).toBe(first);
          if (a !== b) expect(first < second).toBe(a < b);
        },
      ),
    );
  });

  it('refuse what is none', () => {
    for (const text of ['', id.slice(1), `${id}0`, id.toUpperCase(), `${id.slice(1)}g`]) {
      expect(parseDataId(text)).toBeNull();
    }
    expect(() => dataIdOf(new Uint8Array(15))).toThrow(DecodeError);
  });
});

describe('chunk names', () => {
  it('are text that sorts as they do, and back', () => {
    const texts = [0, 1, 15, 16, 255, 256, 0xffff_ffff].map((number) =>
      chunkText({ data: id, number }),
    );
    expect([...texts].sort()).toEqual(texts);
    expect(parseChunkText(texts[4]!)).toEqual({ data: id, number: 255 });
    for (const bad of ['', 'x', `${id}-1`, `${id}_00000001`, `${texts[0]}0`, `a${texts[0]}`]) {
      expect(parseChunkText(bad)).toBeNull();
    }
  });
});

describe('blob messages', () => {
  const chunk = { data: id, number: 7 };
  const transfer = 2 ** 47 + 1;
  const data = new Uint8Array([1, 2, 3]);
  const messages: BlobMessage[] = [
    {
      type: 'BlobWrite',
      transfer,
      chunk,
      offset: 9,
      released: 3,
      round: 2,
      data,
      end: { bytes: 12, crc: 99 },
    },
    { type: 'BlobWrite', transfer, chunk, offset: 9, released: 3, round: 2, data, end: null },
    { type: 'BlobWanted', transfer, offset: 12, upTo: 4096, round: 2, gap: true },
    { type: 'BlobSealed', transfer, sum: { bytes: 12, crc: 0xffff_ffff } },
    { type: 'BlobRefused', transfer, reason: 'no-handles' },
    { type: 'BlobAbandon', transfer },
    { type: 'BlobRead', transfer, chunk, offset: 1, end: 5, upTo: 3, round: 1 },
    { type: 'BlobPiece', transfer, offset: 1, round: 1, data, crc: 5, bytes: 12 },
    { type: 'BlobUnreadable', transfer, reason: 'damaged' },
  ];

  it('come back as they were', () => {
    for (const message of messages) {
      const bytes = encodeWith(blobMessageCodec, message);
      const back = blobMessageCodec.unpack(unpackBytes(bytes, BOUNDS));
      expect(JSON.stringify(back)).toBe(JSON.stringify(message));
    }
  });

  it('of any bytes are a message or a DecodeError', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...messages),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (message, at, mask) => {
          const bytes = Uint8Array.from(encodeWith(blobMessageCodec, message));
          bytes[at % bytes.length]! ^= mask;
          try {
            blobMessageCodec.unpack(unpackBytes(bytes, BOUNDS));
          } catch (error) {
            expect(error).toBeInstanceOf(DecodeError);
          }
        },
      ),
    );
  });

  it('with an id or a number that cannot be are refused', () => {
    const bad = (name: { data: DataId; number: number }) => {
      const read = { ...messages[6], chunk: name } as BlobMessage;
      return () => blobMessageCodec.unpack(unpackBytes(encodeWith(blobMessageCodec, read), BOUNDS));
    };
    expect(bad({ data: 'abcd' as DataId, number: 1 })).toThrow(DecodeError);
    expect(bad({ data: id, number: 2 ** 32 })).toThrow(DecodeError);
    expect(bad({ data: id, number: 2 ** 32 - 1 })).not.toThrow();
  });
});
