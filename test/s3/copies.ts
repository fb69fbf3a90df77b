import { randomBytes } from 'node:crypto';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';
import { textOf } from './xml.ts';

const OTHER = `"${md5Hex('other')}"`;
const PAST = new Date('1994-10-29T19:43:31Z');
const FUTURE = new Date('2070-01-01T00:00:00Z');

type Conditions = Readonly<Record<string, string | Date>>;

const CONDITIONS: readonly (readonly [string, (etag: string) => Conditions, boolean])[] = [
  ['if-match its ETag', (etag) => ({ CopySourceIfMatch: etag }), true],
  ['if-match another', () => ({ CopySourceIfMatch: OTHER }), false],
  ['if-none-match its ETag', (etag) => ({ CopySourceIfNoneMatch: etag }), false],
  ['if-none-match another', () => ({ CopySourceIfNoneMatch: OTHER }), true],
  ['if-modified-since the past', () => ({ CopySourceIfModifiedSince: PAST }), true],
  ['if-unmodified-since the past', () => ({ CopySourceIfUnmodifiedSince: PAST }), false],
  ['if-unmodified-since the future', () => ({ CopySourceIfUnmodifiedSince: FUTURE }), true],
  [
    'if-match its ETag and if-unmodified-since the past',
    (etag) => ({ CopySourceIfMatch: etag, CopySourceIfUnmodifiedSince: PAST }),
    true,
  ],
  [
    'if-none-match its ETag and if-modified-since the past',
    (etag) => ({ CopySourceIfNoneMatch: etag, CopySourceIfModifiedSince: PAST }),
    false,
  ],
];

const ODD_KEYS = ['a b', 'a+b', 'a%b', 'a%2Bb', 'a?b', 'a&b', 'é', '文/件', 'a//b', "a'b(c)"];

const BAD_SOURCES: readonly (readonly [string, string, number, string])[] = [
  ['without a key', '/BUCKET', 400, 'InvalidArgument'],
  ['that is empty', '', 400, 'InvalidArgument'],
  ['with a broken escape', '/BUCKET/a%zz', 400, 'InvalidArgument'],
  ['with an empty version id', '/BUCKET/k?versionId=', 400, 'InvalidArgument'],
  ['that is no object', '/BUCKET/none', 404, 'NoSuchKey'],
];

async function source(
  w: World,
  size = 10,
): Promise<{ Bucket: string; from: string; body: Buffer }> {
  const Bucket = await w.bucket();
  const body = randomBytes(size);
  await w.put(Bucket, 'from', body, {
    ContentType: 'text/csv',
    CacheControl: 'no-cache',
    Metadata: { a: '1' },
    Tagging: 'color=red',
  });
  return { Bucket, from: `/${Bucket}/from`, body };
}

