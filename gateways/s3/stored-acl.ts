import { LIMITS } from '../../protocol/limits.ts';
import {
  type AccessControlPolicy,
  GROUPS,
  type Grant,
  type Owner,
  type Permission,
} from './acl.ts';
import type { AclRequest, CannedAcl } from './acl-headers.ts';
import { s3Error } from './errors.ts';

/** ACLs as they are kept: JSON of what was asked for, so that a canned one follows its bucket's owner. */

export function storedAcl(acl: AclRequest): string {
  const text = JSON.stringify(acl);
  if (Buffer.byteLength(text) <= LIMITS.objectAclBytesMax) return text;
  throw s3Error('InvalidRequest', 'The access control list is too large');
}

export function requestOf(stored: string | null): AclRequest | null {
  return stored === null ? null : (JSON.parse(stored) as AclRequest);
}

function group(uri: string, permission: Permission): Grant {
  return { grantee: { type: 'Group', uri }, permission };
}

const PUBLIC_READ = group(GROUPS.allUsers, 'READ');
const CANNED: { readonly [A in CannedAcl]: readonly Grant[] } = {
  private: [],
  'public-read': [PUBLIC_READ],
  'public-read-write': [PUBLIC_READ, group(GROUPS.allUsers, 'WRITE')],
  'authenticated-read': [group(GROUPS.authenticatedUsers, 'READ')],
  'log-delivery-write': [group(GROUPS.logDelivery, 'WRITE'), group(GROUPS.logDelivery, 'READ_ACP')],
  'aws-exec-read': [],
  // Object and bucket have one owner here.
  'bucket-owner-read': [],
  'bucket-owner-full-control': [],
};

/** The grants of a stored ACL; null is private. */
export function policyOf(stored: string | null, owner: Owner): AccessControlPolicy {
  const full: Grant = { grantee: { type: 'CanonicalUser', ...owner }, permission: 'FULL_CONTROL' };
  if (stored === null) return { owner, grants: [full] };
  const acl = JSON.parse(stored) as AclRequest;
  if (acl.type === 'canned') return { owner, grants: [full, ...CANNED[acl.acl]] };
  return { owner, grants: acl.grants.map((grant) => named(grant, owner)) };
}

/** Grants have their grantee's own name, whatever the request called them. */
function named(grant: Grant, owner: Owner): Grant {
  const { grantee } = grant;
  const isOwner = grantee.type === 'CanonicalUser' && grantee.id === owner.id;
  return isOwner ? { ...grant, grantee: { type: 'CanonicalUser', ...owner } } : grant;
}

/** Whether everybody has this permission, signed or not. */
export function isPublic(stored: string | null, owner: Owner, permission: Permission): boolean {
  return policyOf(stored, owner).grants.some(
    (grant) =>
      grant.grantee.type === 'Group' &&
      grant.grantee.uri === GROUPS.allUsers &&
      (grant.permission === permission || grant.permission === 'FULL_CONTROL'),
  );
}
