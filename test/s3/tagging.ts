import { area, assert, each, refused } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';
import { escapeXml } from './xml.ts';

interface Tag {
  readonly Key: string;
  readonly Value: string;
}

const tagsOf = (count: number): Tag[] =>
  Array.from({ length: count }, (_, i) => ({ Key: `key${i}`, Value: `value${i}` }));

function documentOf(tags: readonly Tag[]): string {
  const rows = tags.map(
    ({ Key, Value }) => `<Tag><Key>${escapeXml(Key)}</Key><Value>${escapeXml(Value)}</Value></Tag>`,
  );
  return `<Tagging><TagSet>${rows.join('')}</TagSet></Tagging>`;
}

function putTags(w: World, bucket: string, key: string, body: string): Promise<Reply> {
  const headers = { 'content-md5': md5Base64(body) };
  return w.call('PUT', bucket, key, { query: { tagging: '' }, body, headers });
}

const byKey = (a: Tag, b: Tag): number => (a.Key < b.Key ? -1 : 1);

const GOOD: readonly (readonly [string, readonly Tag[]])[] = [
  ['one', tagsOf(1)],
  ['ten', tagsOf(10)],
  ['none', []],
  ['an empty value', [{ Key: 'a', Value: '' }]],
  ['a key of 128 characters', [{ Key: 'k'.repeat(128), Value: 'v' }]],
  ['a value of 256 characters', [{ Key: 'k', Value: 'v'.repeat(256) }]],
  ['all characters that are allowed', [{ Key: 'a b+c-d=e._:/@', Value: '+-=._:/@ 1' }]],
  ['letters beyond ASCII', [{ Key: 'größe', Value: '文件' }]],
];

const BAD: readonly (readonly [string, readonly Tag[]])[] = [
  ['a key of 129 characters', [{ Key: 'k'.repeat(129), Value: 'v' }]],
  ['a value of 257 characters', [{ Key: 'k', Value: 'v'.repeat(257) }]],
  ['one key twice', [tagsOf(1)[0] as Tag, tagsOf(1)[0] as Tag]],
  ['an empty key', [{ Key: '', Value: 'v' }]],
  ['a key with the prefix of the system', [{ Key: 'aws:x', Value: 'v' }]],
  ['a character that is not allowed', [{ Key: 'a;b', Value: 'v' }]],
];

const BAD_HEADERS: readonly (readonly [string, string, string])[] = [
  ['eleven', Array.from({ length: 11 }, (_, i) => `k${i}=v`).join('&'), 'InvalidTag'],
  ['one key twice', 'a=1&a=2', 'InvalidArgument'],
  ['a key of 129 characters', `${'k'.repeat(129)}=v`, 'InvalidTag'],
  ['an empty key', '=v', 'InvalidTag'],
];

