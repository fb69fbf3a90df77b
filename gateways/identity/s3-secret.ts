import { AppError } from '../../protocol/errors.ts';
import type { Random } from '../../protocol/random.ts';
import { KEY_BYTES, unwrapKey, wrapKey } from '../encryption/key-wrap.ts';
import type { RootKeys } from '../encryption/root-keys.ts';
import type { S3KeyRecord } from './s3-user.ts';

/** Secrets of S3 keys, wrapped under the root key: signatures need them in clear. */

const PURPOSE = 's3 access keys';
/** 40 characters of base64url, as long as AWS's. */
const SECRET_BYTES = 30;

export type WrappedS3Secret = Pick<S3KeyRecord, 'rootId' | 'wrapped'>;

/** The bytes that a secret is made of. */
export function drawS3Secret(random: Random): Uint8Array {
  return random.bytes(KEY_BYTES);
}

/** As clients sign with it. */
export function s3SecretText(secret: Uint8Array): string {
  return Buffer.from(secret.subarray(0, SECRET_BYTES)).toString('base64url');
}

export function wrapS3Secret(
  roots: RootKeys,
  accessKeyId: string,
  secret: Uint8Array,
  random: Random,
): WrappedS3Secret {
  const { currentId: rootId } = roots;
  const under = roots.purpose(rootId, PURPOSE) as Uint8Array;
  return {
    rootId,
    wrapped: wrapKey(under, secret, placeOf(accessKeyId), random).toString('base64'),
  };
}

/** Throws `not_implemented` where there is no such root key, or it was wrapped for another access key. */
export function openS3Secret(
  roots: RootKeys | null,
  accessKeyId: string,
  { rootId, wrapped }: WrappedS3Secret,
): Uint8Array {
  const under = roots?.purpose(rootId, PURPOSE) ?? null;
  const bytes = Buffer.from(wrapped, 'base64');
  const secret = under === null ? null : unwrapKey(under, bytes, placeOf(accessKeyId));
  if (secret !== null) return secret;
  throw new AppError(
    'not_implemented',
    'the secret of this access key is under a root key that this node has not got',
  );
}

/** A wrapped secret is good for this access key only. */
function placeOf(accessKeyId: string): Uint8Array {
  return Buffer.from(`minikv 1 s3 access key ${accessKeyId}`);
}
