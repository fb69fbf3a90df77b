import { crc32c } from '../checksum.ts';
import { TAG_BYTES } from './aead.ts';

/**
 * A sealed file: a head, then blocks, each of ciphertext, nonce and tag. The first block is of one page, since files
 * here begin with a page of header; little-endian:
 *
 *   0 u32 magic   4 u32 format   8 u32 number of the data key   12 32 bytes salt   44 u32 CRC32C of bytes 0..43
 *
 * The file has a key of its own, by its salt; each writing of a block draws its nonce, and the block's number is bound.
 */
export const HEAD_BYTES = 48;
export const SALT_BYTES = 32;
export const FIRST_BLOCK_BYTES = 4096;
export const BLOCK_BYTES = 64 * 1024;
export const NONCE_BYTES = 12;
export const OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;
const MAGIC = Buffer.from('MKSF', 'latin1');
const FORMAT = 1;
const SALT_AT = 12;
const CRC_AT = 44;

export interface FileHead {
  readonly keyNumber: number;
  readonly salt: Uint8Array;
}

export function encodeHead({ keyNumber, salt }: FileHead): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.set(MAGIC, 0);
  head.writeUInt32LE(FORMAT, 4);
  head.writeUInt32LE(keyNumber, 8);
  head.set(salt, SALT_AT);
  head.writeUInt32LE(crc32c(head.subarray(0, CRC_AT)), CRC_AT);
  return head;
}

/** Null: it is none, or damaged. */
export function decodeHead(bytes: Uint8Array): FileHead | null {
  if (bytes.length < HEAD_BYTES) return null;
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
  if (MAGIC.compare(head, 0, 4) !== 0 || head.readUInt32LE(4) !== FORMAT) return null;
  if (crc32c(head.subarray(0, CRC_AT)) !== head.readUInt32LE(CRC_AT)) return null;
  return { keyNumber: head.readUInt32LE(8), salt: head.subarray(SALT_AT, CRC_AT) };
}

/** The block that a byte is in. */
export function blockOf(offset: number): number {
  return offset < FIRST_BLOCK_BYTES
    ? 0
    : 1 + Math.floor((offset - FIRST_BLOCK_BYTES) / BLOCK_BYTES);
}

/** The first byte of a block. */
export function startOf(block: number): number {
  return block === 0 ? 0 : FIRST_BLOCK_BYTES + (block - 1) * BLOCK_BYTES;
}

export function sizeOf(block: number): number {
  return block === 0 ? FIRST_BLOCK_BYTES : BLOCK_BYTES;
}

/** Where a block is in the stored file. */
export function storedStartOf(block: number): number {
  return HEAD_BYTES + startOf(block) + block * OVERHEAD_BYTES;
}

/** Bytes that a stored file of this size holds; a block that is cut off within its nonce or tag holds none. */
export function plainSize(storedBytes: number): number {
  const first = storedBytes - HEAD_BYTES;
  if (first <= FIRST_BLOCK_BYTES + OVERHEAD_BYTES) return Math.max(0, first - OVERHEAD_BYTES);
  const rest = first - FIRST_BLOCK_BYTES - OVERHEAD_BYTES;
  const whole = Math.floor(rest / (BLOCK_BYTES + OVERHEAD_BYTES));
  const tail = rest % (BLOCK_BYTES + OVERHEAD_BYTES);
  return FIRST_BLOCK_BYTES + whole * BLOCK_BYTES + Math.max(0, tail - OVERHEAD_BYTES);
}
