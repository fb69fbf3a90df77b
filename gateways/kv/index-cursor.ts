import { fromLatin1, latin1 } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import { xxHash64 } from '../../protocol/hash.ts';
import type { EntryPosition } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { packOpaque, unpackOpaque } from './opaque.ts';

/** Where a query goes on: at which revision, after which entry. */
export interface QueryPoint {
  readonly revision: number;
  readonly after: EntryPosition;
}

/**
 * Opaque and bound to its revision and to `query`, the text of the query without its page: base64url of
 * [revision, encoded, key, check]. It is no secret and grants nothing.
 */
export function encodeQueryCursor({ revision, after }: QueryPoint, query: string): string {
  const check = checkOf({ revision, after }, query);
  return packOpaque([revision, fromLatin1(after.encoded), fromLatin1(after.key), check]);
}

const BYTES_MAX = LIMITS.keyBytesMax + LIMITS.indexEntryBytesMax + 128;

/** Throws invalid_argument where the cursor is damaged or belongs to another query. */
export function decodeQueryCursor(text: string, query: string): QueryPoint {
  const fields = unpackOpaque(text, 4, BYTES_MAX);
  if (fields === null) throw refused();
  const [revision, encoded, key, check] = fields;
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0) {
    throw refused();
  }
  if (!(encoded instanceof Uint8Array) || !(key instanceof Uint8Array)) throw refused();
  const point = { revision, after: { encoded: latin1(encoded), key: latin1(key) } };
  if (check !== checkOf(point, query)) throw refused();
  return point;
}

function checkOf({ revision, after }: QueryPoint, query: string): string {
  const { encoded, key } = after;
  const sizes = `${encoded.length}:${key.length}`;
  const text = `index1:${revision}:${sizes}:${encoded}${key}`;
  return xxHash64(Buffer.concat([fromLatin1(text), Buffer.from(query)])).toString(36);
}

function refused(): AppError {
  return new AppError('invalid_argument', 'this cursor is not one of this query');
}
