import { createHash } from 'node:crypto';
import type { Random } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { bindingOf, type NamedEnvelope } from '../encryption/envelope.ts';
import { unwrapKey, wrapKey } from '../encryption/key-wrap.ts';
import { isKeyId, KeyRefusal, type NamedKeys } from '../encryption/named-keys.ts';
import type { HeaderPair } from './answer.ts';
import type { Call } from './call.ts';
import type { EncryptionRequest } from './encryption-headers.ts';
import { S3Error, s3Error } from './errors.ts';

const SSE = 'x-amz-server-side-encryption';

/** SSE-S3 and SSE-KMS: data keys under keys of the local key service. */
export type NamedRequest = Exclude<EncryptionRequest, { type: 'SSE-C' }>;

/** What a new object is sealed with: of a request, or of what this node writes by itself. */
export interface SealingKeys {
  /** Null: this node has none. */
  readonly keys: NamedKeys | null;
  readonly random: Random;
  context(): RequestContext;
}

/** Made when they are first used. */
const SSE_S3_KEY = 'sse-s3';
const KMS_DEFAULT_KEY = 'aws/s3';
const KEY_NAME = /^(?:arn:[^:]{0,64}:kms:[^:]{0,64}:[^:]{0,64}:)?(?:(?:key|alias)\/)?(.*)$/s;

/** A key as clients name it: by name, alias or ARN. Throws KMS.NotFoundException for what names none. */
export function keyNameOf(given: string): string {
  const [, name = ''] = KEY_NAME.exec(given) ?? [];
  if (isKeyId(name) && name !== SSE_S3_KEY) return name;
  throw s3Error('KMS.NotFoundException', undefined, { KeyId: given.slice(0, 256) });
}

export function dualLayer(): S3Error {
  return s3Error('NotImplemented', 'aws:kms:dsse is not implemented: objects are encrypted once');
}

/** A new data key for its record. Throws KMS.NotFoundException, KMS.DisabledException. */
export async function wrapped(
  { keys, random, context }: SealingKeys,
  ref: KeyRef,
  request: NamedRequest,
  dataKey: Uint8Array,
): Promise<NamedEnvelope> {
  if (request.type === 'SSE-KMS' && request.algorithm !== 'aws:kms') throw dualLayer();
  const isKms = request.type === 'SSE-KMS';
  const keyId = !isKms
    ? SSE_S3_KEY
    : request.keyId === null
      ? KMS_DEFAULT_KEY
      : keyNameOf(request.keyId);
  const isMade = keyId === SSE_S3_KEY || keyId === KMS_DEFAULT_KEY;
  const named = await usedKey(present(keys).current(context(), keyId, isMade));
  const under: Omit<NamedEnvelope, 'wrapped'> = {
    type: 'named',
    algorithm: isKms ? 'aws:kms' : 'AES256',
    keyId,
    keyVersion: named.version,
    contextHash: isKms && request.context !== null ? hashOfContext(request.context) : null,
    bucketKey: isKms && request.bucketKeyEnabled === true,
  };
  return { ...under, wrapped: wrapKey(named.key, dataKey, bindingOf(ref, under), random) };
}

/** Keys with names are used for those who signed only, whatever a policy or an ACL allows. Throws InvalidArgument. */
export function checkIsSomebody(call: Call): void {
  if (call.who !== null) return;
  throw s3Error(
    'InvalidArgument',
    'Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.',
  );
}

/** Null: it does not unwrap. Throws KMS.DisabledException, InvalidArgument. */
export async function unwrappedNamed(
  call: Call,
  ref: KeyRef,
  envelope: NamedEnvelope,
): Promise<Buffer | null> {
  if (envelope.algorithm === 'aws:kms') checkIsSomebody(call);
  const { keyId, keyVersion, wrapped: sealed } = envelope;
  const named = await usedKey(
    present(call.edge.http.keys).version(call.context(), keyId, keyVersion),
  );
  return unwrapKey(named.key, sealed, bindingOf(ref, envelope));
}

export function namedHeaders({ algorithm, keyId, bucketKey }: NamedEnvelope): HeaderPair[] {
  const headers: HeaderPair[] = [[SSE, algorithm]];
  if (algorithm === 'aws:kms') headers.push([`${SSE}-aws-kms-key-id`, keyId]);
  if (bucketKey) headers.push([`${SSE}-bucket-key-enabled`, 'true']);
  return headers;
}

/** The same however the JSON was written. It was read before. */
function hashOfContext(context: string): Uint8Array {
  const fields = JSON.parse(Buffer.from(context, 'base64').toString('utf8')) as object;
  const sorted = Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return createHash('sha256').update(JSON.stringify(sorted)).digest();
}

function present(keys: NamedKeys | null): NamedKeys {
  if (keys !== null) return keys;
  throw s3Error('NotImplemented', 'There are no encryption keys here');
}

async function usedKey<T>(found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    if (!(error instanceof KeyRefusal)) throw error;
    throw refusalOf(error);
  }
}

function refusalOf(refusal: KeyRefusal): S3Error {
  switch (refusal.reason) {
    case 'not_found':
      return s3Error('KMS.NotFoundException');
    case 'disabled':
      return s3Error('KMS.DisabledException');
    case 'no_root_key':
      return s3Error('NotImplemented', refusal.message);
    case 'other_root_key':
      return new S3Error('InternalError', refusal.message, {}, { cause: refusal });
  }
}
