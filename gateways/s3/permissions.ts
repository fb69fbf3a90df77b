import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import { ignoresPublicAcls, publicAccessOf } from './access-settings.ts';
import type { Permission } from './acl.ts';
import { type Call, noSuchBucket, refOf } from './call.ts';
import { s3Error } from './errors.ts';
import type { Operation } from './operations.ts';
import { ACTIONS, furtherActions, OWNERS_OWN, type PolicyAction } from './policy-actions.ts';
import {
  answerOf,
  asksForTags,
  isPublicPolicy,
  type PolicyAnswer,
  type PolicyQuestion,
} from './policy-decision.ts';
import type { Policy } from './policy-document.ts';
import { valuesOf } from './policy-keys.ts';
import { headersOf, isOwners, policyRequestOf, type Target } from './policy-request.ts';
import { isPublic } from './stored-acl.ts';
import type { Tag } from './tagging.ts';

/** What the ACL of a bucket gives those who did not sign. */
const BY_BUCKET_ACL: Partial<Record<Operation, Permission>> = {
  HeadBucket: 'READ',
  ListObjects: 'READ',
  ListObjectsV2: 'READ',
  ListObjectVersions: 'READ',
  ListMultipartUploads: 'READ',
  GetBucketAcl: 'READ_ACP',
  PutObject: 'WRITE',
  PostObject: 'WRITE',
  DeleteObject: 'WRITE',
  DeleteObjects: 'WRITE',
};

/** What the ACL of an object gives them. */
const BY_OBJECT_ACL: Partial<Record<Operation, Permission>> = {
  GetObject: 'READ',
  HeadObject: 'READ',
  CopyObject: 'READ',
  UploadPartCopy: 'READ',
  GetObjectAcl: 'READ_ACP',
};

/**
 * Before the handler runs and before a byte of the body is read: throws AccessDenied where it is known that the sender
 * may not. What depends on the object or on the body is judged by `checkMayRead` and `checkMayDo`.
 */
export async function checkMay(call: Call): Promise<void> {
  const { operation, bucket: name, key, versionId } = call.route;
  // Who sends a form is said in it.
  if (operation === 'OptionsObject' || operation === 'PostObject') return;
  const { isOwner } = call.sender;
  const action = ACTIONS[operation];
  if (action === null) {
    if (!isOwner) throw s3Error('AccessDenied');
    return;
  }
  if (action.judged === 'found' && (isOwner || operation in BY_OBJECT_ACL)) return;
  const bucket = name === '' ? null : await call.findBucket();
  if (bucket === null) {
    if (isOwner) return;
    // That there is no such bucket is told to everybody, as in S3.
    throw name === '' || operation === 'CreateBucket'
      ? s3Error('AccessDenied')
      : noSuchBucket(name);
  }
  const hasPolicy = bucket.documents['policy'] !== undefined;
  if (isOwner && !hasPolicy) return;
  if (action.judged === 'first') return checkMayDo(call, action, { bucket, key, versionId });
  if (
    !hasPolicy &&
    BY_BUCKET_ACL[operation] === undefined &&
    BY_OBJECT_ACL[operation] === undefined
  ) {
    throw s3Error('AccessDenied');
  }
}

/** Throws AccessDenied. A policy that denies binds the owner too. */
export async function checkMayDo(call: Call, action: PolicyAction, target: Target): Promise<void> {
  const { bucket } = target;
  const isOwner = isOwners(call, target);
  // Before it is looked at: also one that cannot be read any more can be replaced.
  if (isOwner && OWNERS_OWN.has(action.name)) return;
  const policy = call.edge.policies.of(bucket);
  if (policy === null && isOwner) return;
  const answer =
    policy === null
      ? 'silent'
      : judged(call, policy, action, await withTags(call, policy, action, target));
  if (answer === 'deny') throw s3Error('AccessDenied');
  if (isOwner) return;
  checkIsFree(bucket);
  if (answer === 'allow') return;
  if (!isAllowedByAcl(call, action, target)) throw s3Error('AccessDenied');
}

/** The same of a version that was found, whose own tags and ACL count; or of none. */
export function checkMayRead(
  call: Call,
  bucket: Bucket,
  { key, versionId }: Pick<Target, 'key' | 'versionId'>,
  version: ObjectVersion | null,
): void {
  const { isOwner } = call.sender;
  const policy = call.edge.policies.of(bucket);
  if (policy === null && isOwner) return;
  const head = version?.record.head ?? null;
  const existingTags = (head?.tags ?? []).map((tag) => ({ key: tag.name, value: tag.value }));
  const target = { bucket, key, versionId, existingTags };
  const answer = policy === null ? 'silent' : judged(call, policy, readingOf(call), target);
  if (answer === 'deny') throw s3Error('AccessDenied');
  if (isOwner) return;
  checkIsFree(bucket);
  // Who may not list is not told what is there.
  if (head === null && mayList(call, bucket)) return;
  if (head === null) throw s3Error('AccessDenied');
  if (answer === 'allow') return;
  const permission = BY_OBJECT_ACL[call.route.operation];
  const isOpen = permission !== undefined && !ignoresPublicAcls(bucket);
  if (!isOpen || !isPublic(head.acl, call.edge.owner, permission)) throw s3Error('AccessDenied');
}

