import { createHash } from 'node:crypto';
import * as aws from '@aws-sdk/client-s3';
import { BY_HEADER, BY_ID, LIST_V2, OPERATIONS } from '../../gateways/s3/operations.ts';
import type { S3Server } from './s3-start.ts';

export interface Ask {
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

export const FORM =
  '--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n';
const HOLD = '<LegalHold><Status>ON</Status></LegalHold>';
const RETENTION =
  '<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>';
export const TAGS = '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>';

/** Bodies of those that are judged by what is in them. */
const BODIES: Readonly<Record<string, string>> = {
  DeleteObjects: '<Delete><Object><Key>k</Key></Object></Delete>',
  PostObject: FORM,
  PutObjectTagging: TAGS,
  PutObjectRetention: RETENTION,
  PutObjectLegalHold: HOLD,
};

const UPLOAD = '0'.repeat(48);

function ask(operation: string, method: string, place: string, query: string): Ask {
  const headers: Record<string, string> = {};
  const body = BODIES[operation] ?? '';
  if (operation === 'PostObject') headers['content-type'] = 'multipart/form-data; boundary=b';
  else if (body !== '') headers['content-md5'] = createHash('md5').update(body).digest('base64');
  if (operation === 'GetObjectAttributes') headers['x-amz-object-attributes'] = 'ETag';
  return { operation, method, path: `${place}${query === '' ? '' : `?${query}`}`, headers, body };
}

/** A request for each operation of the table, about the bucket `name` and its object `k`. */
export function asks(name: string): Ask[] {
  const found: Ask[] = [];
  for (const level of ['bucket', 'object'] as const) {
    const place = level === 'bucket' ? `/${name}` : `/${name}/k`;
    for (const [method, { plain, by }] of Object.entries(OPERATIONS[level])) {
      if (method === 'OPTIONS') continue;
      if (plain !== null) found.push(ask(plain, method, place, ''));
      for (const [resource, operation] of Object.entries(by)) {
        const isUpload = resource === 'uploadId';
        const query = isUpload ? `uploadId=${UPLOAD}&partNumber=1` : resource;
        found.push(ask(operation as string, method, place, query));
      }
    }
  }
  const copies = Object.entries(BY_HEADER).map(([plain, operation]): Ask => {
    const like = found.find((one) => one.operation === plain) as Ask;
    return { ...like, operation, headers: { 'x-amz-copy-source': `${name}/source` } };
  });
  const byId = Object.entries(BY_ID).map(([all, operation]): Ask => {
    const like = found.find((one) => one.operation === all) as Ask;
    return { ...like, operation, path: `${like.path}&id=a` };
  });
  return [...found, ...copies, ...byId, ask(LIST_V2, 'GET', `/${name}`, 'list-type=2')];
}

export async function send(server: S3Server, { method, path, headers, body }: Ask) {
  const hasBody = method === 'PUT' || method === 'POST';
  const answer = await fetch(server.url + path, { method, headers, body: hasBody ? body : null });
  return { status: answer.status, text: await answer.text() };
}

/** `denied` also where it is said for each key of a list. */
export async function outcome(server: S3Server, one: Ask): Promise<'denied' | 'let in'> {
  const { status, text } = await send(server, one);
  const isHead = one.method === 'HEAD';
  const isDenied = status === 403 && (isHead || text.includes('<Code>AccessDenied</Code>'));
  const isKeyDenied = status === 200 && text.includes('<Code>AccessDenied</Code>');
  return isDenied || isKeyDenied ? 'denied' : 'let in';
}

export const statement = (Bucket: string, Effect: string, more: object = {}) => ({
  ...{ Effect, Principal: '*', Action: 's3:*' },
  Resource: [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`],
  ...more,
});

export async function made(
  server: S3Server,
  Bucket: string,
  ...Statement: object[]
): Promise<string> {
  const s3 = server.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  for (const Key of ['k', 'source']) {
    await s3.send(new aws.PutObjectCommand({ Bucket, Key, Body: 'text' }));
  }
  if (Statement.length > 0) await govern(server, Bucket, ...Statement);
  return Bucket;
}

export async function govern(
  server: S3Server,
  Bucket: string,
  ...Statement: object[]
): Promise<void> {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await server.client().send(new aws.PutBucketPolicyCommand({ Bucket, Policy }));
}
