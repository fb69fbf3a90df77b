import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
});
afterAll(() => server.stop());

const make = (Bucket: string, more: object = {}) =>
  s3.send(new aws.CreateBucketCommand({ Bucket, ...more }));
const put = (Bucket: string, Key: string, Body = Key) =>
  s3.send(new aws.PutObjectCommand({ Bucket, Key, Body }));

describe('buckets', () => {
  it('are made, found, listed in pages and deleted', async () => {
    for (const name of ['list-a', 'list-b', 'list-c']) await make(name);
    await make('list-a');
    const other = s3.send(
      new aws.HeadBucketCommand({ Bucket: 'list-a', ExpectedBucketOwner: '1'.repeat(64) }),
    );
    expect((await refused(other)).status).toBe(403);
    const first = await s3.send(new aws.ListBucketsCommand({ Prefix: 'list-', MaxBuckets: 2 }));
    expect(first.Buckets?.map(({ Name }) => Name)).toEqual(['list-a', 'list-b']);
    const { ContinuationToken } = first;
    const next = await s3.send(new aws.ListBucketsCommand({ Prefix: 'list-', ContinuationToken }));
    expect(next.Buckets?.map(({ Name }) => Name)).toEqual(['list-c']);
    const head = await s3.send(new aws.HeadBucketCommand({ Bucket: 'list-a' }));
    expect(head.BucketRegion).toBe('us-east-1');
    const place = await s3.send(new aws.GetBucketLocationCommand({ Bucket: 'list-a' }));
    expect(place.LocationConstraint).toBeUndefined();
    await put('list-a', 'x');
    const full = s3.send(new aws.DeleteBucketCommand({ Bucket: 'list-a' }));
    expect(await refused(full)).toEqual({ name: 'BucketNotEmpty', status: 409 });
    await s3.send(new aws.DeleteObjectCommand({ Bucket: 'list-a', Key: 'x' }));
    await s3.send(new aws.DeleteBucketCommand({ Bucket: 'list-a' }));
    const gone = s3.send(new aws.HeadBucketCommand({ Bucket: 'list-a' }));
    expect((await refused(gone)).status).toBe(404);
    expect(await refused(put('list-a', 'x'))).toEqual({ name: 'NoSuchBucket', status: 404 });
  });

  it('keep their settings and act on them', async () => {
    const Bucket = 'settings';
    await make(Bucket);
    const TagSet = [{ Key: 'team', Value: 'x' }];
    await s3.send(new aws.PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } }));
    const tags = await s3.send(new aws.GetBucketTaggingCommand({ Bucket }));
    expect(tags.TagSet).toEqual(TagSet);
    await s3.send(new aws.DeleteBucketTaggingCommand({ Bucket }));
    const none = s3.send(new aws.GetBucketTaggingCommand({ Bucket }));
    expect(await refused(none)).toEqual({ name: 'NoSuchTagSet', status: 404 });
    await s3.send(
      new aws.PutPublicAccessBlockCommand({
        ...{ Bucket, PublicAccessBlockConfiguration: { BlockPublicAcls: true } },
      }),
    );
    const open = s3.send(new aws.PutBucketAclCommand({ Bucket, ACL: 'public-read' }));
    expect(await refused(open)).toEqual({ name: 'AccessDenied', status: 403 });
    await s3.send(
      new aws.PutBucketOwnershipControlsCommand({
        ...{ Bucket, OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] } },
      }),
    );
    const acl = s3.send(
      new aws.PutObjectCommand({ Bucket, Key: 'a', Body: 'a', ACL: 'authenticated-read' }),
    );
    expect(await refused(acl)).toEqual({ name: 'AccessControlListNotSupported', status: 400 });
  });

  it('refuses settings that nothing would act on', async () => {
    const Bucket = 'refusals';
    await make(Bucket);
    const found = s3.send(new aws.GetBucketPolicyCommand({ Bucket }));
    expect(await refused(found)).toEqual({ name: 'NoSuchBucketPolicy', status: 404 });
    const logging = await s3.send(new aws.GetBucketLoggingCommand({ Bucket }));
    expect(logging.LoggingEnabled).toBeUndefined();
  });
});