/** A copy reads its source. */
function readingOf(call: Call): PolicyAction {
  const { operation } = call.route;
  const isCopy = operation === 'CopyObject' || operation === 'UploadPartCopy';
  return ACTIONS[isCopy || operation === 'OptionsObject' ? 'GetObject' : operation] as PolicyAction;
}

function mayList(call: Call, bucket: Bucket): boolean {
  const policy = call.edge.policies.of(bucket);
  const target = { bucket, key: '', versionId: null, existingTags: [] };
  const listing = ACTIONS.ListObjectsV2;
  const answer = policy === null ? 'silent' : judged(call, policy, listing, target);
  return answer === 'silent' ? isBucketPublic(call, bucket, 'READ') : answer === 'allow';
}

interface JudgedTarget extends Target {
  readonly existingTags: readonly Tag[];
}

/** What the policy says of all that is asked for: one denial denies, and `allow` allows every part. */
function judged(
  call: Call,
  policy: Policy,
  action: PolicyAction,
  target: JudgedTarget,
): PolicyAnswer {
  const isOwner = isOwners(call, target);
  const request = policyRequestOf(call, target);
  const answers = questionsOf(call, action, target).map((question) =>
    answerOf(policy, question, (key) => valuesOf(request, key)),
  );
  if (answers.includes('deny')) return 'deny';
  if (answers.includes('silent')) return 'silent';
  const isRestricted = !isOwner && publicAccessOf(target.bucket)?.restrictPublicBuckets === true;
  return isRestricted && isPublicPolicy(policy) ? 'silent' : 'allow';
}

function questionsOf(call: Call, action: PolicyAction, target: Target): PolicyQuestion[] {
  const { bucket, key, versionId } = target;
  const { owner } = call.edge;
  const isOwner = isOwners(call, target);
  const principals = isOwner ? [owner.id, `arn:aws:iam::${owner.id}:root`] : [];
  const resource = action.level === 'bucket' ? bucket.rule.name : `${bucket.rule.name}/${key}`;
  const own = versionId === null ? action.name : action.ofVersion;
  const names = [own, ...furtherOf(call, action, target)];
  return names.map((name) => ({ action: name.toLowerCase(), resource, principals }));
}

/** What headers ask for; of the operation itself only, not of the source of a copy. */
function furtherOf(call: Call, action: PolicyAction, target: Target): string[] {
  const { operation } = call.route;
  if (operation === 'OptionsObject' || ACTIONS[operation] !== action) return [];
  if (operation === 'GetObjectAttributes') {
    return [target.versionId === null ? 's3:GetObject' : 's3:GetObjectVersion'];
  }
  const names = Object.keys(headersOf(call, target));
  const hasTags = (target.newTags?.length ?? 0) > 0;
  return furtherActions(operation, hasTags ? [...names, 'x-amz-tagging'] : names);
}

async function withTags(
  call: Call,
  policy: Policy,
  action: PolicyAction,
  target: Target,
): Promise<JudgedTarget> {
  const { existingTags, bucket, key, versionId } = target;
  if (existingTags !== undefined) return { ...target, existingTags };
  const isAsked = questionsOf(call, action, target).some((each) => asksForTags(policy, each));
  if (!isAsked || key === '') return { ...target, existingTags: [] };
  const ref = refOf(bucket.rule.name, key);
  const read = await call.objects.read(call.context(), ref, { versionId, revision: null });
  const found = read.type === 'none' ? [] : read.version.record.head.tags;
  return { ...target, existingTags: found.map(({ name, value }) => ({ key: name, value })) };
}

/** Where requesters pay, who did not sign is refused. */
function checkIsFree({ documents }: Bucket): void {
  if (documents['requestPayment'] !== undefined) throw s3Error('AccessDenied');
}

function isAllowedByAcl(call: Call, action: PolicyAction, target: Target): boolean {
  const { operation } = call.route;
  const permission = BY_BUCKET_ACL[operation];
  if (permission === undefined) return false;
  // Versions are removed by the owner only, and an ACL gives no right to tags, locks or their bypass.
  const further = furtherOf(call, action, target);
  const isRemoval = operation === 'DeleteObject' || operation === 'DeleteObjects';
  if (further.some((name) => name !== 's3:PutObjectAcl')) return false;
  if (isRemoval && target.versionId !== null) return false;
  return isBucketPublic(call, target.bucket, permission);
}

export function isBucketPublic(call: Call, bucket: Bucket, permission: Permission): boolean {
  if (ignoresPublicAcls(bucket)) return false;
  return isPublic(bucket.documents['acl'] ?? null, call.edge.owner, permission);
}
