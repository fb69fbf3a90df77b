import type { Bucket } from '../../protocol/object-access.ts';
import type { ObjectHead } from '../../protocol/objects.ts';
import type { S3Identity } from '../identity/s3-user.ts';
import { countingAcl, ignoresPublicAcls } from './access-settings.ts';
import type { Permission } from './acl.ts';
import { ownerIdOf } from './object-owner.ts';
import type { Operation } from './operations.ts';
import { isGranted, policyOf } from './stored-acl.ts';

/** What ACLs give. Where they are off they give nothing; where public ones are ignored, the groups of S3 have nothing. */

/** What the ACL of a bucket gives, also to those who did not sign. */
export const BY_BUCKET_ACL: Partial<Record<Operation, Permission>> = {
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

/** What it gives to those who signed. */
const BY_BUCKET_ACL_SIGNED: Partial<Record<Operation, Permission>> = {
  ...BY_BUCKET_ACL,
  PutBucketAcl: 'WRITE_ACP',
  CopyObject: 'WRITE',
  CreateMultipartUpload: 'WRITE',
  UploadPart: 'WRITE',
  UploadPartCopy: 'WRITE',
  CompleteMultipartUpload: 'WRITE',
};

/** What the ACL of an object gives: it, and not the bucket's owner, says who has these. */
export const BY_OBJECT_ACL: Partial<Record<Operation, Permission>> = {
  GetObject: 'READ',
  HeadObject: 'READ',
  CopyObject: 'READ',
  UploadPartCopy: 'READ',
  GetObjectAcl: 'READ_ACP',
  PutObjectAcl: 'WRITE_ACP',
};

/** What they need of the bucket's ACL for it; null: it does not give that. */
export function bucketPermissionFor(
  operation: Operation,
  who: S3Identity | null,
): Permission | null {
  return (who === null ? BY_BUCKET_ACL : BY_BUCKET_ACL_SIGNED)[operation] ?? null;
}

export function isGrantedByBucket(
  bucket: Bucket,
  who: S3Identity | null,
  permission: Permission,
): boolean {
  const owner = nameless(bucket.owner);
  const acl = countingAcl(bucket, bucket.documents['acl'] ?? null);
  const policy = policyOf(acl, { owner, bucketOwner: owner });
  return isGranted(policy, who?.id ?? null, permission, !ignoresPublicAcls(bucket));
}

export function isGrantedByObject(
  bucket: Bucket,
  head: ObjectHead,
  who: S3Identity | null,
  permission: Permission,
): boolean {
  const owners = {
    owner: nameless(ownerIdOf(bucket, head)),
    bucketOwner: nameless(bucket.owner),
  };
  const policy = policyOf(countingAcl(bucket, head.acl), owners);
  return isGranted(policy, who?.id ?? null, permission, !ignoresPublicAcls(bucket));
}

function nameless(id: string) {
  return { id, displayName: null };
}
