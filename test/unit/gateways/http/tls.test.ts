import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import { connect as connectPlain } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpConfig } from '../../../../gateways/http/app.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { openSocket, waitFor } from '../../../kit/http-watch-suite.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

let authority: TestAuthority;
let tls: HandTls;
beforeAll(async () => {
  authority = await TestAuthority.make();
  tls = new HandTls(await authority.server());
});

const running: { stop(): Promise<void> }[] = [];
const sockets: { destroy(): void }[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

const telemetry = recordingTelemetry();

async function start(config: Partial<HttpConfig> = {}, source = tls): Promise<ModelServer> {
  const server = await startModelServer(config, new ModelService(), telemetry, { tls: source });
  running.push(server);
  return server;
}

interface Got {
  readonly status: number;
  readonly text: string;
  /** Of the certificate that was shown. */
  readonly serial: string;
}

function get(url: string, options: https.RequestOptions = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const agent = new https.Agent({ ca: authority.cert });
    const req = https.request(url, { agent, ...options }, (res) => {
      const chunks: Buffer[] = [];
      const { serialNumber } = (res.socket as TLSSocket).getPeerCertificate();
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: res.statusCode ?? 0, text, serial: serialNumber });
      });
    });
    req.on('error', reject);
    req.end(options.method === 'PUT' ? 'value' : undefined);
  });
}

async function secured(url: string, options: object = {}): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ca: authority.cert, ...options });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'taken',
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );

