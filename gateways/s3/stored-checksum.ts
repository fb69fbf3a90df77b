import type { Checksum as StoredChecksum } from '../../protocol/objects.ts';
import type { HeaderPair } from './answer.ts';
import type { Checksum } from './checksum-fields.ts';
import { CHECKSUMS, type ChecksumAlgorithm, type ChecksumType } from './checksums.ts';

/** The store's names of checksums and S3's. */

export type StoredAlgorithm = StoredChecksum['algorithm'];

export function storedAlgorithm(algorithm: ChecksumAlgorithm): StoredAlgorithm {
  return algorithm.toLowerCase() as StoredAlgorithm;
}

export function shownAlgorithm(algorithm: StoredAlgorithm): ChecksumAlgorithm {
  return algorithm.toUpperCase() as ChecksumAlgorithm;
}

export function storedKind(type: ChecksumType): StoredChecksum['kind'] {
  return type === 'COMPOSITE' ? 'composite' : 'full';
}

export function shownKind(kind: StoredChecksum['kind']): ChecksumType {
  return kind === 'composite' ? 'COMPOSITE' : 'FULL_OBJECT';
}

/** Of all bytes of a body. */
export function storedChecksum(
  found: { readonly algorithm: ChecksumAlgorithm; readonly value: Uint8Array } | null,
): StoredChecksum | null {
  if (found === null) return null;
  return { algorithm: storedAlgorithm(found.algorithm), kind: 'full', value: found.value };
}

/** `parts`: how many a composite one is of. */
export function shownChecksum(stored: StoredChecksum, parts: number): Checksum {
  const base64 = Buffer.from(stored.value).toString('base64');
  const value = stored.kind === 'composite' ? `${base64}-${parts}` : base64;
  return { algorithm: shownAlgorithm(stored.algorithm), value };
}

export function checksumHeaders(stored: StoredChecksum | null, parts: number): HeaderPair[] {
  if (stored === null) return [];
  const { algorithm, value } = shownChecksum(stored, parts);
  return [
    [CHECKSUMS[algorithm].header, value],
    ['x-amz-checksum-type', shownKind(stored.kind)],
  ];
}
