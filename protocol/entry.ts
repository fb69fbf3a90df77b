import { assert, assertCount } from './assert.ts';
import { DecodeError } from './codec.ts';
import { LIMITS } from './limits.ts';
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

/** Builds the entry and its one encoding. */
export function makeEntry(
  fields: { index: number; term: number; kind: EntryKind; clockBound: Revision },
  payload: Uint8Array,
): LogEntry {
  assertCount(fields.index, 'index');
  assertCount(fields.term, 'term');
  assertCount(fields.clockBound, 'clockBound');
  assert(payload.length <= LIMITS.entryBytesMax, 'entry payload is too large');
  const bytes = Buffer.allocUnsafe(ENTRY_HEADER_BYTES + payload.length);
  writeCount(bytes, 0, fields.index);
  writeCount(bytes, 8, fields.term);
  writeCount(bytes, 16, fields.clockBound);
  bytes[24] = ENTRY_KINDS.indexOf(fields.kind);
  bytes.set(payload, ENTRY_HEADER_BYTES);
  return { ...fields, bytes };
}

export function entryPayload(entry: LogEntry): Uint8Array {
  return entry.bytes.subarray(ENTRY_HEADER_BYTES);
}

/** Reads one frame. Throws DecodeError. */
export function parseEntry(bytes: Uint8Array): LogEntry {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = ENTRY_KINDS[buffer[24] ?? 255];
  if (buffer.length > ENTRY_HEADER_BYTES + LIMITS.entryBytesMax || kind === undefined) {
    throw new DecodeError('not a log entry');
  }
  return {
    index: readCount(buffer, 0),
    term: readCount(buffer, 8),
    clockBound: readCount(buffer, 16),
    kind,
    bytes: buffer,
  };
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
  const buffer = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
  const entries: LogEntry[] = [];
  let at = 0;
  while (at < buffer.length) {
    if (at + 4 > buffer.length) throw new DecodeError('entries are cut short');
    const length = buffer.readUInt32BE(at);
    if (length > buffer.length - at - 4) throw new DecodeError('entries are cut short');
    const entry = parseEntry(buffer.subarray(at + 4, at + 4 + length));
    const last = entries[entries.length - 1];
    if (last !== undefined && (entry.index !== last.index + 1 || entry.term < last.term)) {
      throw new DecodeError('entries are out of order');
    }
    entries.push(entry);
    at += 4 + length;
  }
  return entries;
}

function writeCount(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}

function readCount(buffer: Buffer, at: number): number {
  const value = buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new DecodeError('count is too large');
  return value;
}
