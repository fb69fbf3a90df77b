import { assert, assertCount } from '../../protocol/assert.ts';
import { DecodeError } from '../../protocol/codec.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { joinedCurrentKey, joinedTriple } from './last-names.ts';

/**
 * Row keys of the applied state: latin1 strings whose native order is byte order. A key is
 * group u16, generation u16, one kind character, then what the kind orders by. All integers are
 * big-endian. A snapshot loads into a fresh generation; the group's pointer row (generation 0)
 * names the one in use, so that a switch is one row. Layouts are on disk: they never change.
 *
 *   m meta       what (one character)
 *   c current    triple
 *   h history    escaped triple, 00 01, inverted revision u64 (newest first)
 *   f feed       revision u64, vshard u8, triple
 *   x expiry     expiresAtMs u64, triple
 *   i idempotency        vshard u8, tenant, 00, idempotency key
 *   j idempotency by age revision u64, then as i
 *   M meta state         name (UTF-8)
 *   l lease              id u64
 *   a attached           lease u64, triple
 *   e index entry        index u32, encoded fields, key
 *   p past index entry   index u32, encoded fields, escaped key, 00 01, inverted revision it ended at
 *   r reservation of a unique index       index u32, encoded fields
 *   o owed: a reservation to be ended     index u32, encoded fields, key
 *   t text index         index u32, what it holds (see apply/text-rows.ts)
 *   v prepared transaction       slot u16
 *   u decision that a participant has yet to learn        start u64, home u16, term u64
 *   d ended transaction          as u
 *   n, N, w, q, D, I, E, B, O, T objects (see object-keys.ts)
 *   U usage (see usage-rows.ts)
 *
 * A triple is tenant NUL space NUL key. Names hold no NUL, so triples order by (tenant, space, key).
 */
export const ROW_KINDS = 'mcfhijxMlaeprotvudnNwqDIEBOTUQ';

/** Characters before the kind: group and generation. */
export const PREFIX_LENGTH = 4;
/** Where the kind's own part of a row key starts. */
export const BODY_OFFSET = PREFIX_LENGTH + 1;
/** Generation 0 holds the pointer row only. */
export const GENERATION_MIN = 1;
export const GENERATION_MAX = 0xffff;

const NUL = '\x00';
/** NUL inside a key's history row: sorts above the terminator, as any longer key must. */
const ESCAPED_NUL = '\x00\xff';
export const TERMINATOR = '\x00\x01';
/** Just above every history row of one triple. */
export const AFTER_TERMINATOR = '\x00\x02';

/** Two bytes, 0..65535. */
export function u16(value: number): string {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffff, `not a u16: ${value}`);
  return String.fromCharCode(value >>> 8, value & 0xff);
}

/** Eight bytes of a safe integer >= 0. */
export function u64(value: number): string {
  checkCount(value);
  return eightBytes(Math.floor(value / 0x1_0000_0000), value >>> 0);
}

/** Eight bytes, every bit flipped, so that the highest revision sorts first. */
export function invertedU64(value: number): string {
  checkCount(value);
  return eightBytes(~Math.floor(value / 0x1_0000_0000), ~(value >>> 0));
}

/** Builds its message only when it fails: this runs several times per row. */
function checkCount(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) assertCount(value, 'a row key field');
}

function eightBytes(high: number, low: number): string {
  return String.fromCharCode(
    high >>> 24,
    (high >>> 16) & 0xff,
    (high >>> 8) & 0xff,
    high & 0xff,
    low >>> 24,
    (low >>> 16) & 0xff,
    (low >>> 8) & 0xff,
    low & 0xff,
  );
}

/** The u64 at `at`. Throws DecodeError when it is cut short or not a safe integer. */
export function readU64(text: string, at: number): number {
  let value = 0;
  for (let i = at; i < at + 8; i++) value = value * 256 + text.charCodeAt(i);
  if (!Number.isSafeInteger(value)) throw new DecodeError('row key holds no u64');
  return value;
}

