import { createHash, randomBytes } from 'node:crypto';
import { area, assert, each, refused } from './suite.ts';
import { isRefused, isStatus, type World } from './world.ts';

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('base64');
const KEY = randomBytes(32);

/** Headers of SSE-C; only sent over TLS by careful clients, so they are made by hand here. */
function customer(key = KEY, before = ''): Record<string, string> {
  const name = `x-amz-${before}server-side-encryption-customer-`;
  return {
    [`${name}algorithm`]: 'AES256',
    [`${name}key`]: key.toString('base64'),
    [`${name}key-md5`]: md5(key),
  };
}

async function encrypted(w: World, size: number): Promise<{ bucket: string; body: Buffer }> {
  const bucket = await w.bucket();
  const body = randomBytes(size);
  isStatus(await w.call('PUT', bucket, 'k', { body, headers: customer() }), 200);
  return { bucket, body };
}

const BAD_CUSTOMER: readonly (readonly [string, (good: Record<string, string>) => object])[] = [
  ['no algorithm', (good) => ({ ...good, 'x-amz-server-side-encryption-customer-algorithm': '' })],
  [
    'another algorithm',
    (good) => ({ ...good, 'x-amz-server-side-encryption-customer-algorithm': 'ROT13' }),
  ],
  ['a key of 16 bytes', () => customer(randomBytes(16))],
  [
    'the MD5 of another key',
    (good) => ({
      ...good,
      'x-amz-server-side-encryption-customer-key-md5': md5(randomBytes(32)),
    }),
  ],
];

