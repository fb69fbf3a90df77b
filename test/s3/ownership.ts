import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const NOBODY = { by: 'nobody' } as const;
const ALL_USERS = 'http://acs.amazonaws.com/groups/global/AllUsers';

function enforce(w: World, Bucket: string): Promise<unknown> {
  const OwnershipControls = { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' as const }] };
  return w.sdk.putBucketOwnershipControls({ Bucket, OwnershipControls });
}

/** A private bucket with an object that all may read by its ACL, which then counts no more. */
async function enforced(w: World): Promise<string> {
  const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
  await w.put(Bucket, 'k', 'x', { ACL: 'public-read' });
  isStatus(await w.call('GET', Bucket, 'k', NOBODY), 200);
  await enforce(w, Bucket);
  return Bucket;
}

/** BucketOwnerEnforced: the owner of a bucket owns all in it, and ACLs are off. */
export const ownership = area('ownership', {
  'an ACL that opened an object opens it no more': async (w) => {
    const Bucket = await enforced(w);
    isRefused(await w.call('GET', Bucket, 'k', NOBODY), 403, 'AccessDenied');
    isStatus(await w.call('HEAD', Bucket, 'k', NOBODY), 403);
  },
  'the ACL of an object is shown as the owner’s alone': async (w) => {
    const Bucket = await enforced(w);
    const { Grants, Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
    assert.equal(Grants?.length, 1);
    assert.equal(Grants[0]?.Grantee?.ID, Owner?.ID);
    assert.equal(Grants[0]?.Permission, 'FULL_CONTROL');
  },
  'ACLs count again once it is deleted': async (w) => {
    const Bucket = await enforced(w);
    await w.sdk.deleteBucketOwnershipControls({ Bucket });
    isStatus(await w.call('GET', Bucket, 'k', NOBODY), 200);
    assert.equal((await w.sdk.getObjectAcl({ Bucket, Key: 'k' })).Grants?.length, 2);
  },
  ...each(
    ['public-read', 'public-read-write', 'authenticated-read'] as const,
    (acl) => `it is refused where the bucket has ${acl}`,
    async (w, ACL) => {
      const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter', ACL });
      await refused(enforce(w, Bucket), 400, 'InvalidBucketAclWithObjectOwnership');
      await w.sdk.putBucketAcl({ Bucket, ACL: 'private' });
      await enforce(w, Bucket);
    },
  ),
  'it is refused where a grant is for all': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
    await w.sdk.putBucketAcl({ Bucket, GrantRead: `uri=${ALL_USERS}` });
    await refused(enforce(w, Bucket), 400, 'InvalidBucketAclWithObjectOwnership');
  },
  'a bucket is not made with it and an ACL for all': async (w) => {
    const Bucket = w.name();
    const make = w.sdk.createBucket({
      ...{ Bucket, ObjectOwnership: 'BucketOwnerEnforced', ACL: 'public-read' },
    });
    await refused(make, 400, 'InvalidBucketAclWithObjectOwnership');
  },
  'a bucket is made with it and the ACL private': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'BucketOwnerEnforced', ACL: 'private' });
    assert.equal((await w.sdk.getBucketAcl({ Bucket })).Grants?.length, 1);
  },
  ...each(
    ['private', 'public-read', 'authenticated-read', 'bucket-owner-read'] as const,
    (acl) => `${acl} is AccessControlListNotSupported`,
    async (w, ACL) => {
      const Bucket = await enforced(w);
      const code = 'AccessControlListNotSupported';
      await refused(w.sdk.putObject({ Bucket, Key: 'n', Body: 'x', ACL }), 400, code);
      await refused(w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL }), 400, code);
      await refused(w.sdk.putBucketAcl({ Bucket, ACL: ACL as 'private' }), 400, code);
    },
  ),
  'full control of the owner is taken, as a name, a header and a document': async (w) => {
    const Bucket = await enforced(w);
    const { Owner = {} } = await w.sdk.getBucketAcl({ Bucket });
    await w.put(Bucket, 'a', 'x', { ACL: 'bucket-owner-full-control' });
    await w.put(Bucket, 'b', 'x', { GrantFullControl: `id=${Owner.ID}` });
    const Grantee = { Type: 'CanonicalUser' as const, ID: Owner.ID };
    const Grants = [{ Grantee, Permission: 'FULL_CONTROL' as const }];
    await w.sdk.putObjectAcl({ Bucket, Key: 'a', AccessControlPolicy: { Owner, Grants } });
  },
  'a grant of less to the owner is AccessControlListNotSupported': async (w) => {
    const Bucket = await enforced(w);
    const { Owner } = await w.sdk.getBucketAcl({ Bucket });
    const put = w.sdk.putObject({ Bucket, Key: 'n', Body: 'x', GrantRead: `id=${Owner?.ID}` });
    await refused(put, 400, 'AccessControlListNotSupported');
  },
  'an ACL that counts no more does not make a bucket public': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter', ACL: 'public-read' });
    const { PolicyStatus } = await w.sdk.getBucketPolicyStatus({ Bucket });
    assert.equal(PolicyStatus?.IsPublic, true);
    const PublicAccessBlockConfiguration = { IgnorePublicAcls: true };
    await w.sdk.putPublicAccessBlock({ Bucket, PublicAccessBlockConfiguration });
    await refused(w.sdk.getBucketPolicyStatus({ Bucket }), 404, 'NoSuchBucketPolicy');
  },
});
