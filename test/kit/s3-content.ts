import { createHash } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import type { S3Server } from './s3-start.ts';

/** Bytes that follow from a name and a length. */
export function bytesOf(name: string, size: number): Buffer {
  const seed = createHash('sha256').update(name).digest();
  const bytes = Buffer.alloc(size, seed);
  if (size >= 4) bytes.writeUInt32BE(size, size - 4);
  return bytes;
}

/** A client of a server that has a new bucket. */
export async function make(server: S3Server, Bucket: string): Promise<aws.S3Client> {
  const s3 = server.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
  return s3;
}

/** In parts of the given lengths. */
export async function putParts(
  s3: aws.S3Client,
  Bucket: string,
  Key: string,
  sizes: readonly number[],
) {
  const place = { Bucket, Key };
  const { UploadId } = await s3.send(
    new aws.CreateMultipartUploadCommand({ ...place, Metadata: { of: 'parts' } }),
  );
  const Parts: aws.CompletedPart[] = [];
  for (const [i, size] of sizes.entries()) {
    const PartNumber = i + 1;
    const Body = bytesOf(`${Key} ${i}`, size);
    const sent = { ...place, UploadId, PartNumber, Body };
    Parts.push({ PartNumber, ETag: (await s3.send(new aws.UploadPartCommand(sent))).ETag });
  }
  const all = { ...place, UploadId, MultipartUpload: { Parts } };
  await s3.send(new aws.CompleteMultipartUploadCommand(all));
}

export async function read(s3: aws.S3Client, Bucket: string, Key: string, VersionId?: string) {
  const got = await s3.send(new aws.GetObjectCommand({ Bucket, Key, VersionId }));
  const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
  const { ETag, ContentType, CacheControl, ContentEncoding, ContentDisposition, Metadata } = got;
  const headers = { ContentType, CacheControl, ContentEncoding, ContentDisposition, Metadata };
  return { md5: createHash('md5').update(bytes).digest('hex'), size: bytes.length, ETag, headers };
}

export async function keysIn(s3: aws.S3Client, Bucket: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of aws.paginateListObjectsV2({ client: s3 }, { Bucket })) {
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key as string));
  }
  return keys;
}

export async function uploadsIn(s3: aws.S3Client, Bucket: string): Promise<number> {
  return (await s3.send(new aws.ListMultipartUploadsCommand({ Bucket }))).Uploads?.length ?? 0;
}
