import { createHash } from 'node:crypto';

/** SHA-256 over length-prefixed parts, so that no two lists of parts give the same bytes. */
export function sha256(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest();
}
