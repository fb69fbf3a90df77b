import { execFile as execFileLater } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as aws from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { type ClusterOptions, ProcessCluster } from '../kit/process-cluster.ts';

const execFile = promisify(execFileLater);

/** Nothing of what clients write may be found on the disk of a node that encrypts. */

let cluster: ProcessCluster | null = null;
let folder: string | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
  if (folder !== null) rmSync(folder, { recursive: true });
  folder = null;
});

const S3_SECRET = 'planted-s3-secret-of-this-test';
const ADMIN_KEY = `mkv_admin_${'planted'.padEnd(43, 'x')}`;
const key = () => randomBytes(32).toString('base64');

function options(more: Readonly<Record<string, string>>): ClusterOptions {
  return {
    nodes: 1,
    groups: 2,
    flags: ['--encryption-at-rest', '--auth'],
    env: {
      MINIKV_S3_ACCESS_KEY: 'MINIKVTEST',
      MINIKV_S3_SECRET_KEY: S3_SECRET,
      MINIKV_AUTH_ADMIN_KEY: ADMIN_KEY,
      ...more,
    },
  };
}

/** Each file below with the planted words that are in it; also as UTF-16, hex and base64. */
async function found(data: string, words: readonly string[]): Promise<[string, string][]> {
  const entries = await readdir(data, { recursive: true, withFileTypes: true });
  const hits: [string, string][] = [];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    for (const word of words) {
      const text = Buffer.from(word);
      const base64 = [0, 1, 2].map((skip) =>
        text.subarray(skip, -3).toString('base64').slice(0, -4),
      );
      const forms = [text, Buffer.from(word, 'utf16le'), text.toString('hex'), ...base64];
      if (forms.some((form) => bytes.includes(form)))
        hits.push([path.slice(data.length + 1), word]);
    }
  }
  return hits;
}

