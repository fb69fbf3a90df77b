import { connect } from 'node:net';
import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { oracle } from '../../../kit/s3-signer.ts';
import {
  ACCESS_KEY,
  refused,
  type S3Server,
  SECRET_KEY,
  startS3Server,
} from '../../../kit/s3-start.ts';

let open: S3Server;
let closed: S3Server;

beforeAll(async () => {
  open = await startS3Server();
  closed = await startS3Server({ allowUnsigned: false });
  for (const server of [open, closed]) {
    await server.client().send(new aws.CreateBucketCommand({ Bucket: 'front' }));
  }
});
afterAll(() => Promise.all([open.stop(), closed.stop()]));

/** One request as bytes; what comes back until the connection is quiet. */
function raw(server: S3Server, text: string, then?: (seen: string) => string | null) {
  return new Promise<string>((resolve, reject) => {
    const { port } = new URL(server.url);
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    let seen = '';
    let next = then;
    socket.on('data', (bytes) => {
      seen += bytes.toString('latin1');
      const more = next?.(seen) ?? null;
      if (more === null) return;
      next = undefined;
      socket.write(more);
    });
    socket.on('close', () => resolve(seen));
    socket.on('error', reject);
    socket.setTimeout(1000, () => socket.destroy());
  });
}

async function presigned(method: string, path: string): Promise<string> {
  const signer = oracle({ accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY });
  const { hostname, host, port, protocol } = new URL(closed.url);
  const headers = { host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
  const request = { method, path, protocol, hostname, port: Number(port), headers, query: {} };
  const signed = await signer.presign(request, { expiresIn: 60 });
  const query = new URLSearchParams(signed.query as Record<string, string>);
  return `${closed.url}${path}?${query}`;
}

describe('the first minute', () => {
  it('a bucket is made by the first put under /s3, and nowhere else', async () => {
    const url = `${open.httpUrl}/s3/demo/bucket/key`;
    const put = await fetch(url, { method: 'PUT', body: 'hello minikv' });
    expect(put.status).toBe(200);
    expect(await (await fetch(url)).text()).toBe('hello minikv');
    expect(await (await fetch(`${open.url}/demo/bucket/key`)).text()).toBe('hello minikv');
    const other = await fetch(`${open.url}/other/key`, { method: 'PUT', body: 'x' });
    expect(other.status).toBe(404);
    const rest = await fetch(`${open.httpUrl}/v1/kv/s3`);
    expect(rest.headers.get('content-type')).toContain('json');
  });

  it('buckets are hosts too', async () => {
    const request = 'PUT /in/virtual HTTP/1.1\r\nHost: front.localhost:9000\r\n';
    const answer = await raw(open, `${request}Content-Length: 2\r\nConnection: close\r\n\r\nhi`);
    expect(answer).toMatch(/^HTTP\/1.1 200/);
    expect(await (await fetch(`${open.url}/front/in/virtual`)).text()).toBe('hi');
  });
});

describe('who may', () => {
  it('nobody without a signature, where it is asked for', async () => {
    const s3 = closed.client();
    await s3.send(new aws.PutObjectCommand({ Bucket: 'front', Key: 'private', Body: 'x' }));
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/front'],
      ['GET', '/front/private'],
      ['GET', '/front/none'],
      ['PUT', '/front/new'],
      ['DELETE', '/front/private'],
      ['PUT', '/new-bucket'],
    ] as const) {
      const answer = await fetch(closed.url + path, { method });
      expect([path, answer.status]).toEqual([path, 403]);
      expect(await answer.text()).toContain('<Code>AccessDenied</Code>');
    }
  });

  it('everybody reads what an ACL makes public', async () => {
    const s3 = closed.client();
    await s3.send(
      new aws.PutObjectCommand({ Bucket: 'front', Key: 'open', Body: 'seen', ACL: 'public-read' }),
    );
    expect(await (await fetch(`${closed.url}/front/open`)).text()).toBe('seen');
    const shown = await fetch(`${closed.url}/front/open?response-content-type=text/html`);
    expect(shown.status).toBe(400);
    await s3.send(
      new aws.PutPublicAccessBlockCommand({
        Bucket: 'front',
        PublicAccessBlockConfiguration: { IgnorePublicAcls: true },
      }),
    );
    expect((await fetch(`${closed.url}/front/open`)).status).toBe(403);
    await s3.send(new aws.DeletePublicAccessBlockCommand({ Bucket: 'front' }));
  });

  it('a wrong signature is refused, also where nobody has to sign', async () => {
    const credentials = { accessKeyId: 'MINIKVTESTKEY', secretAccessKey: 'wrong' };
    const s3 = open.client({ credentials });
    const sent = s3.send(new aws.ListBucketsCommand({}));
    expect(await refused(sent)).toEqual({ name: 'SignatureDoesNotMatch', status: 403 });
    const unknown = open.client({ credentials: { ...credentials, accessKeyId: 'NOBODY' } });
    const asked = unknown.send(new aws.ListBucketsCommand({}));
    expect(await refused(asked)).toEqual({ name: 'InvalidAccessKeyId', status: 403 });
  });

  it('presigned URLs put and get', async () => {
    const put = await presigned('PUT', '/front/by%20url');
    expect((await fetch(put, { method: 'PUT', body: 'signed' })).status).toBe(200);
    const get = await presigned('GET', '/front/by%20url');
    expect(await (await fetch(get)).text()).toBe('signed');
    expect((await fetch(get.replace('by%20url', 'private'))).status).toBe(403);
    expect((await fetch(put.replace('by%20url', 'other'), { method: 'PUT' })).status).toBe(403);
  });

  it('pages of other sites may not write without a signature', async () => {
    const headers = { origin: 'https://evil.example' };
    const put = await fetch(`${open.url}/front/csrf`, { method: 'PUT', body: 'x', headers });
    expect(put.status).toBe(403);
    expect((await fetch(`${open.url}/front/csrf`)).status).toBe(404);
  });
});

