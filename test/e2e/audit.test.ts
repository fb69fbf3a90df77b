import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateBucketCommand,
  GetObjectCommand,
  PutBucketTaggingCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSocket, waitFor } from '../kit/http-watch-suite.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'minikv-audit-'));
const data = join(root, 'data');
const ADMIN = `mkv_admin_${'k'.repeat(43)}`;

let node: ChildProcess;
let urls: { httpUrl: string; s3Url: string };

async function start(): Promise<void> {
  let output = '';
  node = spawn(
    process.execPath,
    [MAIN, 'serve', '--json', '--port', '0', '--data', data, '--auth'],
    {
      env: {
        ...{ ...process.env, MINIKV_AUTH_ADMIN_KEY: ADMIN },
        ...{ MINIKV_S3_ACCESS_KEY: 'MKTEST', MINIKV_S3_SECRET_KEY: 'a secret of S3' },
      },
    },
  );
  node.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitFor(
    () => output.includes('"event":"ready"'),
    30_000,
    () => output,
  );
  urls = JSON.parse(output.split('\n')[0] as string);
}

async function kill(): Promise<void> {
  const ended = new Promise((resolve) => node.once('exit', resolve));
  node.kill('SIGKILL');
  await ended;
}

beforeAll(start, 60_000);
afterAll(async () => {
  await kill();
  rmSync(root, { recursive: true, force: true });
});

async function ask(method: string, path: string, key: string | null, body?: object) {
  const answer = await fetch(urls.httpUrl + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, text: await answer.text() };
}

interface Row {
  readonly seq: number;
  readonly who: string;
  readonly action: string;
  readonly resource: string;
  readonly status: number;
}

async function trail(query = ''): Promise<Row[]> {
  const { status, text } = await ask('GET', `/admin/audit${query}`, ADMIN);
  expect(status, text).toBe(200);
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

const shown = ({ who, action, resource, status }: Row) => `${who} ${action} ${resource} ${status}`;

function verify(): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [MAIN, 'audit', 'verify', data]);
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

const s3 = (secretAccessKey: string) =>
  new S3Client({
    ...{ endpoint: urls.s3Url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
    credentials: { accessKeyId: 'MKTEST', secretAccessKey },
  });

describe('the audit trail of a node', () => {
  let keyId: string;

  it('has administrative and denied requests, REST and S3, and no others', async () => {
    const made = await ask('POST', '/admin/keys', ADMIN, { name: 'me', role: 'read_only' });
    const { id, key } = JSON.parse(made.text);
    keyId = id;
    expect((await ask('GET', '/v1/kv?prefix=a', key)).status).toBe(200);
    expect((await ask('PUT', '/v1/kv/secret?ttl=5', key)).status).toBe(403);
    expect((await ask('DELETE', '/v1/kv/secret', null)).status).toBe(401);
    expect((await ask('GET', '/admin/status', ADMIN)).status).toBe(200);
    expect((await ask('GET', '/health', null)).status).toBe(200);
    const socket = openSocket(urls.httpUrl, '/v1/watch?prefix=a');
    await waitFor(() => socket.status === 401);
    const [good, bad] = [s3('a secret of S3'), s3('another')];
    await good.send(new CreateBucketCommand({ Bucket: 'bucket' }));
    await good.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: 'x' }));
    const tags = { TagSet: [{ Key: 'a', Value: 'b' }] };
    await good.send(new PutBucketTaggingCommand({ Bucket: 'bucket', Tagging: tags }));
    await expect(bad.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }))).rejects.toThrow();
    for (const client of [good, bad]) client.destroy();
    const rows = await trail();
    expect(rows.map(shown)).toEqual([
      'admin identity:write POST /admin/keys 201',
      `key:${id} data:write PUT /v1/kv/secret 403`,
      'nobody data:write DELETE /v1/kv/secret 401',
      'nobody data:watch GET /v1/watch 401',
      's3:account s3:CreateBucket bucket 200',
      's3:account s3:PutBucketTagging bucket 200',
      'nobody s3:none GET /bucket/k 403',
    ]);
    expect(rows[0]).toMatchObject({
      ...{ seq: 1, node: 'n1', from: '127.0.0.1', at: expect.stringMatching(/^20.*Z$/) },
      requestId: expect.any(String),
    });
    expect(JSON.stringify(rows)).not.toContain(key.slice(-43));
  });

  it('is for administrators, and says who read it', async () => {
    const made = await ask('POST', '/admin/keys', ADMIN, { name: 'you', role: 'read_write' });
    expect((await ask('GET', '/admin/audit', JSON.parse(made.text).key)).status).toBe(403);
    expect((await trail()).at(-1)).toMatchObject({ action: 'admin:read', status: 403 });
    expect((await trail()).map(shown)).toContain('admin admin:read GET /admin/audit 200');
  });

  it('is filtered', async () => {
    expect(
      (await trail('?denied=true')).every(({ status }) => status === 401 || status === 403),
    ).toBe(true);
    expect((await trail(`?who=key:${keyId}`)).map(shown)).toEqual([
      `key:${keyId} data:write PUT /v1/kv/secret 403`,
    ]);
    expect((await trail('?action=s3:')).length).toBe(3);
    expect((await trail('?limit=2')).map(({ seq }) => seq)).toEqual([1, 2]);
    expect(await trail('?until=2000-01-01T00:00:00Z')).toEqual([]);
    expect((await ask('GET', '/admin/audit?since=yesterday', ADMIN)).status).toBe(400);
    expect((await ask('GET', '/admin/audit?nothing=1', ADMIN)).status).toBe(400);
  });

  it('outlives the process, can be checked while the node runs, and shows what was changed', async () => {
    const before = await trail();
    await kill();
    await start();
    expect((await trail()).slice(0, before.length)).toEqual(before);
    const good = await verify();
    expect(good, good.err).toMatchObject({ code: 0, err: '' });
    expect(good.out).toMatch(/^\d+ records, 1 to \d+, in 1 files\nlast hash [0-9a-f]{64}\n$/);
    await kill();
    const folder = join(data, 'audit');
    const [name] = readdirSync(folder) as [string];
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('"status":403', '"status":200'));
    const changed = await verify();
    expect(changed.code).toBe(1);
    expect(changed.err).toContain(`${name}, line 2: the line was changed`);
    writeFileSync(
      path,
      text
        .split('\n')
        .filter((_, i) => i !== 2)
        .join('\n'),
    );
    expect((await verify()).err).toContain('line 3: record 3 is missing');
    writeFileSync(path, text);
    await start();
    expect((await verify()).code).toBe(0);
  }, 60_000);
});
