import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as aws from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../kit/nats-server.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SECRETS = ['of-the-old-store-12345', 'of-the-new-store-12345'] as const;
const OBJECTS = 1_500;

interface Store {
  readonly cluster: ProcessCluster;
  readonly url: string;
  readonly s3: aws.S3Client;
}

async function startStore(secret: string): Promise<Store> {
  const port = await freePort();
  const flags = ['--s3-access-key', 'mirrored', '--s3-port', String(port)];
  const env = { MINIKV_S3_SECRET_KEY: secret };
  const cluster = await ProcessCluster.start({ nodes: 1, flags, env });
  const url = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: 'mirrored', secretAccessKey: secret };
  const region = 'us-east-1';
  const s3 = new aws.S3Client({ endpoint: url, region, forcePathStyle: true, credentials });
  return { cluster, url, s3 };
}

const nameOf = (i: number): string => `tree/${i % 7}/object ${i}`;
const bytesOf = (i: number): Buffer => Buffer.alloc(i % 50 === 0 ? 200_000 : 900 + i, `${i} `);

describe('minikv mirror from one store to another', () => {
  let old: Store;
  let fresh: Store;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'minikv-mirror-'));
    [old, fresh] = await Promise.all([startStore(SECRETS[0]), startStore(SECRETS[1])]);
  });
  afterAll(async () => {
    old?.s3.destroy();
    fresh?.s3.destroy();
    await Promise.all([old?.cluster.dispose(), fresh?.cluster.dispose()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (): {
    child: ChildProcess;
    ended: Promise<{ code: number | null; text: string }>;
  } => {
    const state = join(folder, 'state.json');
    const args = ['--from', old.url, '--to', fresh.url, '--state', state, '--json', '--progress'];
    const child = spawn(process.execPath, [MAIN, 'mirror', 'shelf', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...{ PATH: process.env['PATH'] },
        ...{ MINIKV_FROM_ACCESS_KEY: 'mirrored', MINIKV_FROM_SECRET_KEY: SECRETS[0] },
        ...{ MINIKV_S3_ACCESS_KEY: 'mirrored', MINIKV_S3_SECRET_KEY: SECRETS[1] },
      },
    });
    let text = '';
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = new Promise<{ code: number | null; text: string }>((resolve) =>
      child.once('close', (code) => {
        for (const secret of SECRETS) expect(text + said).not.toContain(secret);
        resolve({ code, text });
      }),
    );
    return { child, ended };
  };

  const keysOf = async (s3: aws.S3Client): Promise<Map<string, string>> => {
    const keys = new Map<string, string>();
    for await (const page of aws.paginateListObjectsV2({ client: s3 }, { Bucket: 'shelf' })) {
      for (const { Key, ETag } of page.Contents ?? []) keys.set(Key as string, ETag as string);
    }
    return keys;
  };

  it('is killed in the middle, goes on where it was, and in the end both are the same', async () => {
    await old.s3.send(new aws.CreateBucketCommand({ Bucket: 'shelf' }));
    for (let i = 0; i < OBJECTS; i += 50) {
      const puts = Array.from({ length: 50 }, (_, j) => {
        const Metadata = { number: `${i + j}` };
        const put = { Bucket: 'shelf', Key: nameOf(i + j), Body: bytesOf(i + j), Metadata };
        return old.s3.send(new aws.PutObjectCommand(put));
      });
      await Promise.all(puts);
    }
    const large = { Bucket: 'shelf', Key: 'tree/9/large' };
    const { UploadId } = await old.s3.send(new aws.CreateMultipartUploadCommand(large));
    const Parts: aws.CompletedPart[] = [];
    for (let PartNumber = 1; PartNumber <= 6; PartNumber++) {
      const part = {
        ...large,
        UploadId,
        PartNumber,
        Body: Buffer.alloc(8 * 1024 ** 2, PartNumber),
      };
      Parts.push({ PartNumber, ETag: (await old.s3.send(new aws.UploadPartCommand(part))).ETag });
    }
    const all = { ...large, UploadId, MultipartUpload: { Parts } };
    await old.s3.send(new aws.CompleteMultipartUploadCommand(all));

    const first = start();
    while ((await keysOf(fresh.s3).catch(() => new Map())).size < OBJECTS / 3) await sleep(20);
    first.child.kill('SIGKILL');
    expect((await first.ended).code).toBeNull();
    const half = (await keysOf(fresh.s3)).size;
    expect(half).toBeLessThan(OBJECTS + 1);
    const { after } = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'));
    expect(after.shelf).toMatch(/^tree\//);

    const second = await start().ended;
    expect(second.code).toBe(0);
    const summary = JSON.parse(second.text);
    expect(summary).toMatchObject({ failed: 0, unproven: 0, isStopped: false });
    // What lies before the mark was not looked at again, what lies behind it was copied once.
    expect(summary.listed).toBeLessThan(OBJECTS + 1);
    expect(summary.copied).toBeGreaterThan(0);
    expect(summary.copied).toBeLessThanOrEqual(OBJECTS + 1 - half);
    expect(await keysOf(fresh.s3)).toEqual(await keysOf(old.s3));
    for (let i = 0; i < OBJECTS; i += 97) {
      const got = await fresh.s3.send(
        new aws.GetObjectCommand({ Bucket: 'shelf', Key: nameOf(i) }),
      );
      const bytes = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
      expect(bytes.equals(bytesOf(i)), nameOf(i)).toBe(true);
      expect(got.Metadata).toEqual({ number: `${i}` });
    }
    const got = await fresh.s3.send(new aws.GetObjectCommand(large));
    const hash = createHash('sha256');
    for await (const chunk of got.Body as AsyncIterable<Buffer>) hash.update(chunk);
    const expected = createHash('sha256');
    for (let i = 1; i <= 6; i++) expected.update(Buffer.alloc(8 * 1024 ** 2, i));
    expect(hash.digest('hex')).toBe(expected.digest('hex'));

    const third = await start().ended;
    expect(third.code).toBe(0);
    expect(JSON.parse(third.text)).toMatchObject({ copied: 0, failed: 0 });
  }, 180_000);
});
