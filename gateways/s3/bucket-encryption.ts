import type { Bucket } from '../../protocol/object-access.ts';
import { serverSideEncryptionConfiguration } from './encryption.ts';
import type { EncryptionRequest } from './encryption-headers.ts';
import { s3Error } from './errors.ts';

/** The name of the document in a bucket's row. */
export const ENCRYPTION_DOCUMENT = 'encryption';

interface Defaults {
  readonly request: EncryptionRequest | null;
  readonly bucketKeyEnabled: boolean;
  readonly blocksCustomerKeys: boolean;
}

const NONE: Defaults = { request: null, bucketKeyEnabled: false, blocksCustomerKeys: false };
/** A bucket's row is read again only when it has changed, so its document is too. */
const known = new WeakMap<Bucket['documents'], Defaults>();

function defaultsOf({ documents }: Bucket): Defaults {
  const text = documents[ENCRYPTION_DOCUMENT];
  if (text === undefined) return NONE;
  const before = known.get(documents);
  if (before !== undefined) return before;
  const defaults = parsed(text);
  known.set(documents, defaults);
  return defaults;
}

function parsed(text: string): Defaults {
  const [rule] = serverSideEncryptionConfiguration.read(Buffer.from(text)).rules;
  if (rule === undefined) return NONE;
  const { byDefault, bucketKeyEnabled, blockedEncryptionTypes } = rule;
  const blocksCustomerKeys = blockedEncryptionTypes?.types.includes('SSE-C') ?? false;
  const algorithm = byDefault?.sseAlgorithm ?? null;
  if (algorithm === null) return { request: null, bucketKeyEnabled, blocksCustomerKeys };
  const request: EncryptionRequest =
    algorithm === 'AES256'
      ? { type: 'SSE-S3' }
      : {
          ...{ type: 'SSE-KMS', algorithm, context: null, bucketKeyEnabled },
          keyId: byDefault?.kmsMasterKeyId ?? null,
        };
  return { request, bucketKeyEnabled, blocksCustomerKeys };
}

/**
 * What a put comes to in its bucket; null: it is not encrypted. `bucketKey`: whether it asks for a bucket key; null: it
 * does not say. Throws AccessDenied for what the bucket does not take.
 */
export function requestIn(
  bucket: Bucket,
  request: EncryptionRequest | null,
  bucketKey: boolean | null,
): EncryptionRequest | null {
  const defaults = defaultsOf(bucket);
  if (request?.type === 'SSE-C' && defaults.blocksCustomerKeys) {
    throw s3Error('AccessDenied', 'Server-side encryption with customer keys is blocked here');
  }
  const wanted = request ?? defaults.request;
  if (wanted?.type !== 'SSE-KMS') return wanted;
  // What it leaves open is the bucket's to say.
  const byDefault = defaults.request?.type === 'SSE-KMS' ? defaults.request.keyId : null;
  const own = request?.type === 'SSE-KMS' ? request.bucketKeyEnabled : null;
  const bucketKeyEnabled = own ?? bucketKey ?? defaults.bucketKeyEnabled;
  return { ...wanted, keyId: wanted.keyId ?? byDefault, bucketKeyEnabled };
}
