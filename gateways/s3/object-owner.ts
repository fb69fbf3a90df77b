import type { Bucket } from '../../protocol/object-access.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import { isOwnerEnforced, objectOwnershipOf } from './access-settings.ts';
import type { AclRequest } from './acl-headers.ts';
import { isAdministrator } from './principals.ts';

type Owned = Pick<Bucket, 'documents' | 'owner'>;

/**
 * To whom what somebody writes belongs, as its head says it: null is the bucket's owner. So it is where ACLs are off, where
 * the owner is preferred and given full control, and of what nobody signed; an administrator writes for the owner.
 */
export function ownerOfNew(
  bucket: Owned,
  who: S3Identity | null,
  acl: AclRequest | null,
): string | null {
  if (who === null || who.id === bucket.owner || isAdministrator(who)) return null;
  const ownership = objectOwnershipOf(bucket);
  if (ownership === 'BucketOwnerEnforced') return null;
  const isGiven = acl?.type === 'canned' && acl.acl === 'bucket-owner-full-control';
  return ownership === 'BucketOwnerPreferred' && isGiven ? null : who.id;
}

/** The same of an upload, which also tells who began it: that stays where ACLs are off, and then gives nothing. */
export function ownerOfUpload(
  bucket: Owned,
  who: S3Identity | null,
  acl: AclRequest | null,
): string | null {
  if (!isOwnerEnforced(bucket)) return ownerOfNew(bucket, who, acl);
  return who === null || who.id === bucket.owner || isAdministrator(who) ? null : who.id;
}

/** Canonical id of the owner of an object, or of who began an upload. Where ACLs are off all is the bucket owner's. */
export function ownerIdOf(bucket: Owned, head: Pick<ObjectHead, 'owner'> | null): string {
  return isOwnerEnforced(bucket) ? bucket.owner : initiatorIdOf(bucket, head);
}

export function initiatorIdOf(bucket: Owned, head: Pick<ObjectHead, 'owner'> | null): string {
  return head?.owner ?? bucket.owner;
}
