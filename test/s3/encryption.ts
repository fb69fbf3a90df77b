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

async function kmsByDefault(w: World): Promise<string> {
  const Bucket = await w.bucket();
  const ApplyServerSideEncryptionByDefault = { SSEAlgorithm: 'aws:kms' as const };
  const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault }] };
  await w.sdk.putBucketEncryption({ Bucket, ServerSideEncryptionConfiguration });
  return Bucket;
}

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
  'SSE-KMS: an encryption context comes back with the put, and need not be said to read': async (
    w,
  ) => {
    const bucket = await w.bucket();
    const context = Buffer.from('{"who":"me"}').toString('base64');
    const headers = {
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-context': context,
    };
    const put = isStatus(await w.call('PUT', bucket, 'k', { body: 'x', headers }), 200);
    assert.equal(put.headers['x-amz-server-side-encryption-context'], context);
    assert.equal((await w.call('GET', bucket, 'k')).text, 'x');
  },
  ...each(
    [
      'not base64!',
      Buffer.from('[1]').toString('base64'),
      Buffer.from('{"a":1}').toString('base64'),
    ],
    (context) => `SSE-KMS: ${context} is no encryption context`,
    async (w, context) => {
      const headers = {
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-context': context,
      };
      const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
      isRefused(reply, 400, 'InvalidArgument');
    },
  ),
  ...each(
    ['context', 'aws-kms-key-id'],
    (name) => `a GET with the header -${name} of SSE-KMS is InvalidArgument`,
    async (w, name) => {
      const bucket = await w.bucket();
      await w.put(bucket, 'k');
      const value = Buffer.from('{"a":"b"}').toString('base64');
      const headers = { [`x-amz-server-side-encryption-${name}`]: value };
      isRefused(await w.call('GET', bucket, 'k', { headers }), 400, 'InvalidArgument');
    },
  ),
  'SSE-KMS: a put may ask for a bucket key, or for none, of the default of its bucket': async (
    w,
  ) => {
    const Bucket = await kmsByDefault(w);
    const put = async (key: string, value: string | null) => {
      const name = 'x-amz-server-side-encryption-bucket-key-enabled';
      const headers = value === null ? {} : { [name]: value };
      const reply = await w.call('PUT', Bucket, key, { body: 'x', headers });
      assert.equal(isStatus(reply, 200).headers['x-amz-server-side-encryption'], 'aws:kms');
      const head = await w.sdk.headObject({ Bucket, Key: key });
      assert.equal(head.BucketKeyEnabled, reply.headers[name] === 'true' || undefined);
      return reply.headers[name];
    };
    assert.equal(await put('unsaid', null), undefined);
    assert.equal(await put('on', 'true'), 'true');
    assert.equal(await put('off', 'false'), undefined);
    const headers = { 'x-amz-server-side-encryption-bucket-key-enabled': 'perhaps' };
    const reply = await w.call('PUT', Bucket, 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
  'SSE-KMS by default: who did not sign writes and reads nothing, whatever a policy says': async (
    w,
  ) => {
    const Bucket = await kmsByDefault(w);
    await w.put(Bucket, 'k', 'x');
    const Statement = {
      ...{ Effect: 'Allow', Principal: '*', Action: ['s3:PutObject', 's3:GetObject'] },
      Resource: `arn:aws:s3:::${Bucket}/*`,
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await w.sdk.putBucketPolicy({ Bucket, Policy });
    const by = 'nobody';
    isRefused(await w.call('PUT', Bucket, 'k', { body: 'y', by }), 400, 'InvalidArgument');
    isRefused(await w.call('GET', Bucket, 'k', { by }), 400, 'InvalidArgument');
    assert.equal(await w.text(Bucket, 'k'), 'x');
  },
  ...each(
    ['AES256', 'aws:kms'] as const,
    (algorithm) =>
      `a policy that denies puts without ${algorithm} lets the parts of such an upload through`,
    async (w, algorithm) => {
      const Bucket = await w.bucket();
      const Condition = { StringNotEquals: { 's3:x-amz-server-side-encryption': algorithm } };
      const Statement = {
        ...{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Condition },
        Resource: `arn:aws:s3:::${Bucket}/*`,
      };
      const Key = 'k';
      const before = await w.sdk.createMultipartUpload({ Bucket, Key });
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
      await w.sdk.putBucketPolicy({ Bucket, Policy });
      await refused(w.sdk.createMultipartUpload({ Bucket, Key }), 403, 'AccessDenied');
      const part = { Bucket, Key, PartNumber: 1, Body: 'x', UploadId: before.UploadId };
      await refused(w.sdk.uploadPart(part), 403, 'AccessDenied');
      const own = { query: { uploadId: String(before.UploadId), partNumber: '1' } };
      const headers = { 'x-amz-server-side-encryption': algorithm };
      const claimed = await w.call('PUT', Bucket, Key, { ...own, headers, body: 'x' });
      isRefused(claimed, 403, 'AccessDenied');
      const wanted = { Bucket, Key, ServerSideEncryption: algorithm };
      const { UploadId } = await w.sdk.createMultipartUpload(wanted);
      const { ETag } = await w.sdk.uploadPart({ ...part, UploadId });
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
      await w.sdk.completeMultipartUpload({ Bucket, Key, UploadId, MultipartUpload });
      const head = await w.sdk.headObject({ Bucket, Key });
      assert.equal(head.ServerSideEncryption, algorithm);
    },
  ),
  'SSE-C and SSE-S3 together are InvalidArgument': async (w) => {
    const headers = { ...customer(), 'x-amz-server-side-encryption': 'AES256' };
    const reply = await w.call('PUT', await w.bucket(), 'k', { body: 'x', headers });
    isRefused(reply, 400, 'InvalidArgument');
  },
});
