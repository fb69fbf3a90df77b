import { S3 } from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

/** Tenants on three nodes: what is answered of them holds on all, and a deletion outlives the node that began it. */

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const ADMIN = `mkv_admin_${'k'.repeat(43)}`;

async function ask(url: string, method: string, path: string, body?: unknown, key = ADMIN) {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  const isJson = body !== undefined && typeof body !== 'string';
  if (isJson) headers['content-type'] = 'application/json';
  const sent = isJson ? JSON.stringify(body) : (body as string | undefined);
  const answer = await fetch(url + path, {
    ...{ method, headers },
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await answer.text();
  const isDocument = answer.headers.get('content-type')?.includes('json') === true;
  const json = (isDocument ? JSON.parse(text) : {}) as Record<string, unknown>;
  return { status: answer.status, text, json };
}

async function tenant(url: string, name: string): Promise<string> {
  expect((await ask(url, 'POST', '/admin/tenants', { name })).status).toBe(201);
  const wanted = { name: 'k', tenant: name, role: 'admin' };
  const { status, json } = await ask(url, 'POST', '/admin/keys', wanted);
  expect(status).toBe(201);
  return json['key'] as string;
}

test('tenants see their own on every node, are refused on every node, and go after a crash too', async () => {
  const env = { MINIKV_AUTH_ADMIN_KEY: ADMIN };
  cluster = await ProcessCluster.start({ nodes: 3, flags: ['--auth'], env });
  const urls = cluster.urls();
  const [first] = urls as [string];
  const [one, two] = [await tenant(first, 'one'), await tenant(first, 'two')];
  const index = { name: 'i', fields: ['/n'], unique: true };
  for (const [key, value] of [
    [one, '{"n":"of one"}'],
    [two, '{"n":"of two"}'],
  ] as const) {
    expect((await ask(first, 'POST', '/v1/indexes', index, key)).status).toBe(201);
    expect((await ask(first, 'PUT', '/v1/kv/same', value, key)).status).toBe(201);
  }
  const isLive = async (key: string) =>
    (await ask(first, 'GET', '/v1/indexes/i', undefined, key)).json['state'] === 'live';
  while (!(await isLive(one)) || !(await isLive(two))) await sleep(100);
  for (const url of urls) {
    expect((await ask(url, 'GET', '/v1/kv/same', undefined, one)).text).toBe('{"n":"of one"}');
    expect((await ask(url, 'GET', '/v1/kv/same', undefined, two)).text).toBe('{"n":"of two"}');
    expect((await ask(url, 'GET', '/v1/kv/same')).status).toBe(404);
    expect((await ask(url, 'GET', '/v1/indexes')).json).toEqual({ indexes: [] });
    const found = await ask(url, 'GET', '/v1/indexes/i/query?eq=of%20two', undefined, one);
    expect(found.json['items']).toEqual([]);
  }
  // A unique index is of one tenant: another one may have the same value.
  const txn = { then: [{ op: 'put', key: 'copy', value: '{"n":"of two"}' }] };
  expect((await ask(first, 'POST', '/v1/txn', txn, one)).status).toBe(200);

  // Each has a lock of this name, with a lease that is not there to the other.
  const leases = new Map<string, unknown>();
  for (const key of [one, two]) {
    const { json } = await ask(first, 'POST', '/v1/leases', { ttlSeconds: 60 }, key);
    const held = await ask(first, 'POST', '/v1/locks/job', { lease: json['id'] }, key);
    expect([held.status, held.json['lease']]).toEqual([200, json['id']]);
    leases.set(key, json['id']);
  }
  for (const url of urls) {
    const path = `/v1/leases/${leases.get(one)}`;
    expect((await ask(url, 'POST', `${path}/keepalive`, undefined, one)).status).toBe(200);
    for (const key of [two, ADMIN]) {
      for (const [method, at] of [
        ['GET', path],
        ['POST', `${path}/keepalive`],
        ['DELETE', path],
      ] as const) {
        expect((await ask(url, method, at, undefined, key)).status).toBe(404);
      }
      const stolen = await ask(url, 'POST', '/v1/locks/other', { lease: leases.get(one) }, key);
      expect([stolen.status, stolen.json['code']]).toEqual([404, 'lease_not_found']);
    }
    const shown = await ask(url, 'GET', '/v1/locks/job', undefined, two);
    expect(shown.json['lease']).toBe(leases.get(two));
  }

  expect((await ask(first, 'POST', '/admin/tenants/one/suspend')).status).toBe(200);
  for (const url of urls) {
    expect((await ask(url, 'GET', '/v1/kv/same', undefined, one)).status).toBe(403);
    const path = `/v1/leases/${leases.get(one)}/keepalive`;
    expect((await ask(url, 'POST', path, undefined, one)).status).toBe(403);
  }
  expect((await ask(first, 'POST', '/admin/tenants/one/resume')).status).toBe(200);
  for (const url of urls) {
    expect((await ask(url, 'GET', '/v1/kv/same', undefined, one)).status).toBe(200);
  }

  for (let at = 0; at < 4; at++) {
    const ops = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ op: 'put', key: `k${at}/${i}`, value: '{}' },
    }));
    expect((await ask(first, 'POST', '/v1/batch', { ops }, one)).status).toBe(200);
  }
  expect((await ask(first, 'DELETE', '/admin/tenants/one')).status).toBe(202);
  for (const url of urls) {
    expect((await ask(url, 'GET', '/v1/kv/same', undefined, one)).status).toBe(401);
  }
  const status = await ask(first, 'GET', '/admin/status');
  const groups = status.json['groups'] as { group: number; leader: string }[];
  const meta = groups.find(({ group }) => group === 0)?.leader as string;
  const at = ['n1', 'n2', 'n3'].indexOf(meta);
  await cluster.kill(at);
  const alive = urls[(at + 1) % 3] as string;
  const endMs = Date.now() + 150_000;
  for (;;) {
    const { status: now } = await ask(alive, 'GET', '/admin/tenants/one');
    if (now === 404) break;
    expect([200, 503]).toContain(now);
    if (Date.now() > endMs) throw new Error('the tenant is still there');
    await sleep(1_000);
  }
  const again = await tenant(alive, 'one');
  const listed = await ask(alive, 'GET', '/v1/kv', undefined, again);
  expect(listed.json['items']).toEqual([]);
  expect((await ask(alive, 'GET', '/v1/kv/same', undefined, two)).text).toBe('{"n":"of two"}');
}, 300_000);

