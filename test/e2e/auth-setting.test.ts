import { afterEach, expect, test } from 'vitest';
import { isReady, ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

/** Whether credentials are asked for is the cluster's: no node lets everybody past what the others ask for. */

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const ADMIN = `mkv_admin_${'k'.repeat(43)}`;
const AUTH = { flags: ['--auth'], env: { MINIKV_AUTH_ADMIN_KEY: ADMIN } };

async function ask(url: string, key: string | null, init: RequestInit = {}) {
  const headers: Record<string, string> = { 'x-minikv-timeout-ms': '3000' };
  if (key !== null) headers['authorization'] = `Bearer ${key}`;
  if (typeof init.body === 'string') headers['content-type'] = 'application/json';
  const answer = await fetch(url, { headers, ...init });
  return { status: answer.status, text: await answer.text() };
}

const put = (url: string, key: string | null) =>
  ask(`${url}/v1/kv/a`, key, { method: 'PUT', body: '"x"' });

test('a node without --auth does not start beside others that ask, until an administrator says that it may', async () => {
  const running = await ProcessCluster.start({ nodes: 3, ...AUTH });
  cluster = running;
  const [first, , third] = running.urls() as [string, string, string];
  const setting = `${first}/admin/auth`;
  expect(await ask(setting, ADMIN)).toEqual({ status: 200, text: '{"required":true}' });
  await running.stop(2);
  running.spawn(2, {});
  // It serves nobody while it does not know, not even what needs no quorum.
  const codes = new Set<number>();
  const asking = new AbortController();
  const looking = (async () => {
    while (!asking.signal.aborted) {
      const url = `${third}/v1/kv/a?consistency=stale`;
      const status = await ask(url, null).catch(() => null);
      if (status !== null) codes.add(status.status);
      await sleep(5);
    }
  })();
  expect(await running.exit(2)).toBe(1);
  asking.abort();
  await looking;
  expect([...codes].filter((code) => code !== 503)).toEqual([]);
  expect(running.node(2).output()).toContain('this cluster asks for credentials');
  const off = { method: 'PUT', body: '{"required":false}' };
  expect((await ask(setting, null, off)).status).toBe(401);
  expect(await ask(setting, ADMIN, off)).toEqual({ status: 200, text: '{"required":false}' });
  running.spawn(2, {});
  await running.ready();
  expect((await put(third, null)).status).toBe(201);
  expect((await put(first, null)).status).toBe(401);
}, 120_000);

test('nodes that ask nobody serve nobody once another one asks; they still count, and follow when they are restarted', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  const urls = running.urls();
  const [first, second, third] = urls as [string, string, string];
  for (const url of urls) expect([200, 201]).toContain((await put(url, null)).status);
  expect((await ask(`${second}/admin/auth`, null)).status).toBe(501);
  const watch = await fetch(`${second}/v1/watch?prefix=a`);
  const ended = watch.text();
  await running.stop(0);
  running.spawn(0, AUTH);
  // The others serve nobody from then on, so they do not call themselves ready either.
  while (!(await isReady(first))) await sleep(30);
  const deadline = performance.now() + 12_000;
  for (const url of [second, third]) {
    while ((await put(url, null)).status !== 503) {
      expect(performance.now()).toBeLessThan(deadline);
      await sleep(100);
    }
    const paths = ['v1/kv/a?consistency=stale', 'v1/kv?prefix=a', 's3/', 'admin/state-hashes'];
    for (const path of paths) {
      const { status, text } = await ask(`${url}/${path}`, null);
      expect([status, text], path).toEqual([503, expect.stringContaining('asks for credentials')]);
    }
    expect((await ask(`${url}/health/live`, null)).status).toBe(200);
    expect((await ask(`${url}/health/ready`, null)).status).toBe(503);
  }
  await ended;
  expect((await put(first, ADMIN)).status).toBe(200);
  expect((await put(first, null)).status).toBe(401);
  for (const index of [1, 2]) {
    await running.stop(index);
    running.spawn(index, AUTH);
  }
  await running.ready();
  for (const url of urls) {
    expect((await put(url, ADMIN)).status).toBe(200);
    expect((await put(url, null)).status).toBe(401);
  }
}, 120_000);
