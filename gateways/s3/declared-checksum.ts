import {
  base64Of,
  CHECKSUM_ALGORITHMS,
  CHECKSUMS,
  type ChecksumAlgorithm,
  isChecksumAlgorithm,
} from './checksums.ts';
import { s3Error } from './errors.ts';
import { trailerNamesOf } from './payload-form.ts';
import type { Headers } from './signed-request.ts';

/** The checksum that a client sends with a body. */
export interface DeclaredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Null: it comes in a trailer, or only the algorithm is asked for. */
  readonly value: Buffer | null;
  readonly isTrailer: boolean;
}

const HEADER_OF: ReadonlyMap<string, ChecksumAlgorithm> = new Map(
  CHECKSUM_ALGORITHMS.map((algorithm) => [CHECKSUMS[algorithm].header, algorithm]),
);

/**
 * What the headers of a request with a body say of its checksum: at most one value, here or in a trailer. Null
 * where they say nothing. Throws `InvalidRequest` as S3 does.
 */
export function declaredChecksumOf(headers: Headers): DeclaredChecksum | null {
  const inHeaders = CHECKSUM_ALGORITHMS.filter((name) => headers.has(CHECKSUMS[name].header));
  const inTrailers = trailerNamesOf(headers).map((name) => {
    const algorithm = HEADER_OF.get(name);
    if (algorithm !== undefined) return algorithm;
    const why = 'The value specified in the x-amz-trailer header is not supported';
    throw s3Error('InvalidRequest', why);
  });
  if (inHeaders.length + inTrailers.length > 1) {
    throw s3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  const algorithm = inHeaders[0] ?? inTrailers[0] ?? null;
  checkNamed(headers.get('x-amz-sdk-checksum-algorithm'), algorithm);
  if (algorithm === null) return null;
  if (inHeaders.length === 0) return { algorithm, value: null, isTrailer: true };
  const { header } = CHECKSUMS[algorithm];
  return {
    algorithm,
    value: checksumValue(algorithm, headers.get(header) ?? ''),
    isTrailer: false,
  };
}

/** SDKs name the algorithm besides: it has to be that of the value. */
function checkNamed(named: string | undefined, algorithm: ChecksumAlgorithm | null): void {
  if (named === undefined || named === '') return;
  const upper = named.toUpperCase();
  if (!isChecksumAlgorithm(upper)) {
    throw s3Error(
      'InvalidRequest',
      `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${CHECKSUM_ALGORITHMS.join(', ')}]`,
    );
  }
  if (algorithm === null) {
    throw s3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  if (upper !== algorithm) {
    throw s3Error('InvalidRequest', 'Value for x-amz-sdk-checksum-algorithm header is invalid.');
  }
}

/** The bytes of a checksum in base64. Throws `InvalidRequest` where it is none of this algorithm. */
export function checksumValue(
  algorithm: ChecksumAlgorithm,
  text: string,
  where: 'header' | 'trailing header' = 'header',
): Buffer {
  const { header, bytes } = CHECKSUMS[algorithm];
  const value = base64Of(text, bytes);
  if (value === null) {
    throw s3Error('InvalidRequest', `Value for ${header} ${where} is invalid.`);
  }
  return value;
}

/** `Content-MD5` as bytes, null where there is none. Throws `InvalidDigest`. */
export function contentMd5Of(headers: Headers): Buffer | null {
  const text = headers.get('content-md5');
  if (text === undefined) return null;
  const value = base64Of(text, 16);
  if (value === null) throw s3Error('InvalidDigest', undefined, { 'Content-MD5': text });
  return value;
}