describe('an HTTP port with a certificate', () => {
  it('serves REST over TLS to who trusts its authority, and nobody believes it otherwise', async () => {
    const { url } = await start();
    expect(url).toMatch(/^https:/);
    expect((await get(`${url}/v1/kv/a`, { method: 'PUT' })).status).toBe(201);
    expect((await get(`${url}/v1/kv/a`)).text).toBe('value');
    const stranger = await TestAuthority.make('another');
    const agent = new https.Agent({ ca: stranger.cert });
    expect(await codeOf(get(`${url}/health`, { agent }))).toMatch(
      /^(UNABLE_TO|SELF_SIGNED|DEPTH|CERT)/,
    );
  });

  it('carries watches: events as they come, and WebSocket', async () => {
    const { url } = await start();
    const events = await secured(url);
    let seen = '';
    events.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    events.write('GET /v1/watch?prefix=w/ HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const { ws, messages } = openSocket(url, '/v1/watch?prefix=w/', { ca: authority.cert });
    sockets.push({ destroy: () => ws.terminate() });
    await once(ws, 'open');
    await waitFor(() => seen.includes(': watching'));
    await get(`${url}/v1/kv/w/1`, { method: 'PUT' });
    await waitFor(() => seen.includes('"w/1"') && messages.some(({ key }) => key === 'w/1'));
  });

  it('speaks no version older than it is told, and HTTP/2 to who asks for it first', async () => {
    const { url } = await start();
    expect((await secured(url, { maxVersion: 'TLSv1.2' })).getProtocol()).toBe('TLSv1.2');
    const modern = await secured(url, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect([modern.getProtocol(), modern.alpnProtocol]).toEqual(['TLSv1.3', 'h2']);
    const plain = await secured(url, { ALPNProtocols: ['http/1.1'] });
    expect(plain.alpnProtocol).toBe('http/1.1');
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    expect(await codeOf(secured(url, old))).toMatch(/PROTOCOL_VERSION|ECONNRESET/);
    const { url: strict } = await start({}, new HandTls(tls.pair(), 'TLSv1.3'));
    expect(await codeOf(secured(strict, { maxVersion: 'TLSv1.2' }))).toMatch(/PROTOCOL_VERSION/);
    expect((await secured(strict)).getProtocol()).toBe('TLSv1.3');
  });

  it('ends what is not TLS, and counts it; the next one is served', async () => {
    const { url } = await start();
    const before = telemetry.total('tls_handshakes_failed');
    for (const text of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0\x01\x02 what is this',
      'PRI * HTTP/2.0\r\n\r\n',
    ]) {
      const plain = connectPlain(Number(new URL(url).port), '127.0.0.1');
      sockets.push(plain);
      plain.on('error', () => {});
      plain.write(text);
      await waitFor(() => plain.closed || plain.readableEnded || plain.destroyed);
    }
    expect(telemetry.total('tls_handshakes_failed') - before).toBe(3);
    expect((await get(`${url}/health`)).status).toBe(200);
  });

  it('cuts off who does not say hello, and counts him among the connections before that', async () => {
    const bounds = { headersMs: 300, connectionsMax: 2, connectionsReserve: 0 };
    const { url } = await start({ bounds });
    const silent = [1, 2].map(() => connectPlain(Number(new URL(url).port), '127.0.0.1'));
    sockets.push(...silent);
    for (const socket of silent) socket.on('error', () => {});
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    expect(await codeOf(get(`${url}/health`))).toMatch(/ECONNRESET/);
    for (const socket of silent) socket.resume();
    await waitFor(() => silent.every((socket) => socket.closed));
    expect((await get(`${url}/health`)).status).toBe(200);
  });

  it('shows a certificate that replaced its own to new connections; old ones go on', async () => {
    const [one, two] = [await authority.server(), await authority.server()];
    const source = new HandTls(one);
    const { url } = await start({}, source);
    const agent = new https.Agent({ ca: authority.cert, keepAlive: true, maxSockets: 1 });
    sockets.push(agent);
    const serialOf = ({ cert }: { cert: string }) => new X509Certificate(cert).serialNumber;
    expect((await get(`${url}/health`, { agent })).serial).toBe(serialOf(one));
    source.replace(two);
    expect((await get(`${url}/health`, { agent })).serial).toBe(serialOf(one));
    expect((await get(`${url}/health`)).serial).toBe(serialOf(two));
  });

  it('stops while connections are open, one of them in the middle of its hello', async () => {
    const server = await start({ bounds: { drainMs: 100 } });
    const half = connectPlain(Number(new URL(server.url).port), '127.0.0.1');
    half.on('error', () => {});
    sockets.push(half);
    await once(half, 'connect');
    const open = await secured(server.url);
    open.on('error', () => {});
    open.write('PUT /v1/kv/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc');
    await get(`${server.url}/health`);
    running.splice(0);
    await server.stop();
    half.resume();
    open.resume();
    await waitFor(() => half.closed && open.closed);
  });
});

describe('S3 over TLS', () => {
  let server: S3Server;
  beforeAll(async () => {
    server = await startS3Server({ allowUnsigned: false }, {}, { tls });
  });
  afterAll(() => server.stop());

  const client = () =>
    server.client({
      requestHandler: { httpsAgent: new https.Agent({ ca: authority.cert }) },
    });

  it('unmodified clients, with the checksums in trailers that they send over TLS', async () => {
    expect(server.url).toMatch(/^https:/);
    const s3 = client();
    await s3.send(new CreateBucketCommand({ Bucket: 'bucket' }));
    const put = { Bucket: 'bucket', Key: 'k', Body: Buffer.alloc(200_000, 'x') };
    await s3.send(new PutObjectCommand({ ...put, ChecksumAlgorithm: 'CRC32C' }));
    const got = await s3.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
    expect((await got.Body?.transformToByteArray())?.length).toBe(200_000);
    const location = await get(`${server.httpUrl}/s3/bucket/k`);
    expect(location.status).toBe(403);
  });

  it('policies know it: what is denied without TLS is given with it', async () => {
    const s3 = client();
    const deny = {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: 'arn:aws:s3:::bucket/*',
    };
    const policy = (value: string) => ({
      Bucket: 'bucket',
      Policy: JSON.stringify({
        Statement: [{ ...deny, Condition: { Bool: { 'aws:SecureTransport': value } } }],
      }),
    });
    await s3.send(new PutBucketPolicyCommand(policy('false')));
    const got = await s3.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
    expect((await got.Body?.transformToByteArray())?.length).toBe(200_000);
    await s3.send(new PutBucketPolicyCommand(policy('true')));
    expect(await codeOf(s3.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' })))).toMatch(
      /denied/i,
    );
  });
});
