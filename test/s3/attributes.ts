import { addPart, begin, complete, eTagOf, MIB } from './multipart.ts';
import { area, assert, refused } from './suite.ts';
import { isRefused, isStatus, md5Hex } from './world.ts';
import { textOf } from './xml.ts';

const ALL = 'ETag,Checksum,ObjectParts,StorageClass,ObjectSize';

/** GetObjectAttributes. */
export const attributes = area('attributes', {
  'of an object without parts': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', 'text', { ChecksumAlgorithm: 'SHA256' });
    const seen = await w.sdk.getObjectAttributes({
      Bucket,
      Key: 'k',
      ObjectAttributes: ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'],
    });
    assert.equal(seen.ETag, md5Hex('text'));
    assert.deepEqual([seen.ObjectSize, seen.StorageClass], [4, 'STANDARD']);
    assert.ok(seen.Checksum?.ChecksumSHA256 !== undefined);
    assert.equal(seen.Checksum.ChecksumType, 'FULL_OBJECT');
    assert.equal(seen.ObjectParts, undefined);
    assert.ok(seen.LastModified !== undefined);
  },
  'only what is asked for': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k', 'text');
    const headers = { 'x-amz-object-attributes': 'ObjectSize' };
    const { text } = isStatus(
      await w.call('GET', bucket, 'k', { query: { attributes: '' }, headers }),
      200,
    );
    assert.deepEqual(
      [textOf(text, 'ObjectSize'), textOf(text, 'ETag'), textOf(text, 'StorageClass')],
      ['4', null, null],
    );
  },
  'of an object of parts, in pages': async (w) => {
    const Bucket = await w.bucket();
    const upload = await begin(w, Bucket, 'k', { ChecksumAlgorithm: 'CRC32' });
    const bodies = ['a', 'b'].map((letter) => Buffer.alloc(5 * MIB, letter));
    const parts = [];
    for (const [i, Body] of bodies.entries()) {
      const part = { ...upload, PartNumber: i + 1, Body, ChecksumAlgorithm: 'CRC32' as const };
      const { ETag = '', ChecksumCRC32 } = await w.sdk.uploadPart(part);
      parts.push({ PartNumber: i + 1, ETag, ChecksumCRC32 });
    }
    await complete(w, upload, parts);
    const ask = (more: object) =>
      w.sdk.getObjectAttributes({
        Bucket,
        Key: 'k',
        ObjectAttributes: ['ETag', 'ObjectParts'],
        ...more,
      });
    const first = await ask({ MaxParts: 1 });
    assert.equal(`"${first.ETag}"`, eTagOf(bodies));
    assert.equal(first.ObjectParts?.TotalPartsCount, 2);
    assert.deepEqual(
      [first.ObjectParts?.IsTruncated, first.ObjectParts?.NextPartNumberMarker],
      [true, '1'],
    );
    assert.deepEqual(
      first.ObjectParts?.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
      [[1, 5 * MIB]],
    );
    const second = await ask({ MaxParts: 1, PartNumberMarker: '1' });
    assert.deepEqual(
      second.ObjectParts?.Parts?.map(({ PartNumber, ChecksumCRC32 }) => [
        PartNumber,
        ChecksumCRC32,
      ]),
      [[2, parts[1]?.ChecksumCRC32]],
    );
    assert.equal(second.ObjectParts?.IsTruncated, false);
  },
  'of parts without checksums there is the count only': async (w) => {
    const bucket = await w.bucket();
    const { UploadId } = await begin(w, bucket);
    const query = { uploadId: UploadId, partNumber: '1' };
    const put = await w.call('PUT', bucket, 'k', { query, body: 'x' });
    await complete(w, { Bucket: bucket, Key: 'k', UploadId }, [
      { PartNumber: 1, ETag: put.headers['etag'] ?? '' },
    ]);
    const headers = { 'x-amz-object-attributes': ALL };
    const reply = await w.call('GET', bucket, 'k', { query: { attributes: '' }, headers });
    const { text } = isStatus(reply, 200);
    assert.equal(textOf(text, 'PartsCount'), '1');
  },
  'of a version by its id': async (w) => {
    const Bucket = await w.versioned();
    const VersionId = await w.putVersion(Bucket, 'k', 'one');
    await w.putVersion(Bucket, 'k', 'four');
    const ObjectAttributes = ['ObjectSize' as const];
    const seen = await w.sdk.getObjectAttributes({ Bucket, Key: 'k', VersionId, ObjectAttributes });
    assert.deepEqual([seen.ObjectSize, seen.VersionId], [3, VersionId]);
  },
  'of none is NoSuchKey': async (w) => {
    const Bucket = await w.bucket();
    const call = w.sdk.getObjectAttributes({ Bucket, Key: 'k', ObjectAttributes: ['ETag'] });
    await refused(call, 404, 'NoSuchKey');
  },
  'of a key under a delete marker is NoSuchKey': async (w) => {
    const Bucket = await w.versioned();
    await w.putVersion(Bucket, 'k', '1');
    await w.sdk.deleteObject({ Bucket, Key: 'k' });
    const call = w.sdk.getObjectAttributes({ Bucket, Key: 'k', ObjectAttributes: ['ETag'] });
    const error = await refused(call, 404, 'NoSuchKey');
    assert.ok(error.$metadata.httpStatusCode === 404);
  },
  'without the header is InvalidRequest': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const reply = await w.call('GET', bucket, 'k', { query: { attributes: '' } });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'an attribute that is unknown is InvalidArgument': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const headers = { 'x-amz-object-attributes': 'ETag,Colour' };
    const reply = await w.call('GET', bucket, 'k', { query: { attributes: '' }, headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'an upload part is not seen before the completion': async (w) => {
    const upload = await begin(w, await w.bucket());
    await addPart(w, upload, 1, 'x');
    const { Bucket, Key } = upload;
    const call = w.sdk.getObjectAttributes({ Bucket, Key, ObjectAttributes: ['ETag'] });
    await refused(call, 404, 'NoSuchKey');
  },
});