export function invert(bytes: string): string {
  let out = '';
  for (let i = 0; i < bytes.length; i++) out += String.fromCharCode(bytes.charCodeAt(i) ^ 0xff);
  return out;
}

/** Start of every row of one generation of a group. */
export function generationPrefix(group: GroupId, generation: number): string {
  assert(generation >= GENERATION_MIN, 'generation 0 holds the pointer');
  return u16(group) + u16(generation);
}

/** The row that names a group's generation in use. */
export function pointerKey(group: GroupId): string {
  return `${u16(group)}${u16(0)}G`;
}

/** All rows of one generation, half-open. */
export function generationRange(group: GroupId, generation: number): [start: string, end: string] {
  const end =
    generation === GENERATION_MAX ? u16(group + 1) + u16(0) : u16(group) + u16(generation + 1);
  return [generationPrefix(group, generation), end];
}

/** The generation a row key belongs to; 0 is the pointer's. */
export function generationOf(key: string): number {
  return key.charCodeAt(2) * 256 + key.charCodeAt(3);
}

/** tenant NUL space NUL key. */
export function tripleOf(ref: KeyRef): string {
  return joinedTriple(ref.tenant, ref.space, ref.key);
}

/** The reverse of tripleOf; null when the text is no triple with a key. */
export function refOfTriple(triple: string): KeyRef | null {
  const first = triple.indexOf(NUL);
  const second = triple.indexOf(NUL, first + 1);
  if (first <= 0 || second <= first + 1 || second === triple.length - 1) return null;
  return {
    tenant: triple.slice(0, first),
    space: triple.slice(first + 1, second),
    key: triple.slice(second + 1),
  };
}

/** The key of a row that the engine gave back. Throws DecodeError. */
export function refOfStoredTriple(triple: string): KeyRef {
  const ref = refOfTriple(triple);
  if (ref === null) throw new DecodeError('row key holds no key triple');
  return ref;
}

export function metaKey(
  prefix: string,
  what: 'applied' | 'owned' | 'config' | 'indexes' | 'slots' | 'quotas',
): string {
  return `${prefix}m${what.charAt(0)}`;
}

export function currentKey(prefix: string, triple: string): string {
  return joinedCurrentKey(prefix, triple);
}

/** Every history row of a triple starts with this. O(1) for keys without NUL. */
export function historyHead(prefix: string, triple: string): string {
  return `${prefix}h${escapeTriple(triple)}${TERMINATOR}`;
}

/** The version of a triple that was written, or removed, at `revision`. */
export function historyKey(prefix: string, triple: string, revision: Revision): string {
  return historyHead(prefix, triple) + invertedU64(revision);
}

/** Just above every history row of a triple. */
export function historyAfter(prefix: string, triple: string): string {
  return `${prefix}h${escapeTriple(triple)}${AFTER_TERMINATOR}`;
}

/** Triple and revision of a history row's key. Throws DecodeError. */
export function parseHistoryKey(key: string): { triple: string; revision: Revision } {
  const end = key.length - 8 - TERMINATOR.length;
  if (end <= BODY_OFFSET || !key.startsWith(TERMINATOR, end)) {
    throw new DecodeError('not a history row key');
  }
  const revision = readU64(invert(key.slice(-8)), 0);
  return { triple: unescapeTriple(key.slice(BODY_OFFSET, end)), revision };
}

export function feedKey(
  prefix: string,
  revision: Revision,
  vshard: number,
  triple: string,
): string {
  return `${prefix}f${u64(revision)}${String.fromCharCode(vshard)}${triple}`;
}

/** The least feed key of a revision. */
export function feedStart(prefix: string, revision: Revision): string {
  return `${prefix}f${u64(revision)}`;
}

