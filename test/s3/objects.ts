import { randomBytes } from 'node:crypto';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex, type World } from './world.ts';
import { textOf } from './xml.ts';

const SIZES = [0, 1, 1000, 65_535, 65_536, 65_537, 1 << 20, (4 << 20) + 1, 9_000_001];

async function roundTrip(w: World, size: number): Promise<void> {
  const Bucket = await w.bucket();
  const body = randomBytes(size);
  const etag = await w.put(Bucket, 'k', body);
  assert.equal(etag, `"${md5Hex(body)}"`);
  const got = await w.call('GET', Bucket, 'k');
  assert.equal(got.headers['content-length'], String(size));
  assert.equal(got.headers['etag'], etag);
  assert.ok(got.bytes.equals(body));
  const head = await w.sdk.headObject({ Bucket, Key: 'k' });
  assert.deepEqual([head.ContentLength, head.ETag], [size, etag]);
}

/** Objects: put, got, looked at, deleted. */
export const objects = area('objects', {
  ...each(
    SIZES,
    (size) => `${size} bytes come back as they were, with their MD5 as ETag`,
    roundTrip,
  ),
  'a put answers 200 with an ETag and no body': async (w) => {
    const reply = isStatus(await w.call('PUT', await w.bucket(), 'k', { body: 'x' }), 200);
    assert.equal(reply.headers['etag'], `"${md5Hex('x')}"`);
    assert.equal(reply.bytes.length, 0);
  },
  'a get has the headers of an object': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k', 'text');
    const { headers } = isStatus(await w.call('GET', bucket, 'k'), 200);
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.match(headers['last-modified'] ?? '', /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    assert.ok((headers['x-amz-request-id'] ?? '') !== '');
    assert.equal(headers['x-amz-version-id'], undefined);
    assert.equal(headers['x-amz-delete-marker'], undefined);
  },
  'HEAD has the headers of GET and no body': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k', 'text', { ContentType: 'text/plain', Metadata: { a: 'b' } });
    const got = await w.call('GET', bucket, 'k');
    const head = isStatus(await w.call('HEAD', bucket, 'k'), 200);
    assert.equal(head.bytes.length, 0);
    const names = ['content-length', 'content-type', 'etag', 'last-modified', 'accept-ranges'];
    for (const name of [...names, 'x-amz-meta-a']) {
      assert.equal(head.headers[name], got.headers[name], name);
    }
  },
  'without a content type it is binary/octet-stream': async (w) => {
    const bucket = await w.bucket();
    isStatus(await w.call('PUT', bucket, 'k', { body: 'x' }), 200);
    const { headers } = await w.call('GET', bucket, 'k');
    assert.equal(headers['content-type'], 'binary/octet-stream');
  },
  'GET of none is NoSuchKey and names the key': async (w) => {
    const reply = await w.call('GET', await w.bucket(), 'a/b c');
    isRefused(reply, 404, 'NoSuchKey');
    assert.equal(textOf(reply.text, 'Key'), 'a/b c');
    assert.equal(textOf(reply.text, 'RequestId'), reply.headers['x-amz-request-id']);
  },
  'HEAD of none is 404 without a body': async (w) => {
    const reply = isStatus(await w.call('HEAD', await w.bucket(), 'k'), 404);
    assert.equal(reply.bytes.length, 0);
  },
  'DELETE answers 204 without a body': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const reply = isStatus(await w.call('DELETE', bucket, 'k'), 204);
    assert.equal(reply.bytes.length, 0);
    isRefused(await w.call('GET', bucket, 'k'), 404, 'NoSuchKey');
  },
  'DELETE of none is 204': async (w) => {
    isStatus(await w.call('DELETE', await w.bucket(), 'none'), 204);
  },
  'DELETE twice is 204 twice': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    isStatus(await w.call('DELETE', bucket, 'k'), 204);
    isStatus(await w.call('DELETE', bucket, 'k'), 204);
  },
  'an overwrite replaces bytes, headers and metadata': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'first', { ContentType: 'text/plain', Metadata: { old: '1' } });
    await w.put(Bucket, 'k', 'second one', { ContentType: 'text/html' });
    const got = await w.sdk.getObject({ Bucket, Key: 'k' });
    assert.deepEqual(got.Metadata, {});
    assert.equal(got.ContentType, 'text/html');
    assert.equal(await got.Body?.transformToString(), 'second one');
  },
  'an overwrite of many bytes by few, and back': async (w) => {
    const Bucket = await w.bucket();
    const large = randomBytes(200_000);
    await w.put(Bucket, 'k', large);
    await w.put(Bucket, 'k', 'small');
    assert.equal(await w.text(Bucket, 'k'), 'small');
    await w.put(Bucket, 'k', large);
    assert.ok((await w.call('GET', Bucket, 'k')).bytes.equals(large));
  },
  'a put after a delete is there again': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    await w.put(Bucket, 'k', '2');
    assert.equal(await w.text(Bucket, 'k'), '2');
  },
  'a key and the key below it are two objects': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a', 'a/', 'a/b', 'a//b', '/a']);
    for (const key of ['a', 'a/', 'a/b', 'a//b', '/a'])
      assert.equal(await w.text(Bucket, key), key);
    await w.sdk.deleteObject({ Bucket, Key: 'a' });
    assert.equal(await w.text(Bucket, 'a/b'), 'a/b');
  },
  'Last-Modified is now and moves on with a put': async (w) => {
    const Bucket = await w.bucket();
    const before = Date.now();
    await w.put(Bucket, 'k');
    const { LastModified } = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.ok(Math.abs((LastModified?.getTime() ?? 0) - before) < 10_000);
  },
  'two puts at once leave one of them whole': async (w) => {
    const Bucket = await w.bucket();
    const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(100_000));
    await Promise.all(bodies.map((body) => w.put(Bucket, 'k', body)));
    assert.ok(bodies.includes(await w.text(Bucket, 'k')));
  },
  'a get while it is overwritten is whole': async (w) => {
    const Bucket = await w.bucket();
    const bodies = ['x', 'y'].map((letter) => letter.repeat(300_000));
    await w.put(Bucket, 'k', bodies[0] as string);
    const reads = Array.from({ length: 6 }, () => w.text(Bucket, 'k'));
    const [, ...texts] = await Promise.all([w.put(Bucket, 'k', bodies[1] as string), ...reads]);
    for (const text of texts) assert.ok(bodies.includes(text as string));
  },
  'an expected MD5 that is right is taken': async (w) => {
    const Bucket = await w.bucket();
    const headers = { 'content-md5': Buffer.from(md5Hex('body'), 'hex').toString('base64') };
    isStatus(await w.call('PUT', Bucket, 'k', { body: 'body', headers }), 200);
  },
  'POST to an object without a sub-resource is MethodNotAllowed': async (w) => {
    isRefused(await w.call('POST', await w.bucket(), 'k'), 405, 'MethodNotAllowed');
  },
  'a storage class that is unknown is InvalidStorageClass': async (w) => {
    const headers = { 'x-amz-storage-class': 'LUKEWARM' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidStorageClass');
  },
  'STANDARD is not named in the answer': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { StorageClass: 'STANDARD' });
    assert.equal((await w.sdk.headObject({ Bucket, Key: 'k' })).StorageClass, undefined);
  },
  'a redirect location is kept': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'x', { WebsiteRedirectLocation: '/other' });
    const head = await w.sdk.headObject({ Bucket, Key: 'k' });
    assert.equal(head.WebsiteRedirectLocation, '/other');
  },
  'a put of a stream whose length is not known': async (w) => {
    const Bucket = await w.bucket();
    const reply = await w.call('PUT', Bucket, 'k', {
      body: 'x'.repeat(1000),
      isChunked: true,
      payload: 'UNSIGNED-PAYLOAD',
    });
    isRefused(reply, 411, 'MissingContentLength');
  },
  'the version of an object in a bucket without versions is null': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'text');
    assert.equal(await w.text(Bucket, 'k', 'null'), 'text');
  },
  'a version id of no form is InvalidArgument': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const get = w.sdk.getObject({ Bucket, Key: 'k', VersionId: 'not-a-version' });
    await refused(get, 400, 'InvalidArgument');
  },
  'there is no archive to restore from': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k');
    const restore = (Key: string) =>
      w.sdk.restoreObject({ Bucket, Key, RestoreRequest: { Days: 1 } });
    await refused(restore('k'), 403, 'InvalidObjectState');
    await refused(restore('other'), 404, 'NoSuchKey');
  },
  'a long key of 1024 bytes is taken': async (w) => {
    const Bucket = await w.bucket();
    const Key = 'k'.repeat(1024);
    await w.put(Bucket, Key, 'x');
    assert.equal(await w.text(Bucket, Key), 'x');
  },
  'a key of 1025 bytes is KeyTooLongError': async (w) => {
    const call = w.sdk.putObject({ Bucket: await w.bucket(), Key: 'k'.repeat(1025), Body: 'x' });
    await refused(call, 400, 'KeyTooLongError');
  },
  'a key of 600 letters of two bytes is KeyTooLongError': async (w) => {
    const call = w.sdk.putObject({ Bucket: await w.bucket(), Key: 'é'.repeat(600), Body: 'x' });
    await refused(call, 400, 'KeyTooLongError');
  },
});