describe('CORS', () => {
  it('answers preflights by the rules of the bucket', async () => {
    const s3 = open.client();
    const Bucket = 'cors-rules';
    await s3.send(new aws.CreateBucketCommand({ Bucket }));
    const ask = (origin: string, method: string) =>
      fetch(`${open.url}/${Bucket}/k`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': method },
      });
    expect((await ask('https://a.example', 'PUT')).status).toBe(403);
    await s3.send(
      new aws.PutBucketCorsCommand({
        Bucket,
        CORSConfiguration: {
          CORSRules: [
            {
              ...{ AllowedOrigins: ['https://*.example'], AllowedMethods: ['GET', 'PUT'] },
              ...{ ExposeHeaders: ['ETag'], MaxAgeSeconds: 9 },
            },
          ],
        },
      }),
    );
    const allowed = await ask('https://a.example', 'PUT');
    expect(allowed.status).toBe(200);
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://a.example');
    expect(allowed.headers.get('access-control-max-age')).toBe('9');
    expect((await ask('https://a.example', 'DELETE')).status).toBe(403);
    expect((await ask('https://a.org', 'PUT')).status).toBe(403);
    const headers = { origin: 'https://a.example' };
    const put = await fetch(`${open.url}/${Bucket}/k`, { method: 'PUT', body: 'x', headers });
    expect(put.status).toBe(200);
    expect(put.headers.get('access-control-expose-headers')).toBe('ETag');
  });
});

describe('requests as bytes', () => {
  const head = (path: string, more: string) =>
    `PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n${more}\r\n`;

  it('100-continue is sent when the put may go on, and not before a refusal', async () => {
    const wanted = head('/front/expected', 'Expect: 100-continue\r\n');
    const answer = await raw(open, wanted, (seen) =>
      seen.includes('100 Continue') ? 'hello' : null,
    );
    expect(answer).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
    const refusal = await raw(open, head('/no-bucket/k', 'Expect: 100-continue\r\n'));
    expect(refusal).toMatch(/^HTTP\/1.1 404/);
    expect(refusal).toContain('connection: close');
  });

  it('a body that ends early leaves nothing behind', async () => {
    const { port } = new URL(open.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => {
        socket.write(`${head('/front/cut', '')}hel`, () => socket.destroy());
      });
      socket.on('close', () => resolve());
    });
    expect((await fetch(`${open.url}/front/cut`)).status).toBe(404);
  });

  it('what is no request is refused in XML, and a put without a length', async () => {
    const long = await raw(open, `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(long).toContain('<Code>KeyTooLongError</Code>');
    const bare = await raw(open, 'PUT /front/k HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(bare).toMatch(/^HTTP\/1.1 411/);
    expect(bare).toContain('<Code>MissingContentLength</Code>');
    const stream = 'PUT /front/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n';
    const chunked = await raw(open, `${stream}Connection: close\r\n\r\n1\r\na\r\n0\r\n\r\n`);
    expect(chunked).toMatch(/^HTTP\/1.1 411/);
    const decoded = 'x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n';
    const aws = `${decoded}x-amz-decoded-content-length: 1\r\nConnection: close\r\n\r\n`;
    const body = '1\r\na\r\n0\r\n\r\n';
    const framed = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    expect(await raw(open, stream + aws + framed)).toMatch(/^HTTP\/1.1 200/);
  });

  it('every answer says which request it is of', async () => {
    const answer = await fetch(`${open.url}/front/none`, { headers: { 'x-request-id': 'mine' } });
    expect(answer.headers.get('x-amz-request-id')).toBe('mine');
    expect(answer.headers.get('x-minikv-durability')).not.toBeNull();
    expect(await answer.text()).toContain('<RequestId>mine</RequestId>');
    const missing = await fetch(`${open.url}/front/none`, { method: 'HEAD' });
    expect([missing.status, await missing.text()]).toEqual([404, '']);
  });
});
