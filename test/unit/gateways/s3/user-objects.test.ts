import type * as aws from '@aws-sdk/client-s3';
import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ACCESS_KEY,
  refused,
  type S3Server,
  SECRET_KEY,
  startS3Server,
} from '../../../kit/s3-start.ts';
import { makeUser, type TestUser } from '../../../kit/s3-users.ts';

/** To whom buckets and objects belong, between users. */

let server: S3Server;
let root: S3;
let alice: TestUser;
let bob: TestUser;
let eve: TestUser;
let count = 0;

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  root = new S3({
    ...{ endpoint: server.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
  });
  alice = await makeUser(server, 'alice', { email: 'alice@example.org' });
  bob = await makeUser(server, 'bob', { email: 'bob@example.org' });
  eve = await makeUser(server, 'eve');
});
afterAll(() => server.stop());

/** A bucket of alice's into which bob may write. */
async function shared(ObjectOwnership?: aws.ObjectOwnership): Promise<string> {
  const Bucket = `shared-${++count}`;
  const isOff = ObjectOwnership === 'BucketOwnerEnforced';
  await alice.s3.createBucket({
    Bucket,
    ...(ObjectOwnership === undefined ? {} : { ObjectOwnership }),
    ...(isOff ? {} : { GrantWrite: `id=${bob.id}` }),
  });
  if (isOff) await allow(Bucket, bob, 's3:PutObject');
  return Bucket;
}

function allow(Bucket: string, { arn }: TestUser, ...Action: string[]) {
  const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
  const Statement = Action.map((one) => ({
    ...{ Effect: 'Allow', Principal: { AWS: arn }, Action: one, Resource },
  }));
  return alice.s3.putBucketPolicy({ Bucket, Policy: JSON.stringify({ Statement }) });
}

const denied = { name: 'AccessDenied', status: 403 };

describe('buckets', () => {
  it('belong to who made them, and a name is taken for all', async () => {
    const Bucket = `own-${++count}`;
    await alice.s3.createBucket({ Bucket });
    const taken = await refused(bob.s3.createBucket({ Bucket }));
    expect(taken).toEqual({ name: 'BucketAlreadyExists', status: 409 });
    // In the first region S3 takes one's own for done.
    await alice.s3.createBucket({ Bucket });
    expect(await refused(root.createBucket({ Bucket }))).toEqual(taken);
    const { Owner } = await alice.s3.getBucketAcl({ Bucket });
    expect(Owner).toEqual({ ID: alice.id, DisplayName: 'the alice' });
    const elsewhere = await startS3Server({ allowUnsigned: false, region: 'eu-west-1' });
    const dora = await makeUser(elsewhere, 'dora');
    const s3 = new S3({
      ...{ endpoint: elsewhere.url, region: 'eu-west-1', forcePathStyle: true, maxAttempts: 1 },
      credentials: dora.credentials,
    });
    await s3.createBucket({ Bucket });
    const again = await refused(s3.createBucket({ Bucket }));
    expect(again).toEqual({ name: 'BucketAlreadyOwnedByYou', status: 409 });
    s3.destroy();
    await elsewhere.stop();
  });

  it('are listed to their owner, by pages, and all of them to an administrator', async () => {
    const [one, two] = [await makeUser(server, 'lister-1'), await makeUser(server, 'lister-2')];
    const names = Array.from({ length: 5 }, (_, i) => `listed-${i}`);
    for (const [i, Bucket] of names.entries()) {
      await (i % 2 === 0 ? one : two).s3.createBucket({ Bucket });
    }
    const all = await one.s3.listBuckets({});
    expect(all.Owner).toEqual({ ID: one.id, DisplayName: 'the lister-1' });
    expect(all.Buckets?.map(({ Name }) => Name)).toEqual(['listed-0', 'listed-2', 'listed-4']);
    const first = await one.s3.listBuckets({ MaxBuckets: 2 });
    expect(first.Buckets?.map(({ Name }) => Name)).toEqual(['listed-0', 'listed-2']);
    const { ContinuationToken = '' } = first;
    const rest = await one.s3.listBuckets({ MaxBuckets: 2, ContinuationToken });
    expect(rest.Buckets?.map(({ Name }) => Name)).toEqual(['listed-4']);
    const { Buckets = [] } = await root.listBuckets({ Prefix: 'listed-' });
    expect(Buckets.map(({ Name }) => Name)).toEqual(names);
    expect((await eve.s3.listBuckets({ Prefix: 'listed-' })).Buckets ?? []).toEqual([]);
  });

  it('are expected to be of somebody', async () => {
    const Bucket = await shared();
    await bob.s3.putObject({ Bucket, Key: 'a', ExpectedBucketOwner: alice.id });
    const wrong = bob.s3.putObject({ Bucket, Key: 'a', ExpectedBucketOwner: bob.id });
    expect(await refused(wrong)).toEqual(denied);
  });

  it('log into buckets of the same owner only', async () => {
    const [source, target] = [`log-a-${++count}`, `log-b-${count}`];
    await alice.s3.createBucket({ Bucket: source });
    await bob.s3.createBucket({ Bucket: target });
    const LoggingEnabled = { TargetBucket: target, TargetPrefix: '' };
    const put = { Bucket: source, BucketLoggingStatus: { LoggingEnabled } };
    expect((await refused(alice.s3.putBucketLogging(put))).name).toBe(
      'InvalidTargetBucketForLogging',
    );
  });
});