/** Encryption on the server's side. */
export const encryption = area('encryption', {
  ...each(
    [0, 1, 1000, 100_000, 5_000_001],
    (size) => `SSE-C: ${size} bytes`,
    async (w, size) => {
      const { bucket, body } = await encrypted(w, size);
      const got = isStatus(await w.call('GET', bucket, 'k', { headers: customer() }), 200);
      assert.ok(got.bytes.equals(body));
      assert.equal(got.headers['x-amz-server-side-encryption-customer-algorithm'], 'AES256');
      assert.equal(got.headers['x-amz-server-side-encryption-customer-key-md5'], md5(KEY));
    },
  ),
  'SSE-C: ranges': async (w) => {
    const { bucket, body } = await encrypted(w, 200_000);
    for (const [first, last] of [
      [0, 0],
      [15, 17],
      [65_530, 65_545],
      [199_990, 199_999],
    ] as const) {
      const headers = { ...customer(), range: `bytes=${first}-${last}` };
      const got = isStatus(await w.call('GET', bucket, 'k', { headers }), 206);
      assert.ok(got.bytes.equals(body.subarray(first, last + 1)));
    }
  },
  'SSE-C: a get without the key is InvalidRequest': async (w) => {
    const { bucket } = await encrypted(w, 10);
    isRefused(await w.call('GET', bucket, 'k'), 400, 'InvalidRequest');
    isStatus(await w.call('HEAD', bucket, 'k'), 400);
  },
  'SSE-C: a get with another key is AccessDenied': async (w) => {
    const { bucket } = await encrypted(w, 10);
    const headers = customer(randomBytes(32));
    isRefused(await w.call('GET', bucket, 'k', { headers }), 403, 'AccessDenied');
  },
  'SSE-C: a key for an object that has none is InvalidRequest': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    isRefused(await w.call('GET', bucket, 'k', { headers: customer() }), 400, 'InvalidRequest');
  },
  ...each(
    BAD_CUSTOMER,
    ([what]) => `SSE-C: a put with ${what} is refused`,
    async (w, [, make]) => {
      const headers = make(customer()) as Record<string, string>;
      const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
      assert.equal(reply.status, 400);
    },
  ),
  'SSE-C: a copy from one key to another': async (w) => {
    const { bucket, body } = await encrypted(w, 100_000);
    const other = randomBytes(32);
    const headers = {
      'x-amz-copy-source': `/${bucket}/k`,
      ...customer(KEY, 'copy-source-'),
      ...customer(other),
    };
    isStatus(await w.call('PUT', bucket, 'to', { headers }), 200);
    const got = await w.call('GET', bucket, 'to', { headers: customer(other) });
    assert.ok(isStatus(got, 200).bytes.equals(body));
  },
  'SSE-C: an upload in parts': async (w) => {
    const bucket = await w.bucket();
    const begun = await w.call('POST', bucket, 'k', {
      query: { uploads: '' },
      headers: customer(),
    });
    const uploadId = /<UploadId>([^<]+)/.exec(isStatus(begun, 200).text)?.[1] ?? '';
    const query = { uploadId, partNumber: '1' };
    const body = randomBytes(100_000);
    const put = await w.call('PUT', bucket, 'k', { query, body, headers: customer() });
    const etag = isStatus(put, 200).headers['etag'];
    const xml = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
    const done = { query: { uploadId }, body: xml, headers: customer() };
    isStatus(await w.call('POST', bucket, 'k', done), 200);
    const got = await w.call('GET', bucket, 'k', { headers: customer() });
    assert.ok(isStatus(got, 200).bytes.equals(body));
  },
  'SSE-S3: a put says AES256, and so does a get': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    const put = isStatus(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 200);
    assert.equal(put.headers['x-amz-server-side-encryption'], 'AES256');
    const got = await w.call('GET', bucket, 'k');
    assert.equal(got.headers['x-amz-server-side-encryption'], 'AES256');
    assert.equal(got.text, 'x');
  },
  'SSE-S3: the default of a bucket': async (w) => {
    const Bucket = await w.bucket();
    const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: 'AES256' as const };
    const Rules = [{ ApplyServerSideEncryptionByDefault }];
    const ServerSideEncryptionConfiguration = { Rules };
    await w.sdk.putBucketEncryption({ Bucket, ServerSideEncryptionConfiguration });
    const seen = await w.sdk.getBucketEncryption({ Bucket });
    const [rule] = seen.ServerSideEncryptionConfiguration?.Rules ?? [];
    assert.equal(rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm, 'AES256');
    const { ServerSideEncryption } = await w.sdk.putObject({ Bucket, Key: 'k', Body: 'x' });
    assert.equal(ServerSideEncryption, 'AES256');
    const { $metadata } = await w.sdk.deleteBucketEncryption({ Bucket });
    assert.equal($metadata.httpStatusCode, 204);
  },
  'none is ServerSideEncryptionConfigurationNotFoundError': async (w) => {
    const call = w.sdk.getBucketEncryption({ Bucket: await w.bucket() });
    await refused(call, 404, 'ServerSideEncryptionConfigurationNotFoundError');
  },
  'an algorithm that is unknown is InvalidArgument or its own error': async (w) => {
    const headers = { 'x-amz-server-side-encryption': 'ROT13' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    assert.equal(reply.status, 400);
  },
  'a GET with the header of SSE-S3 is InvalidArgument': async (w) => {
    const bucket = await w.bucket();
    await w.put(bucket, 'k');
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    isStatus(await w.call('HEAD', bucket, 'k', { headers }), 400);
    isRefused(await w.call('GET', bucket, 'k', { headers }), 400, 'InvalidArgument');
  },
  'SSE-KMS: a put with a key of its own tells the key': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'x-amz-server-side-encryption': 'aws:kms' };
    const put = isStatus(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 200);
    assert.equal(put.headers['x-amz-server-side-encryption'], 'aws:kms');
    assert.ok((put.headers['x-amz-server-side-encryption-aws-kms-key-id'] ?? '') !== '');
    const got = isStatus(await w.call('GET', bucket, 'k'), 200);
    assert.equal(got.headers['x-amz-server-side-encryption'], 'aws:kms');
    assert.equal(got.text, 'x');
  },
  'SSE-KMS: a key id without the algorithm is InvalidArgument': async (w) => {
    const headers = { 'x-amz-server-side-encryption-aws-kms-key-id': 'some-key' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'SSE-C and SSE-S3 together are InvalidArgument': async (w) => {
    const headers = { ...customer(), 'x-amz-server-side-encryption': 'AES256' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
});
