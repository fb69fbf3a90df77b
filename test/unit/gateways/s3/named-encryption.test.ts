import { createHash, randomBytes } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;
const Bucket = 'named';
const MIB = 1024 * 1024;
const CTX = { deadlineMs: 1000, traceparent: null, idempotency: null };

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
});
afterAll(() => server.stop());

const put = (Key: string, Body: Buffer, more: object = {}, bucket = Bucket) =>
  s3.send(new aws.PutObjectCommand({ Bucket: bucket, Key, Body, ...more }));
const get = (Key: string, more: object = {}, bucket = Bucket) =>
  s3.send(new aws.GetObjectCommand({ Bucket: bucket, Key, ...more }));
const read = async (Key: string, more: object = {}, bucket = Bucket) =>
  Buffer.from((await (await get(Key, more, bucket)).Body?.transformToByteArray()) ?? []);
const quotedMd5 = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`;
const SSE_S3 = { ServerSideEncryption: 'AES256' } as const;
const KMS = { ServerSideEncryption: 'aws:kms' } as const;

describe('SSE-S3 and SSE-KMS', () => {
  it('give back what was put, say how it is kept, and keep none of it in clear', async () => {
    for (const [name, how, shown] of [
      ['s3', SSE_S3, SSE_S3],
      ['kms', KMS, { ...KMS, SSEKMSKeyId: 'aws/s3' }],
    ] as const) {
      for (const size of [0, 1000, 65_537, 2 * MIB]) {
        const body = Buffer.alloc(size, 'not to be seen anywhere ');
        const made = await put(`${name}${size}`, body, how);
        expect(made).toMatchObject(shown);
        expect(made.ETag === quotedMd5(body)).toBe(name === 's3');
        const got = await get(`${name}${size}`);
        expect(got).toMatchObject({ ...shown, ETag: made.ETag, ContentLength: size });
        const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
        expect(bytes.equals(body)).toBe(true);
        if (size < 1000) continue;
        const Range = 'bytes=100-222';
        expect((await read(`${name}${size}`, { Range })).equals(body.subarray(100, 223))).toBe(
          true,
        );
        const ref = { tenant: 'default', space: Bucket, key: `${name}${size}` };
        const found = await server.objects.read({}, ref, { versionId: null });
        const inline = found.type === 'found' ? found.version.inline : null;
        if (inline !== null) expect(Buffer.from(inline).includes('not to be')).toBe(false);
      }
    }
  });

  it('take a key by its name, alias or ARN, and refuse one that is not there', async () => {
    await server.keys.create(CTX, 'mine');
    const names = ['mine', 'alias/mine', 'arn:aws:kms:us-east-1:000000000000:key/mine'];
    for (const SSEKMSKeyId of names) {
      const made = await put('k', Buffer.from('x'), { ...KMS, SSEKMSKeyId });
      expect(made.SSEKMSKeyId).toBe('mine');
    }
    for (const SSEKMSKeyId of ['none', 'sse-s3', 'a b', 'arn:aws:kms:::key/']) {
      const sent = put('k', Buffer.from('x'), { ...KMS, SSEKMSKeyId });
      expect(await refused(sent)).toEqual({ name: 'KMS.NotFoundException', status: 400 });
    }
    const twice = put('k', Buffer.from('x'), { ServerSideEncryption: 'aws:kms:dsse' });
    expect((await refused(twice)).status).toBe(501);
  });

  it('stay readable after a rotation, and not while the key is disabled', async () => {
    await server.keys.create(CTX, 'turned');
    const mine = { ...KMS, SSEKMSKeyId: 'turned' };
    await put('before', Buffer.from('one'), mine);
    await server.keys.rotate(CTX, 'turned');
    await put('after', Buffer.from('two'), mine);
    expect((await read('before')).toString()).toBe('one');
    expect((await read('after')).toString()).toBe('two');
    await server.keys.setState(CTX, 'turned', 'disabled');
    const disabled = { name: 'KMS.DisabledException', status: 400 };
    expect(await refused(get('before'))).toEqual(disabled);
    expect(await refused(put('k', Buffer.from('x'), mine))).toEqual(disabled);
    await server.keys.setState(CTX, 'turned', 'enabled');
    expect((await read('before')).toString()).toBe('one');
  });

  it('say again the context and the bucket key', async () => {
    const SSEKMSEncryptionContext = Buffer.from('{"who":"me"}').toString('base64');
    const more = { ...KMS, SSEKMSEncryptionContext, BucketKeyEnabled: true };
    expect(await put('context', Buffer.from('x'), more)).toMatchObject({
      ...{ SSEKMSEncryptionContext, BucketKeyEnabled: true },
    });
    const head = await s3.send(new aws.HeadObjectCommand({ Bucket, Key: 'context' }));
    expect(head).toMatchObject({ ...KMS, BucketKeyEnabled: true });
    expect((await read('context')).toString()).toBe('x');
  });

  it('do not open as another object', async () => {
    await put('one', Buffer.from('of one'), SSE_S3);
    await put('two', Buffer.from('of two'), SSE_S3);
    const at = async (key: string) => {
      const ref = { tenant: 'default', space: Bucket, key };
      const found = await server.objects.read({}, ref, { versionId: null });
      if (found.type === 'none') throw new Error('it is not there');
      return found.version.record.head as { encryption: Uint8Array | null };
    };
    (await at('one')).encryption = (await at('two')).encryption;
    expect(await refused(get('one'))).toEqual({ name: 'AccessDenied', status: 403 });
    expect((await read('two')).toString()).toBe('of two');
  });

  it('copies are encrypted as they ask, not as their source', async () => {
    const body = randomBytes(100_000);
    await put('source', body, KMS);
    const copy = (Key: string, more: object) =>
      s3.send(new aws.CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/source`, ...more }));
    expect(await copy('bare', {})).not.toHaveProperty('ServerSideEncryption', 'aws:kms');
    expect(await copy('sealed', SSE_S3)).toMatchObject(SSE_S3);
    for (const key of ['bare', 'sealed']) expect((await read(key)).equals(body)).toBe(true);
    expect(await copy('source', SSE_S3)).toMatchObject(SSE_S3);
    expect((await read('source')).equals(body)).toBe(true);
  });

  it('uploads in parts keep what they were begun with', async () => {
    const body = randomBytes(6 * MIB);
    const params = { Bucket, Key: 'parts', Body: body, ...KMS };
    const done = await new Upload({ client: s3, params, partSize: 5 * MIB }).done();
    expect(done).toMatchObject({ ...KMS, SSEKMSKeyId: 'aws/s3' });
    expect((await read('parts')).equals(body)).toBe(true);
    const begun = await s3.send(
      new aws.CreateMultipartUploadCommand({ Bucket, Key: 'more', ...SSE_S3 }),
    );
    const part = await s3.send(
      new aws.UploadPartCommand({
        ...{ Bucket, Key: 'more', UploadId: begun.UploadId, PartNumber: 1, Body: 'x' },
      }),
    );
    expect(part).toMatchObject({ ...SSE_S3, ETag: quotedMd5(Buffer.from('x')) });
  });

  it('anonymous readers get none of what a named key locks', async () => {
    const other = await startS3Server({ allowUnsigned: false });
    const client = other.client();
    await client.send(new aws.CreateBucketCommand({ Bucket }));
    const open = { Bucket, ACL: 'public-read' as const, Body: 'x' };
    await client.send(new aws.PutObjectCommand({ ...open, Key: 'kms', ...KMS } as never));
    await client.send(new aws.PutObjectCommand({ ...open, Key: 's3', ...SSE_S3 } as never));
    const locked = await fetch(`${other.url}/${Bucket}/kms`);
    expect([locked.status, (await locked.text()).includes('InvalidArgument')]).toEqual([400, true]);
    expect(await (await fetch(`${other.url}/${Bucket}/s3`)).text()).toBe('x');
    await other.stop();
  });
});

