import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpConfig } from '../../../../gateways/http/app.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { waitFor } from '../../../kit/http-watch-suite.ts';
import { answerOf, Http2Client } from '../../../kit/http2-client.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { startS3Server } from '../../../kit/s3-start.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

let authority: TestAuthority;
let tls: HandTls;
beforeAll(async () => {
  authority = await TestAuthority.make();
  tls = new HandTls(await authority.server());
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(config: Partial<HttpConfig> = {}, source = tls): Promise<ModelServer> {
  const more = { tls: source };
  const server = await startModelServer(config, new ModelService(), recordingTelemetry(), more);
  ends.push(() => server.stop());
  return server;
}

function client(url: string, options = {}): Http2Client {
  const made = new Http2Client(url, authority.cert, options);
  ends.push(() => made.close());
  return made;
}

describe('HTTP/2', () => {
  it('carries requests as HTTP/1.1 does, many at once on one connection', async () => {
    const { url } = await start();
    const http = client(url);
    const keys = Array.from({ length: 300 }, (_, i) => `k/${i}`);
    const put = await Promise.all(
      keys.map((key) => http.ask('PUT', `/v1/kv/${key}`, { body: key })),
    );
    expect(new Set(put.map(({ status }) => status))).toEqual(new Set([201]));
    const got = await Promise.all(keys.map((key) => http.ask('GET', `/v1/kv/${key}`)));
    expect(got.map(({ text }) => text)).toEqual(keys);
    expect((http.session.socket as TLSSocket).alpnProtocol).toBe('h2');
    // What may be sent ahead on all streams together is more than what the protocol begins with.
    expect(http.session.state.remoteWindowSize).toBeGreaterThan(500_000);
    const named = await http.ask('GET', '/v1/kv/k/1', { headers: { 'x-request-id': 'abc' } });
    expect(named.headers).toMatchObject({ 'x-request-id': 'abc', 'content-length': '3' });
    expect(named.headers.connection ?? named.headers['keep-alive']).toBeUndefined();
    const head = await http.ask('HEAD', '/v1/kv/k/1');
    expect([head.status, head.text, head.headers['content-length']]).toEqual([200, '', '3']);
    expect((await http.ask('DELETE', '/v1/kv/k/1')).status).toBe(200);
    expect((await http.ask('GET', '/v1/kv/k/1')).status).toBe(404);
    const etag = (await http.ask('GET', '/v1/kv/k/2')).headers.etag ?? '';
    const same = await http.ask('GET', '/v1/kv/k/2', { headers: { 'if-none-match': etag } });
    expect([same.status, same.text]).toEqual([304, '']);
    const lines = await http.ask('GET', '/v1/kv', { headers: { accept: 'application/x-ndjson' } });
    expect(lines.text.trim().split('\n').length).toBeGreaterThan(290);
  });

  it('keeps bytes of headers as they are', async () => {
    const { url } = await start();
    const http = client(url);
    const name = Buffer.from('text/plain; a="ä"').toString('latin1');
    await http.ask('PUT', '/v1/kv/t', { body: 'x', headers: { 'content-type': name } });
    const over1 = await fetchPlain(url, '/v1/kv/t');
    expect((await http.ask('GET', '/v1/kv/t')).headers['content-type']).toBe(over1);
  });

  it('streams bodies of any length, and answers while their sender waits for it', async () => {
    const { url } = await start();
    const http = client(url);
    const unsized = http.open('PUT', '/v1/kv/unsized', {}, true);
    for (let i = 0; i < 20; i++) unsized.write('x'.repeat(1_000));
    unsized.end();
    expect((await answerOf(unsized)).status).toBe(201);
    expect((await http.ask('GET', '/v1/kv/unsized')).text).toHaveLength(20_000);
    const polite = http.open('PUT', '/v1/kv/polite', { expect: '100-continue' }, true);
    await once(polite, 'continue');
    polite.end('x');
    expect((await answerOf(polite)).status).toBe(201);
    const rude = await http.ask('PUT', '/v1/kv/rude', { body: 'x', headers: { expect: 'more' } });
    expect(rude.status).toBe(400);
    const tooLong = await http.ask('PUT', '/v1/kv/big', { body: Buffer.alloc(20 << 20) });
    expect([tooLong.status, JSON.parse(tooLong.text).code]).toEqual([413, 'too_large']);
    // The other streams of the connection are none the worse for it.
    expect((await http.ask('GET', '/v1/kv/polite')).text).toBe('x');
  });

  it('carries watches, which end with their stream', async () => {
    const { url, service } = await start();
    const http = client(url);
    const events = http.open('GET', '/v1/watch?prefix=w/');
    let seen = '';
    events.on('data', (piece) => {
      seen += piece;
    });
    await waitFor(() => seen.includes(': watching'));
    await http.ask('PUT', '/v1/kv/w/1', { body: 'x' });
    await waitFor(() => seen.includes('"w/1"'));
    expect(service.openWatches).toBe(1);
    events.close();
    await waitFor(() => service.openWatches === 0);
  });

  it('is spoken by curl', async () => {
    const { url } = await start();
    const folder = await mkdtemp(join(tmpdir(), 'minikv-h2-'));
    ends.push(() => rm(folder, { recursive: true }));
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, authority.cert);
    const curl = async (...args: string[]) => {
      const all = [
        '-sS',
        '--http2',
        '--cacert',
        ca,
        '-w',
        ' %{http_version} %{http_code}',
        ...args,
      ];
      return (await promisify(execFile)('curl', all)).stdout;
    };
    expect(await curl('-T', ca, `${url}/v1/kv/a`)).toMatch(/ 2 201$/);
    expect(await curl(`${url}/v1/kv/a`)).toBe(`${authority.cert} 2 200`);
  });

  it('shows a certificate that replaced its own to new connections; old ones go on', async () => {
    const [one, two] = [await authority.server(), await authority.server()];
    const source = new HandTls(one);
    const { url } = await start({}, source);
    const old = client(url);
    expect((await old.ask('GET', '/health')).status).toBe(200);
    source.replace(two);
    expect((await old.ask('GET', '/health')).status).toBe(200);
    const next = client(url);
    await next.ask('GET', '/health');
    const serialOf = ({ session }: Http2Client) =>
      (session.socket as TLSSocket).getPeerCertificate().serialNumber;
    expect(serialOf(old)).toBe(new X509Certificate(one.cert).serialNumber);
    expect(serialOf(next)).toBe(new X509Certificate(two.cert).serialNumber);
  });

  it('ends its connections when the node stops, once what is open is answered', async () => {
    const server = await start();
    const http = client(server.url);
    const slow = http.open('PUT', '/v1/kv/slow', {}, true);
    slow.write('a');
    const events = http.open('GET', '/v1/watch');
    await once(events, 'response');
    let lastStream = -1;
    http.session.on('goaway', (_code, last) => {
      lastStream = last;
    });
    const stopped = server.stop();
    await once(http.session, 'goaway');
    expect(lastStream).toBeGreaterThan(0);
    slow.end('b');
    expect((await answerOf(slow)).status).toBe(201);
    await stopped;
    await waitFor(() => http.session.destroyed);
    ends.splice(0, 1);
  });
});

describe('S3 over HTTP/2', () => {
  it('takes and gives large objects at the pace of their other end', async () => {
    const server = await startS3Server({}, {}, { tls });
    ends.push(() => server.stop());
    const http = client(server.url);
    expect((await http.ask('PUT', '/bucket')).status).toBe(200);
    const body = Buffer.alloc(12 << 20, 'abcdefgh');
    const put = await http.ask('PUT', '/bucket/large', {
      body,
      headers: { 'content-length': body.length },
    });
    expect(put.status, put.text).toBe(200);
    const reading = http.open('GET', '/bucket/large');
    await once(reading, 'response');
    // It takes nothing for a while.
    await new Promise((resolve) => setTimeout(resolve, 300));
    const pieces: Buffer[] = [];
    reading.on('data', (piece) => pieces.push(piece));
    await once(reading, 'end');
    expect(Buffer.concat(pieces).equals(body)).toBe(true);
    const part = await http.ask('GET', '/bucket/large', { headers: { range: 'bytes=8-15' } });
    expect([part.status, part.text]).toEqual([206, 'abcdefgh']);
    const named = await http.ask('PUT', '/bucket/none', {
      headers: { 'x-amz-copy-source': '/no' },
    });
    expect(named.headers['content-type']).toBe('application/xml');
  });

  it('takes bodies in signed chunks with checksums behind them', async () => {
    const server = await startS3Server({}, {}, { tls });
    ends.push(() => server.stop());
    const http = client(server.url);
    await http.ask('PUT', '/bucket');
    const text = '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n';
    const headers = {
      'content-encoding': 'aws-chunked',
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '5',
      'x-amz-trailer': 'x-amz-checksum-crc32',
      'content-length': text.length,
    };
    const put = await http.ask('PUT', '/bucket/k', { body: text, headers });
    expect(put.status, put.text).toBe(200);
    expect((await http.ask('GET', '/bucket/k')).text).toBe('hello');
    const wrong = text.replace('NhCmhg', 'AhCmhg');
    expect((await http.ask('PUT', '/bucket/k2', { body: wrong, headers })).status).toBe(400);
  });
});

/** Its content type, over HTTP/1.1. */
async function fetchPlain(url: string, path: string): Promise<string | undefined> {
  const { get } = await import('node:https');
  return new Promise((resolve, reject) => {
    get(`${url}${path}`, { ca: authority.cert }, (res) => {
      res.resume();
      resolve(res.headers['content-type']);
    }).on('error', reject);
  });
}
