import { area, assert, each, refused } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, md5Base64, type RawOptions, type World } from './world.ts';
import { elements, textOf, texts } from './xml.ts';

function post(
  w: World,
  bucket: string,
  body: string,
  options: Pick<RawOptions, 'headers' | 'by'> = {},
): Promise<Reply> {
  const headers = { 'content-md5': md5Base64(body), ...options.headers };
  return w.call('POST', bucket, '', { query: { delete: '' }, body, ...options, headers });
}

const BAD_BODIES: readonly (readonly [string, string])[] = [
  ['an empty body', ''],
  ['text that is no XML', 'delete them'],
  ['an open element', '<Delete><Object><Key>k</Key></Object>'],
  ['another root', '<Remove><Object><Key>k</Key></Object></Remove>'],
  ['no objects', '<Delete></Delete>'],
  ['an object without a key', '<Delete><Object></Object></Delete>'],
  ['two roots', '<Delete><Object><Key>k</Key></Object></Delete><Delete/>'],
  ['a DTD', '<!DOCTYPE d [<!ENTITY e "k">]><Delete><Object><Key>&e;</Key></Object></Delete>'],
];

/** Many objects deleted by one request. */
export const deleteObjects = area('delete objects', {
  'those that are there, and one that is not': async (w) => {
    const Bucket = await w.bucket();
    await w.putAll(Bucket, ['a', 'b', 'c']);
    const Objects = ['a', 'b', 'none'].map((Key) => ({ Key }));
    const { Deleted = [], Errors } = await w.sdk.deleteObjects({ Bucket, Delete: { Objects } });
    assert.deepEqual(Deleted.map(({ Key }) => Key).sort(), ['a', 'b', 'none']);
    assert.equal(Errors, undefined);
    assert.equal((await w.sdk.listObjectsV2({ Bucket })).Contents?.[0]?.Key, 'c');
  },
  'the same again is done again': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'a');
    const Delete = { Objects: [{ Key: 'a' }] };
    await w.sdk.deleteObjects({ Bucket, Delete });
    const { Deleted = [] } = await w.sdk.deleteObjects({ Bucket, Delete });
    assert.deepEqual(Deleted, [{ Key: 'a' }]);
  },
  'quiet answers with errors only': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'a');
    const body = '<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>';
    const { text } = isStatus(await post(w, bucket, body), 200);
    assert.deepEqual(elements(text, 'Deleted'), []);
    isStatus(await w.call('HEAD', bucket, 'a'), 404);
  },
  '1000 keys are taken': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k7');
    const rows = Array.from({ length: 1000 }, (_, i) => `<Object><Key>k${i}</Key></Object>`);
    const { text } = isStatus(await post(w, bucket, `<Delete>${rows.join('')}</Delete>`), 200);
    assert.equal(texts(text, 'Key').length, 1000);
    isStatus(await w.call('HEAD', bucket, 'k7'), 404);
  },
  '1001 keys are MalformedXML, and nothing is deleted': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k7');
    const rows = Array.from({ length: 1001 }, (_, i) => `<Object><Key>k${i}</Key></Object>`);
    isRefused(await post(w, bucket, `<Delete>${rows.join('')}</Delete>`), 400, 'MalformedXML');
    isStatus(await w.call('HEAD', bucket, 'k7'), 200);
  },
  ...each(
    BAD_BODIES,
    ([what]) => `${what} is refused`,
    async (w, [, body]) => {
      isRefused(await post(w, await w.bucket(), body), 400, 'MalformedXML');
    },
  ),
  'without any checksum of the body it is refused': async (w) => {
    const body = '<Delete><Object><Key>k</Key></Object></Delete>';
    const reply = await w.call('POST', await w.bucket(), '', { query: { delete: '' }, body });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'a wrong Content-MD5 is BadDigest': async (w) => {
    const body = '<Delete><Object><Key>k</Key></Object></Delete>';
    const headers = { 'content-md5': md5Base64('another') };
    isRefused(await post(w, await w.bucket(), body, { headers }), 400, 'BadDigest');
  },
  'a Content-MD5 that is none is InvalidDigest': async (w) => {
    const body = '<Delete><Object><Key>k</Key></Object></Delete>';
    const headers = { 'content-md5': 'short' };
    isRefused(await post(w, await w.bucket(), body, { headers }), 400, 'InvalidDigest');
  },
  'a namespace and spaces in the body are fine': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'a');
    const body =
      '<?xml version="1.0" encoding="UTF-8"?>\n' +
      '<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n' +
      '  <Object>\n    <Key>a</Key>\n  </Object>\n</Delete>\n';
    isStatus(await post(w, bucket, body), 200);
    isStatus(await w.call('HEAD', bucket, 'a'), 404);
  },
  'keys with characters of XML': async (w) => {
    const Bucket = await w.bucket();
    const odd = ['a&b', '<c>', 'd"e\'', ' f ', 'g+h', 'i%20j', 'é', 'l\r\nm'];
    await w.putAll(Bucket, odd);
    const Objects = odd.map((Key) => ({ Key }));
    const { Deleted = [] } = await w.sdk.deleteObjects({ Bucket, Delete: { Objects } });
    assert.equal(Deleted.length, odd.length);
    assert.equal((await w.sdk.listObjectsV2({ Bucket })).KeyCount, 0);
  },
  'one key twice is fine': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'a');
    const Objects = [{ Key: 'a' }, { Key: 'a' }];
    const { Errors } = await w.sdk.deleteObjects({ Bucket, Delete: { Objects } });
    assert.equal(Errors, undefined);
  },
  'in no bucket is NoSuchBucket': async (w) => {
    const call = w.sdk.deleteObjects({ Bucket: w.name(), Delete: { Objects: [{ Key: 'a' }] } });
    await refused(call, 404, 'NoSuchBucket');
  },
  'with versions each key gets a marker, and its id is told': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'a', '1');
    const Delete = { Objects: [{ Key: 'a' }] };
    const { Deleted = [] } = await w.sdk.deleteObjects({ Bucket, Delete });
    const { DeleteMarkers = [] } = await w.sdk.listObjectVersions({ Bucket });
    assert.equal(Deleted[0]?.DeleteMarker, true);
    assert.equal(Deleted[0]?.DeleteMarkerVersionId, DeleteMarkers[0]?.VersionId);
    assert.equal(Deleted[0]?.VersionId, undefined);
  },
  'versions by their ids': async (w) => {
    const Bucket = await w.versioned();
    const ids = [await w.putVersion(Bucket, 'a', '1'), await w.putVersion(Bucket, 'a', '2')];
    const Objects = ids.map((VersionId) => ({ Key: 'a', VersionId }));
    const { Deleted = [] } = await w.sdk.deleteObjects({ Bucket, Delete: { Objects } });
    assert.deepEqual(Deleted.map(({ VersionId }) => VersionId).sort(), [...ids].sort());
    const left = await w.sdk.listObjectVersions({ Bucket });
    assert.deepEqual([left.Versions, left.DeleteMarkers], [undefined, undefined]);
  },
  'a marker by its id says that it was one': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'a', '1');
    const { VersionId = '' } = await w.sdk.deleteObject({ Bucket, Key: 'a' });
    const Delete = { Objects: [{ Key: 'a', VersionId }] };
    const { Deleted = [] } = await w.sdk.deleteObjects({ Bucket, Delete });
    assert.deepEqual(
      [Deleted[0]?.DeleteMarker, Deleted[0]?.DeleteMarkerVersionId, Deleted[0]?.VersionId],
      [true, VersionId, VersionId],
    );
    assert.equal(await w.text(Bucket, 'a'), '1');
  },
  'a locked version is an error among those that are deleted': async (w) => {
    const Bucket = await w.bucket({ ObjectLockEnabledForBucket: true });
    const a = await w.putVersion(Bucket, 'a', '1');
    const b = await w.putVersion(Bucket, 'b', '1');
    const hold = { LegalHold: { Status: 'ON' as const } };
    await w.sdk.putObjectLegalHold({ Bucket, Key: 'a', ...hold });
    const Objects = [
      { Key: 'a', VersionId: a },
      { Key: 'b', VersionId: b },
    ];
    const { Deleted = [], Errors = [] } = await w.sdk.deleteObjects({
      Bucket,
      Delete: { Objects },
    });
    assert.deepEqual([Deleted[0]?.Key, Errors[0]?.Key], ['b', 'a']);
    assert.equal(Errors[0]?.Code, 'AccessDenied');
  },
  'anonymously each key is AccessDenied': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'a');
    const body = '<Delete><Object><Key>a</Key></Object></Delete>';
    const reply = await post(w, bucket, body, { by: 'nobody' });
    if (reply.status === 200) assert.equal(textOf(reply.text, 'Code'), 'AccessDenied');
    else isRefused(reply, 403, 'AccessDenied');
    isStatus(await w.call('HEAD', bucket, 'a'), 200);
  },
});
