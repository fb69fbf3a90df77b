import { type ChildProcess, spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { parse } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../kit/http-watch-suite.ts';

/** What a new user does: one command writes a secure configuration, the next one starts a node with it. */

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'minikv-tls-'));
const folder = join(root, 'kv');

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function minikv(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  return new Promise((resolve) =>
    child.once('close', (code) =>
      resolve({
        code: code ?? -1,
        out: Buffer.concat(out).toString(),
        err: Buffer.concat(err).toString(),
      }),
    ),
  );
}

let node: ChildProcess;
let output = '';
let urls: { httpUrl: string; s3Url: string };
let settings: Record<string, string>;
let made: Ran;

beforeAll(async () => {
  made = await minikv(['init', folder, '--auth', '--tls', '--node', 'n1=kv.example']);
  settings = parse(readFileSync(join(folder, 'n1', 'minikv.toml'), 'utf8')) as typeof settings;
  const config = ['--config', join(folder, 'n1', 'minikv.toml')];
  node = spawn(process.execPath, [
    MAIN,
    'serve',
    '--json',
    ...config,
    '--port',
    '0',
    '--s3-port',
    '0',
  ]);
  node.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitFor(
    () => output.includes('"event":"ready"'),
    30_000,
    () => output,
  );
  urls = JSON.parse(output.split('\n')[0] as string);
}, 60_000);

afterAll(() => {
  node?.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

const ca = () => readFileSync(join(folder, 'ca.pem'));
const serialOf = (pem: string | Buffer) => new X509Certificate(pem).serialNumber;

function get(path: string, options: https.RequestOptions = {}) {
  const { port } = new URL(urls.httpUrl);
  return new Promise<{ status: number; serial: string }>((resolve, reject) => {
    const own = { host: '127.0.0.1', port, path, ca: ca(), agent: false };
    const req = https.get({ ...own, ...options }, (res) => {
      const { serialNumber } = (res.socket as TLSSocket).getPeerCertificate();
      res.resume();
      res.on('end', () => resolve({ status: res.statusCode ?? 0, serial: serialNumber }));
    });
    req.on('error', reject);
  });
}

describe('minikv init --auth --tls, and a node with it', () => {
  it('says what to type next, and keeps its secrets from others', () => {
    expect(made).toMatchObject({ code: 0, err: '' });
    expect(made.out).toContain(`n1: minikv serve --config ${join(folder, 'n1', 'minikv.toml')}`);
    for (const name of ['ca-key.pem', 'n1/minikv.toml', 'n1/key.pem']) {
      expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0);
    }
    expect(settings).toMatchObject({
      host: '0.0.0.0',
      auth: true,
      'http-url': 'https://kv.example:8080',
    });
  });

  it('writes over nothing', async () => {
    const before = readFileSync(join(folder, 'n1', 'minikv.toml'), 'utf8');
    const again = await minikv(['init', folder, '--auth', '--tls']);
    expect(again.code).toBe(1);
    expect(again.err).toContain('nothing is written over');
    expect(readFileSync(join(folder, 'n1', 'minikv.toml'), 'utf8')).toBe(before);
  });

  it('HTTP: TLS under every name, and only for who has a key', async () => {
    expect(urls.httpUrl).toMatch(/^https:/);
    expect((await get('/health')).status).toBe(200);
    for (const servername of ['kv.example', 'localhost', 'bucket.kv.example']) {
      expect((await get('/v1/kv/a', { servername })).status).toBe(401);
    }
    const authorization = `Bearer ${settings['auth-admin-key']}`;
    expect((await get('/admin/status', { headers: { authorization } })).status).toBe(200);
    await expect(get('/health', { servername: 'elsewhere.example' })).rejects.toThrow('altnames');
    await expect(get('/health', { ca: [] })).rejects.toThrow(/self-signed|unable to/);
    const plain = urls.httpUrl.replace('https:', 'http:');
    await expect(fetch(`${plain}/health`)).rejects.toThrow();
  });

  it('the command line, which trusts the authority by NODE_EXTRA_CA_CERTS', async () => {
    const { port } = new URL(urls.httpUrl);
    const env = {
      ...{
        NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
        MINIKV_API_KEY: settings['auth-admin-key'],
      },
      MINIKV_ENDPOINT: `https://localhost:${port}`,
    };
    expect(await minikv(['put', 'a', 'one'], env)).toMatchObject({ code: 0 });
    expect(await minikv(['get', 'a'], env)).toMatchObject({ code: 0, out: 'one' });
    const key = (await minikv(['keys', 'create', 'me', '--role', 'read_only'], env)).out.trim();
    const reader = { ...env, MINIKV_API_KEY: key };
    expect(await minikv(['get', 'a'], reader)).toMatchObject({ code: 0, out: 'one' });
    expect((await minikv(['put', 'a', 'two'], reader)).code).toBe(1);
    const { NODE_EXTRA_CA_CERTS: _, ...without } = env;
    const untrusted = await minikv(['put', 'a', 'three', '--timeout', '1'], without);
    expect(untrusted.code).toBe(1);
    expect(untrusted.err).toContain('NODE_EXTRA_CA_CERTS=<file> names the authority to trust');
  });

  it('S3, with the keys of the configuration', async () => {
    const s3 = new S3Client({
      ...{ endpoint: urls.s3Url, region: 'us-east-1' },
      ...{ forcePathStyle: true, maxAttempts: 1 },
      credentials: {
        accessKeyId: settings['s3-access-key'] as string,
        secretAccessKey: settings['s3-secret-key'] as string,
      },
      requestHandler: { httpsAgent: new https.Agent({ ca: ca() }) },
    });
    try {
      await s3.send(new CreateBucketCommand({ Bucket: 'bucket' }));
      await s3.send(
        new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: Buffer.alloc(300_000, 7) }),
      );
      const got = await s3.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
      expect(await got.Body?.transformToByteArray()).toEqual(new Uint8Array(300_000).fill(7));
    } finally {
      s3.destroy();
    }
  });

  it('new certificates are made by the same authority, and taken by the node that runs', async () => {
    const { serial: old } = await get('/health');
    expect(await minikv(['init', folder, '--renew'])).toMatchObject({ code: 0 });
    const next = serialOf(readFileSync(join(folder, 'n1', 'cert.pem')));
    expect(next).not.toBe(old);
    let shown = old;
    await waitFor(() => {
      void get('/health').then(({ serial }) => {
        shown = serial;
      });
      return shown === next;
    }, 15_000);
    expect((await get('/health', { servername: 'kv.example' })).status).toBe(200);
  }, 30_000);

  it('it stops in order', async () => {
    const ended = new Promise<number | null>((resolve) => node.once('exit', resolve));
    node.kill('SIGTERM');
    expect(await ended, output).toBe(0);
  }, 20_000);
});
