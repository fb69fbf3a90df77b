import type { Bucket } from '../../protocol/object-access.ts';
import { isOwnerEnforced, publicAccessOf } from './access-settings.ts';
import { GROUPS, type Grant } from './acl.ts';
import type { AclRequest } from './acl-headers.ts';
import { invalidArgument, s3Error } from './errors.ts';

const PUBLIC_CANNED: ReadonlySet<string> = new Set([
  ...['public-read', 'public-read-write', 'authenticated-read'],
]);

/** Throws where the bucket's ownership controls or its public access block forbid this ACL. */
export function checkNewAcl(
  bucket: Pick<Bucket, 'documents' | 'owner'>,
  acl: AclRequest | null,
): void {
  if (acl === null) return;
  checkGrantees(acl, bucket.owner);
  if (isOwnerEnforced(bucket) && !isFullControlOfOwner(acl, bucket.owner)) {
    throw s3Error('AccessControlListNotSupported');
  }
  if (isPublicAcl(acl) && publicAccessOf(bucket)?.blockPublicAcls) throw s3Error('AccessDenied');
}

/** There is one account. Throws InvalidArgument for a grant to another. */
function checkGrantees(acl: AclRequest, owner: string): void {
  if (acl.type === 'canned') return;
  for (const { grantee } of acl.grants) {
    if (grantee.type !== 'CanonicalUser' || grantee.id === owner) continue;
    throw invalidArgument('Invalid id', 'CanonicalUser/ID', grantee.id.slice(0, 256));
  }
}

/** What is still taken where ACLs are off: `bucket-owner-full-control`, or the same as a grant. */
function isFullControlOfOwner(acl: AclRequest, owner: string): boolean {
  if (acl.type === 'canned') return acl.acl === 'bucket-owner-full-control';
  const [grant, ...more] = acl.grants;
  if (grant === undefined || more.length > 0) return false;
  const { grantee, permission } = grant;
  return grantee.type === 'CanonicalUser' && grantee.id === owner && permission === 'FULL_CONTROL';
}

/** Whether a bucket's ACL gives anything to others than its owner: to one of S3's groups. */
export function isShared(acl: AclRequest): boolean {
  if (acl.type === 'grants') return acl.grants.some(({ grantee }) => grantee.type === 'Group');
  return PUBLIC_CANNED.has(acl.acl) || acl.acl === 'log-delivery-write';
}

export function isPublicAcl(acl: AclRequest): boolean {
  return acl.type === 'canned' ? PUBLIC_CANNED.has(acl.acl) : acl.grants.some(isPublicGrant);
}

function isPublicGrant({ grantee }: Grant): boolean {
  return grantee.type === 'Group' && grantee.uri !== GROUPS.logDelivery;
}
