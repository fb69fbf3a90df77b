import { createHash } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refused, type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;
const Bucket = 'uploads';
const MIB = 1024 * 1024;

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
});
afterAll(() => server.stop());

const begin = async (Key: string, more: object = {}): Promise<string> => {
  const made = await s3.send(new aws.CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return made.UploadId as string;
};
const part = (Key: string, UploadId: string, PartNumber: number, Body: Buffer, more: object = {}) =>
  s3.send(new aws.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }));
const complete = (Key: string, UploadId: string, Parts: aws.CompletedPart[], more: object = {}) =>
  s3.send(
    new aws.CompleteMultipartUploadCommand({
      ...{ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more },
    }),
  );
const read = async (Key: string, more: object = {}) => {
  const { Body } = await s3.send(new aws.GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};

describe('multipart uploads', () => {
  it('lib-storage uploads a stream in parts', async () => {
    const bytes = Buffer.alloc(11 * MIB, '0123456789');
    const upload = new Upload({
      client: s3,
      params: { Bucket, Key: 'lib', Body: bytes },
      partSize: 5 * MIB,
    });
    const done = await upload.done();
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    expect((await read('lib')).equals(bytes)).toBe(true);
    const second = await s3.send(new aws.GetObjectCommand({ Bucket, Key: 'lib', PartNumber: 2 }));
    expect(second).toMatchObject({
      ...{ ContentLength: 5 * MIB, PartsCount: 3 },
      ContentRange: `bytes ${5 * MIB}-${10 * MIB - 1}/${11 * MIB}`,
    });
    second.Body?.transformToByteArray();
  });

  it('are listed with their parts, completed, and completed again', async () => {
    const UploadId = await begin('k', { Metadata: { a: 'b' } });
    const first = Buffer.alloc(5 * MIB, 'a');
    const last = Buffer.from('the end');
    const { ETag: one } = await part('k', UploadId, 1, first);
    const { ETag: two } = await part('k', UploadId, 7, last);
    const parts = await s3.send(
      new aws.ListPartsCommand({ Bucket, Key: 'k', UploadId, MaxParts: 1 }),
    );
    expect(parts).toMatchObject({ IsTruncated: true, NextPartNumberMarker: '1' });
    expect(parts.Parts).toMatchObject([{ PartNumber: 1, Size: 5 * MIB, ETag: one }]);
    const listed = await s3.send(new aws.ListMultipartUploadsCommand({ Bucket }));
    expect(listed.Uploads).toMatchObject([{ Key: 'k', UploadId }]);
    const Parts = [
      { PartNumber: 1, ETag: one },
      { PartNumber: 7, ETag: two },
    ];
    const wrong = complete('k', UploadId, [{ PartNumber: 2, ETag: one }]);
    expect(await refused(wrong)).toEqual({ name: 'InvalidPart', status: 400 });
    const done = await complete('k', UploadId, Parts);
    expect((await complete('k', UploadId, Parts)).ETag).toBe(done.ETag);
    expect((await read('k')).equals(Buffer.concat([first, last]))).toBe(true);
    const head = await s3.send(new aws.HeadObjectCommand({ Bucket, Key: 'k' }));
    expect(head).toMatchObject({ Metadata: { a: 'b' }, ETag: done.ETag });
    const late = part('k', UploadId, 2, last);
    expect(await refused(late)).toEqual({ name: 'NoSuchUpload', status: 404 });
  });

  it('parts that are too small, and conditions at the end', async () => {
    const UploadId = await begin('small');
    const Parts = [];
    for (const PartNumber of [1, 2]) {
      const { ETag } = await part('small', UploadId, PartNumber, Buffer.from('x'));
      Parts.push({ PartNumber, ETag });
    }
    const whole = complete('small', UploadId, Parts);
    expect(await refused(whole)).toEqual({ name: 'EntityTooSmall', status: 400 });
    const one = Parts.slice(0, 1);
    const unmet = complete('small', UploadId, one, { IfMatch: '"0"' });
    expect(await refused(unmet)).toEqual({ name: 'NoSuchKey', status: 404 });
    await complete('small', UploadId, one, { IfNoneMatch: '*' });
    const again = await begin('small');
    const { ETag } = await part('small', again, 1, Buffer.from('y'));
    const raced = complete('small', again, [{ PartNumber: 1, ETag }], { IfNoneMatch: '*' });
    expect(await refused(raced)).toEqual({ name: 'PreconditionFailed', status: 412 });
  });

  it('composite and full checksums are made of the parts', async () => {
    const bytes = Buffer.alloc(5 * MIB, 'c');
    const tail = Buffer.from('tail');
    for (const [ChecksumAlgorithm, ChecksumType, pattern] of [
      ['SHA256', 'COMPOSITE', /-2$/],
      ['CRC64NVME', 'FULL_OBJECT', /^[^-]+$/],
      ['CRC32', 'FULL_OBJECT', /^[^-]+$/],
    ] as const) {
      const Key = `sum-${ChecksumAlgorithm}`;
      const UploadId = await begin(Key, { ChecksumAlgorithm, ChecksumType });
      const a = await part(Key, UploadId, 1, bytes, { ChecksumAlgorithm });
      const b = await part(Key, UploadId, 2, tail, { ChecksumAlgorithm });
      const name = `Checksum${ChecksumAlgorithm}` as const;
      const Parts = [a, b].map((sent, at) => ({
        ...{ PartNumber: at + 1, ETag: sent.ETag, [name]: sent[name] },
      }));
      const done = await complete(Key, UploadId, Parts);
      expect(done[name]).toMatch(pattern);
      expect(done.ChecksumType).toBe(ChecksumType);
      const head = await s3.send(
        new aws.HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }),
      );
      expect(head[name]).toBe(done[name]);
    }
    const other = await begin('sum', { ChecksumAlgorithm: 'SHA256' });
    const sent = part('sum', other, 1, tail, { ChecksumAlgorithm: 'CRC32' });
    expect(await refused(sent)).toEqual({ name: 'InvalidRequest', status: 400 });
  });

  it('parts are copied from objects, by range', async () => {
    const bytes = Buffer.alloc(6 * MIB, 'abc');
    await s3.send(new aws.PutObjectCommand({ Bucket, Key: 'source', Body: bytes }));
    const UploadId = await begin('copied');
    const copy = (PartNumber: number, CopySourceRange: string) =>
      s3.send(
        new aws.UploadPartCopyCommand({
          ...{ Bucket, Key: 'copied', UploadId, PartNumber, CopySourceRange },
          CopySource: `${Bucket}/source`,
        }),
      );
    const one = await copy(1, `bytes=0-${5 * MIB - 1}`);
    const two = await copy(2, `bytes=${5 * MIB}-${6 * MIB - 1}`);
    expect(await refused(copy(3, `bytes=0-${6 * MIB}`))).toMatchObject({ status: 416 });
    await complete('copied', UploadId, [
      { PartNumber: 1, ETag: one.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: two.CopyPartResult?.ETag },
    ]);
    const hash = (b: Buffer) => createHash('sha256').update(b).digest('hex');
    expect(hash(await read('copied'))).toBe(hash(bytes));
  });

  it('are aborted', async () => {
    const UploadId = await begin('gone');
    await part('gone', UploadId, 1, Buffer.from('x'));
    const abort = () =>
      s3.send(new aws.AbortMultipartUploadCommand({ Bucket, Key: 'gone', UploadId }));
    await abort();
    expect(await refused(abort())).toEqual({ name: 'NoSuchUpload', status: 404 });
    const parts = s3.send(new aws.ListPartsCommand({ Bucket, Key: 'gone', UploadId }));
    expect(await refused(parts)).toEqual({ name: 'NoSuchUpload', status: 404 });
  });
});