/** Copies on the server's side. */
export const copies = area('copies', {
  ...each(
    [0, 10, 65_537, 5_000_001],
    (size) => `${size} bytes, with headers, metadata and tags`,
    async (w, size) => {
      const { Bucket, from, body } = await source(w, size);
      const { CopyObjectResult } = await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from });
      const got = await w.call('GET', Bucket, 'to');
      assert.ok(got.bytes.equals(body));
      assert.equal(CopyObjectResult?.ETag, `"${md5Hex(body)}"`);
      assert.ok(CopyObjectResult?.LastModified !== undefined);
      assert.equal(got.headers['content-type'], 'text/csv');
      assert.equal(got.headers['cache-control'], 'no-cache');
      assert.equal(got.headers['x-amz-meta-a'], '1');
      const { TagSet } = await w.sdk.getObjectTagging({ Bucket, Key: 'to' });
      assert.deepEqual(TagSet, [{ Key: 'color', Value: 'red' }]);
    },
  ),
  ...each(
    CONDITIONS,
    ([what, , isDone]) => `${what}: ${isDone ? 'copied' : 'PreconditionFailed'}`,
    async (w, [, make, isDone]) => {
      const { Bucket, from, body } = await source(w);
      const options = make(`"${md5Hex(body)}"`);
      const call = w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from, ...options });
      if (isDone) await call;
      else await refused(call, 412, 'PreconditionFailed');
    },
  ),
  ...each(
    ODD_KEYS,
    (key) => `from and to a key with odd characters: ${key}`,
    async (w, key) => {
      const Bucket = await w.bucket();
      await w.put(Bucket, key, 'odd');
      const CopySource = `${Bucket}/${encodeURIComponent(key)}`;
      await w.sdk.copyObject({ Bucket, Key: `${key}.copy`, CopySource });
      assert.equal(await w.text(Bucket, `${key}.copy`), 'odd');
    },
  ),
  ...each(
    BAD_SOURCES,
    ([what, , , code]) => `a source ${what} is ${code}`,
    async (w, [, path, status, code]) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      const headers = { 'x-amz-copy-source': path.replace('BUCKET', bucket) };
      isRefused(await w.call('PUT', bucket, 'to', { headers }), status, code);
    },
  ),
  'a source in no bucket is NoSuchBucket': async (w) => {
    const CopySource = `/${w.name()}/k`;
    const call = w.sdk.copyObject({ Bucket: await w.bucket(), Key: 'to', CopySource });
    await refused(call, 404, 'NoSuchBucket');
  },
  'into no bucket is NoSuchBucket': async (w) => {
    const { from } = await source(w);
    const call = w.sdk.copyObject({ Bucket: w.name(), Key: 'to', CopySource: from });
    await refused(call, 404, 'NoSuchBucket');
  },
  'between buckets': async (w) => {
    const { from, body } = await source(w);
    const Bucket = await w.bucket();
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from });
    assert.ok((await w.call('GET', Bucket, 'to')).bytes.equals(body));
  },
  'a source without its first slash': async (w) => {
    const { Bucket, from } = await source(w);
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from.slice(1) });
  },
  'a copy outlives its source': async (w) => {
    const { Bucket, from, body } = await source(w, 200_000);
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from });
    await w.sdk.deleteObject({ Bucket, Key: 'from' });
    assert.ok((await w.call('GET', Bucket, 'to')).bytes.equals(body));
  },
  'to itself without a change is InvalidRequest': async (w) => {
    const { Bucket, from } = await source(w);
    const call = w.sdk.copyObject({ Bucket, Key: 'from', CopySource: from });
    await refused(call, 400, 'InvalidRequest');
  },
  'to itself with other metadata': async (w) => {
    const { Bucket, from, body } = await source(w, 100_000);
    await w.sdk.copyObject({
      Bucket,
      Key: 'from',
      CopySource: from,
      MetadataDirective: 'REPLACE',
      Metadata: { b: '2' },
    });
    const got = await w.call('GET', Bucket, 'from');
    assert.ok(got.bytes.equals(body));
    assert.equal(got.headers['x-amz-meta-a'], undefined);
    assert.equal(got.headers['x-amz-meta-b'], '2');
  },
  'to itself from an older version restores it': async (w) => {
    const Bucket = await w.versioned();
    const old = await w.putVersion(Bucket, 'k', 'old');
    await w.putVersion(Bucket, 'k', 'new');
    const CopySource = `/${Bucket}/k?versionId=${old}`;
    const done = await w.sdk.copyObject({ Bucket, Key: 'k', CopySource });
    assert.equal(done.CopySourceVersionId, old);
    assert.ok(done.VersionId !== undefined && done.VersionId !== old);
    assert.equal(await w.text(Bucket, 'k'), 'old');
  },
  'metadata without the directive is passed over': async (w) => {
    const { Bucket, from } = await source(w);
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from, Metadata: { b: '2' } });
    assert.deepEqual((await w.sdk.headObject({ Bucket, Key: 'to' })).Metadata, { a: '1' });
  },
  'REPLACE takes headers and metadata of the request': async (w) => {
    const { Bucket, from } = await source(w);
    await w.sdk.copyObject({
      Bucket,
      Key: 'to',
      CopySource: from,
      MetadataDirective: 'REPLACE',
      ContentType: 'audio/ogg',
      Metadata: { b: '2' },
    });
    const head = await w.sdk.headObject({ Bucket, Key: 'to' });
    assert.deepEqual(head.Metadata, { b: '2' });
    assert.deepEqual([head.ContentType, head.CacheControl], ['audio/ogg', undefined]);
  },
  'an unknown metadata directive is InvalidArgument': async (w) => {
    const { Bucket, from } = await source(w);
    const headers = { 'x-amz-copy-source': from, 'x-amz-metadata-directive': 'MERGE' };
    isRefused(await w.call('PUT', Bucket, 'to', { headers }), 400, 'InvalidArgument');
  },
  'tagging directive REPLACE takes the tags of the request': async (w) => {
    const { Bucket, from } = await source(w);
    await w.sdk.copyObject({
      Bucket,
      Key: 'to',
      CopySource: from,
      TaggingDirective: 'REPLACE',
      Tagging: 'shape=round',
    });
    const { TagSet } = await w.sdk.getObjectTagging({ Bucket, Key: 'to' });
    assert.deepEqual(TagSet, [{ Key: 'shape', Value: 'round' }]);
  },
  'tagging directive REPLACE without tags leaves none': async (w) => {
    const { Bucket, from } = await source(w);
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: from, TaggingDirective: 'REPLACE' });
    assert.deepEqual((await w.sdk.getObjectTagging({ Bucket, Key: 'to' })).TagSet, []);
  },
  'an unknown tagging directive is InvalidArgument': async (w) => {
    const { Bucket, from } = await source(w);
    const headers = { 'x-amz-copy-source': from, 'x-amz-tagging-directive': 'MERGE' };
    isRefused(await w.call('PUT', Bucket, 'to', { headers }), 400, 'InvalidArgument');
  },
  'of an older version by its id': async (w) => {
    const Bucket = await w.versioned();
    const old = await w.putVersion(Bucket, 'k', 'old');
    await w.putVersion(Bucket, 'k', 'new');
    const CopySource = `/${Bucket}/k?versionId=${old}`;
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource });
    assert.equal(await w.text(Bucket, 'to'), 'old');
  },
  'of a key whose newest version is a delete marker is NoSuchKey': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    const call = w.sdk.copyObject({ Bucket, Key: 'to', CopySource: `/${Bucket}/k` });
    await refused(call, 404, 'NoSuchKey');
  },
  'of a delete marker by its id is InvalidRequest': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const { VersionId } = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    const CopySource = `/${Bucket}/k?versionId=${VersionId}`;
    await refused(w.sdk.copyObject({ Bucket, Key: 'to', CopySource }), 400, 'InvalidRequest');
  },
  'of a version that is none is NoSuchVersion': async (w) => {
    const Bucket = await w.versioned();
    const gone = await w.putVersion(Bucket, 'k', '1');
    await w.putVersion(Bucket, 'k', '2');
    await w.sdk.deleteObject({ Bucket, Key: 'k', VersionId: gone });
    const CopySource = `/${Bucket}/k?versionId=${gone}`;
    await refused(w.sdk.copyObject({ Bucket, Key: 'to', CopySource }), 404, 'NoSuchVersion');
  },
  'into a versioned bucket makes a version': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const { VersionId } = await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: `/${Bucket}/k` });
    assert.ok(VersionId !== undefined);
    assert.equal(await w.text(Bucket, 'to', VersionId), '1');
  },
  'an ACL is not copied': async (w) => {
    const Bucket = await w.bucket({ ObjectOwnership: 'ObjectWriter' });
    await w.put(Bucket, 'from', 'x', { ACL: 'public-read' });
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: `/${Bucket}/from` });
    isStatus(await w.call('GET', Bucket, 'from', { by: 'nobody' }), 200);
    isRefused(await w.call('GET', Bucket, 'to', { by: 'nobody' }), 403, 'AccessDenied');
  },
  'the answer is a document with ETag and time': async (w) => {
    const { Bucket, from, body } = await source(w);
    const headers = { 'x-amz-copy-source': from };
    const { text } = isStatus(await w.call('PUT', Bucket, 'to', { headers }), 200);
    assert.match(text, /<CopyObjectResult/);
    assert.equal(textOf(text, 'ETag'), `"${md5Hex(body)}"`);
    assert.match(textOf(text, 'LastModified') ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  },
  'a copy of many parts is an object of one, with another ETag': async (w) => {
    const Bucket = await w.bucket();
    const { UploadId = '' } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k' });
    const body = randomBytes(1000);
    const part = { Bucket, Key: 'k', UploadId, PartNumber: 1, Body: body };
    const { ETag } = await w.sdk.uploadPart(part);
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await w.sdk.completeMultipartUpload({ Bucket, Key: 'k', UploadId, MultipartUpload });
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: `/${Bucket}/k` });
    const head = await w.sdk.headObject({ Bucket, Key: 'to' });
    assert.equal(head.ETag, `"${md5Hex(body)}"`);
  },
  'a copy may ask for a checksum': async (w) => {
    const { Bucket, from } = await source(w);
    const options = { Bucket, Key: 'to', CopySource: from, ChecksumAlgorithm: 'SHA256' as const };
    const { CopyObjectResult } = await w.sdk.copyObject(options);
    const head = await w.sdk.headObject({ Bucket, Key: 'to', ChecksumMode: 'ENABLED' });
    assert.equal(CopyObjectResult?.ChecksumSHA256, head.ChecksumSHA256);
    assert.ok(head.ChecksumSHA256 !== undefined);
  },
});
