import { createReadStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Client, CopyConditions, S3Error } from 'minio';
import { getAsWritten, KEY_NAMES } from './key-names.ts';
import { REGION, type Store } from './store.ts';
import { bytesOf, expectEqual } from './tree.ts';

/** MinIO's client for JavaScript, in what programs call of it. */
export function minioClient(store: Store, i: number): Client {
  const { hostname, port } = new URL(store.endpoints[i % store.endpoints.length]!);
  const { accessKey, secretKey } = store;
  return new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey,
    secretKey,
  });
}

const BUCKET = 'minio-js';

export async function checkMinioJs(store: Store, folder: string): Promise<void> {
  const client = minioClient(store, 0);
  expectEqual(await client.bucketExists(BUCKET), false, 'whether the bucket is there before');
  await client.makeBucket(BUCKET, REGION);
  expectEqual(await client.bucketExists(BUCKET), true, 'whether the bucket is there');
  const buckets = await client.listBuckets();
  expectEqual(
    buckets.some(({ name }) => name === BUCKET),
    true,
    'the list of buckets has it',
  );
  await checkObjects(store, client);
  await checkFiles(client, folder);
  await checkKeyNames(client);
  await checkSettings(client);
  await checkLocks(client);
  const names = await keysOf(client, '');
  await client.removeObjects(BUCKET, names);
  await client.removeBucket(BUCKET);
}

async function checkObjects(store: Store, client: Client): Promise<void> {
  const meta = { 'Content-Type': 'text/x-test', 'X-Amz-Meta-Color': 'green' };
  const put = await client.putObject(BUCKET, 'small', 'hello minikv', undefined, meta);
  const stat = await minioClient(store, 1).statObject(BUCKET, 'small');
  expectEqual(stat.size, 12, 'the size');
  expectEqual(stat.etag, put.etag, 'the ETag');
  expectEqual(stat.metaData['color'], 'green', 'metadata');
  expectEqual(stat.metaData['content-type'], 'text/x-test', 'the content type');
  const part = await buffer(await client.getPartialObject(BUCKET, 'small', 6, 3));
  expectEqual(part.toString(), 'min', 'a range');

  // A stream of unknown length goes in parts, after a look for an upload that was begun before.
  const bytes = bytesOf('minio-js', 17 * 1024 * 1024 + 3);
  await client.putObject(BUCKET, 'streamed', Readable.from(pieces(bytes)));
  const back = await buffer(await minioClient(store, 2).getObject(BUCKET, 'streamed'));
  expectEqual(back.equals(bytes), true, 'a stream comes back');

  const conditions = new CopyConditions();
  conditions.setMatchETag(put.etag);
  await client.copyObject(BUCKET, 'copied', `/${BUCKET}/small`, conditions);
  conditions.setMatchETag('00000000000000000000000000000000');
  const refused = await client
    .copyObject(BUCKET, 'copied', `/${BUCKET}/small`, conditions)
    .catch((error: unknown) => error);
  expectEqual(
    refused instanceof S3Error && refused.code,
    'PreconditionFailed',
    'a copy of another',
  );
  const absent = await client.statObject(BUCKET, 'absent').catch((error: unknown) => error);
  expectEqual(absent instanceof S3Error && absent.code, 'NotFound', 'what is not there');
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let i = 0; i < bytes.length; i += 100_000) yield bytes.subarray(i, i + 100_000);
}

async function checkFiles(client: Client, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [from, back] = [join(folder, 'from.bin'), join(folder, 'back.bin')];
  writeFileSync(from, bytesOf('a file', 9 * 1024 * 1024));
  await client.fPutObject(BUCKET, 'file', from);
  await client.fGetObject(BUCKET, 'file', back);
  expectEqual(readFileSync(back).equals(readFileSync(from)), true, 'a file comes back');
  const url = await client.presignedPutObject(BUCKET, 'by url', 60);
  const body = Readable.toWeb(createReadStream(from)) as ReadableStream;
  const length = { 'content-length': String(9 * 1024 * 1024) };
  const sent = await fetch(url, { method: 'PUT', body, headers: length, duplex: 'half' });
  expectEqual(sent.status, 200, 'a presigned PUT');
  const policy = client.newPostPolicy();
  policy.setBucket(BUCKET);
  policy.setKey('by form');
  policy.setExpires(new Date(Date.now() + 60_000));
  policy.setContentLengthRange(1, 1024);
  const { postURL, formData } = await client.presignedPostPolicy(policy);
  const form = new FormData();
  for (const [name, value] of Object.entries(formData)) form.append(name, String(value));
  form.append('file', new Blob(['in a form']), 'file');
  const posted = await fetch(postURL, { method: 'POST', body: form });
  expectEqual(posted.status, 204, 'a form');
}

