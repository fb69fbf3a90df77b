import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as aws from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';

let cluster: ProcessCluster | null = null;
const clients: aws.S3Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await cluster?.dispose();
  cluster = null;
});

const Bucket = 'sealed';
const PLANTED = 'planted: nobody may find this on a disk';

function clientOf(url: string): aws.S3Client {
  const client = new aws.S3Client({
    ...{ endpoint: `${url}/s3`, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: 'MINIKVTEST', secretAccessKey: 'of this test only' },
  });
  clients.push(client);
  return client;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('what one node encrypts all read, none keeps in clear, and a node with another root key ends', async () => {
  const root = randomBytes(32).toString('base64');
  const flags = ['--s3-access-key', 'MINIKVTEST'];
  const env = {
    MINIKV_S3_SECRET_KEY: 'of this test only',
    MINIKV_ENCRYPTION_ROOT_KEY: root,
  };
  cluster = await ProcessCluster.start({ nodes: 3, groups: 2, flags, env });
  const urls = cluster.urls();
  const nodes = urls.map((_, index) => (cluster as ProcessCluster).node(index));
  const [one, two, three] = urls.map(clientOf) as [...[aws.S3Client, aws.S3Client, aws.S3Client]];
  const made = await fetch(`${urls[0]}/admin/encryption-keys/mine`, { method: 'PUT' });
  expect(made.status).toBe(200);
  await one.send(new aws.CreateBucketCommand({ Bucket }));
  const key = randomBytes(32);
  const customer = {
    ...{ SSECustomerAlgorithm: 'AES256', SSECustomerKey: key.toString('base64') },
    SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
  };
  const kinds: readonly (readonly [string, object, object])[] = [
    ['customer', customer, customer],
    ['s3', { ServerSideEncryption: 'AES256' }, {}],
    ['kms', { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'mine' }, {}],
  ];
  const bodies = [Buffer.from(PLANTED), Buffer.alloc(9_000_000, PLANTED)];
  for (const [name, how] of kinds) {
    for (const Body of bodies) {
      const Key = `${name}-${Body.length}`;
      await one.send(new aws.PutObjectCommand({ Bucket, Key, Body, ...how }));
    }
  }
  const readAll = async (client: aws.S3Client) => {
    for (const [name, , more] of kinds) {
      for (const body of bodies) {
        const named = { Bucket, Key: `${name}-${body.length}`, ...more };
        const whole = await client.send(new aws.GetObjectCommand(named));
        const bytes = Buffer.from((await whole.Body?.transformToByteArray()) ?? []);
        expect(bytes.equals(body), named.Key).toBe(true);
        const Range = 'bytes=10-30';
        const part = await client.send(new aws.GetObjectCommand({ ...named, Range }));
        expect(await part.Body?.transformToString()).toBe(body.toString('utf8', 10, 31));
      }
    }
  };
  await readAll(two);
  await readAll(three);
  const repaired = await fetch(`${urls[1]}/admin/repair`, { method: 'POST' });
  expect(await repaired.json()).toMatchObject({ damaged: 0, lost: 0 });

  const secrets = [Buffer.from(PLANTED), key, Buffer.from(root, 'base64'), Buffer.from(root)];
  secrets.push(Buffer.from(key.toString('base64')));
  let files = 0;
  const paths = await Promise.all(nodes.map(({ data }) => filesBelow(data)));
  for (const path of paths.flat()) {
    const bytes = await readFile(path);
    files++;
    for (const secret of secrets) expect(bytes.includes(secret), path).toBe(false);
  }
  expect(files).toBeGreaterThan(6);
  const said = nodes.map(({ output }) => output()).join('\n');
  for (const secret of [PLANTED, root, key.toString('base64')]) expect(said).not.toContain(secret);

  await cluster.kill(0);
  await readAll(two);

  env.MINIKV_ENCRYPTION_ROOT_KEY = randomBytes(32).toString('base64');
  cluster.spawn(0);
  expect(await cluster.exit(0)).toBe(1);
  expect(nodes[0]?.output()).toContain('the root key is not the one of this cluster');
  env.MINIKV_ENCRYPTION_ROOT_KEY = root;
  cluster.spawn(0);
  await cluster.ready();
  await readAll(clientOf(urls[0] as string));
}, 120_000);
