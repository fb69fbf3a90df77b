import type { Bucket } from '../../protocol/object-access.ts';
import { GROUPS, type Grant } from './acl.ts';
import type { AclRequest } from './acl-headers.ts';
import { ownershipControls } from './bucket-documents.ts';
import { s3Error } from './errors.ts';
import { publicAccessOf } from './permissions.ts';

const OWNER_ONLY: ReadonlySet<string> = new Set(['private', 'bucket-owner-full-control']);
const PUBLIC_CANNED: ReadonlySet<string> = new Set([
  ...['public-read', 'public-read-write', 'authenticated-read'],
]);

/** Throws where the bucket's ownership controls or its public access block forbid this ACL. */
export function checkNewAcl(bucket: Bucket, acl: AclRequest | null): void {
  if (acl === null) return;
  if (isOwnerEnforced(bucket)) {
    const isOwners = acl.type === 'canned' && OWNER_ONLY.has(acl.acl);
    if (!isOwners) throw s3Error('AccessControlListNotSupported');
  }
  if (isPublicAcl(acl) && publicAccessOf(bucket)?.blockPublicAcls) throw s3Error('AccessDenied');
}

function isOwnerEnforced(bucket: Bucket): boolean {
  const stored = bucket.documents['ownershipControls'];
  if (stored === undefined) return false;
  const { rules } = ownershipControls.read(Buffer.from(stored));
  return rules.some(({ objectOwnership }) => objectOwnership === 'BucketOwnerEnforced');
}

export function isPublicAcl(acl: AclRequest): boolean {
  return acl.type === 'canned' ? PUBLIC_CANNED.has(acl.acl) : acl.grants.some(isPublicGrant);
}

function isPublicGrant({ grantee }: Grant): boolean {
  return grantee.type === 'Group' && grantee.uri !== GROUPS.logDelivery;
}
