import { type IncomingHttpHeaders, request } from 'node:http';
import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { govern, statement } from '../../../kit/s3-policies.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let server: S3Server;
let s3: aws.S3Client;

beforeAll(async () => {
  server = await startS3Server({ baseDomains: ['s3.test', 'localhost'] });
  s3 = server.client();
});
afterAll(() => server.stop());

interface Page {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function visit(
  bucket: string,
  path: string,
  { method = 'GET', headers = {}, body = '' } = {},
): Promise<Page> {
  const { port, hostname } = new URL(server.url);
  const host = `${bucket}.s3-website.s3.test:${port}`;
  return new Promise((resolve, reject) => {
    const asked = request(
      { hostname, port, path, method, headers: { host, ...headers } },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (piece) => {
          text += piece;
        });
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }),
        );
      },
    );
    asked.on('error', reject).end(body);
  });
}

async function made(Bucket: string, WebsiteConfiguration: aws.WebsiteConfiguration | null) {
  await s3.send(new aws.CreateBucketCommand({ Bucket }));
  if (WebsiteConfiguration !== null) {
    await s3.send(new aws.PutBucketWebsiteCommand({ Bucket, WebsiteConfiguration }));
  }
  const Resource = `arn:aws:s3:::${Bucket}/*`;
  const shut = statement(Bucket, 'Deny', { Action: 's3:GetObject', Resource: `${Resource}shut` });
  await govern(
    server,
    Bucket,
    statement(Bucket, 'Allow', { Action: 's3:GetObject', Resource }),
    shut,
  );
  return Bucket;
}

const put = (Bucket: string, Key: string, more: object = {}) =>
  s3.send(
    new aws.PutObjectCommand({ Bucket, Key, Body: `<p>${Key}`, ContentType: 'text/html', ...more }),
  );

it('shows index documents, pages, ranges and heads', async () => {
  const bucket = await made('pages', { IndexDocument: { Suffix: 'index.html' } });
  for (const key of ['index.html', 'a/index.html', 'a/b.html']) await put(bucket, key);
  for (const [path, shown] of [
    ['/', '<p>index.html'],
    ['/?q=1&acl', '<p>index.html'],
    ['/a/', '<p>a/index.html'],
    ['/a/b.html', '<p>a/b.html'],
  ] as const) {
    const page = await visit(bucket, path);
    expect([path, page.status, page.text]).toEqual([path, 200, shown]);
    expect(page.headers['content-type']).toBe('text/html');
  }
  const head = await visit(bucket, '/', { method: 'HEAD' });
  expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '13', '']);
  const part = await visit(bucket, '/', { headers: { range: 'bytes=0-2' } });
  expect([part.status, part.text]).toEqual([206, '<p>']);
  const same = await visit(bucket, '/', { headers: { 'if-none-match': head.headers.etag ?? '' } });
  expect([same.status, same.text]).toEqual([304, '']);
});

it('sends to a folder that has an index, and where objects and rules say', async () => {
  const bucket = await made('moves', {
    IndexDocument: { Suffix: 'index.html' },
    RoutingRules: [
      { Condition: { KeyPrefixEquals: 'old/' }, Redirect: { ReplaceKeyPrefixWith: 'new/' } },
      {
        Condition: { HttpErrorCodeReturnedEquals: '403', KeyPrefixEquals: 'gone' },
        Redirect: { HostName: 'o.test', HttpRedirectCode: '302' },
      },
    ],
  });
  await put(bucket, 'a/index.html');
  await put(bucket, 'moved', { WebsiteRedirectLocation: '/there' });
  const { port } = new URL(server.url);
  const own = `http://${bucket}.s3-website.s3.test:${port}`;
  for (const [path, status, location] of [
    ['/a', 302, `${own}/a/`],
    ['/moved', 301, '/there'],
    ['/old/x', 301, `${own}/new/x`],
    ['/gone', 302, 'http://o.test/gone'],
  ] as const) {
    const page = await visit(bucket, path);
    expect([path, page.status, page.headers.location]).toEqual([path, status, location]);
  }
  const all = await made('elsewhere', { RedirectAllRequestsTo: { HostName: 'o.test' } });
  expect((await visit(all, '/x?y')).headers.location).toBe('http://o.test/x?y');
});

