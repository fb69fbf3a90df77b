import { createHash } from 'node:crypto';
import { SSE_ALGORITHMS } from './encryption.ts';
import { invalidArgument, type S3Error, s3Error } from './errors.ts';
import { type Headers, headerOf, wordOf } from './headers.ts';

/** SSE-C: the object is encrypted with this key, of which only the MD5 is kept. */
export interface CustomerKey {
  readonly key: Uint8Array;
  /** Base64, as the client gave it: answers say it again. */
  readonly keyMd5: string;
}

/** How an object is to be encrypted. */
export type EncryptionRequest =
  | { readonly type: 'SSE-S3' }
  | {
      readonly type: 'SSE-KMS';
      readonly algorithm: 'aws:kms' | 'aws:kms:dsse';
      /** Null is the default key. */
      readonly keyId: string | null;
      /** Base64 of a JSON object. */
      readonly context: string | null;
      /** Null leaves it to the bucket. */
      readonly bucketKeyEnabled: boolean | null;
    }
  | { readonly type: 'SSE-C'; readonly customerKey: CustomerKey };

const SSE = 'x-amz-server-side-encryption';
const COPY_SOURCE = 'x-amz-copy-source-server-side-encryption';
const KEY_BYTES = 32;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Null leaves it to the bucket. Throws InvalidArgument, InvalidEncryptionAlgorithmError. */
export function encryptionOf(headers: Headers): EncryptionRequest | null {
  const customerKey = customerKeyOf(headers);
  const given = headerOf(headers, SSE);
  if (customerKey !== null) {
    if (given === null) return { type: 'SSE-C', customerKey };
    throw invalidArgument(
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
      SSE,
      given.slice(0, 64),
    );
  }
  const algorithm = given === null ? null : algorithmOf(given);
  const keyId = headerOf(headers, `${SSE}-aws-kms-key-id`);
  const context = contextOf(headerOf(headers, `${SSE}-context`));
  if (algorithm === 'aws:kms' || algorithm === 'aws:kms:dsse') {
    const bucketKeyEnabled = bucketKeyOf(headers);
    return { type: 'SSE-KMS', algorithm, keyId, context, bucketKeyEnabled };
  }
  if (keyId !== null || context !== null) {
    throw invalidArgument(
      `Server Side Encryption with AWS KMS managed key requires HTTP header ${SSE} : aws:kms`,
      SSE,
      given ?? '',
    );
  }
  return algorithm === null ? null : { type: 'SSE-S3' };
}

/** Whether a bucket key is asked for; null: nothing is said. It may also be said of the bucket's own default. */
export function bucketKeyOf(headers: Headers): boolean | null {
  const given = wordOf(headers, `${SSE}-bucket-key-enabled`, ['true', 'false']);
  return given === null ? null : given === 'true';
}

function algorithmOf(given: string) {
  const algorithm = SSE_ALGORITHMS.find((known) => known === given);
  if (algorithm !== undefined) return algorithm;
  throw invalidArgument(
    'The encryption method specified is not supported',
    SSE,
    given.slice(0, 64),
  );
}

/** Base64 of a JSON object whose values are text. */
function contextOf(given: string | null): string | null {
  if (given === null) return null;
  let context: unknown = null;
  if (BASE64.test(given)) {
    try {
      context = JSON.parse(Buffer.from(given, 'base64').toString('utf8'));
    } catch {
      context = null;
    }
  }
  const isObject = typeof context === 'object' && context !== null && !Array.isArray(context);
  if (isObject && Object.values(context as object).every((value) => typeof value === 'string')) {
    return given;
  }
  throw s3Error('InvalidArgument', 'The KMS encryption context must be base64 of a JSON object', {
    ArgumentName: `${SSE}-context`,
  });
}

/** The key of an object that is read or written with SSE-C; null where none is given. */
export function customerKeyOf(headers: Headers): CustomerKey | null {
  return keyAt(headers, SSE);
}

/** The key of the source of a copy. */
export function copySourceCustomerKeyOf(headers: Headers): CustomerKey | null {
  return keyAt(headers, COPY_SOURCE);
}

function keyAt(headers: Headers, before: string): CustomerKey | null {
  const algorithm = headerOf(headers, `${before}-customer-algorithm`);
  const key = headerOf(headers, `${before}-customer-key`);
  const keyMd5 = headerOf(headers, `${before}-customer-key-md5`);
  if (algorithm === null && key === null && keyMd5 === null) return null;
  const must =
    'Requests specifying Server Side Encryption with Customer provided keys must provide';
  if (algorithm === null) throw refused(`${must} a valid encryption algorithm.`, before);
  if (algorithm !== 'AES256') {
    throw s3Error(
      'InvalidEncryptionAlgorithmError',
      'The Encryption request you specified is not valid. Supported value: AES256.',
      { ArgumentName: `${before}-customer-algorithm`, ArgumentValue: algorithm.slice(0, 64) },
    );
  }
  if (key === null) throw refused(`${must} an appropriate secret key.`, before);
  if (keyMd5 === null) {
    throw refused(`${must} the client calculated MD5 of the secret key.`, before);
  }
  const bytes = BASE64.test(key) ? Buffer.from(key, 'base64') : Buffer.alloc(0);
  if (bytes.length !== KEY_BYTES) {
    throw refused('The secret key was invalid for the specified algorithm.', before);
  }
  if (createHash('md5').update(bytes).digest('base64') !== keyMd5) {
    throw refused(
      'The calculated MD5 hash of the key did not match the hash that was provided.',
      before,
    );
  }
  return { key: bytes, keyMd5 };
}

/** Never says the key itself. */
function refused(message: string, before: string): S3Error {
  return s3Error('InvalidArgument', message, { ArgumentName: `${before}-customer-key` });
}
