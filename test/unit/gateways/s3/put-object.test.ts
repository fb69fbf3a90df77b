import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import { ModelObjects } from '../../../kit/model-objects.ts';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: S3Client;
const Bucket = 'pictures';

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new CreateBucketCommand({ Bucket }));
});
afterAll(() => server.stop());

const md5 = (bytes: string | Uint8Array) => createHash('md5').update(bytes).digest('hex');

async function read(Key: string, more: object = {}): Promise<Buffer> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

describe('objects', () => {
  it('gives back what was put: bytes, headers, metadata, tags', async () => {
    const put = await s3.send(
      new PutObjectCommand({
        ...{ Bucket, Key: 'a/b c+é', Body: 'hello', ContentType: 'text/plain' },
        ...{ CacheControl: 'no-cache', ContentLanguage: 'de', ContentEncoding: 'identity' },
        ...{ Metadata: { color: 'blue', name: 'Zoë' }, Tagging: 'x=1&y=2' },
      }),
    );
    expect(put.ETag).toBe(`"${md5('hello')}"`);
    const got = await s3.send(
      new GetObjectCommand({ Bucket, Key: 'a/b c+é', ChecksumMode: 'ENABLED' }),
    );
    expect(await got.Body?.transformToString()).toBe('hello');
    expect(got).toMatchObject({
      ...{ ContentType: 'text/plain', CacheControl: 'no-cache', ContentLanguage: 'de' },
      ...{ ContentEncoding: 'identity', ContentLength: 5, ETag: put.ETag, TagCount: 2 },
      ...{ AcceptRanges: 'bytes', ChecksumCRC32: put.ChecksumCRC32 },
    });
    // The SDK writes headers as UTF-8 and reads them as latin1: the bytes are the same.
    const name = Buffer.from('Zoë').toString('latin1');
    expect(got.Metadata).toEqual({ color: 'blue', name });
  });

  it.each([0, 1, 65_536, 65_537, 3_000_000])(
    'takes %i bytes as a stream of chunks',
    async (size) => {
      const bytes = Buffer.alloc(size, 'abcdefg');
      const Body = Readable.from(size === 0 ? [] : [bytes.subarray(0, 7), bytes.subarray(7)]);
      const Key = `stream-${size}`;
      await s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentLength: size }));
      expect((await read(Key)).equals(bytes)).toBe(true);
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
      expect(head).toMatchObject({ ContentLength: size, ETag: `"${md5(bytes)}"` });
    },
  );

  it('gives ranges, also across chunks, and refuses those outside', async () => {
    const bytes = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => i % 251));
    await s3.send(new PutObjectCommand({ Bucket, Key: 'range', Body: bytes }));
    const part = await s3.send(
      new GetObjectCommand({ Bucket, Key: 'range', Range: 'bytes=1048570-1048585' }),
    );
    expect(part).toMatchObject({
      ...{ ContentLength: 16, ContentRange: 'bytes 1048570-1048585/2500000' },
      $metadata: { httpStatusCode: 206 },
    });
    const body = Buffer.from((await part.Body?.transformToByteArray()) ?? []);
    expect(body.equals(bytes.subarray(1_048_570, 1_048_586))).toBe(true);
    const tail = await read('range', { Range: 'bytes=-3' });
    expect(tail.equals(bytes.subarray(-3))).toBe(true);
    expect(await refused(read('range', { Range: 'bytes=2500000-' }))).toEqual({
      ...{ name: 'InvalidRange', status: 416 },
    });
    const raw = await fetch(`${server.url}/${Bucket}/range`, {
      headers: { range: 'bytes=2500000-' },
    });
    expect(raw.headers.get('content-range')).toBe('bytes */2500000');
    expect(await raw.text()).toContain('<ActualObjectSize>2500000</ActualObjectSize>');
  });

  it('answers conditions of reads', async () => {
    const { ETag = '' } = await s3.send(new PutObjectCommand({ Bucket, Key: 'cond', Body: 'x' }));
    expect(await read('cond', { IfMatch: ETag })).toHaveLength(1);
    const other = { IfMatch: '"0123"' };
    expect(await refused(read('cond', other))).toEqual({ name: 'PreconditionFailed', status: 412 });
    const unchanged = await fetch(`${server.url}/${Bucket}/cond`, {
      headers: { 'if-none-match': ETag },
    });
    expect(unchanged.status).toBe(304);
    expect(unchanged.headers.get('etag')).toBe(ETag);
    expect(await unchanged.text()).toBe('');
  });

  it('answers conditions of writes and deletes', async () => {
    const put = (more: object) =>
      s3.send(new PutObjectCommand({ Bucket, Key: 'lock', Body: 'y', ...more }));
    expect(await refused(put({ IfMatch: '*' }))).toEqual({ name: 'NoSuchKey', status: 404 });
    const { ETag } = await put({ IfNoneMatch: '*' });
    expect(await refused(put({ IfNoneMatch: '*' }))).toEqual({
      ...{ name: 'PreconditionFailed', status: 412 },
    });
    await put({ IfMatch: ETag });
    const remove = (IfMatch: string) =>
      s3.send(new DeleteObjectCommand({ Bucket, Key: 'lock', IfMatch }));
    expect((await refused(remove('"0123"'))).status).toBe(412);
    await remove(ETag ?? '');
    expect(await refused(read('lock'))).toEqual({ name: 'NoSuchKey', status: 404 });
  });

  it('one of many that race with If-None-Match wins', async () => {
    const racers = Array.from({ length: 20 }, async (_, at) => {
      const client = server.client();
      const Body = `racer ${at}`;
      const sent = client.send(
        new PutObjectCommand({ Bucket, Key: 'tf.tflock', Body, IfNoneMatch: '*' }),
      );
      return sent.then(
        () => 200,
        (error) => error.$metadata.httpStatusCode,
      );
    });
    const statuses = await Promise.all(racers);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 412)).toHaveLength(19);
  });

  it('overrides headers of answers for those who sign', async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key: 'over', Body: 'x' }));
    const got = await s3.send(
      new GetObjectCommand({
        ...{ Bucket, Key: 'over', ResponseContentType: 'text/html' },
        ResponseContentDisposition: 'attachment',
      }),
    );
    expect(got).toMatchObject({ ContentType: 'text/html', ContentDisposition: 'attachment' });
  });

  it('refuses digests that are not of the body, and keeps nothing of it', async () => {
    const put = (headers: Record<string, string>) =>
      fetch(`${server.url}/${Bucket}/digest`, { method: 'PUT', body: 'hello', headers });
    for (const headers of [
      { 'content-md5': createHash('md5').update('other').digest('base64') },
      { 'x-amz-checksum-crc32': 'AAAAAA==' },
      { 'x-amz-checksum-sha256': createHash('sha256').update('other').digest('base64') },
    ]) {
      const answer = await put(headers);
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain('<Code>BadDigest</Code>');
    }
    const wrong = await put({ 'x-amz-content-sha256': '0'.repeat(64) });
    expect(await wrong.text()).toContain('<Code>XAmzContentSHA256Mismatch</Code>');
    expect(await refused(read('digest'))).toEqual({ name: 'NoSuchKey', status: 404 });
  });

  it('copies, with directives, conditions and of itself', async () => {
    await s3.send(
      new PutObjectCommand({
        ...{ Bucket, Key: 'from', Body: 'copied', ContentType: 'text/css' },
        ...{ Metadata: { a: '1' }, Tagging: 't=1' },
      }),
    );
    const CopySource = `${Bucket}/from`;
    const copy = (more: object) =>
      s3.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource, ...more }));
    const done = await copy({});
    expect(done.CopyObjectResult?.ETag).toBe(`"${md5('copied')}"`);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'to' }));
    expect(head).toMatchObject({ ContentType: 'text/css', Metadata: { a: '1' } });
    await copy({ MetadataDirective: 'REPLACE', Metadata: { b: '2' }, ContentType: 'text/plain' });
    const replaced = await s3.send(new HeadObjectCommand({ Bucket, Key: 'to' }));
    expect(replaced).toMatchObject({ ContentType: 'text/plain', Metadata: { b: '2' } });
    const itself = copy({ Key: 'from' });
    expect(await refused(itself)).toEqual({ name: 'InvalidRequest', status: 400 });
    const stale = copy({ CopySourceIfMatch: '"0"' });
    expect(await refused(stale)).toEqual({ name: 'PreconditionFailed', status: 412 });
    const missing = copy({ CopySource: `${Bucket}/none` });
    expect(await refused(missing)).toEqual({ name: 'NoSuchKey', status: 404 });
  });

  it('deletes one and many, also what is not there', async () => {
    for (const Key of ['d1', 'd2']) {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    }
    const Objects = ['d1', 'd2', 'd3', 'k'.repeat(1025)].map((Key) => ({ Key }));
    const done = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(done.Deleted?.map(({ Key }) => Key)).toEqual(['d1', 'd2', 'd3']);
    expect(done.Errors).toMatchObject([{ Code: 'KeyTooLongError' }]);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'd1' }));
    expect(await refused(read('d1'))).toEqual({ name: 'NoSuchKey', status: 404 });
  });

  it('tells attributes', async () => {
    await s3.send(
      new PutObjectCommand({ Bucket, Key: 'attr', Body: 'abc', ChecksumAlgorithm: 'SHA256' }),
    );
    const found = await s3.send(
      new GetObjectAttributesCommand({
        ...{ Bucket, Key: 'attr' },
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass', 'ObjectParts'],
      }),
    );
    expect(found).toMatchObject({
      ...{ ETag: md5('abc'), ObjectSize: 3, StorageClass: 'STANDARD' },
      Checksum: {
        ChecksumSHA256: createHash('sha256').update('abc').digest('base64'),
        ChecksumType: 'FULL_OBJECT',
      },
    });
  });

  it('refuses what is not offered instead of passing over it', async () => {
    const put = s3.send(
      new PutObjectCommand({ Bucket, Key: 'sse', Body: 'x', ServerSideEncryption: 'aws:kms:dsse' }),
    );
    expect(await refused(put)).toEqual({ name: 'NotImplemented', status: 501 });
  });
});