/** Throws DecodeError. */
export function parseFeedKey(key: string): { revision: Revision; vshard: number; triple: string } {
  if (key.length <= BODY_OFFSET + 9) throw new DecodeError('not a feed row key');
  return {
    revision: readU64(key, BODY_OFFSET),
    vshard: key.charCodeAt(BODY_OFFSET + 8),
    triple: key.slice(BODY_OFFSET + 9),
  };
}

export function expiryKey(prefix: string, expiresAtMs: number, triple: string): string {
  return `${prefix}x${u64(expiresAtMs)}${triple}`;
}

/** The least expiry key of a millisecond. */
export function expiryStart(prefix: string, expiresAtMs: number): string {
  return `${prefix}x${u64(expiresAtMs)}`;
}

/** Throws DecodeError. */
export function parseExpiryKey(key: string): { expiresAtMs: number; triple: string } {
  return { expiresAtMs: readU64(key, BODY_OFFSET), triple: key.slice(BODY_OFFSET + 8) };
}

/** What `i` and `j` rows share: vshard u8, tenant, NUL, idempotency key. */
export function idempotencyName(vshard: number, tenant: string, key: string): string {
  return `${String.fromCharCode(vshard)}${tenant}\x00${key}`;
}

export function idempotencyKey(prefix: string, name: string): string {
  return `${prefix}i${name}`;
}

export function idempotencyAgeKey(prefix: string, revision: Revision, name: string): string {
  return `${prefix}j${u64(revision)}${name}`;
}

/** The least idempotency age key of a revision. */
export function idempotencyAgeStart(prefix: string, revision: Revision): string {
  return `${prefix}j${u64(revision)}`;
}

/** Throws DecodeError. */
export function parseIdempotencyAgeKey(key: string): { revision: Revision; name: string } {
  return { revision: readU64(key, BODY_OFFSET), name: key.slice(BODY_OFFSET + 8) };
}

export function leaseKey(prefix: string, lease: number): string {
  return `${prefix}l${u64(lease)}`;
}

/** Just above every lease of a group. */
export function leaseRangeEnd(prefix: string): string {
  return `${prefix}m`;
}

/** Throws DecodeError. */
export function parseLeaseKey(key: string): number {
  return readU64(key, BODY_OFFSET);
}

/** The row that finds a key by its lease. */
export function attachedKey(prefix: string, lease: number, triple: string): string {
  return `${prefix}a${u64(lease)}${triple}`;
}

/** The triple of an attached row's key. */
export function parseAttachedKey(key: string): string {
  return key.slice(BODY_OFFSET + 8);
}

/** The transaction that is prepared in this slot. */
export function preparedKey(prefix: string, slot: number): string {
  return `${prefix}v${u16(slot)}`;
}

/** How a transaction ended; `u` while a participant has yet to learn it. */
export function decisionKey(
  prefix: string,
  kind: 'u' | 'd',
  id: { readonly home: number; readonly term: number; readonly start: Revision },
): string {
  return `${prefix}${kind}${u64(id.start)}${u16(id.home)}${u64(id.term)}`;
}

/** The least decision key of a start revision. */
export function decisionStart(prefix: string, kind: 'u' | 'd', start: Revision): string {
  return `${prefix}${kind}${u64(start)}`;
}

/** A row of the meta state. The name may be any text. */
export function metaStateKey(prefix: string, name: string): string {
  return `${prefix}M${Buffer.from(name, 'utf8').toString('latin1')}`;
}

/** The reverse of metaStateKey. */
export function metaStateName(key: string): string {
  return Buffer.from(key.slice(BODY_OFFSET), 'latin1').toString('utf8');
}

/** Current or history rows of one space with keys in [start, end), end null is open; half-open. */
export function spaceRange(
  prefix: string,
  kind: 'c' | 'h',
  space: { readonly tenant: string; readonly space: string },
  start: string,
  end: string | null,
): [start: string, end: string] {
  const head = `${prefix}${kind}${space.tenant}\x00${space.space}`;
  const [first, last] = kind === 'c' ? [start, end] : [escapeNul(start), end && escapeNul(end)];
  return [`${head}\x00${first}`, last === null ? `${head}\x01` : `${head}\x00${last}`];
}