describe('objects that others write', () => {
  it('are the writer’s: its bucket’s owner may delete them, and reads them where the writer lets them', async () => {
    const Bucket = await shared();
    await bob.s3.putObject({ Bucket, Key: 'k', Body: 'of bob' });
    const { Owner, Grants } = await bob.s3.getObjectAcl({ Bucket, Key: 'k' });
    expect(Owner).toEqual({ ID: bob.id, DisplayName: 'the bob' });
    expect(Grants).toEqual([
      {
        Grantee: { ID: bob.id, DisplayName: 'the bob', Type: 'CanonicalUser' },
        Permission: 'FULL_CONTROL',
      },
    ]);
    expect(await (await bob.s3.getObject({ Bucket, Key: 'k' })).Body?.transformToString()).toBe(
      'of bob',
    );
    for (const { s3 } of [alice, eve]) {
      expect(await refused(s3.getObject({ Bucket, Key: 'k' }))).toEqual(denied);
      expect(await refused(s3.getObjectAcl({ Bucket, Key: 'k' }))).toEqual(denied);
      expect(await refused(s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'public-read' }))).toEqual(
        denied,
      );
    }
    // What she may not read she cannot give away.
    await allow(Bucket, eve, 's3:GetObject');
    expect(await refused(eve.s3.getObject({ Bucket, Key: 'k' }))).toEqual(denied);
    await bob.s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'bucket-owner-read' });
    await alice.s3.getObject({ Bucket, Key: 'k' });
    expect(await refused(alice.s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'private' }))).toEqual(
      denied,
    );
    await bob.s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'bucket-owner-full-control' });
    expect((await bob.s3.getObjectAcl({ Bucket, Key: 'k' })).Grants).toHaveLength(2);
    await alice.s3.getObjectAcl({ Bucket, Key: 'k' });
    await alice.s3.putObjectAcl({ Bucket, Key: 'k', ACL: 'private' });
    expect(await refused(alice.s3.getObject({ Bucket, Key: 'k' }))).toEqual(denied);
    // Whoever may set an ACL does not become its owner.
    expect((await bob.s3.getObjectAcl({ Bucket, Key: 'k' })).Owner?.ID).toBe(bob.id);
    await root.getObject({ Bucket, Key: 'k' });
    await alice.s3.deleteObject({ Bucket, Key: 'k' });
    expect((await refused(alice.s3.getObject({ Bucket, Key: 'k' }))).name).toBe('NoSuchKey');
  });

  it('are shown as the writer’s in every listing', async () => {
    const Bucket = await shared();
    await bob.s3.putObject({ Bucket, Key: 'b' });
    await alice.s3.putObject({ Bucket, Key: 'a' });
    await root.putObject({ Bucket, Key: 'r' });
    const owners = [alice.id, bob.id, alice.id];
    const v1 = await alice.s3.listObjects({ Bucket });
    expect(v1.Contents?.map((one) => one.Owner?.ID)).toEqual(owners);
    const v2 = await alice.s3.listObjectsV2({ Bucket, FetchOwner: true });
    expect(v2.Contents?.map((one) => one.Owner?.ID)).toEqual(owners);
    expect(v2.Contents?.[1]?.Owner?.DisplayName).toBe('the bob');
    const versions = await alice.s3.listObjectVersions({ Bucket });
    expect(versions.Versions?.map((one) => one.Owner?.ID)).toEqual(owners);
  });

  it.each([
    ['ObjectWriter', 'bucket-owner-full-control', 'bob'],
    ['BucketOwnerPreferred', undefined, 'bob'],
    ['BucketOwnerPreferred', 'bucket-owner-full-control', 'alice'],
    ['BucketOwnerEnforced', undefined, 'alice'],
    ['BucketOwnerEnforced', 'bucket-owner-full-control', 'alice'],
  ] as const)('under %s and with the ACL %s are %s’s', async (ownership, ACL, whose) => {
    const Bucket = await shared(ownership);
    const owner = whose === 'bob' ? bob : alice;
    const acl = ACL === undefined ? {} : { ACL };
    if (ACL !== undefined && ownership === 'BucketOwnerEnforced') {
      await allow(Bucket, bob, 's3:PutObject', 's3:PutObjectAcl');
    }
    await bob.s3.putObject({ Bucket, Key: 'put', ...acl });
    const { UploadId } = await bob.s3.createMultipartUpload({ Bucket, Key: 'parts', ...acl });
    const part = { Bucket, Key: 'parts', UploadId, PartNumber: 1, Body: 'x' };
    const { ETag } = await bob.s3.uploadPart(part);
    const { Uploads = [] } = await alice.s3.listMultipartUploads({ Bucket });
    const isShown = ownership !== 'BucketOwnerPreferred' || ACL === undefined;
    expect(Uploads[0]?.Initiator?.ID).toBe(isShown ? bob.id : alice.id);
    expect(Uploads[0]?.Owner?.ID).toBe(owner.id);
    if (isShown) {
      const listed = await bob.s3.listParts({ Bucket, Key: 'parts', UploadId });
      expect([listed.Initiator?.ID, listed.Owner?.ID]).toEqual([bob.id, owner.id]);
    }
    const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
    await bob.s3.completeMultipartUpload({ Bucket, Key: 'parts', UploadId, MultipartUpload });
    const { Contents } = await alice.s3.listObjects({ Bucket });
    expect(Contents?.map((one) => one.Owner?.ID)).toEqual([owner.id, owner.id]);
    const read = (who: TestUser) => who.s3.getObject({ Bucket, Key: 'put' });
    await read(owner);
    if (whose === 'alice') expect(await refused(read(bob))).toEqual(denied);
  });

  it('are all the bucket owner’s once ACLs are off, and the writer’s again when they are on', async () => {
    const Bucket = await shared();
    await bob.s3.putObject({ Bucket, Key: 'k' });
    const off = { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' as const }] };
    const shut = alice.s3.putBucketOwnershipControls({ Bucket, OwnershipControls: off });
    // The bucket's own ACL gives something to bob: first that has to go.
    expect((await refused(shut)).name).toBe('InvalidBucketAclWithObjectOwnership');
    await alice.s3.putBucketAcl({ Bucket, ACL: 'private' });
    await alice.s3.putBucketOwnershipControls({ Bucket, OwnershipControls: off });
    await alice.s3.getObject({ Bucket, Key: 'k' });
    expect(await refused(bob.s3.getObject({ Bucket, Key: 'k' }))).toEqual(denied);
    await alice.s3.deleteBucketOwnershipControls({ Bucket });
    await bob.s3.getObject({ Bucket, Key: 'k' });
    expect(await refused(alice.s3.getObject({ Bucket, Key: 'k' }))).toEqual(denied);
  });

  it('are copied by who may read the one and write the other', async () => {
    const Bucket = await shared();
    await alice.s3.putObject({ Bucket, Key: 'a', Body: 'of alice' });
    const copy = { Bucket, Key: 'copy', CopySource: `${Bucket}/a` };
    expect(await refused(bob.s3.copyObject(copy))).toEqual(denied);
    await alice.s3.putObjectAcl({ Bucket, Key: 'a', GrantRead: `id=${bob.id}` });
    await bob.s3.copyObject(copy);
    expect((await bob.s3.getObjectAcl({ Bucket, Key: 'copy' })).Owner?.ID).toBe(bob.id);
    expect(await refused(eve.s3.copyObject(copy))).toEqual(denied);
    // Tags go along, and who reads an object need not see its tags.
    await alice.s3.putObjectTagging({
      Bucket,
      Key: 'a',
      Tagging: { TagSet: [{ Key: 'x', Value: 'y' }] },
    });
    expect(await refused(bob.s3.copyObject(copy))).toEqual(denied);
  });

  it('have uploads that who began them may look at and end, and others may not', async () => {
    const Bucket = await shared();
    const Key = 'k';
    const { UploadId } = await bob.s3.createMultipartUpload({ Bucket, Key });
    await alice.s3.putBucketAcl({ Bucket, ACL: 'private' });
    expect(await refused(eve.s3.listParts({ Bucket, Key, UploadId }))).toEqual(denied);
    expect(await refused(eve.s3.abortMultipartUpload({ Bucket, Key, UploadId }))).toEqual(denied);
    await bob.s3.listParts({ Bucket, Key, UploadId });
    const part = { Bucket, Key, UploadId, PartNumber: 1, Body: 'x' };
    expect(await refused(bob.s3.uploadPart(part))).toEqual(denied);
    await bob.s3.abortMultipartUpload({ Bucket, Key, UploadId });
    const none = await refused(alice.s3.listParts({ Bucket, Key, UploadId }));
    expect(none.name).toBe('NoSuchUpload');
  });
});
