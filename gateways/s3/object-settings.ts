import type { Bucket } from '../../protocol/object-access.ts';
import type { Amendment } from '../../protocol/object-ops.ts';
import { NO_CONDITION } from '../../protocol/object-ops.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import { countingAcl } from './access-settings.ts';
import { accessControlPolicy } from './acl.ts';
import { type AclRequest, aclOf } from './acl-headers.ts';
import { checkNewAcl, resolvedAcl } from './acl-rules.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import type { Call } from './call.ts';
import { s3Error } from './errors.ts';
import { storageClassOf } from './object-head.ts';
import { legalHold, retention } from './object-lock.ts';
import { bypassesGovernance } from './object-lock-headers.ts';
import { ownerIdOf } from './object-owner.ts';
import { checkMayDo } from './permissions.ts';
import { ACTIONS, type PolicyAction } from './policy-actions.ts';
import type { Target } from './policy-request.ts';
import { ownerNamed } from './principals.ts';
import { refusalOf } from './result-errors.ts';
import { policyOf, storedAcl } from './stored-acl.ts';
import { objectTagging } from './tagging.ts';
import { checkVersionId, versionHeader, versionOf } from './versions.ts';
import { apply } from './write-object.ts';

const DOCUMENT_BYTES_MAX = 64 * 1024;

/** What a body says to the policy of the bucket, before it is carried out. Throws AccessDenied. */
async function checkMaySet(
  call: Call,
  action: PolicyAction,
  said: Pick<Target, 'newTags' | 'body'>,
): Promise<void> {
  const { key, versionId } = call.route;
  await checkMayDo(call, action, { bucket: await call.bucket(), key, versionId, ...said });
}

/** A change of one version that leaves its bytes alone. */
async function amend(call: Call, change: Amendment, status: 200 | 204 = 200): Promise<Answer> {
  const versionId = checkVersionId(call.route.versionId);
  const bucket = await call.bucket();
  const bypass = bypassesGovernance(call.headers);
  const result = await apply(call, bucket, {
    ...{ type: 'amend', ref: call.ref, versionId, change, condition: NO_CONDITION, bypass },
  });
  if (result.type !== 'amended') throw refusalOf(result);
  return emptyAnswer(status, versionHeader(bucket, result.versionId));
}

export async function getObjectTagging(call: Call): Promise<Answer> {
  const { bucket, version } = await versionOf(call);
  const tags = version.record.head.tags.map(({ name, value }) => ({ key: name, value }));
  return xmlAnswer(objectTagging.write(tags), versionHeader(bucket, versionIdOf(version.record)));
}

export async function putObjectTagging(call: Call): Promise<Answer> {
  const tags = objectTagging.read(await call.body.document(DOCUMENT_BYTES_MAX));
  await checkMaySet(call, ACTIONS.PutObjectTagging, { newTags: tags });
  const stored = tags.map(({ key, value }) => ({ name: key, value }));
  return amend(call, { type: 'tags', tags: stored });
}

export async function deleteObjectTagging(call: Call): Promise<Answer> {
  return amend(call, { type: 'tags', tags: [] }, 204);
}

export async function getObjectAcl(call: Call): Promise<Answer> {
  const { bucket, version } = await versionOf(call);
  const { head } = version.record;
  const owner = ownerNamed(call, ownerIdOf(bucket, head));
  const owners = { owner, bucketOwner: ownerNamed(call, bucket.owner) };
  const nameOf = (id: string) => ownerNamed(call, id).displayName;
  const policy = policyOf(countingAcl(bucket, head.acl), owners, nameOf);
  const headers = versionHeader(bucket, versionIdOf(version.record));
  return xmlAnswer(accessControlPolicy.write(policy), headers);
}

export async function putObjectAcl(call: Call): Promise<Answer> {
  const bucket = await call.bucket();
  const acl = await requestedAcl(call, () => ownerOf(call, bucket));
  checkNewAcl(bucket, acl);
  return amend(call, { type: 'acl', acl: storedAcl(acl) });
}

