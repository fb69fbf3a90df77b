import type { Bucket, BucketChange } from '../../protocol/object-access.ts';
import type { BucketRule } from '../../protocol/object-ops.ts';
import { countingAcl } from './access-settings.ts';
import { accessControlPolicy } from './acl.ts';
import { checkNewAcl, isShared, resolvedGrants } from './acl-rules.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import {
  type OwnershipControls,
  ownershipControls,
  publicAccessBlock,
  requestPaymentConfiguration,
  versioningConfiguration,
} from './bucket-documents.ts';
import { ENCRYPTION_DOCUMENT } from './bucket-encryption.ts';
import { isBucketName } from './bucket-name.ts';
import { type Call, type Handler, noSuchBucket } from './call.ts';
import { corsConfiguration } from './cors.ts';
import {
  type ServerSideEncryptionConfiguration,
  serverSideEncryptionConfiguration,
} from './encryption.ts';
import type { S3ErrorCode } from './error-table.ts';
import { s3Error } from './errors.ts';
import { bucketLoggingStatus, type LoggingEnabled } from './logging.ts';
import { dualLayer, keyNameOf } from './named-encryption.ts';
import { type DefaultRetention, objectLockConfiguration } from './object-lock.ts';
import { requestedAcl } from './object-settings.ts';
import { ownerNamed } from './principals.ts';
import { policyOf, requestOf, storedAcl } from './stored-acl.ts';
import { bucketTagging } from './tagging.ts';
import { websiteConfiguration } from './website.ts';
import type { Document } from './xml-shape.ts';

const DOCUMENT_BYTES_MAX = 256 * 1024;
const DAY_MS = 86_400_000;

export async function change(call: Call, wanted: BucketChange): Promise<Bucket> {
  const { bucket } = call.route;
  const done = await call.objects.buckets.change(call.context(), call.tenant, bucket, wanted);
  if (done.type === 'changed') return done.bucket;
  if (done.type === 'no_such_bucket') throw noSuchBucket(bucket);
  throw s3Error('InvalidBucketState');
}

/** `isChecked`: S3 only takes it with a digest. */
export async function bodyOf<T>(call: Call, document: Document<T>, isChecked = false): Promise<T> {
  const body = isChecked
    ? await call.body.checkedDocument(DOCUMENT_BYTES_MAX)
    : await call.body.document(DOCUMENT_BYTES_MAX);
  if (body.length === 0) throw s3Error('MissingRequestBodyError');
  return document.read(body);
}

interface KeptOptions<T> {
  /** Throws for what cannot be acted upon here. */
  readonly check?: (value: T, call: Call) => void | Promise<void>;
}

/** A document that is kept as it was read, given back, and taken away. */
function kept<T>(
  name: string,
  document: Document<T>,
  missing: S3ErrorCode,
  { check = () => {} }: KeptOptions<T> = {},
): { readonly get: Handler; readonly put: Handler; readonly remove: Handler } {
  return {
    async get(call) {
      const stored = (await call.bucket()).documents[name];
      if (stored === undefined) {
        throw s3Error(missing, undefined, { BucketName: call.route.bucket });
      }
      return xmlAnswer(stored);
    },
    async put(call) {
      const value = await bodyOf(call, document);
      await check(value, call);
      await change(call, { documents: { [name]: document.write(value) } });
      return emptyAnswer(200);
    },
    async remove(call) {
      await change(call, { documents: { [name]: null } });
      return emptyAnswer(204);
    },
  };
}

export const cors = kept('cors', corsConfiguration, 'NoSuchCORSConfiguration');
export const website = kept('website', websiteConfiguration, 'NoSuchWebsiteConfiguration');
export const tagging = kept('tagging', bucketTagging, 'NoSuchTagSet');
export const ownership = kept(
  'ownershipControls',
  ownershipControls,
  'OwnershipControlsNotFoundError',
  { check: checkOwnership },
);

/** ACLs are switched off only where the bucket's own gives nobody anything. */
async function checkOwnership({ rules }: OwnershipControls, call: Call): Promise<void> {
  if (rules.every(({ objectOwnership }) => objectOwnership !== 'BucketOwnerEnforced')) return;
  const { documents, owner } = await call.bucket();
  const acl = requestOf(documents['acl'] ?? null);
  if (acl === null || !isShared(acl, owner)) return;
  throw s3Error('InvalidBucketAclWithObjectOwnership');
}
export const encryption = kept(
  ENCRYPTION_DOCUMENT,
  serverSideEncryptionConfiguration,
  'ServerSideEncryptionConfigurationNotFoundError',
  { check: checkDefaults },
);

/** A key need not be there yet; that it could be is known. */
function checkDefaults({ rules }: ServerSideEncryptionConfiguration): void {
  for (const { byDefault } of rules) {
    if (byDefault?.sseAlgorithm === 'aws:kms:dsse') throw dualLayer();
    if (byDefault?.kmsMasterKeyId != null) keyNameOf(byDefault.kmsMasterKeyId);
  }
}

export const publicAccess = kept(
  'publicAccessBlock',
  publicAccessBlock,
  'NoSuchPublicAccessBlockConfiguration',
);

export async function getBucketVersioning(call: Call): Promise<Answer> {
  const { versioning } = (await call.bucket()).rule;
  const status = versioning === 'off' ? null : versioning === 'enabled' ? 'Enabled' : 'Suspended';
  return xmlAnswer(versioningConfiguration.write({ status, mfaDelete: null }));
}

