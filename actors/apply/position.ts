import { NAME_BYTES_MAX } from '../../protocol/keys.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Position } from '../../protocol/messages/request.ts';
import type { Revision } from '../../protocol/types.ts';
import { VSHARD_COUNT } from '../../protocol/vshard.ts';
import { readU64, refOfTriple, tripleOf, u16, u64 } from '../../storage/kv/keyspace.ts';

/**
 * Where an event stands in the one order over all groups: (revision, vshard, key triple). Per
 * revision and key there is at most one event, so a position is exact. A position need not be an
 * event's: vshard VSHARD_COUNT stands after every event of its revision.
 */
export function positionOf(event: ChangeEvent): Position {
  return { revision: event.revision, vshard: event.vshard, triple: tripleOf(event.ref) };
}

/** After every event at or below `revision`, before every later one. */
export function positionAfter(revision: Revision): Position {
  return { revision, vshard: VSHARD_COUNT, triple: '' };
}

/** The highest revision that has no event after the position. */
export function revisionUpTo({ revision, vshard }: Position): Revision {
  return vshard === VSHARD_COUNT ? revision : revision - 1;
}

/** Negative when `a` comes first, 0 when they are equal. */
export function comparePositions(a: Position, b: Position): number {
  if (a.revision !== b.revision) return a.revision < b.revision ? -1 : 1;
  if (a.vshard !== b.vshard) return a.vshard < b.vshard ? -1 : 1;
  if (a.triple === b.triple) return 0;
  return a.triple < b.triple ? -1 : 1;
}

const TOKEN_VERSION = '\x01';
/** Version, revision u64, vshard u16. */
const HEAD_LENGTH = 11;
const TRIPLE_BYTES_MAX = LIMITS.keyBytesMax + 2 * NAME_BYTES_MAX + 2;
const TOKEN_LENGTH_MAX = Math.ceil(((HEAD_LENGTH + TRIPLE_BYTES_MAX) * 4) / 3);

/** A watch's resume token: base64url, opaque to clients. */
export function encodeToken(position: Position): string {
  const text = `${TOKEN_VERSION}${u64(position.revision)}${u16(position.vshard)}${position.triple}`;
  return Buffer.from(text, 'latin1').toString('base64url');
}

/** The position of a token; null for anything encodeToken does not give. Never throws. */
export function decodeToken(token: string): Position | null {
  if (token.length > TOKEN_LENGTH_MAX) return null;
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length < HEAD_LENGTH || bytes.toString('base64url') !== token) return null;
  const text = bytes.toString('latin1');
  if (text[0] !== TOKEN_VERSION || bytes.readUInt32BE(1) > 0x1f_ffff) return null;
  const vshard = bytes.readUInt16BE(9);
  const triple = text.slice(HEAD_LENGTH);
  if (vshard > VSHARD_COUNT || triple.length > TRIPLE_BYTES_MAX) return null;
  if (triple !== '' && (vshard === VSHARD_COUNT || refOfTriple(triple) === null)) return null;
  return { revision: readU64(text, 1), vshard, triple };
}
