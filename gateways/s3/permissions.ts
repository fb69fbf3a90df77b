import type { Bucket, ObjectVersion } from '../../protocol/object-access.ts';
import { UPLOAD_ID } from '../../protocol/object-ops.ts';
import { type ObjectHead, parseVersionId } from '../../protocol/objects.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import { publicAccessOf } from './access-settings.ts';
import type { Permission } from './acl.ts';
import {
  BY_BUCKET_ACL,
  BY_OBJECT_ACL,
  bucketPermissionFor,
  isGrantedByBucket,
  isGrantedByObject,
} from './acl-grants.ts';
import { saidAtBeginning } from './begun-upload.ts';
import { type Call, noSuchBucket } from './call.ts';
import { s3Error } from './errors.ts';
import { initiatorIdOf, ownerIdOf } from './object-owner.ts';
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
import { headersOf, isOwners, policyRequestOf, type Target, whoAsks } from './policy-request.ts';
import { isAdministrator, isWithinRole, policyNamesOf } from './principals.ts';
import {
  asksOf,
  hasOwnRole,
  mayOfBucket,
  mayOfSomeBucket,
  type RoleAnswer,
  roleAnswer,
} from './role-answers.ts';
import type { Tag } from './tagging.ts';

/**
 * Before the handler runs and before a byte of the body is read: throws AccessDenied where it is known that the sender
 * may not. What depends on the object or on the body is judged by `checkMayRead` and `checkMayDo`.
 */
export async function checkMay(call: Call): Promise<void> {
  const { operation, bucket: name, key, versionId } = call.route;
  // Who sends a form is said in it.
  if (operation === 'OptionsObject' || operation === 'PostObject') return;
  const { who } = call;
  checkRole(call, who);
  const action = ACTIONS[operation];
  if (action === null) {
    if (who === null) throw s3Error('AccessDenied');
    return;
  }
  if (action.judged === 'found' && (who !== null || operation in BY_OBJECT_ACL)) return;
  const bucket = name === '' ? null : await call.findBucket();
  if (bucket === null) {
    if (who !== null) return checkMayOfNone(call, who, action);
    // That there is no such bucket is told to everybody, as in S3.
    throw name === '' || operation === 'CreateBucket'
      ? s3Error('AccessDenied')
      : noSuchBucket(name);
  }
  if (action.judged === 'first') {
    const said = await saidAtBeginning(call, bucket);
    return checkMayDo(call, action, { bucket, key, versionId, ...said });
  }
  const hasPolicy = bucket.documents['policy'] !== undefined;
  const isClosed = BY_BUCKET_ACL[operation] === undefined && BY_OBJECT_ACL[operation] === undefined;
  if (who === null && !hasPolicy && isClosed) throw s3Error('AccessDenied');
}

/**
 * Throws AccessDenied where their role does not let them do it, to whomever it belongs. What one of one's own says of what
 * there is, is asked with what belongs to whom.
 */
export function checkRole({ route }: Call, who: S3Identity | null): void {
  if (who === null) return;
  const { operation, bucket } = route;
  const isWithin = !hasOwnRole(who)
    ? isWithinRole(who, route)
    : (operation !== 'ListBuckets' || mayOfSomeBucket(who, 'bucket:read')) &&
      (operation !== 'CreateBucket' || mayOfBucket(who, 'bucket:write', bucket));
  if (!isWithin) throw s3Error('AccessDenied');
}

/** What a role of one's own says, in the place of being the owner; null: they have a built-in one, or none. */
function roleSays(
  call: Call,
  who: S3Identity | null,
  action: PolicyAction,
  target: Pick<Target, 'key' | 'versionId' | 'newTags' | 'form' | 'said'> & NamedBucket,
): RoleAnswer | null {
  if (who === null || !hasOwnRole(who)) return null;
  const { key, bucket } = target;
  const further = furtherOf(call, action, target);
  return roleAnswer(who, asksOf(call, action, { bucket: bucket.rule.name, key }, further));
}

interface NamedBucket {
  readonly bucket: { readonly rule: { readonly name: string } };
}

/** Whether it is theirs: as the bucket's owner, as an administrator, or as their own role gives it. */
function isTheirs(call: Call, action: PolicyAction, target: Target): boolean {
  const who = whoAsks(call, target);
  const said = roleSays(call, who, action, target);
  return said === null ? isOwners(call, target) : said === 'allow';
}

