import { assert, assertCount } from '../../protocol/assert.ts';
import {
  type BatchPlace,
  type BatchSeal,
  SEAL_HEAD_BYTES,
  SEAL_TAIL_BYTES,
} from '../at-rest/batch-seal.ts';
import { crc32c } from '../checksum.ts';
import type { WalRecord } from '../ports.ts';

/**
 * The WAL's frame. A batch is one header and the records that were synced together; little-endian:
 *
 *   0 u32 magic   4 u8 version   5 3 bytes 0   8 8 bytes WAL id (drawn at birth)
 *  16 u64 position of this header   24 u64 position that was synced before this batch
 *  32 u32 payload bytes   36 u32 payload CRC32C   40 u32 records   44 u32 CRC32C of bytes 0..43
 *  48 payload: per record u32 length, u32 stream id, bytes
 *
 * A batch without records is a marker: written at the next batch's place and overwritten by it, it
 * takes no position and only tells that everything before it was synced. The id keeps bytes of a
 * client's value or of another WAL from passing for a header.
 *
 * Version 2 is a batch whose payload is sealed (at-rest/batch-seal.ts), with bytes 0..35 and the count of records bound
 * to it; the checksum is of the sealed bytes. So what is torn fails its checksum, and what was changed fails the seal.
 */
export const BATCH_HEADER_BYTES = 48;
export const RECORD_HEADER_BYTES = 8;
export const WAL_ID_BYTES = 8;

const VERSION = 1;
const SEALED_VERSION = 2;
const MAGIC = Buffer.from('MKWB', 'latin1');
/** Of the header: all that is known before the payload is sealed, but for the count of records. */
const BOUND_BYTES = 36;
const U32 = 0x1_0000_0000;
const INITIAL_BYTES = 64 * 1024;
/** A buffer that one burst made larger than this is given back. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;

export interface BatchHeader {
  readonly position: number;
  readonly syncedPosition: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
  readonly recordCount: number;
  readonly isSealed: boolean;
}

/** Gathers the records of the next batch in one buffer, with room for the header in front. */
export class BatchBuffer {
  readonly #seal: BatchSeal | null;
  readonly #start: number;
  /** Behind the records. */
  readonly #tailBytes: number;
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #end: number;
  #recordCount = 0;

  /** `seal`: null for a log in clear. */
  constructor(seal: BatchSeal | null) {
    this.#seal = seal;
    this.#start = BATCH_HEADER_BYTES + (seal === null ? 0 : SEAL_HEAD_BYTES);
    this.#tailBytes = seal === null ? 0 : SEAL_TAIL_BYTES;
    this.#end = this.#start;
  }

  /** Bytes the batch takes in the WAL; 0 while it holds no record. */
  get byteLength(): number {
    return this.#recordCount === 0 ? 0 : this.#end + this.#tailBytes;
  }

  add(record: WalRecord): void {
    const { payload, stream } = record;
    this.#reserve(this.#end + RECORD_HEADER_BYTES + payload.length + this.#tailBytes);
    this.#bytes.writeUInt32LE(payload.length, this.#end);
    this.#bytes.writeUInt32LE(stream, this.#end + 4);
    this.#bytes.set(payload, this.#end + RECORD_HEADER_BYTES);
    this.#end += RECORD_HEADER_BYTES + payload.length;
    this.#recordCount++;
  }

  /** Fills in the header, and encrypts: once, since the records are gone then. The view is good until reset(). */
  seal(walId: Uint8Array, position: number, syncedPosition: number): Uint8Array {
    const batch = this.#bytes.subarray(0, this.byteLength);
    const payload = batch.subarray(BATCH_HEADER_BYTES);
    const header = {
      position,
      syncedPosition,
      payloadBytes: payload.length,
      payloadCrc: 0,
      recordCount: this.#recordCount,
      isSealed: this.#seal !== null,
    };
    writeHeader(batch, walId, header);
    this.#seal?.seal(batch, this.#start, this.#end, placeOf(batch, header));
    header.payloadCrc = crc32c(payload);
    writeHeader(batch, walId, header);
    return batch;
  }

  reset(): void {
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = Buffer.allocUnsafe(INITIAL_BYTES);
    this.#end = this.#start;
    this.#recordCount = 0;
  }

  #reserve(end: number): void {
    if (end <= this.#bytes.length) return;
    assert(end < U32, 'a WAL batch is below 4 GiB');
    const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** A marker's bytes: everything before `position` is synced. */
export function markerBytes(walId: Uint8Array, position: number): Uint8Array {
  const bytes = Buffer.alloc(BATCH_HEADER_BYTES);
  writeHeader(bytes, walId, {
    position,
    syncedPosition: position,
    payloadBytes: 0,
    payloadCrc: 0,
    recordCount: 0,
    isSealed: false,
  });
  return bytes;
}

/** A batch's place and what its header binds; `bytes` begin with the header. */
function placeOf(bytes: Buffer, { position, recordCount }: BatchHeader): BatchPlace {
  const header = Buffer.alloc(BOUND_BYTES + 4);
  header.set(bytes.subarray(0, BOUND_BYTES), 0);
  header.writeUInt32LE(recordCount, BOUND_BYTES);
  return { position, header };
}

function writeHeader(bytes: Buffer, walId: Uint8Array, header: BatchHeader): void {
  assertCount(header.position, 'WAL position');
  bytes.set(MAGIC, 0);
  bytes.writeUInt32LE(header.isSealed ? SEALED_VERSION : VERSION, 4);
  bytes.set(walId, 8);
  writeU64(bytes, 16, header.position);
  writeU64(bytes, 24, header.syncedPosition);
  bytes.writeUInt32LE(header.payloadBytes, 32);
  bytes.writeUInt32LE(header.payloadCrc, 36);
  bytes.writeUInt32LE(header.recordCount, 40);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, 44)), 44);
}

