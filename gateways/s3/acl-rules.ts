import { LIMITS } from '../../protocol/limits.ts';
import type { Bucket } from '../../protocol/object-access.ts';
import { isOwnerEnforced, publicAccessOf } from './access-settings.ts';
import { OWNER } from './account.ts';
import { GROUPS, type Grant, type Grantee } from './acl.ts';
import type { AclRequest } from './acl-headers.ts';
import type { S3Edge } from './edge.ts';
import { invalidArgument, s3Error } from './errors.ts';

const PUBLIC_CANNED: ReadonlySet<string> = new Set([
  ...['public-read', 'public-read-write', 'authenticated-read'],
]);

/** Of one request: to those of its tenant something can be given. */
interface Grantors {
  readonly edge: Pick<S3Edge, 'users'>;
  readonly tenant: string;
}

/**
 * The grantees of an ACL as they are kept: by canonical id. Throws InvalidArgument for an id that nobody has, and
 * UnresolvableGrantByEmailAddress for an address.
 */
export async function resolvedAcl<A extends AclRequest | null>(call: Grantors, acl: A): Promise<A> {
  if (acl === null || acl.type === 'canned') return acl;
  const grants = await resolvedGrants(call, acl.grants);
  return { ...acl, grants };
}

/** What a put says, with its ACL as it is kept. */
export async function resolvedPut<P extends { readonly acl: AclRequest | null }>(
  call: Grantors,
  put: P,
): Promise<P> {
  return put.acl === null ? put : { ...put, acl: await resolvedAcl(call, put.acl) };
}

export async function resolvedGrants<G extends { readonly grantee: Grantee }>(
  { edge: { users }, tenant }: Grantors,
  grants: readonly G[],
): Promise<readonly G[]> {
  const isAsked = grants.some(({ grantee }) => grantee.type !== 'Group' && !isAccount(grantee));
  if (isAsked) await users?.renewed(LIMITS.requestDeadlineMsDefault);
  return grants.map((grant) => {
    const { grantee } = grant;
    if (grantee.type === 'Group' || isAccount(grantee)) return grant;
    const found =
      grantee.type === 'CanonicalUser'
        ? users?.byId(grantee.id, tenant)
        : users?.byEmail(grantee.emailAddress, tenant);
    if (found != null) return { ...grant, grantee: { type: 'CanonicalUser', ...found } };
    if (grantee.type !== 'CanonicalUser') throw s3Error('UnresolvableGrantByEmailAddress');
    throw invalidArgument('Invalid id', 'CanonicalUser/ID', grantee.id.slice(0, 256));
  });
}

function isAccount(grantee: Grantee): boolean {
  return grantee.type === 'CanonicalUser' && grantee.id === OWNER.id;
}

/** Throws where the bucket's ownership controls or its public access block forbid this ACL. */
export function checkNewAcl(
  bucket: Pick<Bucket, 'documents' | 'owner'>,
  acl: AclRequest | null,
): void {
  if (acl === null) return;
  if (isOwnerEnforced(bucket) && !isFullControlOfOwner(acl, bucket.owner)) {
    throw s3Error('AccessControlListNotSupported');
  }
  if (isPublicAcl(acl) && publicAccessOf(bucket)?.blockPublicAcls) throw s3Error('AccessDenied');
}

/** What is still taken where ACLs are off: `bucket-owner-full-control`, or the same as a grant. */
function isFullControlOfOwner(acl: AclRequest, owner: string): boolean {
  if (acl.type === 'canned') return acl.acl === 'bucket-owner-full-control';
  const [grant, ...more] = acl.grants;
  if (grant === undefined || more.length > 0) return false;
  const { grantee, permission } = grant;
  return grantee.type === 'CanonicalUser' && grantee.id === owner && permission === 'FULL_CONTROL';
}

/** Whether a bucket's ACL gives anything to others than its owner: to a user, or to one of S3's groups. */
export function isShared(acl: AclRequest, owner: string): boolean {
  if (acl.type === 'canned') return PUBLIC_CANNED.has(acl.acl) || acl.acl === 'log-delivery-write';
  return acl.grants.some(({ grantee }) => grantee.type !== 'CanonicalUser' || grantee.id !== owner);
}

export function isPublicAcl(acl: AclRequest): boolean {
  return acl.type === 'canned' ? PUBLIC_CANNED.has(acl.acl) : acl.grants.some(isPublicGrant);
}

function isPublicGrant({ grantee }: Grant): boolean {
  return grantee.type === 'Group' && grantee.uri !== GROUPS.logDelivery;
}
