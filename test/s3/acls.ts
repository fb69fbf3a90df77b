import type { Grant } from '@aws-sdk/client-s3';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const ALL_USERS = 'http://acs.amazonaws.com/groups/global/AllUsers';
const SIGNED_USERS = 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers';

/** A bucket whose ACLs count. */
function withAcls(w: World, more = {}): Promise<string> {
  return w.bucket({ ObjectOwnership: 'ObjectWriter', ...more });
}

/** `grantee permission`; the owner is called `owner`. */
function said(grants: readonly Grant[] | undefined, owner: string | undefined): string[] {
  return (grants ?? [])
    .map(({ Grantee, Permission }) => {
      const who = Grantee?.URI ?? (Grantee?.ID === owner ? 'owner' : Grantee?.ID);
      return `${who} ${Permission}`;
    })
    .sort();
}

const CANNED: readonly (readonly [string, readonly string[]])[] = [
  ['private', ['owner FULL_CONTROL']],
  ['public-read', [`${ALL_USERS} READ`, 'owner FULL_CONTROL']],
  ['public-read-write', [`${ALL_USERS} READ`, `${ALL_USERS} WRITE`, 'owner FULL_CONTROL']],
  ['authenticated-read', [`${SIGNED_USERS} READ`, 'owner FULL_CONTROL']],
];

const GRANT_HEADERS = [
  ['x-amz-grant-read', 'READ'],
  ['x-amz-grant-write', 'WRITE'],
  ['x-amz-grant-read-acp', 'READ_ACP'],
  ['x-amz-grant-write-acp', 'WRITE_ACP'],
  ['x-amz-grant-full-control', 'FULL_CONTROL'],
] as const;

