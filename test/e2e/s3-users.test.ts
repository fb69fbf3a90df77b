import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand, S3 } from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { refused } from '../kit/s3-start.ts';
import { sleep } from '../kit/wait.ts';

/** Users of S3 on three nodes: what is answered of their keys holds on all of them. */

let cluster: ProcessCluster | null = null;
const clients: S3[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await cluster?.dispose();
  cluster = null;
});

const ADMIN = `mkv_admin_${'k'.repeat(43)}`;
const ROOT = { accessKeyId: 'MKTEST', secretAccessKey: 'test-secret' };

function start(nodes = 3): Promise<ProcessCluster> {
  const env = {
    MINIKV_AUTH_ADMIN_KEY: ADMIN,
    MINIKV_ENCRYPTION_ROOT_KEY: '5a'.repeat(32),
    MINIKV_S3_ACCESS_KEY: ROOT.accessKeyId,
    MINIKV_S3_SECRET_KEY: ROOT.secretAccessKey,
  };
  return ProcessCluster.start({ nodes, flags: ['--auth'], env });
}

async function ask(url: string, method: string, path: string, body?: object, key = ADMIN) {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(url + path, { method, headers, ...sent });
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

interface Pair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

async function pairOf(url: string, user: string): Promise<Pair> {
  const { status, json } = await ask(url, 'POST', '/admin/s3-keys', { user });
  expect(status, JSON.stringify(json)).toBe(201);
  return json as unknown as Pair;
}

function client(url: string, credentials: Pair): S3 {
  const more = { region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 };
  const made = new S3({ endpoint: `${url}/s3`, credentials, ...more });
  clients.push(made);
  return made;
}

test('S3 keys work on every node when they are shown, and on none when their revocation is answered', async () => {
  cluster = await start();
  const urls = cluster.urls();
  const [first] = urls as [string];
  const ada = await ask(first, 'POST', '/admin/s3-users', {
    name: 'ada',
    email: 'ada@example.org',
  });
  expect(ada).toMatchObject({ status: 201, json: { arn: 'arn:aws:iam::minikv:user/ada' } });
  const own = client(first, await pairOf(first, 'ada'));
  await own.createBucket({ Bucket: 'of-ada' });
  await own.putObject({ Bucket: 'of-ada', Key: 'k', Body: 'x' });
  const tookMs: number[] = [];
  const ends = [
    ['POST', '/revoke'],
    ['POST', '/disable'],
    ['DELETE', ''],
  ] as const;
  for (const [round, [method, end]] of ends.entries()) {
    const pair = await pairOf(urls[round % 3] as string, 'ada');
    const nodes = urls.map((url) => client(url, pair));
    for (const s3 of nodes) await s3.getObject({ Bucket: 'of-ada', Key: 'k' });
    // Clients that never pause: the first request that begins after the answer is refused, on each node.
    let revokedMs = Number.POSITIVE_INFINITY;
    let accepted = 0;
    const late: string[] = [];
    const keepAsking = async (s3: S3): Promise<void> => {
      for (;;) {
        const beganMs = performance.now();
        const name = await s3.send(new GetObjectCommand({ Bucket: 'of-ada', Key: 'k' })).then(
          async ({ Body }) => {
            await Body?.transformToString();
            return 'taken';
          },
          (error: Error) => error.name,
        );
        if (name === 'taken') accepted++;
        if (beganMs <= revokedMs) continue;
        if (name !== 'InvalidAccessKeyId') late.push(name);
        return;
      }
    };
    const asking = Promise.all(nodes.map(keepAsking));
    await sleep(200);
    const where = `/admin/s3-keys/${pair.accessKeyId}`;
    const sentMs = performance.now();
    const revoked = await ask(urls[(round + 1) % 3] as string, method, where + end);
    expect(revoked.status).toBe(200);
    revokedMs = performance.now();
    tookMs.push(revokedMs - sentMs);
    await asking;
    expect(late).toEqual([]);
    expect(accepted).toBeGreaterThan(3);
    if (end !== '/disable') continue;
    expect((await ask(first, 'POST', `${where}/enable`)).status).toBe(200);
    for (const s3 of nodes) await s3.getObject({ Bucket: 'of-ada', Key: 'k' });
  }
  // The time that views are waited out, and a change: of three, one is not held up by the machine.
  expect(Math.min(...tookMs)).toBeLessThan(1_000);
  // Another pair of the same user is still good, until the user is disabled or gone.
  await own.getObject({ Bucket: 'of-ada', Key: 'k' });
  const user = `${urls[2]}/admin/s3-users/ada`;
  expect((await ask(user, 'POST', '/disable')).status).toBe(200);
  expect((await refused(own.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  expect((await ask(user, 'POST', '/enable')).status).toBe(200);
  expect((await ask(user, 'PATCH', '', { role: 'read_only' })).status).toBe(200);
  await own.getObject({ Bucket: 'of-ada', Key: 'k' });
  const put = own.putObject({ Bucket: 'of-ada', Key: 'k', Body: 'y' });
  expect((await refused(put)).name).toBe('AccessDenied');
  expect((await ask(first, 'DELETE', '/admin/s3-users/ada')).status).toBe(200);
  expect((await refused(own.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  const root = client(urls[1] as string, ROOT);
  expect((await root.getBucketAcl({ Bucket: 'of-ada' })).Owner?.ID).toBe(ada.json['id']);
}, 180_000);

test('what users own and give each other is the same on every node, and outlives them; a minority takes no key', async () => {
  const running = await start();
  cluster = running;
  const urls = running.urls();
  const [first, second, third] = urls as [string, string, string];
  const ids: Record<string, unknown> = {};
  for (const name of ['alice', 'bob']) {
    const { json } = await ask(first, 'POST', '/admin/s3-users', { name });
    ids[name] = json['id'];
  }
  const [ofAlice, ofBob] = [await pairOf(second, 'alice'), await pairOf(third, 'bob')];
  const alice = urls.map((url) => client(url, ofAlice));
  const bob = urls.map((url) => client(url, ofBob));
  await alice[0]?.createBucket({ Bucket: 'photos', GrantWrite: `id=${ids['bob']}` });
  await bob[1]?.putObject({ Bucket: 'photos', Key: 'b', Body: 'of bob' });
  // One that is larger than what is kept beside its record, in parts.
  const Key = 'large';
  const created = await bob[2]?.createMultipartUpload({ Bucket: 'photos', Key });
  const upload = { Bucket: 'photos', Key, UploadId: created?.UploadId };
  const Body = Buffer.alloc(200_000, 'b');
  const part = await bob[0]?.uploadPart({ ...upload, PartNumber: 1, Body });
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: part?.ETag }] };
  await bob[1]?.completeMultipartUpload({ ...upload, MultipartUpload });
  const check = async (): Promise<void> => {
    for (const s3 of alice) {
      const { Contents } = await s3.listObjectsV2({ Bucket: 'photos', FetchOwner: true });
      expect(Contents?.map(({ Owner }) => Owner?.ID)).toEqual([ids['bob'], ids['bob']]);
      expect((await s3.listBuckets({})).Buckets?.map(({ Name }) => Name)).toEqual(['photos']);
      expect((await refused(s3.getObject({ Bucket: 'photos', Key }))).name).toBe('AccessDenied');
    }
    for (const s3 of bob) {
      expect((await s3.listBuckets({})).Buckets ?? []).toEqual([]);
      const { Body: body } = await s3.getObject({ Bucket: 'photos', Key });
      expect((await body?.transformToByteArray())?.length).toBe(200_000);
      expect((await refused(s3.listObjects({ Bucket: 'photos' }))).name).toBe('AccessDenied');
    }
  };
  await check();
  await Promise.all([running.kill(0), running.kill(1)]);
  await sleep(2_000);
  const alone = await refused(
    bob[2]?.getObject({ Bucket: 'photos', Key: 'b' }) as Promise<unknown>,
  );
  expect(alone.status).toBe(503);
  running.spawn(0);
  running.spawn(1);
  await running.ready();
  await check();
}, 180_000);

test('the command line makes users and keys, and shows a secret once', async () => {
  const running = await start();
  cluster = running;
  const [url] = running.urls() as [string];
  const minikv = (...args: string[]) => {
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    const env = { ...process.env, MINIKV_API_KEY: ADMIN, MINIKV_ENDPOINT: url };
    return spawnSync(process.execPath, [main, 'keys', ...args], { env, encoding: 'utf8' });
  };
  const made = minikv(
    'create',
    'ada',
    '--s3',
    '--email',
    'ada@example.org',
    '--display-name',
    'Ada',
  );
  const [, id = '', secret = ''] =
    /^AWS_ACCESS_KEY_ID=(AKIA[A-Z2-7]{16})\nAWS_SECRET_ACCESS_KEY=(\S{40})\n$/.exec(made.stdout) ??
    [];
  expect(id, made.stderr).not.toBe('');
  const ada = client(url, { accessKeyId: id, secretAccessKey: secret });
  const { Owner } = await ada.listBuckets({});
  expect(Owner?.DisplayName).toBe('Ada');
  expect(minikv('users').stdout).toBe(`ada  read_write  ${Owner?.ID}  ada@example.org\n`);
  expect(minikv('list', '--s3').stdout).toBe(`${id}  ada\n`);
  expect(minikv('create', 'ada', '--s3', '--role', 'admin').status).toBe(1);
  const again = minikv('create', 'ada', '--s3', '--expires', '3600', '--json');
  expect(JSON.parse(again.stdout)).toMatchObject({
    user: 'ada',
    role: 'read_write',
    userId: Owner?.ID,
  });
  expect(minikv('show', id).stdout).not.toContain(secret);
  // A rotation: the old pair is switched off, and could be switched on again, before it is removed.
  expect(minikv('disable', id).stdout).toBe(`${id}  ada  disabled\n`);
  expect((await refused(ada.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  expect(minikv('enable', id).stdout).toBe(`${id}  ada\n`);
  const shown = `ada  read_only  ${Owner?.ID}  ada@example.org`;
  expect(minikv('change-user', 'ada', '--role', 'read_only').stdout).toBe(`${shown}\n`);
  expect(minikv('disable', 'ada').stdout).toBe(`${shown}  disabled\n`);
  expect((await refused(ada.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  expect(minikv('enable', 'ada').stdout).toBe(`${shown}\n`);
  await ada.listBuckets({});
  expect(minikv('revoke', id).stdout).toContain('revoked 20');
  expect((await refused(ada.listBuckets({}))).name).toBe('InvalidAccessKeyId');
  expect(minikv('delete', id).stdout).toBe(`deleted ${id}\n`);
  expect(minikv('delete-user', 'ada').stdout).toBe('deleted ada\n');
  expect(minikv('users').stdout).toBe('');
  expect(minikv('create', 'not for s3', '--email', 'a@b').status).toBe(2);
}, 180_000);

test('keys of REST act on objects in transactions as their roles allow, and as policies do not deny', async () => {
  cluster = await start(1);
  const [url] = cluster.urls() as [string];
  const root = client(url, ROOT);
  await root.createBucket({ Bucket: 'kept' });
  for (const Key of ['a', 'no/b']) await root.putObject({ Bucket: 'kept', Key, Body: 'x' });
  const Statement = {
    ...{ Effect: 'Deny', Principal: '*', Action: ['s3:DeleteObject', 's3:PutObjectTagging'] },
    Resource: 'arn:aws:s3:::kept/no/*',
  };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await root.putBucketPolicy({ Bucket: 'kept', Policy });
  const bearers: Record<string, string> = { admin: ADMIN };
  for (const role of ['read_only', 'read_write']) {
    const { json } = await ask(url, 'POST', '/admin/keys', { name: role, role });
    bearers[role] = json['key'] as string;
  }
  const txn = async (who: string, op: object) => {
    const { status } = await ask(url, 'POST', '/v1/txn', { then: [op] }, bearers[who]);
    return status;
  };
  const of = (key: string) => ({ bucket: 'kept', key });
  const ops = [
    (key: string) => ({ op: 'headObject', ...of(key) }),
    (key: string) => ({ op: 'putObjectTags', ...of(key), tags: { by: 'txn' } }),
    (key: string) => ({ op: 'deleteObject', ...of(key) }),
  ];
  for (const op of ops) {
    for (const key of ['a', 'no/b']) expect(await txn('read_only', op(key))).toBe(403);
  }
  const [head, tags, remove] = ops as [(typeof ops)[0], (typeof ops)[0], (typeof ops)[0]];
  for (const who of ['read_write', 'admin']) {
    expect(await txn(who, head('no/b'))).toBe(200);
    for (const op of [tags, remove]) expect(await txn(who, op('no/b'))).toBe(403);
    expect(await txn(who, tags('a'))).toBe(200);
  }
  expect(await txn('read_write', remove('a'))).toBe(200);
  const { Contents } = await root.listObjectsV2({ Bucket: 'kept' });
  expect(Contents?.map(({ Key }) => Key)).toEqual(['no/b']);
  expect((await root.getObjectTagging({ Bucket: 'kept', Key: 'no/b' })).TagSet).toEqual([]);
}, 60_000);