async function ownerOf(call: Call, bucket: Bucket): Promise<string> {
  const versionId = checkVersionId(call.route.versionId);
  const read = await call.objects.read(call.context(), call.ref, { versionId, revision: null });
  return ownerIdOf(bucket, read.type === 'none' ? null : read.version.record.head);
}

/** By a header or by the body, not by both. `ownerOf`: canonical id of whose it is, which nobody gives away so. */
export async function requestedAcl(
  call: Call,
  ownerOf: () => Promise<string>,
): Promise<AclRequest> {
  const inHeaders = aclOf(call.headers);
  const body = await call.body.document(DOCUMENT_BYTES_MAX);
  if (inHeaders !== null) {
    if (body.length === 0) return resolvedAcl(call, inHeaders);
    throw s3Error('UnexpectedContent');
  }
  if (body.length === 0) throw s3Error('MissingSecurityHeader');
  const { owner, grants } = accessControlPolicy.read(body);
  if (owner === null) throw s3Error('MalformedACLError');
  if (owner.id !== (await ownerOf())) throw s3Error('AccessDenied');
  return resolvedAcl(call, { type: 'grants', grants } as const);
}

export async function getObjectRetention(call: Call): Promise<Answer> {
  const { bucket, version } = await versionOf(call);
  checkHasLock(bucket.rule.objectLock);
  const { retention: kept } = version.record.head;
  if (kept === null) throw s3Error('NoSuchObjectLockConfiguration');
  const mode = kept.mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE';
  return xmlAnswer(retention.write({ mode, retainUntilMs: kept.untilMs }));
}

export async function putObjectRetention(call: Call): Promise<Answer> {
  const { mode, retainUntilMs } = retention.read(
    await call.body.checkedDocument(DOCUMENT_BYTES_MAX),
  );
  await checkMaySet(call, ACTIONS.PutObjectRetention, {
    body: retentionFacts(mode, retainUntilMs),
  });
  checkHasLock((await call.bucket()).rule.objectLock);
  const wanted =
    mode === null || retainUntilMs === null
      ? null
      : ({
          mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance',
          untilMs: retainUntilMs,
        } as const);
  return amend(call, { type: 'retention', retention: wanted });
}

function retentionFacts(mode: string | null, untilMs: number | null): Record<string, string> {
  if (mode === null || untilMs === null) return {};
  const until = new Date(untilMs).toISOString();
  return { 's3:object-lock-mode': mode, 's3:object-lock-retain-until-date': until };
}

export async function getObjectLegalHold(call: Call): Promise<Answer> {
  const { bucket, version } = await versionOf(call);
  checkHasLock(bucket.rule.objectLock);
  const { legalHold: kept } = version.record.head;
  if (kept === null) throw s3Error('NoSuchObjectLockConfiguration');
  return xmlAnswer(legalHold.write({ status: kept ? 'ON' : 'OFF' }));
}

export async function putObjectLegalHold(call: Call): Promise<Answer> {
  const { status } = legalHold.read(await call.body.checkedDocument(DOCUMENT_BYTES_MAX));
  await checkMaySet(call, ACTIONS.PutObjectLegalHold, {
    body: { 's3:object-lock-legal-hold': status },
  });
  checkHasLock((await call.bucket()).rule.objectLock);
  return amend(call, { type: 'legalHold', legalHold: status === 'ON' });
}

/** Every object can be read at once: there is no archive to bring one back from. */
export async function restoreObject(call: Call): Promise<Answer> {
  const { version } = await versionOf(call);
  throw s3Error(
    'InvalidObjectState',
    "Restore is not allowed for the object's current storage class",
    { StorageClass: storageClassOf(version.record.head.headers) },
  );
}

function checkHasLock(objectLock: boolean): void {
  if (!objectLock) {
    throw s3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  }
}
