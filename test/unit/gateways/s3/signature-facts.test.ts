import { createHmac } from 'node:crypto';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { govern, made, statement } from '../../../kit/s3-policies.ts';
import { oracle } from '../../../kit/s3-signer.ts';
import { ACCESS_KEY, type S3Server, SECRET_KEY, startS3Server } from '../../../kit/s3-start.ts';

/** What a policy is told of a signature is what was signed, not what was put beside it. */
let closed: S3Server;
let Bucket: string;

beforeAll(async () => {
  closed = await startS3Server({ allowUnsigned: false });
  Bucket = await made(closed, 'signed-facts');
});
afterAll(() => closed.stop());

const DAY_MS = 86_400_000;

/** A URL that was signed so long ago, and lives for a week. */
async function presigned(agoMs: number): Promise<string> {
  const signer = oracle({ accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY });
  const { hostname, host, port, protocol } = new URL(closed.url);
  const path = `/${Bucket}/k`;
  const headers = { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  const target = { path, protocol, hostname, port: Number(port), headers, query: {} };
  const signingDate = new Date(Date.now() - agoMs);
  const signed = await signer.presign(
    { method: 'GET', ...target },
    { signingDate, expiresIn: 604_800 },
  );
  const query = new URLSearchParams(signed.query as Record<string, string>);
  return `${closed.url}${path}?${query}`;
}

const stamp = (ms: number): string =>
  `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
const get = async (url: string, headers = {}) => (await fetch(url, { headers })).status;
const deny = (Condition: object, Action = 's3:GetObject') =>
  govern(
    closed,
    Bucket,
    statement(Bucket, 'Deny', { Action, Resource: `arn:aws:s3:::${Bucket}/*`, Condition }),
  );

it('a presigned URL is as old as it is, whatever header comes with it', async () => {
  await deny({ NumericGreaterThan: { 's3:signatureAge': '600000' } });
  const [fresh, old] = [await presigned(0), await presigned(DAY_MS)];
  expect(await get(fresh)).toBe(200);
  expect(await get(old)).toBe(403);
  expect(await get(old, { 'x-amz-date': stamp(Date.now()) })).toBe(403);
});

it('a hash that is added to a presigned URL is not the one that was signed', async () => {
  const url = await presigned(0);
  await deny({ StringEquals: { 's3:x-amz-content-sha256': 'other' } });
  expect(await get(url)).toBe(200);
  await deny({ StringEquals: { 's3:x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } });
  expect(await get(url)).toBe(403);
  expect(await get(url, { 'x-amz-content-sha256': '0'.repeat(64) })).toBe(403);
});

it('a form tells the version of its signature, and has no type that it does not speak of', async () => {
  const policy = Buffer.from(
    JSON.stringify({
      expiration: new Date(Date.now() + DAY_MS).toISOString(),
      conditions: [{ bucket: Bucket }, ['starts-with', '$key', '']],
    }),
  ).toString('base64');
  const signature = createHmac('sha1', SECRET_KEY).update(policy).digest('base64');
  const post = async () => {
    const form = new FormData();
    const fields = { key: 'by-form', AWSAccessKeyId: ACCESS_KEY, policy, signature };
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    form.set('file', new Blob(['<script>'], { type: 'text/html' }));
    return (await fetch(`${closed.url}/${Bucket}`, { method: 'POST', body: form })).status;
  };
  await deny({ StringEquals: { 's3:signatureversion': 'AWS4-HMAC-SHA256' } }, 's3:PutObject');
  expect(await post()).toBe(204);
  const Key = 'by-form';
  // Who wrote the form did not allow a type, so whoever sends it has none to choose.
  const { ContentType } = await closed.client().send(new HeadObjectCommand({ Bucket, Key }));
  expect(ContentType).toBe('binary/octet-stream');
  await deny({ StringNotEquals: { 's3:signatureversion': 'AWS4-HMAC-SHA256' } }, 's3:PutObject');
  expect(await post()).toBe(403);
  await deny({ StringEquals: { 's3:authType': 'POST' } }, 's3:PutObject');
  expect(await post()).toBe(403);
});
