import { request } from 'node:http';
import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isForeignHost } from '../../../../gateways/http/foreign-host.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';

let open: S3Server;

beforeAll(async () => {
  open = await startS3Server({ baseDomains: ['localhost', 's3.mine.example'] });
  const s3 = open.client();
  await s3.send(new aws.CreateBucketCommand({ Bucket: 'front' }));
  await s3.send(new aws.PutObjectCommand({ Bucket: 'front', Key: 'own', Body: 'x' }));
  const shown = { Bucket: 'front', Key: 'shown', Body: 'x', ACL: 'public-read' } as const;
  await s3.send(new aws.PutObjectCommand(shown));
});
afterAll(() => open.stop());

function ask(url: string, host: string, method = 'GET', more = {}, body = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { host, 'content-length': body.length, ...more };
    const sent = request(url, { method, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.on('error', reject).end(body);
  });
}

describe('a Host that somebody else could have', () => {
  it.each([
    ['localhost', false],
    ['LOCALHOST:9000', false],
    ['bucket.localhost:9000', false],
    ['127.0.0.1:9000', false],
    ['192.168.1.7', false],
    ['[::1]:9000', false],
    ['minikv:9000', false],
    ['', false],
    ['b.s3.mine.example', false],
    ['evil.example:9000', true],
    ['evil.example.', true],
    ['localhost.evil.example', true],
    ['notlocalhost.example', true],
    ['127.0.0.1.evil.example', true],
    ['xs3.mine.example', true],
  ])('%s on loopback: %s', (host, expected) => {
    expect(isForeignHost(host, '127.0.0.1', ['s3.mine.example'])).toBe(expected);
    expect(isForeignHost(host, '::ffff:127.0.0.1', ['s3.mine.example'])).toBe(expected);
    expect(isForeignHost(host, '10.0.0.1', ['s3.mine.example'])).toBe(false);
  });
});

describe('a page that reached this machine under a name of its own', () => {
  it('is nobody, where nobody has to sign', async () => {
    const evil = 'evil.example:9000';
    const origin = { origin: `http://${evil}` };
    for (const url of [open.url, `${open.httpUrl}/s3`]) {
      expect(await ask(`${url}/front/own`, evil)).toBe(403);
      expect(await ask(`${url}/`, evil)).toBe(403);
      expect(await ask(`${url}/front/new`, evil, 'PUT', origin, 'x')).toBe(403);
      expect(await ask(`${url}/front/own`, evil, 'DELETE', origin)).toBe(403);
      expect(await ask(`${url}/front/shown`, evil)).toBe(200);
      for (const host of ['localhost', '127.0.0.1:1', 'minikv', 's3.mine.example']) {
        expect([host, await ask(`${url}/front/own`, host)]).toEqual([host, 200]);
      }
    }
    const type = { 'content-type': 'multipart/form-data; boundary=b', ...origin };
    const part = (name: string, value: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const form = `${part('key', 'new')}${part('file', 'x')}--b--\r\n`;
    expect(await ask(`${open.url}/front`, evil, 'POST', type, form)).toBe(403);
    const ours = { 'content-type': type['content-type'] };
    expect(await ask(`${open.url}/front`, 'localhost', 'POST', ours, form)).toBe(204);
  });
});
