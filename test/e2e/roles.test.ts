import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const ADMIN = `mkv_admin_${'k'.repeat(43)}`;

async function ask(url: string, key: string, method: string, body?: object | string) {
  const headers: Record<string, string> = {
    ...{ authorization: `Bearer ${key}`, 'x-minikv-timeout-ms': '3000' },
    'content-type': typeof body === 'object' ? 'application/json' : 'text/plain',
  };
  const sent = typeof body === 'object' ? JSON.stringify(body) : body;
  const init = { method, headers, ...(sent === undefined ? {} : { body: sent }) };
  const answer = await fetch(url, init);
  return { status: answer.status, text: await answer.text() };
}

test('a role that is narrowed is narrower on every node once that is answered, and watches of the rest end', async () => {
  const env = { MINIKV_AUTH_ADMIN_KEY: ADMIN, MINIKV_ENCRYPTION_ROOT_KEY: '5a'.repeat(32) };
  cluster = await ProcessCluster.start({ nodes: 3, flags: ['--auth'], env });
  const urls = cluster.urls();
  const [first, second, third] = urls as [string, string, string];
  const put = (url: string, ...prefixes: string[]) => {
    const resources = prefixes.map((keys) => ({ keys }));
    const rules = [{ effect: 'allow', actions: ['data:*'], resources }];
    return ask(`${url}/admin/roles/app`, ADMIN, 'PUT', { rules });
  };
  expect((await put(first, 'a/', 'b/')).status).toBe(200);
  const made = await ask(`${second}/admin/keys`, ADMIN, 'POST', { name: 'e2e', role: 'app' });
  const { key } = JSON.parse(made.text) as { key: string };
  for (const url of urls) {
    for (const name of ['a/x', 'b/x']) {
      const { status, text } = await ask(`${url}/v1/kv/${name}`, key, 'PUT', 'x');
      expect([200, 201], text).toContain(status);
    }
    expect((await ask(`${url}/v1/kv/c`, key, 'PUT', 'x')).status).toBe(403);
    expect((await ask(`${url}/v1/kv?prefix=a/`, key, 'GET')).status).toBe(200);
    expect((await ask(`${url}/v1/kv`, key, 'GET')).status).toBe(403);
  }
  const headers = { authorization: `Bearer ${key}` };
  const watches = urls.map((url) => fetch(`${url}/v1/watch?prefix=b/`, { headers }));
  const texts = (await Promise.all(watches)).map((answer) => answer.text());
  // Clients that never pause: the first request that begins after the answer is refused, on each node.
  let narrowedMs = Number.POSITIVE_INFINITY;
  const late: string[] = [];
  const keepAsking = async (url: string): Promise<number> => {
    for (let accepted = 0; ; ) {
      const beganMs = performance.now();
      const { status } = await ask(`${url}/v1/kv/b/x`, key, 'GET');
      if (status === 200) accepted++;
      if (beganMs <= narrowedMs) continue;
      if (status !== 403) late.push(`${url} ${status}`);
      return accepted;
    }
  };
  const asking = Promise.all(urls.map(keepAsking));
  await sleep(200);
  expect((await put(third, 'a/')).status).toBe(200);
  narrowedMs = performance.now();
  const accepted = await asking;
  expect(late).toEqual([]);
  expect(Math.min(...accepted)).toBeGreaterThan(0);
  expect((await ask(`${first}/v1/kv/b/after`, ADMIN, 'PUT', 'x')).status).toBe(201);
  for (const text of texts) expect(await text).not.toContain('b/after');
  for (const url of urls) expect((await ask(`${url}/v1/kv/a/x`, key, 'GET')).status).toBe(200);
  expect((await ask(`${second}/admin/roles/app`, ADMIN, 'DELETE')).status).toBe(200);
  for (const url of urls) expect((await ask(`${url}/v1/kv/a/x`, key, 'GET')).status).toBe(403);
}, 180_000);
