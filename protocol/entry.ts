import { assert, assertCount } from './assert.ts';
import { DecodeError } from './codec.ts';
import { LIMITS } from './limits.ts';
import type { Slab } from './slab.ts';
import type { Revision } from './types.ts';

/** What a Raft entry carries: nothing, a configuration, a command for the state machine. */
export const ENTRY_KINDS = ['noop', 'config', 'command'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/**
 * One log entry. `bytes` is the whole encoded frame (header and payload), made once by the leader;
 * the same bytes go to the WAL and to every follower. Header, big-endian, 25 bytes:
 * index u64, term u64, clockBound u64, kind u8. Then the payload.
 */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  /** A new leader's clock starts above this: the entry's last revision, or a reserved bound. */
  readonly clockBound: Revision;
  readonly bytes: Uint8Array;
}

export const ENTRY_HEADER_BYTES = 25;

/** Builds the entry and its one encoding, in `slab` where one is given. */
export function makeEntry(
  fields: { index: number; term: number; kind: EntryKind; clockBound: Revision },
  payload: Uint8Array,
  slab?: Slab,
): LogEntry {
  assertCount(fields.index, 'index');
  assertCount(fields.term, 'term');
  assertCount(fields.clockBound, 'clockBound');
  assert(payload.length <= LIMITS.entryBytesMax, 'entry payload is too large');
  const size = ENTRY_HEADER_BYTES + payload.length;
  const bytes = slab === undefined ? Buffer.allocUnsafeSlow(size) : slab.take(size);
  writeCount(bytes, 0, fields.index);
  writeCount(bytes, 8, fields.term);
  writeCount(bytes, 16, fields.clockBound);
  bytes[24] = ENTRY_KINDS.indexOf(fields.kind);
  bytes.set(payload, ENTRY_HEADER_BYTES);
  // Written out: each object that a spread makes here would get a hidden class of its own.
  const { index, term, kind, clockBound } = fields;
  return { index, term, kind, clockBound, bytes };
}

export function entryPayload(entry: LogEntry): Uint8Array {
  return entry.bytes.subarray(ENTRY_HEADER_BYTES);
}

/** Reads one frame; the entry's bytes are a view on it. Throws DecodeError. */
export function parseEntry(bytes: Uint8Array): LogEntry {
  const kind = ENTRY_KINDS[bytes[24] ?? 255];
  if (bytes.length > ENTRY_HEADER_BYTES + LIMITS.entryBytesMax || kind === undefined) {
    throw new DecodeError('not a log entry');
  }
  return {
    index: readCount(bytes, 0),
    term: readCount(bytes, 8),
    kind,
    clockBound: readCount(bytes, 16),
    bytes,
  };
}

/** How much larger than its entries a buffer may be that they keep in memory. */
const SPARE_MAX = 4;

/**
 * Entries to keep. Those that were received or recovered are views on the whole envelope or segment that they
 * came in: where that is mostly something else, they are copied into `slab`.
 */
export function entriesToKeep(entries: readonly LogEntry[], slab: Slab): readonly LogEntry[] {
  let size = 0;
  for (let i = 0; i < entries.length; i++) size += (entries[i] as LogEntry).bytes.length;
  const first = entries[0];
  if (first === undefined || first.bytes.buffer.byteLength <= size * SPARE_MAX) return entries;
  const kept = new Array<LogEntry>(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as LogEntry;
    const bytes = slab.take(entry.bytes.length);
    bytes.set(entry.bytes);
    const { index, term, kind, clockBound } = entry;
    kept[i] = { index, term, kind, clockBound, bytes };
  }
  return kept;
}

/** Entries as one blob: u32 length and frame, repeated. Used by AppendEntries and by the WAL. */
export function packEntries(entries: readonly LogEntry[]): Uint8Array {
  let size = 0;
  for (const entry of entries) size += 4 + entry.bytes.length;
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const entry of entries) {
    out.writeUInt32BE(entry.bytes.length, at);
    out.set(entry.bytes, at + 4);
    at += 4 + entry.bytes.length;
  }
  return out;
}

/** The reverse: views on `blob`. Indexes must be consecutive. Throws DecodeError. */
export function unpackEntries(blob: Uint8Array): LogEntry[] {
  const entries: LogEntry[] = [];
  let last: LogEntry | null = null;
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) throw new DecodeError('entries are cut short');
    const length = readUint32(blob, at);
    if (length > blob.length - at - 4) throw new DecodeError('entries are cut short');
    const entry = parseEntry(new Uint8Array(blob.buffer, blob.byteOffset + at + 4, length));
    if (last !== null && (entry.index !== last.index + 1 || entry.term < last.term)) {
      throw new DecodeError('entries are out of order');
    }
    entries.push(entry);
    last = entry;
    at += 4 + length;
  }
  return entries;
}

function writeCount(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

function readCount(bytes: Uint8Array, at: number): number {
  const value = readUint32(bytes, at) * 0x1_0000_0000 + readUint32(bytes, at + 4);
  if (!Number.isSafeInteger(value)) throw new DecodeError('count is too large');
  return value;
}

/** The caller has checked that four bytes are there. */
function readUint32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return high * 0x1_0000 + low;
}
