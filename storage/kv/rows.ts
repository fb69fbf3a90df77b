import { assert, assertCount, InvariantViolation } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import type { OpResult } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { Slab } from '../../protocol/slab.ts';
import type { Revision } from '../../protocol/types.ts';

/**
 * Binary rows of the applied state, big-endian. Every decoder checks bounds first and throws only
 * DecodeError; decoded byte fields are views on the row. Layouts are on disk: they never change,
 * a new one gets a new first byte.
 */

/** One version of a key: a `c` row, and the same bytes as an `h` row once it is superseded. */
export interface VersionRow {
  readonly revision: Revision;
  /** Revision of the first put since the key was last absent. */
  readonly createRevision: Revision;
  /** 1 at createRevision, then one more per put. */
  readonly version: number;
  /** Unix ms; null never expires. */
  readonly expiresAtMs: number | null;
  readonly contentType: string | null;
  readonly value: Uint8Array;
  /** The lease it is attached to; 0 or nothing: none. */
  readonly lease?: number | null;
}

/** What apply must know of a version to replace it. */
export type VersionHead = Omit<VersionRow, 'contentType' | 'value'>;

/** Feed rows of all groups leave with their memtable. */
const feedRows = new Slab();

const HAS_EXPIRY = 1;
const HAS_CONTENT_TYPE = 2;
const TOMBSTONE = 4;
const HAS_LEASE = 8;
const VERSION_FLAGS = HAS_EXPIRY | HAS_CONTENT_TYPE | HAS_LEASE;
/** flags u8, revision u64, createRevision u64, version u64. */
const VERSION_HEADER_BYTES = 25;

/**
 * Then, each when flagged, expiresAtMs u64, lease u64 and content type (u16 length, UTF-8); the value. The row
 * is cut from `slab` where one is given.
 */
export function encodeVersion(row: VersionRow, slab?: Slab): Uint8Array {
  const type = row.contentType;
  const typeBytes = type === null ? 0 : Buffer.byteLength(type, 'utf8');
  const lease = row.lease ?? 0;
  assert(typeBytes <= 0xffff, 'content type is too long for a row');
  const size =
    VERSION_HEADER_BYTES +
    (row.expiresAtMs === null ? 0 : 8) +
    (lease === 0 ? 0 : 8) +
    (type === null ? 0 : 2 + typeBytes) +
    row.value.length;
  const out = slab === undefined ? Buffer.allocUnsafeSlow(size) : slab.take(size);
  out[0] =
    (row.expiresAtMs === null ? 0 : HAS_EXPIRY) |
    (type === null ? 0 : HAS_CONTENT_TYPE) |
    (lease === 0 ? 0 : HAS_LEASE);
  writeU64(out, 1, row.revision);
  writeU64(out, 9, row.createRevision);
  writeU64(out, 17, row.version);
  let at = VERSION_HEADER_BYTES;
  if (row.expiresAtMs !== null) {
    writeU64(out, at, row.expiresAtMs);
    at += 8;
  }
  if (lease !== 0) {
    writeU64(out, at, lease);
    at += 8;
  }
  if (type !== null) {
    out.writeUInt16BE(typeBytes, at);
    out.write(type, at + 2, typeBytes, 'utf8');
    at += 2 + typeBytes;
  }
  out.set(row.value, at);
  return out;
}

/** Null for a tombstone. Throws DecodeError. */
export function decodeVersion(bytes: Uint8Array): VersionRow | null {
  const row = bufferOf(bytes);
  const flags = row[0];
  if (flags === TOMBSTONE && row.length === 1) return null;
  if (flags === undefined || (flags & ~VERSION_FLAGS) !== 0 || row.length < VERSION_HEADER_BYTES) {
    throw new DecodeError('not a version row');
  }
  let at = VERSION_HEADER_BYTES;
  let expiresAtMs: number | null = null;
  let contentType: string | null = null;
  if ((flags & HAS_EXPIRY) !== 0) {
    expiresAtMs = readU64(row, at);
    at += 8;
  }
  let lease = 0;
  if ((flags & HAS_LEASE) !== 0) {
    lease = readU64(row, at);
    at += 8;
  }
  if ((flags & HAS_CONTENT_TYPE) !== 0) {
    if (row.length < at + 2) throw new DecodeError('version row is cut short');
    const end = at + 2 + row.readUInt16BE(at);
    if (end > row.length) throw new DecodeError('version row is cut short');
    contentType = row.toString('utf8', at + 2, end);
    at = end;
  }
  return {
    revision: readU64(row, 1),
    createRevision: readU64(row, 9),
    version: readU64(row, 17),
    expiresAtMs,
    contentType,
    value: row.subarray(at),
    lease,
  };
}

