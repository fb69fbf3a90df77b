import { createHmac } from 'node:crypto';
import { credentialScopeOf, timeOf } from './credential-scope.ts';
import { type S3Error, s3Error } from './errors.ts';
import {
  checkPostPolicy,
  type FormFields,
  type LengthRange,
  parsePostPolicy,
} from './post-policy.ts';
import { isSameSecret, isSameSignature, signatureOf } from './signing-key.ts';
import type { Credentials, SigV4, Verification } from './sigv4.ts';
import { ALGORITHM } from './sigv4-canonical.ts';

export interface PostForm {
  /** The fields before the file, by lower-case name, variables filled in. */
  readonly fields: FormFields;
  readonly bucket: string;
}

export type PostAuthor<C> =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'authenticated';
      readonly accessKeyId: string;
      readonly credentials: C;
      readonly lengthRange: LengthRange | null;
      /** Unix ms of version 4; version 2 has no time. */
      readonly signedAtMs: number | null;
    };

/** Lines may be broken. */
const NOT_BASE64 = /[^A-Za-z0-9+/=\s]/;

/**
 * Says who signed a form upload's policy and holds the form against it, or throws what S3 answers. Version 2 of the
 * signature is taken here, as in S3's first region: forms that were written long ago have it, and it is a MAC
 * over the same policy.
 */
export async function authenticatePost<C extends Credentials>(
  form: PostForm,
  verifier: SigV4<C>,
  { clock, region }: Pick<Verification<C>, 'clock' | 'region'>,
): Promise<PostAuthor<C>> {
  const { fields } = form;
  const isV4 = fields.has('x-amz-signature') || fields.has('x-amz-algorithm');
  const isV2 = !isV4 && (fields.has('signature') || fields.has('awsaccesskeyid'));
  if (!fields.has('policy') && !isV4 && !isV2) return { kind: 'anonymous' };
  const policy = required(fields, 'policy');
  const signed = isV2
    ? await verifyV2(fields, policy, verifier)
    : await verifyV4(fields, policy, verifier, region);
  if (NOT_BASE64.test(policy))
    throw s3Error('InvalidPolicyDocument', 'Invalid Policy: Invalid Base64.');
  const { conditions, expiresAtMs, lengthRange } = parsePostPolicy(Buffer.from(policy, 'base64'));
  checkPostPolicy({ conditions, expiresAtMs, lengthRange }, form, clock.wallMs());
  return { kind: 'authenticated', ...signed, lengthRange };
}

/** Throws `InvalidArgument`, as S3 does for a form without one of its fields. */
function required(fields: FormFields, name: string): string {
  const value = fields.get(name) ?? '';
  if (value !== '') return value;
  throw s3Error(
    'InvalidArgument',
    `Bucket POST must contain a field named '${name}'.  If it is specified, please check the order of the fields.`,
    { ArgumentName: name, ArgumentValue: '' },
  );
}

interface Signed<C> {
  readonly accessKeyId: string;
  readonly signedAtMs: number | null;
  readonly credentials: C;
}

async function verifyV4<C extends Credentials>(
  fields: FormFields,
  policy: string,
  verifier: SigV4<C>,
  region: string,
): Promise<Signed<C>> {
  const signature = required(fields, 'x-amz-signature');
  const text = required(fields, 'x-amz-credential');
  const timestamp = required(fields, 'x-amz-date');
  if (required(fields, 'x-amz-algorithm') !== ALGORITHM) {
    throw argument('x-amz-algorithm', `X-Amz-Algorithm only supports "${ALGORITHM}"`);
  }
  const credential = credentialScopeOf(text, region, (why, extra) =>
    argument('x-amz-credential', `Error parsing the X-Amz-Credential parameter; ${why}`, extra),
  );
  const signedAtMs = timeOf(timestamp);
  if (signedAtMs === null || !timestamp.startsWith(credential.scope.date)) {
    throw argument('x-amz-date', 'X-Amz-Date must be of the day in X-Amz-Credential');
  }
  const sessionToken = fields.get('x-amz-security-token') ?? null;
  const credentials = await verifier.credentialsOf({
    accessKeyId: credential.accessKeyId,
    sessionToken,
  });
  const { accessKeyId, scope } = credential;
  const key = verifier.keys.keyOf(accessKeyId, credentials.secretAccessKey, scope);
  if (!isSameSignature(signatureOf(key, policy), signature)) throw mismatch(accessKeyId, signature);
  return { accessKeyId, credentials, signedAtMs };
}

async function verifyV2<C extends Credentials>(
  fields: FormFields,
  policy: string,
  verifier: SigV4<C>,
): Promise<Signed<C>> {
  const signature = required(fields, 'signature');
  const accessKeyId = required(fields, 'awsaccesskeyid');
  const sessionToken = fields.get('x-amz-security-token') ?? null;
  const credentials = await verifier.credentialsOf({ accessKeyId, sessionToken });
  const expected = createHmac('sha1', credentials.secretAccessKey)
    .update(policy, 'latin1')
    .digest('base64');
  if (!isSameSecret(expected, signature)) throw mismatch(accessKeyId, signature);
  return { accessKeyId, credentials, signedAtMs: null };
}

function argument(
  name: string,
  message: string,
  extra: Readonly<Record<string, string>> = {},
): S3Error {
  return s3Error('InvalidArgument', message, { ArgumentName: name, ...extra });
}

function mismatch(accessKeyId: string, signature: string): S3Error {
  return s3Error('SignatureDoesNotMatch', undefined, {
    AWSAccessKeyId: accessKeyId,
    SignatureProvided: signature,
  });
}