describe('listings', () => {
  const Bucket = 'listings';
  const KEYS = ['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/ü', 'z'];
  beforeAll(async () => {
    await make(Bucket);
    for (const key of KEYS) await put(Bucket, key);
  });

  it('version 2 in pages, with and without a delimiter', async () => {
    const keys: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page: aws.ListObjectsV2CommandOutput = await s3.send(
        new aws.ListObjectsV2Command({ Bucket, MaxKeys: 2, ContinuationToken, FetchOwner: true }),
      );
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key as string));
      expect(page.KeyCount).toBeLessThanOrEqual(2);
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(keys).toEqual(KEYS);
    const rolled = await s3.send(
      new aws.ListObjectsV2Command({ Bucket, Delimiter: '/', EncodingType: 'url' }),
    );
    expect(rolled.Contents?.map(({ Key }) => Key)).toEqual(['a', 'd', 'z']);
    expect(rolled.CommonPrefixes).toEqual([{ Prefix: 'b/' }, { Prefix: 'e/' }]);
    const after = await s3.send(new aws.ListObjectsV2Command({ Bucket, StartAfter: 'b/2' }));
    expect(after.Contents?.map(({ Key }) => Key)).toEqual(KEYS.slice(3));
    const inner = await s3.send(
      new aws.ListObjectsV2Command({ Bucket, Prefix: 'b/', Delimiter: '/' }),
    );
    expect(inner.Contents?.map(({ Key }) => Key)).toEqual(['b/1', 'b/2']);
    expect(inner.CommonPrefixes).toEqual([{ Prefix: 'b/c/' }]);
  });

  it('version 1 goes on behind a common prefix', async () => {
    const seen: string[] = [];
    let Marker: string | undefined;
    do {
      const page: aws.ListObjectsCommandOutput = await s3.send(
        new aws.ListObjectsCommand({ Bucket, MaxKeys: 1, Delimiter: '/', Marker }),
      );
      seen.push(...(page.Contents ?? []).map(({ Key }) => Key as string));
      seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix as string));
      Marker = page.NextMarker;
    } while (Marker !== undefined);
    expect(seen).toEqual(['a', 'b/', 'd', 'e/', 'z']);
  });

  it('refuses tokens that are not its own', async () => {
    const page = s3.send(new aws.ListObjectsV2Command({ Bucket, ContinuationToken: '*' }));
    expect(await refused(page)).toEqual({ name: 'InvalidArgument', status: 400 });
    const none = await s3.send(new aws.ListObjectsV2Command({ Bucket, MaxKeys: 0 }));
    expect(none).toMatchObject({ KeyCount: 0, IsTruncated: false });
  });
});

