import { DecodeError } from '../../protocol/codec.ts';
import type { Revision } from '../../protocol/types.ts';
import { indexHead, u32, u64 } from '../../storage/kv/keyspace.ts';
import { pairText } from './trigrams.ts';

/**
 * Rows of a text index (kind t), after the index's id:
 *
 *   d document u64            one in no segment yet: revision u64, key length u16, key, the value
 *   s segment u32             retired at u64 (0: in use), then per document revision u64, key length u16, key
 *   g two bytes, segment u32  which documents of the segment hold each trigram that begins so (trigrams.ts)
 *   x segment u32             the pairs of bytes that have such a row
 */
export function openHead(prefix: string, id: number): string {
  return `${indexHead(prefix, 't', id)}d`;
}

export function openKey(prefix: string, id: number, document: number): string {
  return openHead(prefix, id) + u64(document);
}

export function segmentHead(prefix: string, id: number): string {
  return `${indexHead(prefix, 't', id)}s`;
}

export function segmentKey(prefix: string, id: number, segment: number): string {
  return segmentHead(prefix, id) + u32(segment);
}

export function postingHead(prefix: string, id: number, pair: number): string {
  return `${indexHead(prefix, 't', id)}g${pairText(pair)}`;
}

export function postingKey(prefix: string, id: number, pair: number, segment: number): string {
  return postingHead(prefix, id, pair) + u32(segment);
}

export function pairListKey(prefix: string, id: number, segment: number): string {
  return `${indexHead(prefix, 't', id)}x${u32(segment)}`;
}

/** The segment in the last four bytes of a row key. */
export function segmentOf(key: string): number {
  let segment = 0;
  for (let i = key.length - 4; i < key.length; i++) segment = segment * 256 + key.charCodeAt(i);
  return segment;
}

/** A version of a key that a text index holds. */
export interface TextDocument {
  readonly key: string;
  readonly revision: Revision;
}

export interface OpenDocument extends TextDocument {
  readonly value: Uint8Array;
}

export interface Segment {
  /** 0 while it is in use; later reads need it no more. */
  readonly retiredAt: Revision;
  readonly documents: readonly TextDocument[];
}

/** u64 and u16 of a document, before its key. */
const HEAD_BYTES = 10;

export function encodeOpen({ key, revision, value }: OpenDocument): Uint8Array {
  const out = Buffer.allocUnsafe(HEAD_BYTES + key.length + value.length);
  const at = writeDocument(out, 0, { key, revision });
  out.set(value, at);
  return out;
}

/** Throws DecodeError. */
export function decodeOpen(bytes: Uint8Array): OpenDocument {
  const row = bufferOf(bytes);
  const [document, at] = readDocument(row, 0);
  return { ...document, value: row.subarray(at) };
}

/** The key of an open document whose value holds the bytes, else null. Throws DecodeError. */
export function keyIfHolds(bytes: Uint8Array, needle: Uint8Array): string | null {
  const row = bufferOf(bytes);
  const end = documentEnd(row, 0);
  return row.indexOf(needle, end) < 0 ? null : row.toString('latin1', HEAD_BYTES, end);
}

/** The revision a segment is retired at, and the keys of some of its documents, ascending. */
export function keysInSegment(
  bytes: Uint8Array,
  numbers: readonly number[],
): { retiredAt: Revision; keys: string[] } {
  const row = bufferOf(bytes);
  if (row.length < 8) throw new DecodeError('not a segment row');
  const keys: string[] = [];
  let next = 0;
  for (let number = 0, at = 8; at < row.length && next < numbers.length; number++) {
    const end = documentEnd(row, at);
    if (numbers[next] === number) {
      keys.push(row.toString('latin1', at + HEAD_BYTES, end));
      next++;
    }
    at = end;
  }
  return { retiredAt: revisionAt(row, 0), keys };
}

export function encodeSegment({ retiredAt, documents }: Segment): Uint8Array {
  let size = 8;
  for (let i = 0; i < documents.length; i++) {
    size += HEAD_BYTES + (documents[i] as TextDocument).key.length;
  }
  const out = Buffer.allocUnsafe(size);
  out.writeBigUInt64BE(BigInt(retiredAt), 0);
  let at = 8;
  for (let i = 0; i < documents.length; i++) {
    at = writeDocument(out, at, documents[i] as TextDocument);
  }
  return out;
}

/** Throws DecodeError. */
export function decodeSegment(bytes: Uint8Array): Segment {
  const row = bufferOf(bytes);
  if (row.length < 8) throw new DecodeError('not a segment row');
  const documents: TextDocument[] = [];
  for (let at = 8; at < row.length; ) {
    const [document, end] = readDocument(row, at);
    documents.push(document);
    at = end;
  }
  return { retiredAt: revisionAt(row, 0), documents };
}

function writeDocument(out: Buffer, at: number, { key, revision }: TextDocument): number {
  out.writeBigUInt64BE(BigInt(revision), at);
  out.writeUInt16BE(key.length, at + 8);
  out.write(key, at + HEAD_BYTES, key.length, 'latin1');
  return at + HEAD_BYTES + key.length;
}

/** Where the key of the document at `at` ends. */
function documentEnd(row: Buffer, at: number): number {
  if (at + HEAD_BYTES > row.length) throw new DecodeError('a document row is cut short');
  const end = at + HEAD_BYTES + row.readUInt16BE(at + 8);
  if (end > row.length) throw new DecodeError('a document row is cut short');
  return end;
}

function readDocument(row: Buffer, at: number): [TextDocument, number] {
  const end = documentEnd(row, at);
  const key = row.toString('latin1', at + HEAD_BYTES, end);
  return [{ key, revision: revisionAt(row, at) }, end];
}

function revisionAt(row: Buffer, at: number): Revision {
  const revision = Number(row.readBigUInt64BE(at));
  if (!Number.isSafeInteger(revision)) throw new DecodeError('a revision is too large');
  return revision;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