it('an error is a page, or the error document with the status of the error', async () => {
  const plain = await made('errors', { IndexDocument: { Suffix: 'index.html' } });
  const bare = await visit(plain, '/<x>');
  expect(bare.status).toBe(403);
  expect(bare.headers['content-type']).toContain('text/html');
  expect(bare.text).toContain('<h1>403 Forbidden</h1>');
  expect(bare.text).toContain('<li>Code: AccessDenied</li>');
  expect((await visit(plain, '/none', { method: 'HEAD' })).text).toBe('');
  const own = await made('document', {
    ...{ IndexDocument: { Suffix: 'index.html' }, ErrorDocument: { Key: 'error.html' } },
  });
  const Action = ['s3:ListBucket', 's3:GetObject'];
  await put(own, 'error.html');
  await govern(server, own, statement(own, 'Allow', { Action }));
  const shown = await visit(own, '/none', { headers: { range: 'bytes=0-0' } });
  expect([shown.status, shown.text]).toEqual([404, '<p>error.html']);
  const beyond = await visit(own, '/error.html', { headers: { range: 'bytes=99-' } });
  expect(beyond.status).toBe(416);
});

it('shows only what is public, on loopback too, and takes no signature', async () => {
  const bucket = await made('public', { IndexDocument: { Suffix: 'index.html' } });
  await put(bucket, 'shut');
  expect((await visit(bucket, '/shut')).status).toBe(403);
  expect((await fetch(`${server.url}/${bucket}/shut`)).status).toBe(403);
  await s3.send(new aws.DeleteBucketPolicyCommand({ Bucket: bucket }));
  await put(bucket, 'open', { ACL: 'public-read' });
  expect((await visit(bucket, '/open')).status).toBe(200);
  expect((await visit(bucket, '/shut')).status).toBe(403);
  expect((await fetch(`${server.url}/${bucket}/shut`)).status).toBe(200);
  const headers = { authorization: 'AWS4-HMAC-SHA256 nonsense' };
  expect((await visit(bucket, '/open', { headers })).status).toBe(200);
});

it('does nothing but read', async () => {
  const bucket = await made('reading', { IndexDocument: { Suffix: 'index.html' } });
  for (const method of ['PUT', 'POST', 'DELETE']) {
    const page = await visit(bucket, '/new', { method, body: 'x' });
    expect([method, page.status]).toEqual([method, 405]);
  }
  const list = await s3.send(new aws.ListObjectsV2Command({ Bucket: bucket }));
  expect(list.KeyCount).toBe(0);
});

it('without a configuration, or without a bucket, there is none', async () => {
  const bucket = await made('nothing', null);
  expect((await visit(bucket, '/')).text).toContain('Code: NoSuchWebsiteConfiguration');
  expect((await visit('no-such-bucket', '/')).text).toContain('Code: NoSuchBucket');
  expect((await visit('Bad_Name', '/')).status).toBe(400);
});

it('where requesters pay, who did not sign is refused', async () => {
  const bucket = await made('payers', { IndexDocument: { Suffix: 'index.html' } });
  await put(bucket, 'index.html');
  const pay = (Payer: 'Requester' | 'BucketOwner') =>
    s3.send(
      new aws.PutBucketRequestPaymentCommand({
        Bucket: bucket,
        RequestPaymentConfiguration: { Payer },
      }),
    );
  expect((await visit(bucket, '/')).status).toBe(200);
  await pay('Requester');
  expect((await visit(bucket, '/')).status).toBe(403);
  const own = await s3.send(new aws.GetObjectCommand({ Bucket: bucket, Key: 'index.html' }));
  expect(own.ContentLength).toBe(13);
  await pay('BucketOwner');
  expect((await visit(bucket, '/')).status).toBe(200);
});