async function checkKeyNames(client: Client): Promise<void> {
  const prefix = 'names/';
  for (const name of KEY_NAMES.map((key) => nameIn(prefix, key))) {
    await client.putObject(BUCKET, name, name);
    const back = await buffer(await client.getObject(BUCKET, name));
    expectEqual(back.toString(), name, 'what a key holds');
    const answer = await getAsWritten(await client.presignedGetObject(BUCKET, name, 60));
    expectEqual(answer.status, 200, `a presigned GET of ${name}`);
    expectEqual(answer.bytes.toString(), name, 'what a presigned GET brings');
  }
  const wanted = KEY_NAMES.map((key) => nameIn(prefix, key)).filter((key) =>
    key.startsWith(prefix),
  );
  const listed = await keysOf(client, prefix);
  expectEqual(listed.sort().join('\n'), wanted.sort().join('\n'), 'listed keys');
}

/** Within the limit of 1,024 bytes. */
function nameIn(prefix: string, key: string): string {
  return key.length > 1000 ? key : `${prefix}${key}`;
}

async function keysOf(client: Client, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const item of client.listObjectsV2(BUCKET, prefix, true)) keys.push(item.name);
  return keys;
}

async function checkSettings(client: Client): Promise<void> {
  await client.setBucketTagging(BUCKET, { team: 'red' });
  const tags = await client.getBucketTagging(BUCKET);
  expectEqual(JSON.stringify(tags), '[{"Key":"team","Value":"red"}]', "a bucket's tags");
  await client.setObjectTagging(BUCKET, 'small', { kind: 'greeting' });
  const own = await client.getObjectTagging(BUCKET, 'small');
  expectEqual(JSON.stringify(own), '[{"Key":"kind","Value":"greeting"}]', "an object's tags");
  const statement = {
    ...{ Sid: 'read', Effect: 'Allow', Principal: { AWS: ['*'] }, Action: ['s3:GetObject'] },
    Resource: [`arn:aws:s3:::${BUCKET}/*`],
  };
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await client.setBucketPolicy(BUCKET, policy);
  expectEqual(await client.getBucketPolicy(BUCKET), policy, 'a policy');
  await client.setBucketPolicy(BUCKET, '');
  const expiry = { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'old/' } };
  const rule = { ...expiry, Expiration: { Days: 30 } };
  await client.setBucketLifecycle(BUCKET, { Rule: [rule] });
  const rules = JSON.stringify(await client.getBucketLifecycle(BUCKET));
  expectEqual(rules.includes('"Days":30'), true, `a lifecycle rule in ${rules}`);
  await client.removeBucketLifecycle(BUCKET);
  await client.setBucketEncryption(BUCKET);
  const encryption = JSON.stringify(await client.getBucketEncryption(BUCKET));
  expectEqual(encryption.includes('AES256'), true, `encryption in ${encryption}`);
  await client.removeBucketEncryption(BUCKET);
}

/** Retention by governance, which its owner may take away again; a legal hold. */
async function checkLocks(client: Client): Promise<void> {
  const bucket = `${BUCKET}-locked`;
  await client.makeBucket(bucket, REGION, { ObjectLocking: true });
  expectEqual((await client.getBucketVersioning(bucket)).Status, 'Enabled', 'versioning');
  await client.setObjectLockConfig(bucket, { mode: 'GOVERNANCE', unit: 'Days', validity: 1 });
  const lock: unknown = await client.getObjectLockConfig(bucket);
  const { mode, validity } = lock as Record<string, unknown>;
  expectEqual(`${mode} ${validity}`, 'GOVERNANCE 1', 'the default retention');
  const { versionId } = await client.putObject(bucket, 'kept', 'for a day');
  if (versionId === null || versionId === undefined) throw new Error('no version was named');
  const held = await client.getObjectRetention(bucket, 'kept', { versionId });
  expectEqual(held?.mode, 'GOVERNANCE', 'the retention of an object');
  const refused = await client
    .removeObject(bucket, 'kept', { versionId })
    .catch((error: unknown) => error);
  expectEqual(refused instanceof S3Error && refused.code, 'AccessDenied', 'a deletion of it');
  await client.setObjectLegalHold(bucket, 'kept', { versionId, status: 'ON' });
  const hold = JSON.stringify(await client.getObjectLegalHold(bucket, 'kept', { versionId }));
  expectEqual(hold, '{"Status":"ON"}', 'a hold');
  await client.setObjectLegalHold(bucket, 'kept', { versionId, status: 'OFF' });
  await client.removeObject(bucket, 'kept', { versionId, governanceBypass: true });
  await client.removeBucket(bucket);
}