describe('/admin/encryption-keys', () => {
  const PATH = '/admin/encryption-keys';
  const send = async (method: string, path: string) => {
    const answer = await fetch(`${server.httpUrl}${PATH}${path}`, { method });
    return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
  };

  it('makes, lists, rotates and disables keys, and shows none', async () => {
    const made = await send('PUT', '/team%2Fa');
    expect(made).toMatchObject({
      status: 200,
      json: { id: 'team/a', state: 'enabled', version: 1 },
    });
    expect((await send('POST', '/team%2Fa/rotate')).json).toMatchObject({ version: 2 });
    expect((await send('PUT', '/team%2Fa')).json).toMatchObject({ version: 2 });
    expect((await send('POST', '/team%2Fa/disable')).json).toMatchObject({ state: 'disabled' });
    expect((await send('POST', '/team%2Fa/enable')).json).toMatchObject({ state: 'enabled' });
    const { keys } = (await send('GET', '')).json as { keys: object[] };
    const team = keys.find((key) => (key as { id: string }).id === 'team/a');
    expect(Object.keys(team ?? {}).sort()).toEqual(['createdAtMs', 'id', 'state', 'version']);
    expect((await send('POST', '/rewrap')).json).toMatchObject({ rewrapped: 0 });
    expect((await send('POST', '/none/rotate')).status).toBe(404);
    expect((await send('PUT', '/a%20b')).status).toBe(400);
  });
});

