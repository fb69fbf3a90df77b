import { fromLatin1, latin1 } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import { xxHash64 } from '../../protocol/hash.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { packOpaque, unpackOpaque } from './opaque.ts';

/** The range a cursor belongs to. */
export interface CursorRange {
  readonly start: string;
  readonly end: string | null;
  readonly reverse: boolean;
}

/** Where a listing goes on: at which revision, from which key. */
export interface CursorPoint {
  readonly revision: number;
  readonly next: string;
}

/**
 * A cursor is opaque and bound to its revision and range: base64url of [revision, next key, check], where
 * the check covers all of it and the range. It is no secret and grants nothing: the range is checked
 * again when it is used, so a forged one reads nothing that its bearer could not list anyway.
 */
export function encodeCursor(point: CursorPoint, range: CursorRange): string {
  return packOpaque([point.revision, fromLatin1(point.next), checkOf(point, range)]);
}

const BYTES_MAX = LIMITS.keyBytesMax + 64;

/** Throws invalid_argument where the cursor is damaged or belongs to another range. */
export function decodeCursor(text: string, range: CursorRange): CursorPoint {
  const fields = unpackOpaque(text, 3, BYTES_MAX);
  if (fields === null) throw refused();
  const [revision, next, check] = fields;
  if (!Number.isSafeInteger(revision) || !(next instanceof Uint8Array)) throw refused();
  const point = { revision: revision as number, next: latin1(next) };
  if (check !== checkOf(point, range)) throw refused();
  const isInside = point.next >= range.start && (range.end === null || point.next <= range.end);
  if (point.revision < 0 || !isInside) throw refused();
  return point;
}

function checkOf(point: CursorPoint, range: CursorRange): string {
  const parts = [String(point.revision), point.next, range.start, range.end ?? '\u00ff'];
  const sizes = parts.map((part) => part.length).join(',');
  const text = `cursor1:${sizes}:${range.reverse}:${range.end === null}:${parts.join('')}`;
  return xxHash64(fromLatin1(text)).toString(36);
}

function refused(): AppError {
  return new AppError('invalid_argument', 'this cursor is not one of this listing');
}