/** The head of a current row, without a view on its value. Throws DecodeError. */
export function decodeHead(bytes: Uint8Array): VersionHead {
  const row = bufferOf(bytes);
  const flags = row[0];
  if (flags === undefined || (flags & ~VERSION_FLAGS) !== 0 || row.length < VERSION_HEADER_BYTES) {
    throw new DecodeError('not a current row');
  }
  const canExpire = (flags & HAS_EXPIRY) !== 0;
  const leaseAt = canExpire ? VERSION_HEADER_BYTES + 8 : VERSION_HEADER_BYTES;
  return {
    revision: readU64(row, 1),
    createRevision: readU64(row, 9),
    version: readU64(row, 17),
    expiresAtMs: canExpire ? readU64(row, VERSION_HEADER_BYTES) : null,
    lease: (flags & HAS_LEASE) === 0 ? 0 : readU64(row, leaseAt),
  };
}

/** Where the value of a version, not a tombstone, begins; it ends with the row. Throws DecodeError. */
export function valueOffset(bytes: Uint8Array): number {
  const flags = bytes[0];
  if (flags === undefined || (flags & ~VERSION_FLAGS) !== 0) {
    throw new DecodeError('not a version row');
  }
  let at = VERSION_HEADER_BYTES;
  if ((flags & HAS_EXPIRY) !== 0) at += 8;
  if ((flags & HAS_LEASE) !== 0) at += 8;
  if ((flags & HAS_CONTENT_TYPE) !== 0) {
    at += 2 + (bytes[at] as number) * 256 + (bytes[at + 1] as number);
  }
  if (!(at <= bytes.length)) throw new DecodeError('version row is cut short');
  return at;
}

/** The current row of a key that is there: never a tombstone. Throws DecodeError. */
export function decodeCurrent(bytes: Uint8Array): VersionRow {
  const row = decodeVersion(bytes);
  if (row === null) throw new DecodeError('a tombstone stands as a current row');
  return row;
}

/** The history row of a removal. */
export function encodeTombstone(): Uint8Array {
  return Uint8Array.of(TOMBSTONE);
}

/** How a feed row names its event's kind. Positions are for ever. */
export const FEED_KINDS = ['put', 'delete', 'expire'] as const;
export type FeedKind = (typeof FEED_KINDS)[number];

export interface FeedRow {
  readonly kind: FeedKind;
  readonly sequence: number;
  /** Of the version it replaced or removed, expired or not; 0 when there was none. */
  readonly prevRevision: Revision;
}

const FEED_BYTES = 17;

/** kind u8, sequence u64, prevRevision u64. */
export function encodeFeed(kind: FeedKind, sequence: number, prevRevision: Revision): Uint8Array {
  const out = feedRows.take(FEED_BYTES);
  out[0] = FEED_KINDS.indexOf(kind);
  writeU64(out, 1, sequence);
  writeU64(out, 9, prevRevision);
  return out;
}

/** Throws DecodeError. */
export function decodeFeed(bytes: Uint8Array): FeedRow {
  const kind = FEED_KINDS[bytes[0] ?? 255];
  if (bytes.length !== FEED_BYTES || kind === undefined) throw new DecodeError('not a feed row');
  const row = bufferOf(bytes);
  return { kind, sequence: readU64(row, 1), prevRevision: readU64(row, 9) };
}

/** One count: the revision in an expiry row. */
export function encodeCount(value: number): Uint8Array {
  const out = Buffer.allocUnsafe(8);
  writeU64(out, 0, value);
  return out;
}

/** Throws DecodeError. */
export function decodeCount(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new DecodeError('not a count row');
  return readU64(bufferOf(bytes), 0);
}

/** A fixed number of counts: meta rows. */
export function encodeCounts(values: readonly number[] | Float64Array): Uint8Array {
  const out = Buffer.allocUnsafe(values.length * 8);
  for (let i = 0; i < values.length; i++) writeU64(out, i * 8, values[i] as number);
  return out;
}

/** Exactly `length` counts. Throws DecodeError. */
export function decodeCounts(bytes: Uint8Array, length: number): number[] {
  if (bytes.length !== length * 8) throw new DecodeError('not a row of counts');
  const row = bufferOf(bytes);
  const out = new Array<number>(length);
  for (let i = 0; i < length; i++) out[i] = readU64(row, i * 8);
  return out;
}

/** What a request with an idempotency key answered, and when. */
export interface IdempotencyRow {
  readonly revision: Revision;
  /** 32 bytes. */
  readonly requestHash: Uint8Array;
  readonly results: readonly OpResult[];
  /** Of a transaction: its encoded outcome, and no results. */
  readonly outcome: Uint8Array | null;
}

/** First byte of a transaction's row; no revision begins with it. Then revision u64, hash 32 bytes, outcome. */
export const TXN_REQUEST = 0xff;

/** revision u64, hash 32 bytes, count u16, then per result: tag u8 and its fields as u64. */
const IDEMPOTENCY_HEADER_BYTES = 42;
const RESULT_FIELDS = [3, 1, 1, 1, 1, 1] as const;