/** Where there is no such bucket, a put may be about to make it. Throws AccessDenied where their own role does not give that. */
function checkMayOfNone(call: Call, who: S3Identity, action: PolicyAction): void {
  const { bucket: name, key, versionId } = call.route;
  if (!hasOwnRole(who) || name === '') return;
  const said = roleSays(call, who, action, { bucket: { rule: { name } }, key, versionId });
  if (said !== 'allow') throw s3Error('AccessDenied');
}

/** Throws AccessDenied. A policy that denies binds the owner too. */
export async function checkMayDo(call: Call, action: PolicyAction, target: Target): Promise<void> {
  const { bucket } = target;
  const said = roleSays(call, whoAsks(call, target), action, target);
  if (said === 'deny') throw s3Error('AccessDenied');
  const isOwner = said === null ? isOwners(call, target) : said === 'allow';
  // Before it is looked at: also one that cannot be read any more can be replaced.
  if (isOwner && OWNERS_OWN.has(action.name)) return;
  const policy = call.edge.policies.of(bucket);
  // Whose an object is, and not whose its bucket is, says who may change its ACL.
  const isOfObject = action === ACTIONS.PutObjectAcl;
  if (policy === null && isOwner && !isOfObject) return;
  const answer =
    policy === null
      ? 'silent'
      : judged(call, policy, action, await withTags(call, policy, action, target));
  if (answer === 'deny') throw s3Error('AccessDenied');
  if (isOfObject) return checkMaySetAcl(call, target, answer, isOwner);
  if (isOwner) return;
  checkIsFree(call, target);
  if (answer === 'allow') return;
  if (isAllowedByAcl(call, action, target)) return;
  if (!(await isInitiator(call, action, target))) throw s3Error('AccessDenied');
}

async function checkMaySetAcl(
  call: Call,
  target: Target,
  answer: PolicyAnswer,
  isGiven: boolean,
): Promise<void> {
  const { bucket, key, versionId } = target;
  const who = whoAsks(call, target);
  if (who !== null && isAdministrator(who)) return;
  const head = await headOf(call, bucket, key, versionId);
  const ownerId = ownerIdOf(bucket, head);
  if (hasOwnRole(who) ? isGiven : who?.id === ownerId) return;
  checkIsFree(call, target);
  if (answer === 'allow' && ownerId === bucket.owner) return;
  if (who === null || head === null || !isGivenByObject(bucket, head, who, 'WRITE_ACP')) {
    throw s3Error('AccessDenied');
  }
}

/** Null: there is none, or no version has such an id. */
async function headOf(
  call: Call,
  bucket: Bucket,
  key: string,
  versionId: string | null,
): Promise<ObjectHead | null> {
  if (versionId !== null && parseVersionId(versionId) === null) return null;
  const ref = call.refOf(bucket.rule.name, key);
  const read = await call.objects.read(call.context(), ref, { versionId, revision: null });
  return read.type === 'none' ? null : read.version.record.head;
}

/** The same of a version that was found, whose own tags, owner and ACL count; or of none. */
export function checkMayRead(
  call: Call,
  bucket: Bucket,
  { key, versionId }: Pick<Target, 'key' | 'versionId'>,
  version: ObjectVersion | null,
): void {
  const { who } = call;
  const { operation } = call.route;
  const head = version?.record.head ?? null;
  const ownerId = ownerIdOf(bucket, head);
  const isOfObject = BY_OBJECT_ACL[operation] !== undefined || operation === 'GetObjectAttributes';
  const named = { bucket, key, versionId };
  const said = roleSays(call, who, readingOf(call), named);
  if (said === 'deny') throw s3Error('AccessDenied');
  const isOwner =
    said === null
      ? who !== null && (isAdministrator(who) || who.id === (isOfObject ? ownerId : bucket.owner))
      : said === 'allow';
  const policy = call.edge.policies.of(bucket);
  if (policy === null && isOwner) return;
  const existingTags = (head?.tags ?? []).map((tag) => ({ key: tag.name, value: tag.value }));
  const target = { bucket, key, versionId, existingTags };
  const answer = policy === null ? 'silent' : judged(call, policy, readingOf(call), target);
  if (answer === 'deny') throw s3Error('AccessDenied');
  if (isOwner) return;
  checkIsFree(call, target);
  // Who may not list is not told what is there.
  if (head === null && mayList(call, bucket)) return;
  if (head === null) throw s3Error('AccessDenied');
  // A bucket's owner gives away what is theirs, and not what others have put there.
  if (answer === 'allow' && (!isOfObject || ownerId === bucket.owner)) return;
  const permission = BY_OBJECT_ACL[operation];
  if (permission === undefined || !isGivenByObject(bucket, head, who, permission)) {
    throw s3Error('AccessDenied');
  }
}