describe('default encryption of a bucket', () => {
  const withDefault = async (bucket: string, rule: object) => {
    await s3.send(new aws.CreateBucketCommand({ Bucket: bucket }));
    await s3.send(
      new aws.PutBucketEncryptionCommand({
        Bucket: bucket,
        ServerSideEncryptionConfiguration: { Rules: [rule as aws.ServerSideEncryptionRule] },
      }),
    );
  };
  const byDefault = (SSEAlgorithm: string, more: object = {}) => ({
    ApplyServerSideEncryptionByDefault: { SSEAlgorithm, ...more },
  });

  it('holds for puts, copies, forms and uploads that ask for nothing', async () => {
    const bucket = 'defaults';
    await withDefault(bucket, byDefault('AES256'));
    expect(await put('k', Buffer.from('x'), {}, bucket)).toMatchObject(SSE_S3);
    const copied = await s3.send(
      new aws.CopyObjectCommand({ Bucket: bucket, Key: 'c', CopySource: `${bucket}/k` }),
    );
    expect(copied).toMatchObject(SSE_S3);
    const begun = await s3.send(new aws.CreateMultipartUploadCommand({ Bucket: bucket, Key: 'm' }));
    expect(begun).toMatchObject(SSE_S3);
    const form = new FormData();
    form.set('key', 'form');
    form.set('file', new Blob(['y']), 'f');
    const sent = await fetch(`${server.url}/${bucket}`, { method: 'POST', body: form });
    expect(sent.headers.get('x-amz-server-side-encryption')).toBe('AES256');
    expect(await put('k', Buffer.from('x'), KMS, bucket)).toMatchObject(KMS);
    await s3.send(new aws.DeleteBucketEncryptionCommand({ Bucket: bucket }));
    expect(await put('k', Buffer.from('x'), {}, bucket)).not.toHaveProperty(
      'ServerSideEncryption',
      'AES256',
    );
    expect((await read('form', {}, bucket)).toString()).toBe('y');
  });

  it('names a key and turns bucket keys on', async () => {
    const bucket = 'with-key';
    await server.keys.create(CTX, 'of-bucket');
    await withDefault(bucket, {
      ...byDefault('aws:kms', { KMSMasterKeyID: 'of-bucket' }),
      BucketKeyEnabled: true,
    });
    const shown = { ...KMS, SSEKMSKeyId: 'of-bucket', BucketKeyEnabled: true };
    expect(await put('k', Buffer.from('x'), {}, bucket)).toMatchObject(shown);
    expect(await put('k', Buffer.from('x'), KMS, bucket)).toMatchObject(shown);
    const off = await put('k', Buffer.from('x'), { ...KMS, BucketKeyEnabled: false }, bucket);
    expect(off.BucketKeyEnabled).not.toBe(true);
    expect(off.SSEKMSKeyId).toBe('of-bucket');
    const own = await put('k', Buffer.from('x'), SSE_S3, bucket);
    expect(own.SSEKMSKeyId).toBeUndefined();
  });

  it('may block keys of customers', async () => {
    const bucket = 'blocking';
    await withDefault(bucket, {
      ...byDefault('AES256'),
      BlockedEncryptionTypes: { EncryptionType: ['SSE-C'] },
    });
    const key = randomBytes(32);
    const sent = put(
      'k',
      Buffer.from('x'),
      {
        ...{ SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64') },
        SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
      },
      bucket,
    );
    expect(await refused(sent)).toEqual({ name: 'AccessDenied', status: 403 });
  });

  it('is refused where nothing would act on it', async () => {
    const twice = withDefault('twice', byDefault('aws:kms:dsse'));
    expect((await refused(twice)).status).toBe(501);
    const nameless = withDefault('nameless', byDefault('aws:kms', { KMSMasterKeyID: 'a b' }));
    expect((await refused(nameless)).name).toBe('KMS.NotFoundException');
  });
});
