import type { Bucket } from '../../protocol/object-access.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import { type AclRequest, aclOf } from './acl-headers.ts';
import { checkNewAcl, isShared, resolvedAcl } from './acl-rules.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import {
  createBucketConfiguration,
  ownershipControls,
  renderLocationConstraint,
} from './bucket-documents.ts';
import { checkBucketName } from './bucket-name.ts';
import { type Call, noSuchBucket } from './call.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { flagOf, wordOf } from './headers.ts';
import { renderListBuckets } from './list-buckets.ts';
import { numberOf } from './list-fields.ts';
import { checkMayDo } from './permissions.ts';
import { ACTIONS } from './policy-actions.ts';
import { isAdministrator } from './principals.ts';
import { hasOwnRole, mayOfBucket } from './role-answers.ts';
import { storedAcl } from './stored-acl.ts';
import { bucketTagging } from './tagging.ts';

const DOCUMENT_BYTES_MAX = 256 * 1024;
const OWNERSHIPS = ['BucketOwnerPreferred', 'ObjectWriter', 'BucketOwnerEnforced'] as const;

export async function createBucket(call: Call): Promise<Answer> {
  const { edge, route, headers } = call;
  checkBucketName(route.bucket);
  const acl = await resolvedAcl(call, aclOf(headers));
  const owner = call.signer.id;
  const ownership = wordOf(headers, 'x-amz-object-ownership', OWNERSHIPS);
  const objectLock = flagOf(headers, 'x-amz-bucket-object-lock-enabled');
  const documents: Record<string, string> = {};
  if (ownership !== null) {
    documents['ownershipControls'] = ownershipControls.write({
      rules: [{ objectOwnership: ownership }],
    });
  }
  const body = await call.body.document(DOCUMENT_BYTES_MAX);
  if (body.length > 0) {
    const { locationConstraint, tags } = createBucketConfiguration.read(body);
    checkLocation(locationConstraint, edge.config.region);
    if (tags.length > 0) documents['tagging'] = bucketTagging.write(tags);
  }
  if (acl !== null) {
    if (ownership !== 'BucketOwnerEnforced') checkNewAcl({ documents, owner }, acl);
    else if (isShared(acl, owner)) throw s3Error('InvalidBucketAclWithObjectOwnership');
    documents['acl'] = storedAcl(acl);
  }
  const made = await edge.objects.buckets.create(call.context(), {
    ...{ tenant: call.tenant, name: route.bucket, owner, objectLock, documents },
  });
  if (made.type === 'exists') await makeAgain(call, made.bucket, acl);
  return emptyAnswer(200, [['location', `/${route.bucket}`]]);
}

/**
 * Another's is refused. One's own: in its first region S3 takes it for done, and resets the ACL; in others it is refused. That is a change of the ACL
 * like any: what the bucket says of those holds.
 */
async function makeAgain(call: Call, there: Bucket, wanted: AclRequest | null): Promise<void> {
  const { bucket } = call.route;
  if (there.owner !== call.signer.id) {
    throw s3Error('BucketAlreadyExists', undefined, { BucketName: bucket });
  }
  if (call.edge.config.region !== 'us-east-1') {
    throw s3Error('BucketAlreadyOwnedByYou', undefined, { BucketName: bucket });
  }
  const found = await call.bucket();
  const acl = wanted === null ? null : storedAcl(wanted);
  if ((found.documents['acl'] ?? null) === acl) return;
  checkNewAcl(found, wanted);
  await checkMayDo(call, ACTIONS.PutBucketAcl, { bucket: found, key: '', versionId: null });
  await call.objects.buckets.change(call.context(), call.tenant, bucket, { documents: { acl } });
}

function checkLocation(constraint: string | null, region: string): void {
  if (constraint === null || constraint === '' || constraint === region) return;
  throw s3Error('InvalidLocationConstraint', undefined, {
    LocationConstraint: constraint.slice(0, 64),
  });
}

export async function headBucket(call: Call): Promise<Answer> {
  await call.bucket();
  return emptyAnswer(200, [
    ['x-amz-bucket-region', call.edge.config.region],
    ['x-amz-access-point-alias', 'false'],
  ]);
}

export async function deleteBucket(call: Call): Promise<Answer> {
  const { bucket } = call.route;
  const outcome = await call.objects.buckets.delete(call.context(), call.tenant, bucket);
  if (outcome === 'no_such_bucket') throw noSuchBucket(bucket);
  if (outcome === 'not_empty') {
    throw s3Error('BucketNotEmpty', undefined, { BucketName: bucket });
  }
  return emptyAnswer(204);
}

export async function getBucketLocation(call: Call): Promise<Answer> {
  await call.bucket();
  return xmlAnswer(renderLocationConstraint(call.edge.config.region));
}

const PAGE_BUCKETS_MAX = 10_000;

export async function listBuckets(call: Call): Promise<Answer> {
  const { query } = call.route;
  const given = numberOf(query, 'max-buckets');
  if (given !== null && (given < 1 || given > PAGE_BUCKETS_MAX)) {
    throw invalidArgument(
      `Argument max-buckets must be an integer between 1 and ${PAGE_BUCKETS_MAX}`,
      'max-buckets',
      String(given),
    );
  }
  const region = query.get('bucket-region') ?? null;
  const limit = given ?? PAGE_BUCKETS_MAX;
  const prefix = query.get('prefix') ?? '';
  const after = afterOf(query.get('continuation-token') ?? '');
  const { signer } = call;
  // Of an administrator all are; a role of one's own says itself which.
  const isByRole = hasOwnRole(signer);
  const owner = isByRole || isAdministrator(signer) ? null : signer.id;
  const isOtherRegion = region !== null && region !== '' && region !== call.edge.config.region;
  const wanted = { prefix, after, limit: limit + 1, owner };
  const found = isOtherRegion
    ? []
    : isByRole
      ? await bucketsByRole(call, signer, wanted)
      : await call.objects.buckets.list(call.context(), call.tenant, wanted);
  const page = found.slice(0, limit);
  const last = page[page.length - 1];
  const isPaged = given !== null || after !== '' || prefix !== '' || region !== null;
  return xmlAnswer(
    renderListBuckets({
      owner: { id: signer.id, displayName: signer.displayName },
      buckets: page.map(({ rule, createdAtMs }) => ({
        ...{ name: rule.name, createdMs: createdAtMs },
        region: isPaged ? call.edge.config.region : null,
      })),
      continuationToken:
        found.length > limit && last !== undefined
          ? Buffer.from(last.rule.name).toString('base64url')
          : null,
      prefix: prefix === '' ? null : prefix,
    }),
  );
}

type Wanted = Parameters<Call['objects']['buckets']['list']>[2];

/** Those of which their role lets them see how they are set up, in order. */
async function bucketsByRole(call: Call, who: S3Identity, wanted: Wanted): Promise<Bucket[]> {
  const seen: Bucket[] = [];
  for (let { after } = wanted; ; ) {
    const page = await call.objects.buckets.list(call.context(), call.tenant, { ...wanted, after });
    seen.push(...page.filter(({ rule }) => mayOfBucket(who, 'bucket:read', rule.name)));
    const last = page[wanted.limit - 1];
    if (last === undefined || seen.length >= wanted.limit) return seen.slice(0, wanted.limit);
    after = last.rule.name;
  }
}

function afterOf(token: string): string {
  const name = Buffer.from(token, 'base64url').toString('utf8');
  if (Buffer.from(name).toString('base64url') === token) return name;
  throw invalidArgument(
    'The continuation token provided is incorrect',
    'continuation-token',
    token.slice(0, 256),
  );
}