async function ask(node: ProcessCluster, method: string, path: string, body?: string | object) {
  const headers = {
    authorization: `Bearer ${ADMIN_KEY}`,
    ...(typeof body === 'object' ? { 'content-type': 'application/json' } : {}),
  };
  const answer = await fetch(`${node.node(0).url}${path}`, {
    ...{ method, headers, signal: AbortSignal.timeout(10_000) },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.ok, `${method} ${path}: ${answer.status} ${text}`).toBe(true);
  return text;
}

const EMAIL = 'planted-address-Keq7@example.org';
const IN_VALUES = {
  value: 'planted-value-Keq7',
  overwritten: 'planted-overwritten-Keq7',
  txn: 'planted-transaction-Keq7',
  inline: 'planted-inline-object-Keq7',
  body: 'planted-object-body-Keq7',
  part: 'planted-multipart-part-Keq7',
  metadata: 'planted-user-metadata-Keq7',
  tag: 'planted-object-tag-Keq7',
  policy: 'planted-policy-statement-Keq7',
};
const NAMES = { key: 'planted-key-name-Keq7', object: 'planted-object-name-Keq7' };

async function write(node: ProcessCluster): Promise<void> {
  const { value, overwritten, txn } = IN_VALUES;
  for (const body of [overwritten, `${value} `.repeat(200)]) {
    await ask(node, 'PUT', `/v1/kv/${NAMES.key}`, body);
  }
  await ask(node, 'POST', '/v1/txn', {
    then: [1, 2, 3].map((i) => ({ op: 'put', key: `t${i}`, value: txn })),
  });
}

function s3Of(node: ProcessCluster): aws.S3Client {
  return new aws.S3Client({
    ...{ endpoint: `${node.node(0).url}/s3`, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: 'MINIKVTEST', secretAccessKey: S3_SECRET },
  });
}

async function writeObjects(client: aws.S3Client): Promise<void> {
  const { inline, body, part, metadata, tag, policy } = IN_VALUES;
  const Bucket = 'planted-bucket';
  await client.send(new aws.CreateBucketCommand({ Bucket }));
  const Metadata = { note: metadata };
  const Tagging = `note=${tag}`;
  const small = { Bucket, Key: `${NAMES.object}-small`, Body: inline, Metadata, Tagging };
  await client.send(new aws.PutObjectCommand(small));
  const large = { Bucket, Key: `${NAMES.object}-large`, Body: Buffer.alloc(9_000_000, body) };
  await client.send(new aws.PutObjectCommand(large));
  const Key = `${NAMES.object}-parts`;
  const { UploadId } = await client.send(new aws.CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts = [];
  for (const PartNumber of [1, 2]) {
    const Body = Buffer.alloc(PartNumber === 1 ? 5 * 1024 * 1024 : 1_000, part);
    const sent = { Bucket, Key, UploadId, PartNumber, Body };
    const { ETag } = await client.send(new aws.UploadPartCommand(sent));
    Parts.push({ PartNumber, ETag });
  }
  const completed = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
  await client.send(new aws.CompleteMultipartUploadCommand(completed));
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        ...{ Sid: policy.replaceAll('-', ''), Effect: 'Deny', Principal: '*' },
        ...{ Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/none` },
      },
    ],
  });
  await client.send(new aws.PutBucketPolicyCommand({ Bucket, Policy }));
}

async function readBack(node: ProcessCluster, client: aws.S3Client): Promise<void> {
  const kept = await ask(node, 'GET', `/v1/kv/${NAMES.key}`);
  expect(kept).toBe(`${IN_VALUES.value} `.repeat(200));
  const named = { Bucket: 'planted-bucket', Key: `${NAMES.object}-large`, Range: 'bytes=8000000-' };
  const large = await client.send(new aws.GetObjectCommand(named));
  const bytes = Buffer.from((await large.Body?.transformToByteArray()) ?? []);
  expect(bytes.equals(Buffer.alloc(9_000_000, IN_VALUES.body).subarray(8_000_000))).toBe(true);
}

test('nothing that clients wrote, but names, is on the disk, and it all is there after a crash', async () => {
  cluster = await ProcessCluster.start(options({ MINIKV_ENCRYPTION_ROOT_KEY: key() }));
  const client = s3Of(cluster);
  await write(cluster);
  await writeObjects(client);
  await ask(cluster, 'POST', '/admin/s3-users', { name: 'ada', email: EMAIL });
  const drawn = JSON.parse(await ask(cluster, 'POST', '/admin/s3-keys', { user: 'ada' }));
  const { secretAccessKey } = drawn as { secretAccessKey: string };
  expect(secretAccessKey.length).toBeGreaterThan(20);
  const { data } = cluster.node(0);
  const planted = [
    ...Object.values(IN_VALUES),
    S3_SECRET,
    ADMIN_KEY,
    IN_VALUES.policy.replaceAll('-', ''),
    EMAIL,
    secretAccessKey,
  ];
  expect(await found(data, planted)).toEqual([]);
  // Killed: what was not flushed is replayed, and written to the engine at the end of the next life.
  await cluster.kill(0);
  expect(await found(data, planted)).toEqual([]);
  cluster.spawn(0);
  await cluster.ready();
  await readBack(cluster, client);
  expect(await cluster.stop(0)).toBe(0);
  expect(await found(data, planted)).toEqual([]);
  // Names are in the engine, which orders by them, and nowhere else.
  const named = await found(data, Object.values(NAMES));
  expect(new Set(named.map(([path]) => path.split('/')[0]))).toEqual(new Set(['state']));
  expect(new Set(named.map(([, word]) => word))).toEqual(new Set(Object.values(NAMES)));
  client.destroy();
}, 120_000);

test('another root key, or none, refuses to start and says why; a new one in front is rotated to', async () => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-root-'));
  const file = join(folder, 'root-keys');
  const [first, second] = [key(), key()];
  writeFileSync(file, first);
  const more: Record<string, string> = { MINIKV_ENCRYPTION_ROOT_KEY_COMMAND: `cat ${file}` };
  cluster = await ProcessCluster.start(options(more));
  await write(cluster);
  const refused = async (text: string, says: string) => {
    writeFileSync(file, text);
    const before = (cluster as ProcessCluster).node(0).output().length;
    cluster?.spawn(0);
    expect(await cluster?.exit(0)).not.toBe(0);
    expect(cluster?.node(0).output().slice(before)).toContain(says);
  };
  const started = async (text: string) => {
    writeFileSync(file, text);
    cluster?.spawn(0);
    await cluster?.ready();
    const kept = await ask(cluster as ProcessCluster, 'GET', `/v1/kv/${NAMES.key}`);
    expect(kept).toContain(IN_VALUES.value);
    await cluster?.stop(0);
  };
  await cluster.stop(0);
  await refused(second, 'which is not among the configured ones');
  await refused('', 'has no root key');
  await started(`${second}\n${first}`);
  expect(cluster.node(0).output()).toContain('wrapped under another root key');
  await started(second);
  await refused(first, 'which is not among the configured ones');
}, 120_000);

test('another data key and another root key come while it runs, and nothing is under the old ones', async () => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-root-'));
  const file = join(folder, 'root-keys');
  const [first, second] = [key(), key()];
  writeFileSync(file, first);
  cluster = await ProcessCluster.start(
    options({ MINIKV_ENCRYPTION_ROOT_KEY_COMMAND: `cat ${file}`, MINIKV_COMPRESSION: 'lz4' }),
  );
  const client = s3Of(cluster);
  await write(cluster);
  await writeObjects(client);
  // An end in order writes the values that were in memory alone.
  expect(await cluster.stop(0)).toBe(0);
  cluster.spawn(0);
  await cluster.ready();
  const io = { ...process.env, MINIKV_API_KEY: ADMIN_KEY, MINIKV_ENDPOINT: cluster.node(0).url };
  const cli = async (...args: string[]) => {
    const main = join(import.meta.dirname, '../../dist/cli/main.js');
    const run = execFile(process.execPath, [main, ...args], { env: io });
    return run.then(({ stdout }) => stdout);
  };
  const before = await ask(cluster, 'GET', '/admin/data-keys');
  expect(JSON.parse(before)).toMatchObject({ dataKey: 1, dataKeys: [1], state: 'idle' });
  expect(await cli('data-keys', 'rotate', '--wait')).toContain('data key 2 seals all');
  await readBack(cluster, client);
  const after = JSON.parse(await ask(cluster, 'GET', '/admin/data-keys'));
  expect(after).toMatchObject({ dataKey: 2, dataKeys: [2], state: 'idle', error: null });
  expect(after.places.chunks.resealed).toBeGreaterThan(1);
  expect(after.places.values.resealed).toBeGreaterThan(10);
  expect(after.places.log.resealed).toBeGreaterThan(0);
  const metrics = await ask(cluster, 'GET', '/metrics');
  expect(metrics).toMatch(/minikv_at_rest_data_keys(?:\{[^}]*\})? 1/);
  expect(metrics).toMatch(/minikv_at_rest_resealed_total\{[^}]*place="chunks"/);
  // What is exported with a key is as unreadable as the folder.
  const exported = join(folder, 'export.mkx');
  await cli('export', '--encryption-key-file', file, '--out', exported);
  const words = [...Object.values(IN_VALUES), ...Object.values(NAMES)];
  expect(await found(folder, words)).toEqual([]);
  await ask(cluster, 'DELETE', `/v1/kv/${NAMES.key}`);
  await cli('import', exported, '--encryption-key-file', file);
  await readBack(cluster, client);
  // A root key that lacks the one in use is refused, and nothing changes.
  writeFileSync(file, second);
  const refused = await cli('data-keys', 'reload-root-key').catch((error) => error.stdout);
  expect(refused).toContain('which is in use');
  writeFileSync(file, `${second}\n${first}`);
  expect(await cli('data-keys', 'reload-root-key')).toMatch(/root key [0-9a-f]{16}, before/);
  await ask(cluster, 'POST', '/admin/encryption-keys/rewrap');
  writeFileSync(file, second);
  expect(await cli('data-keys', 'reload-root-key')).toContain('as before');
  // In the middle of the next one it is killed, and goes on at its start, under the second root key alone.
  await ask(cluster, 'POST', '/admin/data-keys/rotate');
  await cluster.kill(0);
  const { data } = cluster.node(0);
  expect(await found(data, Object.values(IN_VALUES))).toEqual([]);
  cluster.spawn(0);
  await cluster.ready();
  for (let state = ''; state !== 'idle'; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    ({ state } = JSON.parse(await ask(cluster, 'GET', '/admin/data-keys')));
  }
  expect(JSON.parse(await ask(cluster, 'GET', '/admin/data-keys')).dataKeys).toEqual([3]);
  await readBack(cluster, client);
  expect(await cluster.stop(0)).toBe(0);
  expect(await found(data, Object.values(IN_VALUES))).toEqual([]);
  client.destroy();
}, 120_000);
