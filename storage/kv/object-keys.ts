import { assert } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { OutboxPosition } from '../../protocol/notifications.ts';
import type { Revision } from '../../protocol/types.ts';
import {
  AFTER_TERMINATOR,
  BODY_OFFSET,
  escapeNul,
  escapeTriple,
  invert,
  invertedU64,
  readU64,
  TERMINATOR,
  u16,
  u64,
  unescapeTriple,
} from './keyspace.ts';

/**
 * Row keys of objects (ADR 0034), behind group, generation and kind as in keyspace.ts. `triple` stands for an
 * escaped triple and 00 01. A data id has 16 bytes, latin1.
 *
 *   n version that is not current, or a delete marker     triple, inverted revision of its put
 *   N links between those        triple: the head; triple, inverted revision: one link
 *   w upload                     triple, upload id
 *   q part                       triple, upload id, 00, number u16; number 0: which parts there are
 *   D data                       data id
 *   I bytes of inline data       data id
 *   E data that nothing names    revision u64 at which that began, data id
 *   B bucket                     tenant, 00, name
 *   O notification to be sent    target, 00, index of its entry u64, number in the entry u16
 *   T what of those waits        target; the empty one is all of them
 */

function head(prefix: string, kind: 'n' | 'N' | 'w' | 'q', triple: string): string {
  return prefix + kind + escapeTriple(triple) + TERMINATOR;
}

/** Just above every row of one kind of a triple. */
export function objectRowsEnd(prefix: string, kind: 'n' | 'w' | 'q', triple: string): string {
  return prefix + kind + escapeTriple(triple) + AFTER_TERMINATOR;
}

export function versionKey(prefix: string, triple: string, putAt: Revision): string {
  return head(prefix, 'n', triple) + invertedU64(putAt);
}

/** Triple and revision of a version row's key. Throws DecodeError. */
export function parseVersionKey(key: string): { triple: string; putAt: Revision } {
  const end = key.length - 8 - TERMINATOR.length;
  if (end <= BODY_OFFSET || !key.startsWith(TERMINATOR, end)) {
    throw new DecodeError('not a version row key');
  }
  const triple = unescapeTriple(key.slice(BODY_OFFSET, end));
  return { triple, putAt: readU64(invert(key.slice(-8)), 0) };
}

/** Where the versions of a triple begin and end. */
export function versionsHeadKey(prefix: string, triple: string): string {
  return head(prefix, 'N', triple);
}

export function versionLinkKey(prefix: string, triple: string, putAt: Revision): string {
  return head(prefix, 'N', triple) + invertedU64(putAt);
}

export function uploadKey(prefix: string, triple: string, upload: string): string {
  return head(prefix, 'w', triple) + upload;
}

/** Throws DecodeError. Upload ids have no NUL, so the last terminator is the triple's. */
export function parseUploadKey(key: string): { triple: string; upload: string } {
  const end = key.lastIndexOf(TERMINATOR);
  if (end <= BODY_OFFSET) throw new DecodeError('not an upload row key');
  const triple = unescapeTriple(key.slice(BODY_OFFSET, end));
  return { triple, upload: key.slice(end + TERMINATOR.length) };
}

/** `number` 0: which parts there are. */
export function partKey(prefix: string, triple: string, upload: string, number: number): string {
  return `${head(prefix, 'q', triple)}${upload}\x00${u16(number)}`;
}

/** Throws DecodeError. */
export function partOfKey(key: string): number {
  if (key.length < BODY_OFFSET + 2) throw new DecodeError('not a part row key');
  return key.charCodeAt(key.length - 2) * 256 + key.charCodeAt(key.length - 1);
}

/** The three kinds of rows that go by a data id. */
export function dataKey(prefix: string, kind: 'D' | 'I', id: string): string {
  return prefix + kind + id;
}

export function endedDataKey(prefix: string, at: Revision, id: string): string {
  return `${prefix}E${u64(at)}${id}`;
}

/** The least key of data that was ended at this revision. */
export function endedDataStart(prefix: string, at: Revision): string {
  return `${prefix}E${u64(at)}`;
}

/** Throws DecodeError. */
export function parseEndedDataKey(key: string): { at: Revision; id: string } {
  return { at: readU64(key, BODY_OFFSET), id: key.slice(BODY_OFFSET + 8) };
}

export function bucketKey(prefix: string, tenant: string, name: string): string {
  return `${prefix}B${tenant}\x00${name}`;
}

/** Rows of kind n or w of a bucket with keys in [start, end), end null is open; half-open. */
export function objectRange(
  prefix: string,
  kind: 'n' | 'w',
  bucket: { readonly tenant: string; readonly space: string },
  start: string,
  end: string | null,
): [start: string, end: string] {
  const space = `${prefix}${kind}${bucket.tenant}\x00${bucket.space}`;
  const last = end === null ? `${space}\x01` : `${space}\x00${escapeNul(end)}`;
  return [`${space}\x00${escapeNul(start)}`, last];
}

const ORDINAL_MAX = 0xffff;
assert(
  Math.max(LIMITS.txnOpsMax, LIMITS.feedPageEventsMax) <= ORDINAL_MAX,
  'the notifications of an entry can be numbered',
);

/** `target` has no NUL. */
export function outboxKey(prefix: string, target: string, at: OutboxPosition): string {
  // An entry changes so few objects, and one rule tells of a change: rules that overlap are refused when they are put.
  assert(at.ordinal <= ORDINAL_MAX, `too many notifications of entry ${at.index}`);
  return `${prefix}O${target}\x00${u64(at.index)}${u16(at.ordinal)}`;
}

/** Notifications of one target above a position (null: all), half-open. */
export function outboxRange(
  prefix: string,
  target: string,
  after: OutboxPosition | null,
): [start: string, end: string] {
  const head = `${prefix}O${target}`;
  const start = after === null ? `${head}\x00` : `${outboxKey(prefix, target, after)}\x00`;
  return [start, `${head}\x01`];
}

/** Throws DecodeError. */
export function parseOutboxKey(key: string): OutboxPosition {
  const at = key.length - 10;
  if (at <= BODY_OFFSET) throw new DecodeError('not an outbox row key');
  const ordinal = key.charCodeAt(at + 8) * 256 + key.charCodeAt(at + 9);
  return { index: readU64(key, at), ordinal };
}

export function outboxTotalsKey(prefix: string, target: string): string {
  return `${prefix}T${target}`;
}

/** Totals of each target, without those of all. */
export function outboxTotalsRange(prefix: string): [start: string, end: string] {
  return [`${prefix}T\x01`, `${prefix}U`];
}

export function targetOfTotalsKey(key: string): string {
  return key.slice(BODY_OFFSET);
}