describe('data that may be named', () => {
  const op = { Bucket, Key: 'doubtful', Body: Buffer.alloc(70_000) };
  const { apply, read: readOne } = ModelObjects.prototype;

  afterEach(() => {
    Object.assign(server.objects, { apply, read: readOne });
  });

  /** Puts while the store behaves like this; whether the data was given up. */
  async function isDiscarded(store: Partial<ModelObjects>): Promise<boolean> {
    Object.assign(server.objects, store);
    const before = server.objects.data.discarded.length;
    await expect(s3.send(new PutObjectCommand(op))).rejects.toThrow();
    return server.objects.data.discarded.length > before;
  }

  it('is given up where it was refused', async () => {
    const refusal = async () => ({ result: { type: 'no_such_bucket' } as const, clock: 1 });
    expect(await isDiscarded({ apply: refusal })).toBe(true);
    const full = () => Promise.reject(new AppError('storage_full', 'no room'));
    expect(await isDiscarded({ apply: full })).toBe(true);
  });

  it('stays where nobody knows what became of it, or something broke', async () => {
    const unknown = () => Promise.reject(new AppError('outcome_unknown', 'no answer'));
    expect(await isDiscarded({ apply: unknown })).toBe(false);
    const broken = () => Promise.reject(new TypeError('a flaw of ours'));
    expect(await isDiscarded({ apply: broken })).toBe(false);
  });

  it('stays where it is named already, also when that cannot be read', async () => {
    const taken = async () => ({ result: { type: 'data_taken' } as const, clock: 1 });
    const away = () => Promise.reject(new AppError('unavailable', 'no leader'));
    expect(await isDiscarded({ apply: taken, read: away })).toBe(false);
  });
});
