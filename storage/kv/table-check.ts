import { crc32c, extendCrc32c } from '../checksum.ts';

/**
 * Verifies LevelDB's files. LevelDB checks neither its tables when it reads or merges them (the binding offers
 * no such option) nor refuses a log with a hole: a flipped bit would be served as a value, or lose one. What
 * flips between two looks and is read or merged before the second is not found (ADR 0028).
 * Formats: doc/table_format.md and doc/log_format.md of LevelDB 1.20.
 */

const FOOTER_BYTES = 48;
const MAGIC = 0xdb4775248b80fb57n;
/** One byte of type and the masked CRC32C behind each block. */
const TRAILER_BYTES = 5;
const MASK_DELTA = 0xa282ead8;
const SNAPPY = 1;

const LOG_BLOCK_BYTES = 32 * 1024;
const LOG_HEADER_BYTES = 7;

interface Handle {
  readonly offset: number;
  readonly size: number;
}

/** What is wrong with a table (.ldb), or null. Cost: about half a millisecond per MiB. */
export function tableFlaw(file: Uint8Array): string | null {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < FOOTER_BYTES) return 'it is shorter than a footer';
  if (bytes.readBigUInt64LE(bytes.length - 8) !== MAGIC) return 'its footer is not one';
  const footer = new Reader(bytes, bytes.length - FOOTER_BYTES);
  const meta = footer.handle();
  const index = footer.handle();
  if (meta === null || index === null) return 'its footer is damaged';
  // The first lists the filters, which hide keys when they are wrong; the second the data.
  for (const handle of [meta, index]) {
    if (!isWhole(bytes, handle)) return `the block at ${handle.offset} fails its checksum`;
    const entries = unpacked(bytes, handle);
    if (entries === null) return 'its index cannot be read';
    const flaw = listedFlaw(bytes, entries);
    if (flaw !== null) return flaw;
  }
  return null;
}

/** The blocks that an index lists. */
function listedFlaw(bytes: Buffer, index: Buffer): string | null {
  if (index.length < 4) return 'its index is too short';
  const restarts = index.readUInt32LE(index.length - 4);
  const end = index.length - 4 - restarts * 4;
  const reader = new Reader(index, 0);
  while (reader.at < end) {
    const shared = reader.varint();
    const own = reader.varint();
    const length = reader.varint();
    if (shared === null || own === null || length === null) return 'its index is damaged';
    reader.at += own;
    const handle = reader.handle();
    if (handle === null) return 'its index is damaged';
    if (!isWhole(bytes, handle)) return `the block at ${handle.offset} fails its checksum`;
  }
  return null;
}

/**
 * What is wrong with a log (.log) of the same boot, or null. Only its end may be incomplete: a record
 * that is all there and fails its checksum was changed after it had been written.
 */
export function logFlaw(file: Uint8Array): string | null {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at + LOG_HEADER_BYTES <= bytes.length; ) {
    const left = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES);
    if (left < LOG_HEADER_BYTES) {
      at += left;
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const type = bytes[at + 6] as number;
    const end = at + LOG_HEADER_BYTES + length;
    if (end > bytes.length) return length + LOG_HEADER_BYTES > left ? flawAt(at) : null;
    if (length + LOG_HEADER_BYTES > left || type < 1 || type > 4) return flawAt(at);
    const crc = masked(crc32c(bytes.subarray(at + 6, end)));
    if (bytes.readUInt32LE(at) !== crc) return flawAt(at);
    at = end;
  }
  return null;
}

function flawAt(offset: number): string {
  return `the record at ${offset} fails its checksum`;
}

function isWhole(bytes: Buffer, { offset, size }: Handle): boolean {
  const end = offset + size;
  if (end + TRAILER_BYTES > bytes.length) return false;
  const crc = extendCrc32c(crc32c(bytes.subarray(offset, end)), bytes.subarray(end, end + 1));
  return bytes.readUInt32LE(end + 1) === masked(crc);
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

/** A block's contents, its compression undone; null when they cannot be. */
function unpacked(bytes: Buffer, { offset, size }: Handle): Buffer | null {
  const contents = bytes.subarray(offset, offset + size);
  return bytes[offset + size] === SNAPPY ? unsnapped(contents) : contents;
}

/** Snappy's format: a length, then literals and copies of what came before. */
function unsnapped(bytes: Buffer): Buffer | null {
  const reader = new Reader(bytes, 0);
  const length = reader.varint();
  if (length === null || length > 64 * bytes.length + 64) return null;
  const out = Buffer.alloc(length);
  let to = 0;
  while (reader.at < bytes.length) {
    const tag = bytes[reader.at++] as number;
    const kind = tag & 3;
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59);
      const count = (extra === 0 ? tag >> 2 : reader.fixed(extra)) + 1;
      if (reader.at + count > bytes.length || to + count > length) return null;
      bytes.copy(out, to, reader.at, reader.at + count);
      reader.at += count;
      to += count;
      continue;
    }
    const count = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
    const back =
      kind === 1 ? ((tag >> 5) << 8) | reader.fixed(1) : reader.fixed(kind === 2 ? 2 : 4);
    if (back === 0 || back > to || to + count > length) return null;
    for (const end = to + count; to < end; to++) out[to] = out[to - back] as number;
  }
  return to === length ? out : null;
}

class Reader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** At most 48 bits: no file is larger. Null where there is none. */
  varint(): number | null {
    let value = 0;
    for (let shift = 1; shift < 2 ** 49; shift *= 128) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) return null;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
    return null;
  }

  handle(): Handle | null {
    const offset = this.varint();
    const size = this.varint();
    return offset === null || size === null ? null : { offset, size };
  }

  /** Little-endian; what is missing counts as 0 and is met by the caller's bounds. */
  fixed(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value += (this.#bytes[this.at++] ?? 0) * 256 ** i;
    return value;
  }
}
