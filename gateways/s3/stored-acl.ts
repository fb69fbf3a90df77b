import { LIMITS } from '../../protocol/limits.ts';
import {
  type AccessControlPolicy,
  GROUPS,
  type Grant,
  type Grantee,
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
  // What these give to the owner of the bucket is told apart below.
  'bucket-owner-read': [],
  'bucket-owner-full-control': [],
};
const TO_BUCKET_OWNER: Partial<Record<CannedAcl, Permission>> = {
  'bucket-owner-read': 'READ',
  'bucket-owner-full-control': 'FULL_CONTROL',
};

/** Whose an ACL is. Of a bucket's own both are one. */
export interface AclOwners {
  readonly owner: Owner;
  readonly bucketOwner: Owner;
}

/** The grants of a stored ACL; null is private. `nameOf`: how a canonical id is called now; null: nobody knows it. */
export function policyOf(
  stored: string | null,
  { owner, bucketOwner }: AclOwners,
  nameOf: (id: string) => string | null = () => null,
): AccessControlPolicy {
  const toOwner = to(owner, 'FULL_CONTROL');
  if (stored === null) return { owner, grants: [toOwner] };
  const acl = JSON.parse(stored) as AclRequest;
  if (acl.type === 'canned') {
    const given = bucketOwner.id === owner.id ? undefined : TO_BUCKET_OWNER[acl.acl];
    const further = given === undefined ? [] : [to(bucketOwner, given)];
    return { owner, grants: [toOwner, ...CANNED[acl.acl], ...further] };
  }
  const known = new Map([owner, bucketOwner].map(({ id, displayName }) => [id, displayName]));
  const called = (id: string) => known.get(id) ?? nameOf(id);
  return { owner, grants: acl.grants.map((grant) => named(grant, called)) };
}

function to(user: Owner, permission: Permission): Grant {
  return { grantee: { type: 'CanonicalUser', ...user }, permission };
}

/** Grants have their grantee's own name, whatever the request called them. */
function named(grant: Grant, nameOf: (id: string) => string | null): Grant {
  const { grantee } = grant;
  if (grantee.type !== 'CanonicalUser') return grant;
  return { ...grant, grantee: { ...grantee, displayName: nameOf(grantee.id) } };
}

/** Whom an ACL is asked about: nobody in particular (null), or somebody who signed, by canonical id. */
export type AskedBy = string | null;

/** Whether an ACL gives them this permission. `hasGroups`: what it gives to everybody, signed or not, counts too. */
export function isGranted(
  { grants }: AccessControlPolicy,
  who: AskedBy,
  permission: Permission,
  hasGroups: boolean,
): boolean {
  return grants.some(
    (grant) =>
      (grant.permission === permission || grant.permission === 'FULL_CONTROL') &&
      isOne(grant.grantee, who, hasGroups),
  );
}

function isOne(grantee: Grantee, who: AskedBy, hasGroups: boolean): boolean {
  if (grantee.type === 'CanonicalUser') return who !== null && grantee.id === who;
  if (grantee.type !== 'Group' || !hasGroups) return false;
  if (grantee.uri === GROUPS.allUsers) return true;
  return who !== null && grantee.uri === GROUPS.authenticatedUsers;
}
