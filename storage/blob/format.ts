import { assert } from '../../protocol/assert.ts';
import { type ChunkName, type ChunkSum, dataIdBytes, dataIdOf } from '../../protocol/blob.ts';
import { CrcJoin } from '../../protocol/crc-combine.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { crc32c, extendCrc32c } from '../checksum.ts';

/**
 * A chunk's file: a header of one page, then the bytes. Little-endian but for the id:
 *
 *   0 u32 magic       4 u32 format      8 16 bytes data id   24 u32 chunk number
 *   28 u32 bytes      32 u32 CRC32C of all bytes             36 u32 block bytes
 *   40 u32 CRC32C of the header, with these four bytes 0     44 u32 CRC32C of each block
 *
 * Zeros up to the end of the page. So a range is verified by the header and the blocks it touches, and
 * the bytes themselves are as they came, page by page.
 */
export const HEADER_BYTES = 4096;
export const BLOCK_BYTES = 64 * 1024;
const MAGIC = 0x48434b4d;
const FORMAT = 1;
const HEADER_CRC_AT = 40;
const TABLE_AT = 44;

assert(
  TABLE_AT + Math.ceil(LIMITS.blobChunkBytesMax / BLOCK_BYTES) * 4 <= HEADER_BYTES,
  'the checksums of the largest chunk fit its header',
);

export interface ChunkHeader {
  readonly name: ChunkName;
  readonly sum: ChunkSum;
  readonly blockCrcs: readonly number[];
}

const WHOLE_BLOCK = new CrcJoin('CRC32C', BLOCK_BYTES);

/** Checksums of bytes that come in pieces of any size, each byte looked at once. */
export class BlockSums {
  readonly blockCrcs: number[] = [];
  #bytes = 0;
  #blockCrc = 0;

  get sum(): ChunkSum {
    const { blockCrcs } = this;
    const last = blockCrcs.length - 1;
    let crc = 0;
    for (let i = 0; i < last; i++) crc = WHOLE_BLOCK.join(crc, blockCrcs[i] as number);
    if (last >= 0) {
      const rest = new CrcJoin('CRC32C', this.#bytes - last * BLOCK_BYTES);
      crc = rest.join(crc, blockCrcs[last] as number);
    }
    return { bytes: this.#bytes, crc };
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      const inBlock = this.#bytes % BLOCK_BYTES;
      const part = piece.subarray(at, at + BLOCK_BYTES - inBlock);
      this.#blockCrc = extendCrc32c(inBlock === 0 ? 0 : this.#blockCrc, part);
      this.#bytes += part.length;
      at += part.length;
      this.blockCrcs[Math.floor((this.#bytes - 1) / BLOCK_BYTES)] = this.#blockCrc;
    }
  }
}

export function encodeHeader({ name, sum, blockCrcs }: ChunkHeader): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(FORMAT, 4);
  header.set(dataIdBytes(name.data), 8);
  header.writeUInt32LE(name.number, 24);
  header.writeUInt32LE(sum.bytes, 28);
  header.writeUInt32LE(sum.crc, 32);
  header.writeUInt32LE(BLOCK_BYTES, 36);
  blockCrcs.forEach((crc, i) => {
    header.writeUInt32LE(crc, TABLE_AT + i * 4);
  });
  header.writeUInt32LE(crc32c(header), HEADER_CRC_AT);
  return header;
}

/** The header, or what is wrong with it. Nothing but its checksum and its own numbers is looked at. */
export function decodeHeader(bytes: Uint8Array): ChunkHeader | string {
  if (bytes.length !== HEADER_BYTES) return 'it is shorter than a header';
  const header = Buffer.from(bytes); // a copy: the checksum is of the page without itself
  if (header.readUInt32LE(0) !== MAGIC) return 'it is no chunk';
  const headerCrc = header.readUInt32LE(HEADER_CRC_AT);
  header.writeUInt32LE(0, HEADER_CRC_AT);
  if (crc32c(header) !== headerCrc) return 'the header fails its checksum';
  if (header.readUInt32LE(4) !== FORMAT || header.readUInt32LE(36) !== BLOCK_BYTES) {
    return 'it was written by another version';
  }
  const sum = { bytes: header.readUInt32LE(28), crc: header.readUInt32LE(32) };
  if (sum.bytes > LIMITS.blobChunkBytesMax) return 'it is longer than a chunk may be';
  const blockCrcs: number[] = [];
  for (let i = 0; i < blockCount(sum.bytes); i++) {
    blockCrcs.push(header.readUInt32LE(TABLE_AT + i * 4));
  }
  const name = { data: dataIdOf(header.subarray(8, 24)), number: header.readUInt32LE(24) };
  return { name, sum, blockCrcs };
}

export function blockCount(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES);
}