/** Four bytes, 0..2^32-1. */
export function u32(value: number): string {
  return u16(Math.floor(value / 0x1_0000)) + u16(value % 0x1_0000);
}

/** Kinds of rows that belong to one index. */
export type IndexRowKind = 'e' | 'p' | 'r' | 'o' | 't';

/** Every row of one kind of one index starts with this. */
export function indexHead(prefix: string, kind: IndexRowKind, id: number): string {
  return `${prefix}${kind}${u32(id)}`;
}

/** Where the part of an index row's key after the index's id starts. */
export const INDEX_BODY_OFFSET = BODY_OFFSET + 4;

/** The index that a row of kind e, p, r, o or t belongs to. Throws DecodeError. */
export function indexOfRow(key: string): number {
  if (key.length < INDEX_BODY_OFFSET) throw new DecodeError('not a row of an index');
  let id = 0;
  for (let i = BODY_OFFSET; i < INDEX_BODY_OFFSET; i++) id = id * 256 + key.charCodeAt(i);
  return id;
}

/** The entry of a key's current version. */
export function entryKey(prefix: string, id: number, encoded: string, key: string): string {
  return indexHead(prefix, 'e', id) + encoded + key;
}

/** Which key has an entry of a unique index; its value is the key. */
export function reservationKey(prefix: string, id: number, encoded: string): string {
  return indexHead(prefix, 'r', id) + encoded;
}

/** An entry of a unique index that a key had, and that is perhaps still reserved for it. */
export function owedKey(prefix: string, id: number, encoded: string, key: string): string {
  return indexHead(prefix, 'o', id) + encoded + key;
}

/** Every row of an entry's past starts with this. */
export function pastEntryHead(prefix: string, id: number, encoded: string, key: string): string {
  return indexHead(prefix, 'p', id) + encoded + escapeNul(key) + TERMINATOR;
}

/** An entry that a key had until `ended`. */
export function pastEntryKey(
  prefix: string,
  id: number,
  encoded: string,
  key: string,
  ended: Revision,
): string {
  return pastEntryHead(prefix, id, encoded, key) + invertedU64(ended);
}

/** Just above every past row of an entry. */
export function pastEntryAfter(prefix: string, id: number, encoded: string, key: string): string {
  return indexHead(prefix, 'p', id) + encoded + escapeNul(key) + AFTER_TERMINATOR;
}

/** The key and the end of a past entry, whose fields end at `encodedEnd`. Throws DecodeError. */
export function parsePastEntry(row: string, encodedEnd: number): { key: string; ended: Revision } {
  const end = row.length - 8 - TERMINATOR.length;
  if (end <= encodedEnd || !row.startsWith(TERMINATOR, end)) {
    throw new DecodeError('not a past entry');
  }
  const key = row.slice(encodedEnd, end).replaceAll(ESCAPED_NUL, NUL);
  return { key, ended: readU64(invert(row.slice(-8)), 0) };
}

/** Escapes NUL in the key part; the two separators stay, since names hold no NUL. */
export function escapeTriple(triple: string): string {
  const keyAt = triple.indexOf(NUL, triple.indexOf(NUL) + 1) + 1;
  if (triple.indexOf(NUL, keyAt) < 0) return triple;
  return triple.slice(0, keyAt) + escapeNul(triple.slice(keyAt));
}

export function unescapeTriple(text: string): string {
  const keyAt = text.indexOf(NUL, text.indexOf(NUL) + 1) + 1;
  if (text.indexOf(NUL, keyAt) < 0) return text;
  return text.slice(0, keyAt) + text.slice(keyAt).replaceAll(ESCAPED_NUL, NUL);
}

export function escapeNul(key: string): string {
  return key.includes(NUL) ? key.replaceAll(NUL, ESCAPED_NUL) : key;
}