/** Tags of objects and buckets. */
export const tagging = area('tagging', {
  ...each(
    GOOD,
    ([what]) => `tags of an object: ${what}`,
    async (w, [, tags]) => {
      const Bucket = await w.bucket();
      await w.put(Bucket, 'k');
      await w.sdk.putObjectTagging({ Bucket, Key: 'k', Tagging: { TagSet: [...tags] } });
      const { TagSet = [] } = await w.sdk.getObjectTagging({ Bucket, Key: 'k' });
      assert.deepEqual((TagSet as Tag[]).sort(byKey), [...tags].sort(byKey));
    },
  ),
  ...each(
    BAD,
    ([what]) => `tags of an object: ${what} is InvalidTag`,
    async (w, [, tags]) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      isRefused(await putTags(w, bucket, 'k', documentOf(tags)), 400, 'InvalidTag');
      assert.deepEqual((await w.sdk.getObjectTagging({ Bucket: bucket, Key: 'k' })).TagSet, []);
    },
  ),
  'tags of an object: eleven are InvalidTag': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    isRefused(await putTags(w, bucket, 'k', documentOf(tagsOf(11))), 400, 'InvalidTag');
  },
  'tags of an object: no XML is MalformedXML': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    for (const body of [
      'tags',
      '<Tagging></Tagging>',
      '<Tagging><TagSet><Tag/></TagSet></Tagging>',
    ]) {
      isRefused(await putTags(w, bucket, 'k', body), 400, 'MalformedXML');
    }
  },
  'tags of an object: a put answers 200, a delete 204': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    isStatus(await putTags(w, bucket, 'k', documentOf(tagsOf(2))), 200);
    isStatus(await w.call('DELETE', bucket, 'k', { query: { tagging: '' } }), 204);
    assert.deepEqual((await w.sdk.getObjectTagging({ Bucket: bucket, Key: 'k' })).TagSet, []);
  },
  'tags of an object: a put replaces all': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const put = (TagSet: Tag[]) =>
      w.sdk.putObjectTagging({ Bucket, Key: 'k', Tagging: { TagSet } });
    await put(tagsOf(3));
    await put([{ Key: 'new', Value: '1' }]);
    const { TagSet } = await w.sdk.getObjectTagging({ Bucket, Key: 'k' });
    assert.deepEqual(TagSet, [{ Key: 'new', Value: '1' }]);
  },
  'tags of an object: the object stays as it was': async (w) => {
    const Bucket = await w.bucket();
    const etag = await w.put(Bucket, 'k', 'text');
    await w.sdk.putObjectTagging({ Bucket, Key: 'k', Tagging: { TagSet: tagsOf(1) } });
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.ETag, etag);
    assert.equal(head.TagCount ?? 1, 1);
    assert.equal(await w.text(Bucket, 'k'), 'text');
  },
  'tags of an object: a get counts them': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { Tagging: 'a=1&b=2' });
    const got = await w.call('GET', Bucket, 'k');
    assert.equal(got.headers['x-amz-tagging-count'], '2');
  },
  'tags of an object: without any there is no count': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    assert.equal((await w.call('GET', Bucket, 'k')).headers['x-amz-tagging-count'], undefined);
  },
  'tags of an object: of none is NoSuchKey': async (w) => {
    const Bucket = await w.bucket();
    await refused(w.sdk.getObjectTagging({ Bucket, Key: 'k' }), 404, 'NoSuchKey');
    isRefused(await putTags(w, Bucket, 'k', documentOf(tagsOf(1))), 404, 'NoSuchKey');
  },
  'tags of an object: by the header of the put': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { Tagging: 'foo=bar&a%20b=c%2Bd&empty' });
    const { TagSet = [] } = await w.sdk.getObjectTagging({ Bucket, Key: 'k' });
    assert.deepEqual((TagSet as Tag[]).sort(byKey), [
      { Key: 'a b', Value: 'c+d' },
      { Key: 'empty', Value: '' },
      { Key: 'foo', Value: 'bar' },
    ]);
  },
  ...each(
    BAD_HEADERS,
    ([what, , code]) => `tags in the header: ${what} is ${code}`,
    async (w, [, value, code]) => {
      const bucket = await w.bucket();
      const headers = { 'x-amz-tagging': value };
      isRefused(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 400, code);
      isStatus(await w.call('HEAD', bucket, 'k'), 404);
    },
  ),
  'tags of an object: an overwrite takes them away': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { Tagging: 'a=1' });
    await w.put(Bucket, 'k', 'y');
    assert.deepEqual((await w.sdk.getObjectTagging({ Bucket, Key: 'k' })).TagSet, []);
  },
  'tags of a version are its own': async (w) => {
    const Bucket = await w.versioned();
    const VersionId = await w.putVersion(Bucket, 'k', '1');
    const second = await w.putVersion(Bucket, 'k', '2');
    const Tagging = { TagSet: [{ Key: 'v', Value: '1' }] };
    const put = await w.sdk.putObjectTagging({ Bucket, Key: 'k', VersionId, Tagging });
    assert.equal(put.VersionId, VersionId);
    const old = await w.sdk.getObjectTagging({ Bucket, Key: 'k', VersionId });
    assert.deepEqual([old.TagSet, old.VersionId], [Tagging.TagSet, VersionId]);
    const current = await w.sdk.getObjectTagging({ Bucket, Key: 'k' });
    assert.deepEqual([current.TagSet, current.VersionId], [[], second]);
    await w.sdk.deleteObjectTagging({ Bucket, Key: 'k', VersionId });
    const after = await w.sdk.getObjectTagging({ Bucket, Key: 'k', VersionId });
    assert.deepEqual(after.TagSet, []);
  },
  'tags of a delete marker are MethodNotAllowed': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    const { VersionId } = await w.sdk.deleteObject({ Bucket, Key: 'k' });
    const call = w.sdk.getObjectTagging({ Bucket, Key: 'k', VersionId });
    await refused(call, 405, 'MethodNotAllowed');
  },
  'tags of a bucket: none is NoSuchTagSet': async (w) => {
    const call = w.sdk.getBucketTagging({ Bucket: await w.bucket() });
    await refused(call, 404, 'NoSuchTagSet');
  },
  'tags of a bucket: put, got, deleted': async (w) => {
    const Bucket = await w.bucket();
    const put = await w.sdk.putBucketTagging({ Bucket, Tagging: { TagSet: tagsOf(2) } });
    assert.equal(put.$metadata.httpStatusCode, 200);
    const { TagSet = [] } = await w.sdk.getBucketTagging({ Bucket });
    assert.deepEqual((TagSet as Tag[]).sort(byKey), tagsOf(2));
    const { $metadata } = await w.sdk.deleteBucketTagging({ Bucket });
    assert.equal($metadata.httpStatusCode, 204);
    await refused(w.sdk.getBucketTagging({ Bucket }), 404, 'NoSuchTagSet');
  },
  'tags of a bucket: fifty are taken, fifty-one are not': async (w) => {
    const bucket = await w.bucket();
    const put = (count: number) => putTags(w, bucket, '', documentOf(tagsOf(count)));
    const { status } = await put(50);
    assert.equal(status, 200);
    assert.equal((await put(51)).status, 400);
  },
  'tags of a bucket: one key twice is InvalidTag': async (w) => {
    const tag = tagsOf(1)[0] as Tag;
    const reply = await putTags(w, await w.bucket(), '', documentOf([tag, tag]));
    isRefused(reply, 400, 'InvalidTag');
  },
  'tags of no bucket is NoSuchBucket': async (w) => {
    await refused(w.sdk.getBucketTagging({ Bucket: w.name() }), 404, 'NoSuchBucket');
  },
});
