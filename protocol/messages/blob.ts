import { chunkNameCodec, chunkSumCodec, dataIdCodec } from '../blob.ts';
import { LIMITS } from '../limits.ts';
import * as s from '../schema.ts';

/**
 * Chunks on their way between nodes, on the lane `blob`. `transfer` names one transfer of the node that began it (a
 * random number); whoever receives bytes says how far the other may send. Delivery is at most once, unordered,
 * possibly repeated: what counts are offsets, and a chunk's bytes never change. `round` counts how often the
 * sending side went back; an answer repeats the one it is about, so that it is not gone back for twice.
 */
const transfer = s.count;

export const refusalCodec = s.oneOf(
  'full',
  'read-only',
  'no-handles',
  /** Too many transfers at once. */
  'busy',
  /** Another chunk of this name is there. */
  'conflict',
  /** The bytes that arrived are not those that were sent. */
  'mismatch',
  /** The disk failed. */
  'failed',
  /** The receiver knows nothing of it: it gave up, or was started anew. From the start it can be tried again. */
  'unknown',
);
export type Refusal = s.Of<typeof refusalCodec>;

export const unreadableCodec = s.oneOf('missing', 'damaged', 'busy', 'failed');
export type Unreadable = s.Of<typeof unreadableCodec>;

export const blobMessages = {
  /** Bytes of a chunk from `offset`; without bytes it asks for a BlobWanted. Whichever comes first begins it. */
  BlobWrite: [
    96,
    s.record({
      transfer,
      chunk: chunkNameCodec,
      offset: s.count,
      /** Bytes before it were taken, as far as the sender knows, and it may not have them any more. */
      released: s.count,
      round: s.count,
      data: s.bin(LIMITS.blobPieceBytes),
      /** With the last piece: what all bytes are. */
      end: s.nullable(chunkSumCodec),
    }),
  ],
  BlobWanted: [
    97,
    s.record({
      transfer,
      /** The next byte wanted; all before it were taken. */
      offset: s.count,
      /** Bytes up to here may be sent. */
      upTo: s.count,
      round: s.count,
      /** Later bytes have come already: what is between was lost. */
      gap: s.bool,
    }),
  ],
  /** The chunk and its name are durable. */
  BlobSealed: [98, s.record({ transfer, sum: chunkSumCodec })],
  BlobRefused: [99, s.record({ transfer, reason: refusalCodec })],
  /** Whoever began a transfer wants no more of it. */
  BlobAbandon: [100, s.record({ transfer })],
  /** Asks for bytes of a chunk from `offset` to `end`, now up to `upTo`. Says all that there is to know. */
  BlobRead: [
    101,
    s.record({
      transfer,
      chunk: chunkNameCodec,
      offset: s.count,
      end: s.count,
      upTo: s.count,
      round: s.count,
    }),
  ],
  BlobPiece: [
    102,
    s.record({
      transfer,
      offset: s.count,
      round: s.count,
      data: s.bin(LIMITS.blobPieceBytes),
      /** CRC32C of `data`, of which the disk's checksums were verified. */
      crc: s.count,
      /** Of the whole chunk. */
      bytes: s.count,
    }),
  ],
  /** Chunks 0 to `chunks` of this data were written, and nothing will name it. */
  BlobDiscard: [104, s.record({ data: dataIdCodec, chunks: s.count })],
  BlobUnreadable: [103, s.record({ transfer, reason: unreadableCodec })],
} as const;

export const blobMessageCodec = s.union(blobMessages);
export type BlobMessage = s.Of<typeof blobMessageCodec>;
export type BlobMessageOf<T extends BlobMessage['type']> = Extract<BlobMessage, { type: T }>;