describe('versions', () => {
  const Bucket = 'versions';

  it('are kept, read, listed, restored and deleted', async () => {
    await make(Bucket);
    await put(Bucket, 'k', 'null version');
    await s3.send(
      new aws.PutBucketVersioningCommand({
        ...{ Bucket, VersioningConfiguration: { Status: 'Enabled' } },
      }),
    );
    const state = await s3.send(new aws.GetBucketVersioningCommand({ Bucket }));
    expect(state.Status).toBe('Enabled');
    const { VersionId } = await put(Bucket, 'k', 'second');
    const marker = await s3.send(new aws.DeleteObjectCommand({ Bucket, Key: 'k' }));
    expect(marker.DeleteMarker).toBe(true);
    const current = s3.send(new aws.GetObjectCommand({ Bucket, Key: 'k' }));
    expect(await refused(current)).toEqual({ name: 'NoSuchKey', status: 404 });
    const raw = await fetch(`${server.url}/${Bucket}/k`);
    expect(raw.headers.get('x-amz-delete-marker')).toBe('true');
    expect(raw.headers.get('x-amz-version-id')).toBe(marker.VersionId);
    const read = async (id: string | undefined) =>
      (await s3.send(new aws.GetObjectCommand({ Bucket, Key: 'k', VersionId: id }))).Body;
    expect(await (await read(VersionId))?.transformToString()).toBe('second');
    expect(await (await read('null'))?.transformToString()).toBe('null version');
    expect(await refused(read(marker.VersionId))).toMatchObject({ status: 405 });
    expect(await refused(read('0000000000001'))).toEqual({ name: 'NoSuchVersion', status: 404 });
    expect(await refused(read('nonsense'))).toEqual({ name: 'InvalidArgument', status: 400 });
    const shown: unknown[] = [];
    let [KeyMarker, VersionIdMarker]: [string | undefined, string | undefined] = ['', undefined];
    do {
      const page: aws.ListObjectVersionsCommandOutput = await s3.send(
        new aws.ListObjectVersionsCommand({ Bucket, MaxKeys: 1, KeyMarker, VersionIdMarker }),
      );
      shown.push(...(page.Versions ?? []).map((v) => [v.VersionId, v.IsLatest]));
      shown.push(...(page.DeleteMarkers ?? []).map((v) => [v.VersionId, v.IsLatest]));
      [KeyMarker, VersionIdMarker] = [page.NextKeyMarker, page.NextVersionIdMarker];
    } while (KeyMarker !== undefined);
    expect(shown).toEqual([
      [marker.VersionId, true],
      [VersionId, false],
      ['null', false],
    ]);
    await s3.send(
      new aws.DeleteObjectCommand({ Bucket, Key: 'k', VersionId: marker.VersionId as string }),
    );
    expect(await (await read(undefined))?.transformToString()).toBe('second');
  });

  it('are held by retention and legal hold', async () => {
    const Locked = 'locked';
    await make(Locked, { ObjectLockEnabledForBucket: true });
    const Days = 1;
    const ObjectLockConfiguration = {
      ObjectLockEnabled: 'Enabled',
      Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days } },
    } as const;
    await s3.send(
      new aws.PutObjectLockConfigurationCommand({ Bucket: Locked, ObjectLockConfiguration }),
    );
    const config = await s3.send(new aws.GetObjectLockConfigurationCommand({ Bucket: Locked }));
    expect(config.ObjectLockConfiguration).toEqual(ObjectLockConfiguration);
    const { VersionId } = await put(Locked, 'k');
    const target = { Bucket: Locked, Key: 'k', VersionId } as const;
    const kept = await s3.send(new aws.GetObjectRetentionCommand(target));
    expect(kept.Retention?.Mode).toBe('GOVERNANCE');
    const remove = (more: object) => s3.send(new aws.DeleteObjectCommand({ ...target, ...more }));
    expect(await refused(remove({}))).toEqual({ name: 'AccessDenied', status: 403 });
    await s3.send(new aws.PutObjectLegalHoldCommand({ ...target, LegalHold: { Status: 'ON' } }));
    const bypass = { BypassGovernanceRetention: true };
    expect(await refused(remove(bypass))).toEqual({ name: 'AccessDenied', status: 403 });
    await s3.send(new aws.PutObjectLegalHoldCommand({ ...target, LegalHold: { Status: 'OFF' } }));
    await remove(bypass);
    const suspend = s3.send(
      new aws.PutBucketVersioningCommand({
        ...{ Bucket: Locked, VersioningConfiguration: { Status: 'Suspended' } },
      }),
    );
    expect(await refused(suspend)).toEqual({ name: 'InvalidBucketState', status: 409 });
  });

  it('have tags and an ACL of their own', async () => {
    await put(Bucket, 'tagged');
    const TagSet = [{ Key: 'a', Value: 'b' }];
    const target = { Bucket, Key: 'tagged' };
    await s3.send(new aws.PutObjectTaggingCommand({ ...target, Tagging: { TagSet } }));
    expect((await s3.send(new aws.GetObjectTaggingCommand(target))).TagSet).toEqual(TagSet);
    await s3.send(new aws.DeleteObjectTaggingCommand(target));
    expect((await s3.send(new aws.GetObjectTaggingCommand(target))).TagSet).toEqual([]);
    await s3.send(new aws.PutObjectAclCommand({ ...target, ACL: 'public-read' }));
    const { Grants } = await s3.send(new aws.GetObjectAclCommand(target));
    expect(Grants?.map(({ Permission }) => Permission)).toEqual(['FULL_CONTROL', 'READ']);
  });
});