/** Access control lists of buckets and objects. */
export const acls = area('acls', {
  'a new bucket is its owner’s alone': async (w) => {
    const { Grants, Owner } = await w.sdk.getBucketAcl({ Bucket: await w.bucket() });
    assert.deepEqual(said(Grants, Owner?.ID), ['owner FULL_CONTROL']);
    assert.equal(Grants?.[0]?.Grantee?.Type, 'CanonicalUser');
  },
  'a new object is its owner’s alone': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const { Grants, Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
    assert.deepEqual(said(Grants, Owner?.ID), ['owner FULL_CONTROL']);
  },
  ...each(
    CANNED,
    ([acl]) => `a bucket made with ${acl}`,
    async (w, [acl, wanted]) => {
      const Bucket = await withAcls(w, { ACL: acl });
      const { Grants, Owner } = await w.sdk.getBucketAcl({ Bucket });
      assert.deepEqual(said(Grants, Owner?.ID), wanted);
    },
  ),
  ...each(
    CANNED,
    ([acl]) => `a bucket that gets ${acl}`,
    async (w, [acl, wanted]) => {
      const Bucket = await withAcls(w);
      await w.sdk.putBucketAcl({ Bucket, ACL: acl as 'private' });
      const { Grants, Owner } = await w.sdk.getBucketAcl({ Bucket });
      assert.deepEqual(said(Grants, Owner?.ID), wanted);
    },
  ),
  ...each(
    CANNED,
    ([acl]) => `an object put with ${acl}`,
    async (w, [acl, wanted]) => {
      const Bucket = await withAcls(w);
      await w.put(Bucket, 'k', 'x', { ACL: acl as 'private' });
      const { Grants, Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
      assert.deepEqual(said(Grants, Owner?.ID), wanted);
    },
  ),
  ...each(
    CANNED,
    ([acl]) => `an object that gets ${acl}`,
    async (w, [acl, wanted]) => {
      const Bucket = await withAcls(w);
      await w.put(Bucket, 'k');
      await w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL: acl as 'private' });
      const { Grants, Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
      assert.deepEqual(said(Grants, Owner?.ID), wanted);
    },
  ),
  'an unknown canned ACL is InvalidArgument': async (w) => {
    const bucket = await withAcls(w);
    await w.put(bucket, 'k');
    const headers = { 'x-amz-acl': 'public-ready' };
    for (const key of ['', 'k']) {
      const reply = await w.call('PUT', bucket, key, { query: { acl: '' }, headers });
      isRefused(reply, 400, 'InvalidArgument');
    }
    isRefused(await w.call('PUT', bucket, 'n', { body: 'x', headers }), 400, 'InvalidArgument');
  },
  ...each(
    GRANT_HEADERS,
    ([header]) => `a bucket's ACL by ${header}`,
    async (w, [header, permission]) => {
      const bucket = await withAcls(w);
      const headers = { [header]: `uri="${ALL_USERS}"` };
      isStatus(await w.call('PUT', bucket, '', { query: { acl: '' }, headers }), 200);
      const { Grants, Owner } = await w.sdk.getBucketAcl({ Bucket: bucket });
      assert.deepEqual(said(Grants, Owner?.ID), [`${ALL_USERS} ${permission}`]);
    },
  ),
  'a grant to the owner by id': async (w) => {
    const Bucket = await withAcls(w);
    const owner = (await w.sdk.listBuckets({})).Owner?.ID;
    await w.put(Bucket, 'k', 'x', { GrantRead: `id="${owner}"`, GrantReadACP: `id=${owner}` });
    const { Grants } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
    assert.deepEqual(said(Grants, owner), ['owner READ', 'owner READ_ACP']);
  },
  'a canned ACL and grants together are InvalidRequest': async (w) => {
    const headers = { 'x-amz-acl': 'private', 'x-amz-grant-read': `uri="${ALL_USERS}"` };
    const reply = await w.call('PUT', await withAcls(w), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'a grant to an email address that is not known': async (w) => {
    const headers = { 'x-amz-grant-read': 'emailAddress="nobody@example.test"' };
    const reply = await w.call('PUT', await withAcls(w), '', { query: { acl: '' }, headers });
    isRefused(reply, 400, 'UnresolvableGrantByEmailAddress');
  },
  'a grant to an account that is not known is InvalidArgument': async (w) => {
    const headers = { 'x-amz-grant-read': 'id="_foo"' };
    const reply = await w.call('PUT', await withAcls(w), '', { query: { acl: '' }, headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'a document of grants comes back': async (w) => {
    const Bucket = await withAcls(w);
    const { Owner } = await w.sdk.getBucketAcl({ Bucket });
    const Grants: Grant[] = [
      { Grantee: { Type: 'CanonicalUser', ID: Owner?.ID }, Permission: 'FULL_CONTROL' },
      { Grantee: { Type: 'Group', URI: ALL_USERS }, Permission: 'READ_ACP' },
    ];
    await w.sdk.putBucketAcl({ Bucket, AccessControlPolicy: { Owner, Grants } });
    const seen = await w.sdk.getBucketAcl({ Bucket });
    assert.deepEqual(said(seen.Grants, Owner?.ID), [`${ALL_USERS} READ_ACP`, 'owner FULL_CONTROL']);
  },
  'a document without grants takes all of them away': async (w) => {
    const Bucket = await withAcls(w);
    await w.put(Bucket, 'k', 'x', { ACL: 'public-read' });
    const { Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', AccessControlPolicy: { Owner, Grants: [] } });
    const { Grants = [] } = await w.sdk.getObjectAcl({ Bucket, Key: 'k' });
    assert.deepEqual(Grants, []);
    isRefused(await w.call('GET', Bucket, 'k', { by: 'nobody' }), 403, 'AccessDenied');
    assert.equal(await w.text(Bucket, 'k'), 'x');
  },
  'a document that is no ACL is MalformedACLError': async (w) => {
    const bucket = await withAcls(w);
    const bad = ['<Foo/>', '<AccessControlPolicy><AccessControlList/></AccessControlPolicy>'];
    for (const body of [...bad, 'acl']) {
      const reply = await w.call('PUT', bucket, '', { query: { acl: '' }, body });
      isRefused(reply, 400, 'MalformedACLError');
    }
  },
  'an unknown permission is MalformedACLError': async (w) => {
    const Bucket = await withAcls(w);
    const { Owner } = await w.sdk.getBucketAcl({ Bucket });
    const Grantee = { Type: 'CanonicalUser' as const, ID: Owner?.ID };
    const Grants = [{ Grantee, Permission: 'DANCE' as 'READ' }];
    const call = w.sdk.putBucketAcl({ Bucket, AccessControlPolicy: { Owner, Grants } });
    await refused(call, 400, 'MalformedACLError');
  },
  'an ACL of none is NoSuchKey': async (w) => {
    const call = w.sdk.getObjectAcl({ Bucket: await w.bucket(), Key: 'k' });
    await refused(call, 404, 'NoSuchKey');
  },
  'an ACL of no bucket is NoSuchBucket': async (w) => {
    await refused(w.sdk.getBucketAcl({ Bucket: w.name() }), 404, 'NoSuchBucket');
  },
  'an ACL leaves ETag and bytes of its object': async (w) => {
    const Bucket = await withAcls(w);
    const etag = await w.put(Bucket, 'k', 'text');
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL: 'public-read' });
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'k' })).ETag, etag);
  },
  'an ACL of a version is its own': async (w) => {
    const Bucket = await withAcls(w);
    await w.versioning(Bucket, 'Enabled');
    const VersionId = await w.putVersion(Bucket, 'k', '1');
    await w.putVersion(Bucket, 'k', '2');
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', VersionId, ACL: 'public-read' });
    const old = await w.sdk.getObjectAcl({ Bucket, Key: 'k', VersionId });
    assert.equal(old.Grants?.length, 2);
    assert.equal((await w.sdk.getObjectAcl({ Bucket, Key: 'k' })).Grants?.length, 1);
  },
  'an overwrite has the default ACL again': async (w) => {
    const Bucket = await withAcls(w);
    await w.put(Bucket, 'k', 'x', { ACL: 'public-read' });
    await w.put(Bucket, 'k', 'y');
    assert.equal((await w.sdk.getObjectAcl({ Bucket, Key: 'k' })).Grants?.length, 1);
  },
  'a grant to the owner shows their name, whatever the request calls them': async (w) => {
    const Bucket = await withAcls(w);
    const { Owner } = await w.sdk.getBucketAcl({ Bucket });
    await w.sdk.putBucketAcl({ Bucket, GrantFullControl: `id=${Owner?.ID}` });
    const byHeader = await w.sdk.getBucketAcl({ Bucket });
    assert.equal(byHeader.Grants?.[0]?.Grantee?.DisplayName, Owner?.DisplayName);
    const Grantee = { Type: 'CanonicalUser' as const, ID: Owner?.ID, DisplayName: 'nobody' };
    const Grants = [{ Grantee, Permission: 'FULL_CONTROL' as const }];
    await w.sdk.putBucketAcl({ Bucket, AccessControlPolicy: { Owner, Grants } });
    const byDocument = await w.sdk.getBucketAcl({ Bucket });
    assert.equal(byDocument.Grants?.[0]?.Grantee?.DisplayName, Owner?.DisplayName);
  },
  'ACLs are refused where the owner of the bucket owns all': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'BucketOwnerEnforced' });
    const put = w.sdk.putObject({ Bucket, Key: 'k', Body: 'x', ACL: 'public-read' });
    await refused(put, 400, 'AccessControlListNotSupported');
    const acl = w.sdk.putBucketAcl({ Bucket, ACL: 'public-read' });
    await refused(acl, 400, 'AccessControlListNotSupported');
    await w.put(Bucket, 'k', 'x', { ACL: 'bucket-owner-full-control' });
  },
});
