import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { connect } from 'nats';
import { afterEach, describe, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

function minikv(url: string, ...args: string[]) {
  const env = { ...process.env, MINIKV_ENDPOINT: url };
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', env });
}

interface Shown {
  readonly bytes: number | null;
  readonly usage: { readonly bytes: number; readonly keys: number; readonly objects: number };
  readonly state: string;
}

async function setQuota(url: string, scope: string, quota: object): Promise<Shown> {
  const answer = await fetch(`${url}/admin/quotas/${encodeURIComponent(scope)}`, {
    ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify(quota),
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Shown;
}

async function quotaOf(url: string, scope: string): Promise<Shown> {
  const answer = await fetch(`${url}/admin/quotas/${encodeURIComponent(scope)}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Shown;
}

async function put(url: string, path: string, bytes: number): Promise<number> {
  const answer = await fetch(`${url}${path}`, { method: 'PUT', body: 'x'.repeat(bytes) });
  await answer.arrayBuffer();
  return answer.status;
}

/** Names of one byte each. */
const NAMES = 'abcdefghijklmnopqrstuvwxyz';

describe.each([1, 3])('quotas on %i nodes', (nodes) => {
  test('of a bucket: to the last byte, refused with QuotaExceeded, and deletions make room', async () => {
    cluster = await ProcessCluster.start({ nodes, groups: 8 });
    const urls = cluster.urls();
    const at = (i: number): string => urls[i % urls.length] as string;
    expect(await put(at(0), '/s3/photos', 0)).toBe(200);
    expect(await put(at(0), '/s3/photos/a', 40)).toBe(200);
    const set = await setQuota(at(0), 'bucket:photos', { bytes: 200, objects: 5 });
    expect(set).toMatchObject({ state: 'enforced', usage: { bytes: 40, objects: 1 } });
    // Racing, from all nodes, at all groups: never more than there is, and nearly all of it.
    const statuses = await Promise.all(
      [...NAMES].map((name, i) => put(at(i), `/s3/photos/r${name}`, 50)),
    );
    expect(new Set(statuses)).toEqual(new Set([200, 403]));
    expect(statuses.filter((status) => status === 200)).toHaveLength(3);
    expect(await quotaOf(at(1), 'bucket:photos')).toMatchObject({
      usage: { bytes: 190, objects: 4 },
    });
    const refused = await fetch(`${at(1)}/s3/photos/b`, { method: 'PUT', body: 'x'.repeat(11) });
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain('<Code>QuotaExceeded</Code>');
    // The last bytes are there for whoever wants them, in whichever group.
    expect(await put(at(2), '/s3/photos/b', 10)).toBe(200);
    expect(await put(at(2), '/s3/photos/c', 0)).toBe(403);
    // What shrinks is done, reads and deletions too.
    expect(await put(at(0), '/s3/photos/a', 30)).toBe(200);
    expect(await (await fetch(`${at(1)}/s3/photos/a`)).text()).toBe('x'.repeat(30));
    expect((await fetch(`${at(1)}/s3/photos/a`, { method: 'DELETE' })).status).toBe(204);
    expect(await put(at(2), '/s3/photos/c', 40)).toBe(200);
    expect(await quotaOf(at(0), 'bucket:photos')).toMatchObject({
      usage: { bytes: 200, objects: 5 },
    });
    expect(minikv(at(0), 'quotas', 'list').stdout).toBe(
      'bucket:photos  200 of 200 bytes, 5 of 5 objects\n',
    );
    // Set below what is used: nothing grows; raised again: it does.
    await setQuota(at(1), 'bucket:photos', { bytes: 100 });
    expect(await put(at(0), '/s3/photos/new', 1)).toBe(403);
    expect(minikv(at(2), 'quotas', 'set', 'bucket:photos', '--bytes', '201').status).toBe(0);
    expect(await put(at(0), '/s3/photos/new', 1)).toBe(200);
    expect(minikv(at(2), 'quotas', 'delete', 'bucket:photos').stdout).toBe(
      'deleted the quota of bucket:photos\n',
    );
    expect(await put(at(0), '/s3/photos/more', 1_000)).toBe(200);
    expect((await fetch(`${at(0)}/admin/quotas/bucket%3Aphotos`)).status).toBe(404);
  }, 60_000);

  test('of a tenant and of a prefix: what is there is counted; batches and transactions keep to it', async () => {
    cluster = await ProcessCluster.start({ nodes, groups: 8 });
    const urls = cluster.urls();
    const at = (i: number): string => urls[i % urls.length] as string;
    const writes = [...NAMES].map((name, i) => put(at(i), `/v1/kv/k${name}`, 8));
    expect(new Set(await Promise.all(writes))).toEqual(new Set([201]));
    const tenant = await setQuota(at(0), 'tenant:default', { keys: 30 });
    expect(tenant).toMatchObject({ state: 'enforced', usage: { keys: 26, bytes: 260 } });
    const prefix = await setQuota(at(1), 'prefix:default/k', { bytes: 300 });
    expect(prefix).toMatchObject({ state: 'enforced', usage: { keys: 26, bytes: 260 } });
    // 40 bytes are left under the prefix, 4 keys in all.
    const refused = await fetch(`${at(0)}/v1/kv/kx1`, { method: 'PUT', body: 'x'.repeat(38) });
    expect(refused.status).toBe(507);
    expect(await refused.json()).toMatchObject({ code: 'quota_exceeded', definite: true });
    const ops = (names: string[], bytes: number) =>
      names.map((key) => ({ op: 'put', key, value: 'x'.repeat(bytes) }));
    const batch = await post(at(1), '/v1/batch', { ops: ops(['k1', 'k2', 'k3', 'k4'], 13) });
    const results = (batch.json as { results: { code?: string }[] }).results;
    const failed = results.filter(({ code }) => code === 'quota_exceeded');
    expect(failed).toHaveLength(2);
    expect(await quotaOf(at(2), 'prefix:default/k')).toMatchObject({ usage: { bytes: 290 } });
    const txn = (names: string[]) => ({ then: ops(names, 1) });
    // Two keys are left to the tenant.
    expect((await post(at(0), '/v1/txn', txn(['a1', 'b1', 'c1']))).status).toBe(507);
    expect((await post(at(0), '/v1/txn', txn(['a1', 'b1']))).status).toBe(200);
    expect(await quotaOf(at(2), 'tenant:default')).toMatchObject({ usage: { keys: 30 } });
    expect((await post(at(0), '/v1/txn', txn(['c1']))).status).toBe(507);
    expect((await fetch(`${at(0)}/v1/kv/a1`, { method: 'DELETE' })).status).toBe(200);
    expect((await post(at(0), '/v1/txn', txn(['c1']))).status).toBe(200);
    if (nodes > 1) {
      const nats = await connect({ servers: cluster.nats?.url ?? '' });
      const asked = JSON.stringify({ key: 'a1', value: 'x' });
      const answer = await nats.request('minikv.api.put', asked, { timeout: 5_000 });
      await nats.close();
      expect(answer.headers?.get('Minikv-Status')).toBe('507');
      expect(answer.json()).toMatchObject({ code: 'quota_exceeded', definite: true });
      await cluster.kill(1);
      expect(await put(at(0), '/v1/kv/a1', 1)).toBe(507);
      cluster.spawn(1);
      await cluster.ready();
    }
    expect(await quotaOf(at(0), 'tenant:default')).toMatchObject({ usage: { keys: 30 } });
  }, 60_000);
});

async function post(url: string, path: string, body: object) {
  const answer = await fetch(`${url}${path}`, {
    ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: (await answer.json()) as unknown };
}
