import { S3 } from '@aws-sdk/client-s3';
import { area, assert, each, refused, type Sdk } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

/** Two users of one store: what one of them has, and gives to the other. */

const denied = (sent: Promise<unknown>) => refused(sent, 403, 'AccessDenied');

/** A user's canonical id, as S3 tells it to them. */
async function idOf(sdk: Sdk): Promise<string> {
  const { Owner } = await sdk.listBuckets({});
  assert.match(Owner?.ID ?? '', /^[0-9a-f]{64}$/);
  return Owner?.ID as string;
}

async function withKey(w: World, more = {}): Promise<string> {
  const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter', ...more });
  await w.put(Bucket, 'k', 'of the first');
  return Bucket;
}

async function textOf(sdk: Sdk, Bucket: string, Key: string): Promise<string> {
  const { Body } = await sdk.getObject({ Bucket, Key });
  return (await Body?.transformToString()) ?? '';
}

function allow(w: World, Bucket: string, id: string, Action: string | string[], more = {}) {
  const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
  const Statement = {
    Effect: 'Allow',
    Principal: { CanonicalUser: id },
    Action,
    Resource,
    ...more,
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] });
  return w.sdk.putBucketPolicy({ Bucket, Policy });
}

/** Calls that are the owner's, each by the SDK. */
const OWNERS: readonly (readonly [string, (s3: Sdk, Bucket: string) => Promise<unknown>])[] = [
  ['HeadBucket', (s3, Bucket) => s3.headBucket({ Bucket })],
  ['ListObjectsV2', (s3, Bucket) => s3.listObjectsV2({ Bucket })],
  ['ListObjectVersions', (s3, Bucket) => s3.listObjectVersions({ Bucket })],
  ['ListMultipartUploads', (s3, Bucket) => s3.listMultipartUploads({ Bucket })],
  ['GetBucketAcl', (s3, Bucket) => s3.getBucketAcl({ Bucket })],
  ['GetBucketPolicy', (s3, Bucket) => s3.getBucketPolicy({ Bucket })],
  ['GetBucketVersioning', (s3, Bucket) => s3.getBucketVersioning({ Bucket })],
  ['GetBucketLocation', (s3, Bucket) => s3.getBucketLocation({ Bucket })],
  [
    'PutBucketVersioning',
    (s3, Bucket) =>
      s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  ],
  ['PutBucketAcl', (s3, Bucket) => s3.putBucketAcl({ Bucket, ACL: 'public-read' })],
  ['PutBucketPolicy', (s3, Bucket) => s3.putBucketPolicy({ Bucket, Policy: '{}' })],
  ['DeleteBucketPolicy', (s3, Bucket) => s3.deleteBucketPolicy({ Bucket })],
  ['PutObject', (s3, Bucket) => s3.putObject({ Bucket, Key: 'new' })],
  ['GetObject', (s3, Bucket) => s3.getObject({ Bucket, Key: 'k' })],
  ['HeadObject', (s3, Bucket) => s3.headObject({ Bucket, Key: 'k' })],
  ['GetObjectAcl', (s3, Bucket) => s3.getObjectAcl({ Bucket, Key: 'k' })],
  ['PutObjectAcl', (s3, Bucket) => s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'public-read' })],
  ['GetObjectTagging', (s3, Bucket) => s3.getObjectTagging({ Bucket, Key: 'k' })],
  ['DeleteObject', (s3, Bucket) => s3.deleteObject({ Bucket, Key: 'k' })],
  ['CopyObject', (s3, Bucket) => s3.copyObject({ Bucket, Key: 'c', CopySource: `${Bucket}/k` })],
  ['CreateMultipartUpload', (s3, Bucket) => s3.createMultipartUpload({ Bucket, Key: 'm' })],
  ['DeleteBucket', (s3, Bucket) => s3.deleteBucket({ Bucket })],
];