export function encodeIdempotency(row: Omit<IdempotencyRow, 'outcome'>): Uint8Array {
  assert(row.requestHash.length === 32, 'a request hash has 32 bytes');
  assert(row.results.length <= LIMITS.batchOpsMax, 'too many results for a row');
  let size = IDEMPOTENCY_HEADER_BYTES;
  for (let i = 0; i < row.results.length; i++) {
    size += 1 + 8 * (RESULT_FIELDS[tagOf(row.results[i] as OpResult)] as number);
  }
  const out = Buffer.allocUnsafe(size);
  writeU64(out, 0, row.revision);
  out.set(row.requestHash, 8);
  out.writeUInt16BE(row.results.length, 40);
  let at = IDEMPOTENCY_HEADER_BYTES;
  for (let i = 0; i < row.results.length; i++) {
    at = writeResult(out, at, row.results[i] as OpResult);
  }
  return out;
}

/** Throws DecodeError. */
export function decodeIdempotency(bytes: Uint8Array): IdempotencyRow {
  const row = bufferOf(bytes);
  if (row.length < 41) throw new DecodeError('not an idempotency row');
  if (row[0] === TXN_REQUEST) {
    const requestHash = row.subarray(9, 41);
    return { revision: readU64(row, 1), requestHash, results: [], outcome: row.subarray(41) };
  }
  if (row.length < IDEMPOTENCY_HEADER_BYTES) throw new DecodeError('not an idempotency row');
  const count = row.readUInt16BE(40);
  if (count > LIMITS.batchOpsMax) throw new DecodeError('too many results in a row');
  const results: OpResult[] = [];
  let at = IDEMPOTENCY_HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    const fields = RESULT_FIELDS[row[at] ?? 255];
    if (fields === undefined || at + 1 + fields * 8 > row.length) {
      throw new DecodeError('idempotency row is cut short');
    }
    results.push(readResult(row, at));
    at += 1 + fields * 8;
  }
  if (at !== row.length) throw new DecodeError('bytes after an idempotency row');
  const requestHash = row.subarray(8, 40);
  return { revision: readU64(row, 0), requestHash, results, outcome: null };
}

/** 0 put, 1 deleted, 2 delete of an absent key, 3 precondition_failed, 4 wrong_shard, 5 lease_stale. */
function tagOf(result: OpResult): number {
  switch (result.type) {
    case 'put':
      return 0;
    case 'deleted':
      return result.deleted ? 1 : 2;
    case 'precondition_failed':
      return 3;
    case 'wrong_shard':
      return 4;
    case 'lease_stale':
      return 5;
    case 'duplicate':
    case 'failed':
      throw new InvariantViolation('a result that apply never gives');
  }
}

function writeResult(out: Buffer, at: number, result: OpResult): number {
  out[at] = tagOf(result);
  writeU64(out, at + 1, firstField(result));
  if (result.type !== 'put') return at + 9;
  writeU64(out, at + 9, result.createRevision);
  writeU64(out, at + 17, result.version);
  return at + 25;
}

function firstField(result: OpResult): number {
  if (result.type === 'wrong_shard') return result.epoch;
  return 'revision' in result ? result.revision : 0;
}

function readResult(row: Buffer, at: number): OpResult {
  const first = readU64(row, at + 1);
  switch (row[at]) {
    case 0: {
      const createRevision = readU64(row, at + 9);
      return { type: 'put', revision: first, createRevision, version: readU64(row, at + 17) };
    }
    case 1:
      return { type: 'deleted', deleted: true, revision: first };
    case 2:
      return { type: 'deleted', deleted: false, revision: first };
    case 3:
      return { type: 'precondition_failed', revision: first };
    case 4:
      return { type: 'wrong_shard', epoch: first };
    case 5:
      return { type: 'lease_stale', revision: first };
    default:
      throw new DecodeError('unknown result in a row');
  }
}

/** One row of the meta state: revision u64, createRevision u64, version u64, JSON as UTF-8. */
export interface MetaStateRow {
  readonly revision: Revision;
  readonly createRevision: Revision;
  readonly version: number;
  readonly json: string;
}

export function encodeMetaState(row: MetaStateRow): Uint8Array {
  const out = Buffer.allocUnsafe(24 + Buffer.byteLength(row.json, 'utf8'));
  writeU64(out, 0, row.revision);
  writeU64(out, 8, row.createRevision);
  writeU64(out, 16, row.version);
  out.write(row.json, 24, 'utf8');
  return out;
}

/** Throws DecodeError. */
export function decodeMetaState(bytes: Uint8Array): MetaStateRow {
  const row = bufferOf(bytes);
  return {
    revision: readU64(row, 0),
    createRevision: readU64(row, 8),
    version: readU64(row, 16),
    json: row.toString('utf8', 24),
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeU64(out: Buffer, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) assertCount(value, 'a row field');
  out.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  out.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

function readU64(row: Buffer, at: number): number {
  if (at + 8 > row.length) throw new DecodeError('row is cut short');
  const value = row.readUInt32BE(at) * 0x1_0000_0000 + row.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new DecodeError('row field is too large');
  return value;
}
