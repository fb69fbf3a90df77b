import { createHash } from 'node:crypto';
import { assert } from '../../protocol/assert.ts';
import { type CrcPart, combineCrcs, isCrc } from '../../protocol/crc-combine.ts';
import { type ChecksumAlgorithm, type ChecksumType, hasherOf } from './checksums.ts';
import { s3Error } from './errors.ts';

const TYPES: { readonly [A in ChecksumAlgorithm]: readonly ChecksumType[] } = {
  // The first is what S3 takes where the client does not say.
  CRC32: ['COMPOSITE', 'FULL_OBJECT'],
  CRC32C: ['COMPOSITE', 'FULL_OBJECT'],
  CRC64NVME: ['FULL_OBJECT'],
  SHA1: ['COMPOSITE'],
  SHA256: ['COMPOSITE'],
};

/** Throws `InvalidRequest` for a type that the algorithm cannot have. */
export function checksumTypeOf(
  algorithm: ChecksumAlgorithm,
  requested: string | undefined,
): ChecksumType {
  const types = TYPES[algorithm];
  if (requested === undefined) return types[0] as ChecksumType;
  const found = types.find((type) => type === requested.toUpperCase());
  if (found !== undefined) return found;
  if (!/^(?:FULL_OBJECT|COMPOSITE)$/i.test(requested)) {
    throw s3Error('InvalidRequest', 'Value for x-amz-checksum-type header is invalid.');
  }
  throw s3Error(
    'InvalidRequest',
    `The ${requested.toUpperCase()} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
  );
}

/**
 * The checksum of an upload from those of its parts, in their order, as S3 writes it: base64, and behind a
 * composite one the number of parts. Nothing of the parts' data is read.
 */
export function multipartChecksum(
  algorithm: ChecksumAlgorithm,
  type: ChecksumType,
  parts: readonly CrcPart[],
): string {
  if (type === 'FULL_OBJECT') {
    assert(isCrc(algorithm), 'only CRCs can be combined');
    return combineCrcs(algorithm, parts).toString('base64');
  }
  const hasher = hasherOf(algorithm);
  for (const { value } of parts) hasher.update(value);
  return `${hasher.digest().toString('base64')}-${parts.length}`;
}

/** The ETag, without quotes: the MD5 of the parts' MD5s, and their number. */
export function multipartETag(md5s: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const md5 of md5s) hash.update(md5);
  return `${hash.digest('hex')}-${md5s.length}`;
}