test('tenants have users of S3 and buckets of their own, which go with them', async () => {
  const env = { MINIKV_AUTH_ADMIN_KEY: ADMIN, MINIKV_ENCRYPTION_ROOT_KEY: '5a'.repeat(32) };
  cluster = await ProcessCluster.start({ nodes: 1, flags: ['--auth'], env });
  const [url] = cluster.urls() as [string];
  const [one, two] = [await tenant(url, 'one'), await tenant(url, 'two')];
  const clientOf = async (key: string) => {
    const made = await ask(url, 'POST', '/admin/s3-users', { name: 'ada', role: 'admin' }, key);
    expect(made.status).toBe(201);
    const pair = await ask(url, 'POST', '/admin/s3-keys', { user: 'ada' }, key);
    const { accessKeyId, secretAccessKey } = pair.json as Record<string, string>;
    const credentials = {
      accessKeyId: String(accessKeyId),
      secretAccessKey: String(secretAccessKey),
    };
    const more = { region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 };
    const s3 = new S3({ endpoint: `${url}/s3`, credentials, ...more });
    return { s3, id: String(accessKeyId), arn: made.json['arn'] };
  };
  const [a, b] = [await clientOf(one), await clientOf(two)];
  expect([a.arn, b.arn]).toEqual([
    'arn:aws:iam::minikv:user/one/ada',
    'arn:aws:iam::minikv:user/two/ada',
  ]);
  // Of the other tenant, of the cluster, and of nobody: one answer.
  const unknown = `AKIA${'A'.repeat(16)}`;
  for (const key of [two, ADMIN]) {
    const seen = [];
    for (const id of [a.id, unknown]) {
      const { status, json } = await ask(url, 'GET', `/admin/s3-keys/${id}`, undefined, key);
      seen.push({ ...json, status, requestId: '' });
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]?.status).toBe(404);
  }
  await a.s3.createBucket({ Bucket: 'same' });
  await a.s3.putBucketVersioning({
    ...{ Bucket: 'same', VersioningConfiguration: { Status: 'Enabled' } },
  });
  for (let i = 0; i < 3; i++) await a.s3.putObject({ Bucket: 'same', Key: 'k', Body: `${i}` });
  await a.s3.putObject({ Bucket: 'same', Key: 'large', Body: Buffer.alloc(3 << 20, 7) });
  await expect(b.s3.getObject({ Bucket: 'same', Key: 'k' })).rejects.toThrow(
    /bucket does not exist/,
  );
  await b.s3.createBucket({ Bucket: 'same' });
  await b.s3.putObject({ Bucket: 'same', Key: 'k', Body: 'of two' });
  expect((await ask(url, 'DELETE', '/admin/tenants/one')).status).toBe(202);
  await expect(a.s3.listBuckets({})).rejects.toMatchObject({ name: 'InvalidAccessKeyId' });
  const endMs = Date.now() + 150_000;
  let last: unknown = null;
  for (;;) {
    const { status, json } = await ask(url, 'GET', '/admin/tenants/one');
    if (status === 404) break;
    last = json['deletion'];
    if (Date.now() > endMs) throw new Error('the tenant is still there');
    await sleep(500);
  }
  expect(last).toMatchObject({ credentials: 3, buckets: 1, versions: 4 });
  const c = await clientOf(await tenant(url, 'one'));
  expect((await c.s3.listBuckets({})).Buckets ?? []).toEqual([]);
  await c.s3.createBucket({ Bucket: 'same' });
  expect((await c.s3.listObjectVersions({ Bucket: 'same' })).Versions ?? []).toEqual([]);
  const read = await b.s3.getObject({ Bucket: 'same', Key: 'k' });
  expect(await read.Body?.transformToString()).toBe('of two');
  for (const { s3 } of [a, b, c]) s3.destroy();
}, 300_000);