/** The header at `offset`, or null when there is no intact one of this WAL. */
export function readHeader(bytes: Buffer, offset: number, walId: Uint8Array): BatchHeader | null {
  if (offset + BATCH_HEADER_BYTES > bytes.length) return null;
  const header = bytes.subarray(offset, offset + BATCH_HEADER_BYTES);
  if (MAGIC.compare(header, 0, 4) !== 0) return null;
  const version = header.readUInt32LE(4);
  if (version !== VERSION && version !== SEALED_VERSION) return null;
  if (header.compare(walId, 0, WAL_ID_BYTES, 8, 16) !== 0) return null;
  if (crc32c(header.subarray(0, 44)) !== header.readUInt32LE(44)) return null;
  const position = readU64(header, 16);
  const syncedPosition = readU64(header, 24);
  if (!Number.isSafeInteger(position) || syncedPosition > position) return null;
  return {
    position,
    syncedPosition,
    payloadBytes: header.readUInt32LE(32),
    payloadCrc: header.readUInt32LE(36),
    recordCount: header.readUInt32LE(40),
    isSealed: version === SEALED_VERSION,
  };
}

/** Offset of the next bytes that could begin a header, at or after `offset`; -1 when there are none. */
export function nextMagic(bytes: Buffer, offset: number): number {
  return bytes.indexOf(MAGIC, offset);
}

/** The payload behind an intact header, or why it cannot be used. */
export function readPayload(
  bytes: Buffer,
  offset: number,
  header: BatchHeader,
): Buffer | 'cut short' | 'payload checksum' {
  const start = offset + BATCH_HEADER_BYTES;
  if (start + header.payloadBytes > bytes.length) return 'cut short';
  const payload = bytes.subarray(start, start + header.payloadBytes);
  return crc32c(payload) === header.payloadCrc ? payload : 'payload checksum';
}

/**
 * The records of a payload whose checksum holds. Null: it was changed since it was written, is in clear where this log
 * is sealed, or the other way round.
 */
export function openPayload(
  bytes: Buffer,
  offset: number,
  header: BatchHeader,
  seal: BatchSeal | null,
): Buffer | null {
  const payload = readPayload(bytes, offset, header);
  if (typeof payload === 'string' || header.isSealed !== (seal !== null)) return null;
  return seal === null ? payload : seal.open(payload, placeOf(bytes.subarray(offset), header));
}

/**
 * Seals the intact batch at `offset` under the data key that seals now, in place. False: it is so already. Null: it
 * does not open.
 */
export function resealBatch(
  bytes: Buffer,
  offset: number,
  header: BatchHeader,
  { walId, seal }: { readonly walId: Uint8Array; readonly seal: BatchSeal },
): boolean | null {
  const end = offset + BATCH_HEADER_BYTES + header.payloadBytes;
  const batch = bytes.subarray(offset, end);
  if (header.isSealed && seal.isCurrent(batch.subarray(BATCH_HEADER_BYTES))) return false;
  const records = openPayload(bytes, offset, header, seal);
  if (records === null) return null;
  const start = BATCH_HEADER_BYTES + SEAL_HEAD_BYTES;
  batch.set(records, start);
  seal.seal(batch, start, batch.length - SEAL_TAIL_BYTES, placeOf(batch, header));
  const payloadCrc = crc32c(batch.subarray(BATCH_HEADER_BYTES));
  writeHeader(batch, walId, { ...header, payloadCrc });
  return true;
}

/**
 * Calls `visit` with each record of a payload whose checksum holds; `position` is the payload's.
 * A payload that does not divide into its records was written wrong: throws InvariantViolation.
 */
export function visitRecords(
  payload: Buffer,
  recordCount: number,
  position: number,
  visit: (stream: number, payload: Uint8Array, position: number) => void,
): void {
  let at = 0;
  for (let i = 0; i < recordCount; i++) {
    assert(at + RECORD_HEADER_BYTES <= payload.length, 'a WAL batch holds its records');
    const end = at + RECORD_HEADER_BYTES + payload.readUInt32LE(at);
    assert(end <= payload.length, 'a WAL batch holds its records');
    visit(
      payload.readUInt32LE(at + 4),
      payload.subarray(at + RECORD_HEADER_BYTES, end),
      position + at,
    );
    at = end;
  }
  assert(at === payload.length, 'a WAL batch holds its records and nothing else');
}

function writeU64(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32LE(value % U32, offset);
  bytes.writeUInt32LE(Math.floor(value / U32), offset + 4);
}

function readU64(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * U32 + bytes.readUInt32LE(offset);
}
