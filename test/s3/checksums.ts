import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ChecksumAlgorithm } from '@aws-sdk/client-s3';
import { area, assert, each } from './suite.ts';
import { isRefused, isStatus, md5Base64, type World } from './world.ts';

const BODY = '123456789';

/** The values of the usual test text. */
const KNOWN: readonly (readonly [ChecksumAlgorithm, string])[] = [
  ['CRC32', 'y/Q5Jg=='],
  ['CRC32C', '4waSgw=='],
  ['CRC64NVME', 'rosUhgp5mIg='],
  ['SHA1', createHash('sha1').update(BODY).digest('base64')],
  ['SHA256', createHash('sha256').update(BODY).digest('base64')],
];

const headerOf = (algorithm: string): string => `x-amz-checksum-${algorithm.toLowerCase()}`;

/** As many bytes as the value has, and others. */
const wrong = (value: string): string => {
  const bytes = Buffer.from(value, 'base64');
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return bytes.toString('base64');
};

async function inPartsOf(
  w: World,
  algorithm: ChecksumAlgorithm,
  type: 'COMPOSITE' | 'FULL_OBJECT',
): Promise<{ head: Record<string, unknown>; parts: Record<string, unknown>[]; body: Buffer }> {
  const Bucket = await w.bucket();
  const kind = { ChecksumAlgorithm: algorithm, ChecksumType: type };
  const { UploadId } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k', ...kind });
  const upload = { Bucket, Key: 'k', UploadId };
  const bodies = [randomBytes(5 << 20), randomBytes(1000)];
  const parts: Record<string, unknown>[] = [];
  for (const [i, Body] of bodies.entries()) {
    const part = { ...upload, PartNumber: i + 1, Body, ChecksumAlgorithm: algorithm };
    const { ETag, [`Checksum${algorithm}` as 'ChecksumCRC32']: value } =
      await w.sdk.uploadPart(part);
    parts.push({ PartNumber: i + 1, ETag, [`Checksum${algorithm}`]: value });
  }
  const MultipartUpload = { Parts: parts };
  const done = await w.sdk.completeMultipartUpload({ ...upload, MultipartUpload });
  const head = await w.sdk.headObject({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' });
  const name = `Checksum${algorithm}` as 'ChecksumCRC32';
  assert.equal(done[name], head[name]);
  assert.equal(head.ChecksumType, type);
  return { head: head as unknown as Record<string, unknown>, parts, body: Buffer.concat(bodies) };
}

/** Checksums in headers; those in trailers are in the area of streaming bodies. */
export const checksums = area('checksums', {
  ...each(
    KNOWN,
    ([algorithm]) => `${algorithm}: one that is right is kept and told`,
    async (w, [algorithm, value]) => {
      const bucket = await w.bucket();
      const headers = { [headerOf(algorithm)]: value };
      const put = isStatus(await w.call('PUT', bucket, 'k', { body: BODY, headers }), 200);
      assert.equal(put.headers[headerOf(algorithm)], value);
      const mode = { 'x-amz-checksum-mode': 'ENABLED' };
      for (const method of ['GET', 'HEAD']) {
        const reply = await w.call(method, bucket, 'k', { headers: mode });
        assert.equal(reply.headers[headerOf(algorithm)], value);
        assert.equal(reply.headers['x-amz-checksum-type'], 'FULL_OBJECT');
      }
    },
  ),
  ...each(
    KNOWN,
    ([algorithm]) => `${algorithm}: one that is wrong is BadDigest, and nothing is stored`,
    async (w, [algorithm, value]) => {
      const bucket = await w.bucket();
      const headers = { [headerOf(algorithm)]: wrong(value) };
      isRefused(await w.call('PUT', bucket, 'k', { body: BODY, headers }), 400, 'BadDigest');
      isStatus(await w.call('HEAD', bucket, 'k'), 404);
    },
  ),
  ...each(
    KNOWN,
    ([algorithm]) => `${algorithm}: one of another length is InvalidRequest`,
    async (w, [algorithm]) => {
      const headers = { [headerOf(algorithm)]: 'YWJj' };
      const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
      isRefused(reply, 400, 'InvalidRequest');
    },
  ),
  ...each(
    KNOWN,
    ([algorithm]) => `${algorithm}: one that is no base64 is InvalidRequest`,
    async (w, [algorithm]) => {
      const headers = { [headerOf(algorithm)]: '!not base64!' };
      const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
      isRefused(reply, 400, 'InvalidRequest');
    },
  ),
  ...each(
    KNOWN,
    ([algorithm]) => `${algorithm}: the SDK sends it and checks it`,
    async (w, [ChecksumAlgorithm, value]) => {
      const Bucket = await w.bucket();
      await w.put(Bucket, 'k', BODY, { ChecksumAlgorithm });
      const got = await w.sdk.getObject({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' });
      assert.equal(await got.Body?.transformToString(), BODY);
      assert.equal(got[`Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32'], value);
    },
  ),
  'without one there is CRC64NVME, or none': async (w) => {
    const bucket = await w.bucket();
    isStatus(await w.call('PUT', bucket, 'k', { body: BODY }), 200);
    const headers = { 'x-amz-checksum-mode': 'ENABLED' };
    const reply = await w.call('HEAD', bucket, 'k', { headers });
    assert.equal(reply.headers[headerOf('CRC64NVME')], KNOWN[2]?.[1]);
  },
  'without the mode none is told': async (w) => {
    const bucket = await w.bucket();
    const headers = { [headerOf('CRC32')]: KNOWN[0]?.[1] ?? '' };
    isStatus(await w.call('PUT', bucket, 'k', { body: BODY, headers }), 200);
    assert.equal((await w.call('GET', bucket, 'k')).headers[headerOf('CRC32')], undefined);
  },
  'a part of an object has no checksum of the whole': async (w) => {
    const bucket = await w.bucket();
    const sent = { [headerOf('SHA256')]: KNOWN[4]?.[1] ?? '' };
    isStatus(await w.call('PUT', bucket, 'k', { body: BODY, headers: sent }), 200);
    const headers = { 'x-amz-checksum-mode': 'ENABLED', range: 'bytes=0-3' };
    const reply = isStatus(await w.call('GET', bucket, 'k', { headers }), 206);
    assert.equal(reply.headers[headerOf('SHA256')], undefined);
  },
  'two of them are InvalidRequest': async (w) => {
    const headers = Object.fromEntries(KNOWN.slice(0, 2).map(([a, v]) => [headerOf(a), v]));
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'an algorithm that is unknown is InvalidRequest': async (w) => {
    const headers = { 'x-amz-sdk-checksum-algorithm': 'CRC16', [headerOf('CRC16')]: 'AAA=' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
    assert.equal(reply.status, 400);
  },
  'an algorithm without its value is InvalidRequest': async (w) => {
    const headers = { 'x-amz-sdk-checksum-algorithm': 'SHA256' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'an algorithm and the value of another are InvalidRequest': async (w) => {
    const headers = {
      'x-amz-sdk-checksum-algorithm': 'SHA256',
      [headerOf('CRC32')]: KNOWN[0]?.[1] ?? '',
    };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'Content-MD5: one that is wrong is BadDigest': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'content-md5': md5Base64('other') };
    isRefused(await w.call('PUT', bucket, 'k', { body: BODY, headers }), 400, 'BadDigest');
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  ...each(
    ['', 'YWJyYWNhZGFicmE=', 'not base64'],
    (value) => `Content-MD5: ${value === '' ? '(empty)' : value} is InvalidDigest`,
    async (w, value) => {
      const headers = { 'content-md5': value };
      const reply = await w.call('PUT', await w.bucket(), 'k', { body: BODY, headers });
      isRefused(reply, 400, 'InvalidDigest');
    },
  ),
  'a wrong checksum leaves the object that was there': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k', 'before');
    const headers = { 'content-md5': md5Base64('other') };
    isStatus(await w.call('PUT', bucket, 'k', { body: 'after', headers }), 400);
    assert.equal(await w.text(bucket, 'k'), 'before');
  },
  'a copy keeps it': async (w) => {
    const Bucket = await w.bucket();
    await w.put(Bucket, 'k', BODY, { ChecksumAlgorithm: 'CRC32C' });
    await w.sdk.copyObject({ Bucket, Key: 'to', CopySource: `/${Bucket}/k` });
    const head = await w.sdk.headObject({ Bucket, Key: 'to', ChecksumMode: 'ENABLED' });
    assert.equal(head.ChecksumCRC32C, KNOWN[1]?.[1]);
  },
  ...each(
    ['SHA1', 'SHA256', 'CRC32', 'CRC32C'] as const,
    (algorithm) => `${algorithm}: parts have one made of theirs`,
    async (w, algorithm) => {
      const { head, parts } = await inPartsOf(w, algorithm, 'COMPOSITE');
      const name = `Checksum${algorithm}`;
      const joined = Buffer.concat(parts.map((part) => Buffer.from(String(part[name]), 'base64')));
      if (algorithm === 'SHA1' || algorithm === 'SHA256') {
        const value = createHash(algorithm.toLowerCase()).update(joined).digest('base64');
        assert.equal(head[name], `${value}-2`);
      }
      assert.match(String(head[name]), /^[A-Za-z0-9+/]+=*-2$/);
    },
  ),
  'CRC32: parts have that of the whole where it is asked for': async (w) => {
    const { head, body } = await inPartsOf(w, 'CRC32', 'FULL_OBJECT');
    const value = Buffer.alloc(4);
    value.writeUInt32BE(crc32(body));
    assert.equal(head['ChecksumCRC32'], value.toString('base64'));
  },
  'CRC64NVME: parts have that of the whole': async (w) => {
    const { head } = await inPartsOf(w, 'CRC64NVME', 'FULL_OBJECT');
    assert.match(String(head['ChecksumCRC64NVME']), /^[A-Za-z0-9+/]{11}=$/);
  },
  'SHA256 of the whole cannot be had of parts': async (w) => {
    const query = { uploads: '' };
    const headers = { 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' };
    const reply = await w.call('POST', await w.bucket(), 'k', { query, headers });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'a completion with a wrong checksum of a part is InvalidPart': async (w) => {
    const Bucket = await w.bucket();
    const { UploadId = '' } = await w.sdk.createMultipartUpload({
      Bucket,
      Key: 'k',
      ChecksumAlgorithm: 'SHA256',
    });
    const upload = { Bucket, Key: 'k', UploadId };
    const part = { ...upload, PartNumber: 1, Body: 'x', ChecksumAlgorithm: 'SHA256' as const };
    const { ETag } = await w.sdk.uploadPart(part);
    const row = `<PartNumber>1</PartNumber><ETag>${ETag}</ETag><ChecksumSHA256>${KNOWN[4]?.[1]}</ChecksumSHA256>`;
    const body = `<CompleteMultipartUpload><Part>${row}</Part></CompleteMultipartUpload>`;
    const reply = await w.call('POST', Bucket, 'k', { query: { uploadId: UploadId }, body });
    isRefused(reply, 400, 'InvalidPart');
  },
  'a part with another checksum than the upload is InvalidRequest': async (w) => {
    const Bucket = await w.bucket();
    const { UploadId = '' } = await w.sdk.createMultipartUpload({
      Bucket,
      Key: 'k',
      ChecksumAlgorithm: 'SHA256',
    });
    const query = { uploadId: UploadId, partNumber: '1' };
    const headers = { [headerOf('CRC32')]: KNOWN[0]?.[1] ?? '' };
    const reply = await w.call('PUT', Bucket, 'k', { query, headers, body: BODY });
    isRefused(reply, 400, 'InvalidRequest');
  },
  'uploads and parts tell algorithm and type': async (w) => {
    const Bucket = await w.bucket();
    const kind = { ChecksumAlgorithm: 'CRC32' as const, ChecksumType: 'FULL_OBJECT' as const };
    const { UploadId } = await w.sdk.createMultipartUpload({ Bucket, Key: 'k', ...kind });
    const upload = { Bucket, Key: 'k', UploadId };
    await w.sdk.uploadPart({ ...upload, PartNumber: 1, Body: BODY, ChecksumAlgorithm: 'CRC32' });
    const parts = await w.sdk.listParts(upload);
    assert.deepEqual([parts.ChecksumAlgorithm, parts.ChecksumType], ['CRC32', 'FULL_OBJECT']);
    assert.equal(parts.Parts?.[0]?.ChecksumCRC32, KNOWN[0]?.[1]);
    const { Uploads = [] } = await w.sdk.listMultipartUploads({ Bucket });
    assert.equal(Uploads[0]?.ChecksumAlgorithm, 'CRC32');
    assert.equal(Uploads[0]?.ChecksumType, 'FULL_OBJECT');
  },
});
