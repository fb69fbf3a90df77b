import { createHash, randomBytes } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Call } from '../../../../gateways/s3/call.ts';
import { checkLink } from '../../../../gateways/s3/object-encryption.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;
const Bucket = 'sealed';
const MIB = 1024 * 1024;

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
});
afterAll(() => server.stop());

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64');

function withKey(key: Buffer) {
  return {
    SSECustomerAlgorithm: 'AES256',
    SSECustomerKey: key.toString('base64'),
    SSECustomerKeyMD5: md5(key),
  };
}

function sourceKey(key: Buffer) {
  return {
    CopySourceSSECustomerAlgorithm: 'AES256',
    CopySourceSSECustomerKey: key.toString('base64'),
    CopySourceSSECustomerKeyMD5: md5(key),
  };
}

const KEY = randomBytes(32);
const put = (Key: string, Body: Buffer, more: object = withKey(KEY)) =>
  s3.send(new aws.PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = (Key: string, more: object = withKey(KEY)) =>
  s3.send(new aws.GetObjectCommand({ Bucket, Key, ...more }));
const read = async (Key: string, more: object = withKey(KEY)) =>
  Buffer.from((await (await get(Key, more)).Body?.transformToByteArray()) ?? []);
const stored = async (Key: string) => {
  const ref = { tenant: 'default', space: Bucket, key: Key };
  const found = await server.objects.read({}, ref, { versionId: null });
  if (found.type === 'none') throw new Error('it is not there');
  return found.version;
};

describe('SSE-C', () => {
  it('gives back what was put, in ranges too, inline and in chunks', async () => {
    for (const size of [0, 1, 1000, 65_520, 65_536, 65_537, 3 * MIB + 7]) {
      const body = randomBytes(size);
      const made = await put(`k${size}`, body);
      expect(made).toMatchObject({ SSECustomerAlgorithm: 'AES256', SSECustomerKeyMD5: md5(KEY) });
      expect((await read(`k${size}`)).equals(body)).toBe(true);
      const head = await s3.send(
        new aws.HeadObjectCommand({ Bucket, Key: `k${size}`, ...withKey(KEY) }),
      );
      expect(head).toMatchObject({ ContentLength: size, SSECustomerKeyMD5: md5(KEY) });
      expect(head.ETag).toBe(made.ETag);
      for (const [first, last] of [
        [0, 0],
        [15, 17],
        [65_530, 65_545],
        [size - 5, size - 1],
      ] as const) {
        if (first < 0 || last >= size) continue;
        const Range = `bytes=${first}-${last}`;
        const part = await read(`k${size}`, { ...withKey(KEY), Range });
        expect(part.equals(body.subarray(first, last + 1))).toBe(true);
      }
    }
  });

  it('keeps neither the bytes nor the key, nor an MD5 of either', async () => {
    const body = Buffer.from('a secret that is in no other place '.repeat(20));
    const { ETag } = await put('kept', body);
    const version = await stored('kept');
    const all = Buffer.concat([version.inline, version.record.head.encryption] as Uint8Array[]);
    expect(all.length).toBeGreaterThan(body.length);
    expect(all.includes('a secret')).toBe(false);
    expect(all.includes(KEY)).toBe(false);
    expect(all.includes(Buffer.from(md5(KEY), 'base64'))).toBe(false);
    expect(ETag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(ETag).not.toBe(`"${createHash('md5').update(body).digest('hex')}"`);
    // The same again is not seen to be the same.
    expect((await put('again', body)).ETag).not.toBe(ETag);
  });

  it('wants the key, and this one', async () => {
    await put('wanted', Buffer.from('x'));
    expect(await refused(get('wanted', {}))).toEqual({ name: 'InvalidRequest', status: 400 });
    const other = withKey(randomBytes(32));
    expect(await refused(get('wanted', other))).toEqual({ name: 'AccessDenied', status: 403 });
    const attributes = (more: object) =>
      s3.send(
        new aws.GetObjectAttributesCommand({
          ...{ Bucket, Key: 'wanted', ObjectAttributes: ['ObjectSize' as const], ...more },
        }),
      );
    expect((await refused(attributes({}))).status).toBe(400);
    expect((await refused(attributes(other))).status).toBe(403);
    expect(await attributes(withKey(KEY))).toMatchObject({ ObjectSize: 1 });
    await put('plain', Buffer.from('x'), {});
    expect(await refused(get('plain'))).toEqual({ name: 'InvalidRequest', status: 400 });
  });

  it('tells of damage, and shows none of it', async () => {
    const body = randomBytes(1000);
    await put('damaged', body);
    const { inline } = await stored('damaged');
    (inline as Buffer)[500] = ((inline as Buffer)[500] as number) ^ 1;
    expect(await refused(get('damaged'))).toMatchObject({ status: 500 });
  });

  it('copies from one key to another, to none and from none', async () => {
    const other = randomBytes(32);
    const body = randomBytes(200_000);
    await put('from', body);
    const copy = (Key: string, from: string, more: object) =>
      s3.send(new aws.CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${from}`, ...more }));
    const made = await copy('to', 'from', { ...sourceKey(KEY), ...withKey(other) });
    expect(made.SSECustomerKeyMD5).toBe(md5(other));
    expect((await read('to', withKey(other))).equals(body)).toBe(true);
    const bare = await copy('bare', 'to', sourceKey(other));
    expect(bare.CopyObjectResult?.ETag).toBe(`"${createHash('md5').update(body).digest('hex')}"`);
    expect((await read('bare', {})).equals(body)).toBe(true);
    await copy('back', 'bare', withKey(KEY));
    expect((await read('back')).equals(body)).toBe(true);
    // Onto itself, with another key.
    await copy('back', 'back', { ...sourceKey(KEY), ...withKey(other) });
    expect((await read('back', withKey(other))).equals(body)).toBe(true);
    expect(await refused(copy('x', 'from', {}))).toEqual({ name: 'InvalidRequest', status: 400 });
    expect((await refused(copy('x', 'from', sourceKey(other)))).status).toBe(403);
    expect((await refused(copy('x', 'bare', sourceKey(KEY)))).status).toBe(400);
  });

  it('holds for uploads: the key comes with each part', async () => {
    const body = randomBytes(11 * MIB);
    const params = { Bucket, Key: 'lib', Body: body, ...withKey(KEY) };
    const done = await new Upload({ client: s3, params, partSize: 5 * MIB }).done();
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    expect((await read('lib')).equals(body)).toBe(true);
    const Range = `bytes=${5 * MIB - 3}-${5 * MIB + 3}`;
    const middle = body.subarray(5 * MIB - 3, 5 * MIB + 4);
    expect((await read('lib', { ...withKey(KEY), Range })).equals(middle)).toBe(true);
    const second = await get('lib', { ...withKey(KEY), PartNumber: 2 });
    const bytes = Buffer.from((await second.Body?.transformToByteArray()) ?? []);
    expect(bytes.equals(body.subarray(5 * MIB, 10 * MIB))).toBe(true);

    const begun = await s3.send(
      new aws.CreateMultipartUploadCommand({ Bucket, Key: 'parts', ...withKey(KEY) }),
    );
    expect(begun.SSECustomerAlgorithm).toBe('AES256');
    const named = { Bucket, Key: 'parts', UploadId: begun.UploadId };
    const part = (more: object) =>
      s3.send(new aws.UploadPartCommand({ ...named, PartNumber: 1, Body: 'one', ...more }));
    expect(await refused(part({}))).toEqual({ name: 'InvalidRequest', status: 400 });
    expect(await refused(part(withKey(randomBytes(32))))).toEqual({
      ...{ name: 'InvalidRequest', status: 400 },
    });
    const range = { CopySource: `${Bucket}/lib`, CopySourceRange: `bytes=0-${5 * MIB}` };
    const copied = await s3.send(
      new aws.UploadPartCopyCommand({
        ...{ ...named, PartNumber: 1, ...range, ...sourceKey(KEY), ...withKey(KEY) },
      }),
    );
    expect(copied.SSECustomerAlgorithm).toBe('AES256');
    const last = await s3.send(
      new aws.UploadPartCommand({ ...named, PartNumber: 2, Body: 'end', ...withKey(KEY) }),
    );
    const Parts = [
      { PartNumber: 1, ETag: copied.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: last.ETag },
    ];
    await s3.send(new aws.CompleteMultipartUploadCommand({ ...named, MultipartUpload: { Parts } }));
    const whole = Buffer.concat([body.subarray(0, 5 * MIB + 1), Buffer.from('end')]);
    expect((await read('parts')).equals(whole)).toBe(true);

    const bare = await s3.send(new aws.CreateMultipartUploadCommand({ Bucket, Key: 'bare' }));
    const late = s3.send(
      new aws.UploadPartCommand({
        ...{ Bucket, Key: 'bare', UploadId: bare.UploadId, PartNumber: 1, Body: 'x' },
        ...withKey(KEY),
      }),
    );
    expect(await refused(late)).toEqual({ name: 'InvalidRequest', status: 400 });
  });

  it('takes form uploads', async () => {
    const form = new FormData();
    form.set('key', 'form');
    form.set('x-amz-server-side-encryption-customer-algorithm', 'AES256');
    form.set('x-amz-server-side-encryption-customer-key', KEY.toString('base64'));
    form.set('x-amz-server-side-encryption-customer-key-MD5', md5(KEY));
    form.set('file', new Blob(['from a form']), 'f');
    const sent = await fetch(`${server.url}/${Bucket}`, { method: 'POST', body: form });
    expect(sent.status).toBe(204);
    expect(sent.headers.get('x-amz-server-side-encryption-customer-algorithm')).toBe('AES256');
    expect((await read('form')).toString()).toBe('from a form');
    expect((await refused(get('form', {}))).status).toBe(400);
  });

  it('comes over a link that nobody else reads, or that is trusted', () => {
    const from = (address: string, customerKeysOverHttp = false, isSecure = false) => {
      const edge = { config: { customerKeysOverHttp } };
      const call = { edge, sender: { isSecure }, remoteAddress: () => address };
      return () => checkLink(call as unknown as Call);
    };
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) {
      expect(from(address)).not.toThrow();
    }
    for (const address of ['', '10.0.0.7', '::ffff:10.0.0.7', 'fe80::1', '2001:db8::127.0.0.1']) {
      expect(from(address)).toThrow('must be made over a secure connection');
      expect(from(address, true)).not.toThrow();
      expect(from(address, false, true)).not.toThrow();
    }
  });

  it('reads take no header of SSE-S3', async () => {
    await put('plain', Buffer.from('x'), {});
    const headers = { 'x-amz-server-side-encryption': 'AES256' };
    const got = await fetch(`${server.url}/${Bucket}/plain`, { headers });
    expect(got.status).toBe(400);
    expect(await got.text()).toContain('<Code>InvalidArgument</Code>');
  });
});