/** What an ACL gives to its owner, a role of their own takes the place of. */
function isGivenByObject(
  bucket: Bucket,
  head: ObjectHead,
  who: S3Identity | null,
  permission: Permission,
): boolean {
  if (hasOwnRole(who) && who?.id === ownerIdOf(bucket, head)) return false;
  return isGrantedByObject(bucket, head, who, permission);
}

function isGivenByBucket(bucket: Bucket, who: S3Identity | null, permission: Permission): boolean {
  if (hasOwnRole(who) && who?.id === bucket.owner) return false;
  return isGrantedByBucket(bucket, who, permission);
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
  if (answer !== 'silent') return answer === 'allow';
  return isTheirs(call, listing, target) || isGivenByBucket(bucket, call.who, 'READ');
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
  const isOwner = isTheirs(call, action, target);
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
  const who = whoAsks(call, target);
  const principals = who === null ? [] : policyNamesOf(who);
  const resource = action.level === 'bucket' ? bucket.rule.name : `${bucket.rule.name}/${key}`;
  const own = versionId === null ? action.name : action.ofVersion;
  const names = [own, ...furtherOf(call, action, target)];
  return names.map((name) => ({ action: name.toLowerCase(), resource, principals }));
}

/** What headers ask for; of the operation itself only, not of the source of a copy. */
function furtherOf(
  call: Call,
  action: PolicyAction,
  target: Pick<Target, 'versionId' | 'newTags' | 'form' | 'said'>,
): string[] {
  const { operation } = call.route;
  if (!isOwnAction(operation, action)) return [];
  if (operation === 'GetObjectAttributes') {
    return [target.versionId === null ? 's3:GetObject' : 's3:GetObjectVersion'];
  }
  const names = Object.keys(headersOf(call, target));
  const hasTags = (target.newTags?.length ?? 0) > 0;
  return furtherActions(operation, hasTags ? [...names, 'x-amz-tagging'] : names);
}

/** Of the operation itself, and not of what else it does on its way. */
function isOwnAction(operation: Operation, action: PolicyAction): boolean {
  return operation !== 'OptionsObject' && ACTIONS[operation] === action;
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
  const found = (await headOf(call, bucket, key, versionId))?.tags ?? [];
  return { ...target, existingTags: found.map(({ name, value }) => ({ key: name, value })) };
}

/** Where requesters pay, others than the owner say that they would; who did not sign is nobody who could. */
function checkIsFree(call: Call, target: Target): void {
  if (target.bucket.documents['requestPayment'] === undefined) return;
  const isPayer = headersOf(call, target)['x-amz-request-payer'] === 'requester';
  if (whoAsks(call, target) === null || !isPayer) throw s3Error('AccessDenied');
}

function isAllowedByAcl(call: Call, action: PolicyAction, target: Target): boolean {
  const { operation } = call.route;
  if (!isOwnAction(operation, action)) return false;
  const who = whoAsks(call, target);
  const permission = bucketPermissionFor(operation, who);
  if (permission === null) return false;
  // Versions are removed by the owner only, and an ACL gives no right to tags, locks or their bypass.
  const further = furtherOf(call, action, target);
  const isRemoval = operation === 'DeleteObject' || operation === 'DeleteObjects';
  if (further.some((name) => name !== 's3:PutObjectAcl')) return false;
  if (isRemoval && target.versionId !== null) return false;
  return isGivenByBucket(target.bucket, who, permission);
}

/** Who began an upload may look at its parts and end it. */
async function isInitiator(call: Call, action: PolicyAction, target: Target): Promise<boolean> {
  if (action !== ACTIONS.AbortMultipartUpload && action !== ACTIONS.ListParts) return false;
  const who = whoAsks(call, target);
  const upload = call.route.query.get('uploadId') ?? '';
  if (who === null || hasOwnRole(who) || !UPLOAD_ID.test(upload)) return false;
  const { bucket } = target;
  const page = { after: 0, limit: 1 };
  const found = await call.objects.listParts(call.context(), bucket, call.ref, upload, page);
  return found !== null && initiatorIdOf(bucket, found.head) === who.id;
}
