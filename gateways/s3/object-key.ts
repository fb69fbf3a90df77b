import { fromLatin1, latin1, textOrNull, utf8 } from '../../protocol/bytes.ts';
import { s3Error } from './errors.ts';
import { percentDecoded } from './query.ts';

/** UTF-8 bytes of the longest object key. */
export const OBJECT_KEY_BYTES_MAX = 1024;

/** The key in a path, decoded exactly once and never normalised. Throws InvalidURI, KeyTooLongError. */
export function objectKeyOf(rawPath: string): string {
  const key = percentDecoded(rawPath);
  if (key === null) throw s3Error('InvalidURI');
  checkObjectKey(key);
  return key;
}

/** Throws KeyTooLongError. */
export function checkObjectKey(key: string): void {
  // A char is at most three bytes.
  if (key.length * 3 <= OBJECT_KEY_BYTES_MAX) return;
  const bytes = Buffer.byteLength(key, 'utf8');
  if (bytes <= OBJECT_KEY_BYTES_MAX) return;
  throw s3Error('KeyTooLongError', undefined, {
    Size: bytes,
    MaxSizeAllowed: OBJECT_KEY_BYTES_MAX,
  });
}

/** Keys are text at this edge; the engine has them as latin1 strings, one char per byte. */
export function engineKeyOf(key: string): string {
  return latin1(utf8(key));
}

/** Null where the engine's key is not UTF-8: no object of S3 is called so. */
export function keyOfEngine(engineKey: string): string | null {
  return textOrNull(fromLatin1(engineKey));
}