export const users = area('users', {
  ...each(
    OWNERS,
    ([operation]) => `${operation} of another’s bucket is refused`,
    async (w, [operation, call]) => {
      const Bucket = await withKey(w);
      // HEAD has no body that says the code.
      if (operation.startsWith('Head')) {
        const error = await call(w.other, Bucket).then(
          () => null,
          (thrown) => thrown,
        );
        assert.equal(error?.$metadata?.httpStatusCode, 403);
      } else await denied(call(w.other, Bucket));
      assert.equal(await w.text(Bucket, 'k'), 'of the first');
    },
  ),
  'each lists their own buckets': async (w) => {
    const Bucket = await w.bucket();
    const { Buckets: own = [] } = await w.sdk.listBuckets({});
    const { Buckets: others = [] } = await w.other.listBuckets({});
    assert.ok(own.some(({ Name }) => Name === Bucket));
    assert.ok(!others.some(({ Name }) => Name === Bucket));
    assert.notEqual(await idOf(w.sdk), await idOf(w.other));
  },
  'a name that another has is taken': async (w) => {
    const Bucket = await w.bucket();
    await refused(w.other.createBucket({ Bucket }), 409, 'BucketAlreadyExists');
    const { Owner } = await w.sdk.getBucketAcl({ Bucket });
    assert.equal(Owner?.ID, await idOf(w.sdk));
  },
  'DeleteObjects says for each key that it is refused': async (w) => {
    const Bucket = await withKey(w);
    const Delete = { Objects: [{ Key: 'k' }, { Key: 'none' }] };
    const { Errors = [], Deleted = [] } = await w.other.deleteObjects({ Bucket, Delete });
    assert.deepEqual(
      Errors.map(({ Code }) => Code),
      ['AccessDenied', 'AccessDenied'],
    );
    assert.deepEqual(Deleted, []);
    assert.equal(await w.text(Bucket, 'k'), 'of the first');
  },
  'READ of a bucket lets another list it, and not read what is in it': async (w) => {
    const Bucket = await withKey(w, { GrantRead: `id="${await idOf(w.other)}"` });
    const { Contents } = await w.other.listObjectsV2({ Bucket });
    assert.deepEqual(
      Contents?.map(({ Key }) => Key),
      ['k'],
    );
    await denied(w.other.getObject({ Bucket, Key: 'k' }));
    await denied(w.other.putObject({ Bucket, Key: 'new' }));
  },
  'WRITE of a bucket lets another put and delete, and not list': async (w) => {
    const Bucket = await withKey(w, { GrantWrite: `id="${await idOf(w.other)}"` });
    await w.other.putObject({ Bucket, Key: 'new', Body: 'of the second' });
    await denied(w.other.listObjectsV2({ Bucket }));
    await denied(w.other.getObject({ Bucket, Key: 'k' }));
    await w.other.deleteObject({ Bucket, Key: 'k' });
    await refused(w.sdk.getObject({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
  },
  'READ_ACP and WRITE_ACP are of the ACL alone': async (w) => {
    const id = await idOf(w.other);
    const Bucket = await withKey(w, { GrantReadACP: `id="${id}"` });
    await w.other.getBucketAcl({ Bucket });
    await denied(w.other.putBucketAcl({ Bucket, ACL: 'private' }));
    await w.sdk.putBucketAcl({ Bucket, GrantWriteACP: `id="${id}"` });
    await denied(w.other.getBucketAcl({ Bucket }));
    await w.other.putBucketAcl({ Bucket, GrantRead: `id="${id}"` });
    await w.other.listObjectsV2({ Bucket });
  },
  'READ of an object lets another read it': async (w) => {
    const Bucket = await withKey(w);
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', GrantRead: `id="${await idOf(w.other)}"` });
    assert.equal(await textOf(w.other, Bucket, 'k'), 'of the first');
    await denied(w.other.getObjectAcl({ Bucket, Key: 'k' }));
    await denied(w.other.listObjectsV2({ Bucket }));
    const answer = await w.call('GET', Bucket, 'k', { by: 'nobody' });
    isRefused(answer, 403, 'AccessDenied');
  },
  'what is missing is told to who may list': async (w) => {
    const Bucket = await withKey(w);
    await denied(w.other.getObject({ Bucket, Key: 'none' }));
    await w.sdk.putBucketAcl({ Bucket, GrantRead: `id="${await idOf(w.other)}"` });
    await refused(w.other.getObject({ Bucket, Key: 'none' }), 404, 'NoSuchKey');
  },
  'authenticated-read is for who signs': async (w) => {
    const Bucket = await withKey(w);
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL: 'authenticated-read' });
    assert.equal(await textOf(w.other, Bucket, 'k'), 'of the first');
    isRefused(await w.call('GET', Bucket, 'k', { by: 'nobody' }), 403, 'AccessDenied');
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', ACL: 'public-read' });
    isStatus(await w.call('GET', Bucket, 'k', { by: 'nobody' }), 200);
  },
  'an ACL shows to whom it gives what': async (w) => {
    const id = await idOf(w.other);
    const Bucket = await withKey(w, { GrantRead: `id="${id}"`, GrantWriteACP: `id="${id}"` });
    const { Grants = [] } = await w.sdk.getBucketAcl({ Bucket });
    const given = Grants.filter(({ Grantee }) => Grantee?.ID === id);
    assert.deepEqual(given.map(({ Permission }) => Permission).sort(), ['READ', 'WRITE_ACP']);
    assert.ok(given.every(({ Grantee }) => Grantee?.Type === 'CanonicalUser'));
  },
  'an ACL names nobody who is not there': async (w) => {
    const Bucket = await withKey(w);
    const byId = w.sdk.putBucketAcl({ Bucket, GrantRead: `id="${'0'.repeat(64)}"` });
    await refused(byId, 400, 'InvalidArgument');
    const byMail = w.sdk.putObjectAcl({
      ...{ Bucket, Key: 'k', GrantRead: 'emailAddress="nobody@none.example"' },
    });
    await refused(byMail, 400, 'UnresolvableGrantByEmailAddress');
  },
  'what another puts is theirs, and the bucket’s owner may only delete it': async (w) => {
    const Bucket = await withKey(w, { GrantWrite: `id="${await idOf(w.other)}"` });
    await w.other.putObject({ Bucket, Key: 'new', Body: 'of the second' });
    const { Owner } = await w.other.getObjectAcl({ Bucket, Key: 'new' });
    assert.equal(Owner?.ID, await idOf(w.other));
    await denied(w.sdk.getObject({ Bucket, Key: 'new' }));
    await denied(w.sdk.getObjectAcl({ Bucket, Key: 'new' }));
    const { Contents } = await w.sdk.listObjectsV2({ Bucket, FetchOwner: true });
    const owners = Contents?.map(({ Key, Owner: owner }) => [Key, owner?.ID]);
    assert.deepEqual(owners, [
      ['k', await idOf(w.sdk)],
      ['new', await idOf(w.other)],
    ]);
    await w.sdk.deleteObject({ Bucket, Key: 'new' });
    await refused(w.sdk.headObject({ Bucket, Key: 'new' }), 404, 'NotFound');
  },
  ...each(
    ['bucket-owner-read', 'bucket-owner-full-control'] as const,
    (acl) => `${acl} lets the bucket’s owner read it`,
    async (w, ACL) => {
      const Bucket = await withKey(w, { GrantWrite: `id="${await idOf(w.other)}"` });
      await w.other.putObject({ Bucket, Key: 'new', Body: 'of the second', ACL });
      assert.equal(await textOf(w.sdk, Bucket, 'new'), 'of the second');
      const acl = w.sdk.getObjectAcl({ Bucket, Key: 'new' });
      if (ACL === 'bucket-owner-read') await denied(acl);
      else assert.equal((await acl).Grants?.length, 2);
    },
  ),
  'under BucketOwnerPreferred, what is given with full control is the bucket owner’s': async (
    w,
  ) => {
    const grant = { GrantWrite: `id="${await idOf(w.other)}"` };
    const Bucket = await withKey(w, { ObjectOwnership: 'BucketOwnerPreferred', ...grant });
    await w.other.putObject({ Bucket, Key: 'given', ACL: 'bucket-owner-full-control' });
    await w.other.putObject({ Bucket, Key: 'kept' });
    await w.sdk.getObject({ Bucket, Key: 'given' });
    await denied(w.sdk.getObject({ Bucket, Key: 'kept' }));
    await denied(w.other.getObject({ Bucket, Key: 'given' }));
  },
  'under BucketOwnerEnforced everything is the bucket owner’s': async (w) => {
    const Bucket = await withKey(w, { ObjectOwnership: 'BucketOwnerEnforced' });
    await allow(w, Bucket, await idOf(w.other), 's3:PutObject');
    await w.other.putObject({ Bucket, Key: 'new', Body: 'of the second' });
    assert.equal(await textOf(w.sdk, Bucket, 'new'), 'of the second');
    await denied(w.other.getObject({ Bucket, Key: 'new' }));
    const { Owner } = await w.sdk.getObjectAcl({ Bucket, Key: 'new' });
    assert.equal(Owner?.ID, await idOf(w.sdk));
  },
  'a policy names another by their canonical id': async (w) => {
    const Bucket = await withKey(w);
    await allow(w, Bucket, await idOf(w.other), 's3:GetObject');
    assert.equal(await textOf(w.other, Bucket, 'k'), 'of the first');
    await denied(w.other.putObject({ Bucket, Key: 'k' }));
    await denied(w.other.listObjectsV2({ Bucket }));
    isRefused(await w.call('GET', Bucket, 'k', { by: 'nobody' }), 403, 'AccessDenied');
    await allow(w, Bucket, await idOf(w.other), ['s3:ListBucket', 's3:PutObject']);
    await w.other.listObjectsV2({ Bucket });
    await w.other.putObject({ Bucket, Key: 'new' });
    await denied(w.other.getObject({ Bucket, Key: 'k' }));
  },
  'a policy that denies goes before an ACL that gives': async (w) => {
    const id = await idOf(w.other);
    const Bucket = await withKey(w, { GrantFullControl: `id="${id}"` });
    await w.other.listObjectsV2({ Bucket });
    await allow(w, Bucket, id, 's3:ListBucket', { Effect: 'Deny' });
    await denied(w.other.listObjectsV2({ Bucket }));
    await w.sdk.listObjectsV2({ Bucket });
  },
  'an upload is begun by one and shown as theirs': async (w) => {
    const Bucket = await withKey(w, { GrantWrite: `id="${await idOf(w.other)}"` });
    const { UploadId } = await w.other.createMultipartUpload({ Bucket, Key: 'm' });
    const { Uploads } = await w.sdk.listMultipartUploads({ Bucket });
    assert.equal(Uploads?.[0]?.Initiator?.ID, await idOf(w.other));
    const part = { Bucket, Key: 'm', UploadId, PartNumber: 1, Body: 'of the second' };
    const { ETag } = await w.other.uploadPart(part);
    await w.other.listParts({ Bucket, Key: 'm', UploadId });
    const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
    await w.other.completeMultipartUpload({ Bucket, Key: 'm', UploadId, MultipartUpload });
    assert.equal(await textOf(w.other, Bucket, 'm'), 'of the second');
    await denied(w.sdk.getObject({ Bucket, Key: 'm' }));
  },
  'a copy needs to read the one and to write the other': async (w) => {
    const id = await idOf(w.other);
    const Bucket = await withKey(w, { GrantWrite: `id="${id}"` });
    const copy = { Bucket, Key: 'c', CopySource: `${Bucket}/k` };
    await denied(w.other.copyObject(copy));
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', GrantRead: `id="${id}"` });
    await w.other.copyObject(copy);
    assert.equal(await textOf(w.other, Bucket, 'c'), 'of the first');
  },
  'a bucket is expected to be of its owner': async (w) => {
    const Bucket = await withKey(w, { GrantRead: `id="${await idOf(w.other)}"` });
    await w.other.listObjectsV2({ Bucket, ExpectedBucketOwner: await idOf(w.sdk) });
    await denied(w.other.listObjectsV2({ Bucket, ExpectedBucketOwner: await idOf(w.other) }));
  },
  'a URL of another’s is worth what they may': async (w) => {
    const Bucket = await withKey(w);
    const { second } = w.target;
    assert.ok(second !== undefined);
    const by = { by: 'query', signer: { credentials: second } } as const;
    isRefused(await w.call('GET', Bucket, 'k', by), 403, 'AccessDenied');
    await w.sdk.putObjectAcl({ Bucket, Key: 'k', GrantRead: `id="${await idOf(w.other)}"` });
    isStatus(await w.call('GET', Bucket, 'k', by), 200);
  },
  'the secret of another is no secret of one’s own': async (w) => {
    const { second, credentials } = w.target;
    assert.ok(second !== undefined);
    const mixed = { ...credentials, secretAccessKey: second.secretAccessKey };
    const { endpoint, region } = w.target;
    const more = { endpoint, region, forcePathStyle: true, maxAttempts: 1 };
    const sdk = new S3({ ...more, credentials: mixed });
    await refused(sdk.listBuckets({}), 403, 'SignatureDoesNotMatch');
    sdk.destroy();
  },
});