export async function putBucketVersioning(call: Call): Promise<Answer> {
  const { status } = await bodyOf(call, versioningConfiguration);
  const { bucket } = call.route;
  const versioning = status === 'Enabled' ? 'enabled' : 'suspended';
  const wanted = { versioning } as const;
  const done = await call.objects.buckets.change(call.context(), call.tenant, bucket, wanted);
  if (done.type === 'no_such_bucket') throw noSuchBucket(bucket);
  if (done.type === 'refused') {
    throw s3Error(
      'InvalidBucketState',
      'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    );
  }
  return emptyAnswer(200);
}

const OBJECT_LOCK = 'object-lock';

export async function getObjectLockConfiguration(call: Call): Promise<Answer> {
  const { rule, documents } = await call.bucket();
  if (!rule.objectLock) throw s3Error('ObjectLockConfigurationNotFoundError');
  const none = objectLockConfiguration.write({ objectLockEnabled: 'Enabled', rule: null });
  return xmlAnswer(documents[OBJECT_LOCK] ?? none);
}

export async function putObjectLockConfiguration(call: Call): Promise<Answer> {
  const wanted = await bodyOf(call, objectLockConfiguration, true);
  const bucket = await call.bucket();
  if (!bucket.rule.objectLock && bucket.rule.versioning !== 'enabled') {
    throw s3Error(
      'InvalidBucketState',
      'Versioning must be enabled to create an Object Lock configuration on a bucket.',
    );
  }
  await change(call, {
    ...(bucket.rule.objectLock ? {} : { objectLock: true }),
    retention: wanted.rule === null ? null : retentionOf(wanted.rule.defaultRetention),
    documents: { [OBJECT_LOCK]: objectLockConfiguration.write(wanted) },
  });
  return emptyAnswer(200);
}

function retentionOf({ mode, days, years }: DefaultRetention): BucketRule['retention'] {
  const periodMs = ((days ?? 0) + 365 * (years ?? 0)) * DAY_MS;
  return { mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance', periodMs };
}

export async function getBucketAcl(call: Call): Promise<Answer> {
  const bucket = await call.bucket();
  const acl = countingAcl(bucket, bucket.documents['acl'] ?? null);
  const owner = ownerNamed(call, bucket.owner);
  const nameOf = (id: string) => ownerNamed(call, id).displayName;
  const policy = policyOf(acl, { owner, bucketOwner: owner }, nameOf);
  return xmlAnswer(accessControlPolicy.write(policy));
}

export async function putBucketAcl(call: Call): Promise<Answer> {
  const bucket = await call.bucket();
  const acl = await requestedAcl(call, async () => bucket.owner);
  checkNewAcl(bucket, acl);
  await change(call, { documents: { acl: storedAcl(acl) } });
  return emptyAnswer(200);
}

const REQUEST_PAYMENT = 'requestPayment';

/** Nobody is billed. Where requesters pay, those who did not sign are refused, since nobody would pay for them. */
export async function getBucketRequestPayment(call: Call): Promise<Answer> {
  const { documents } = await call.bucket();
  const owners = requestPaymentConfiguration.write({ payer: 'BucketOwner' });
  return xmlAnswer(documents[REQUEST_PAYMENT] ?? owners);
}

export async function putBucketRequestPayment(call: Call): Promise<Answer> {
  const wanted = await bodyOf(call, requestPaymentConfiguration);
  const isKept = wanted.payer === 'Requester';
  const kept = isKept ? requestPaymentConfiguration.write(wanted) : null;
  await change(call, { documents: { [REQUEST_PAYMENT]: kept } });
  return emptyAnswer(200);
}

const LOGGING = 'logging';

export async function getBucketLogging(call: Call): Promise<Answer> {
  const { documents } = await call.bucket();
  return xmlAnswer(documents[LOGGING] ?? bucketLoggingStatus.write({ loggingEnabled: null }));
}

export async function putBucketLogging(call: Call): Promise<Answer> {
  const { loggingEnabled: wanted } = await bodyOf(call, bucketLoggingStatus);
  const bucket = await call.bucket();
  const loggingEnabled = wanted === null ? null : await checkedTarget(call, bucket, wanted);
  const kept = loggingEnabled === null ? null : bucketLoggingStatus.write({ loggingEnabled });
  await change(call, { documents: { [LOGGING]: kept } });
  return emptyAnswer(200);
}

/** With its grants as they are kept. Throws where logs of this bucket may not be put there. */
async function checkedTarget(
  call: Call,
  bucket: Bucket,
  wanted: LoggingEnabled,
): Promise<LoggingEnabled> {
  const { targetBucket } = wanted;
  const isName = isBucketName(targetBucket);
  const target = isName
    ? await call.objects.buckets.get(call.context(), call.tenant, targetBucket)
    : null;
  // Logs take room of whoever owns the target.
  if (target === null || target.owner !== bucket.owner) {
    throw s3Error('InvalidTargetBucketForLogging', undefined, { TargetBucket: targetBucket });
  }
  const targetGrants = await resolvedGrants(call, wanted.targetGrants);
  if (targetGrants.length > 0) checkNewAcl(target, { type: 'grants', grants: targetGrants });
  return { ...wanted, targetGrants };
}
