import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const ADMIN = `mkv_admin_${'k'.repeat(43)}`;

function minikv(url: string, ...args: string[]) {
  const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  const env = { ...process.env, MINIKV_API_KEY: ADMIN, MINIKV_ENDPOINT: url };
  return spawnSync(process.execPath, [main, ...args], { env, encoding: 'utf8' });
}

/** Asks as fast as the answers come, by so many at a time. Returns how many were served, and how many refused. */
async function hammer(url: string, key: string, untilMs: number, width: number) {
  const seen = { served: 0, refused: 0, other: 0 };
  const one = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      const headers = { authorization: `Bearer ${key}` };
      const { status } = await fetch(`${url}/v1/kv/a`, { headers });
      if (status === 200) seen.served++;
      else if (status === 429) seen.refused++;
      else seen.other++;
    }
  };
  await Promise.all(Array.from({ length: width }, one));
  return seen;
}

test('a limit holds over three nodes from when it is answered, and goes to the node that is asked', async () => {
  const env = { MINIKV_AUTH_ADMIN_KEY: ADMIN };
  cluster = await ProcessCluster.start({ nodes: 3, flags: ['--auth'], env });
  const urls = cluster.urls();
  const [first, second, third] = urls as [string, string, string];
  const key = minikv(first, 'keys', 'create', 'limited').stdout.trim();
  expect(key).toMatch(/^mkv_/);
  const headers = { authorization: `Bearer ${key}` };
  for (const url of urls) {
    const put = await fetch(`${url}/v1/kv/a`, { method: 'PUT', body: 'x', headers });
    expect(put.status).toBeLessThan(300);
    expect(put.headers.get('x-ratelimit-limit')).toBeNull();
  }
  const scope = `key:${key.slice(4, 20)}`;
  const set = minikv(second, 'limits', 'set', scope, '--requests', '60', '--burst', '30');
  expect(set.stdout, set.stderr).toBe(`${scope}  60 requests/s, 30 at once\n`);
  for (const url of urls) {
    const got = await fetch(`${url}/v1/kv/a`, { headers });
    expect(got.headers.get('x-ratelimit-limit')).toBe('60');
  }
  // On all nodes, then on one: never more than the burst, what time brings, and one request a node.
  const beganMs = performance.now();
  const all = await Promise.all(urls.map((url) => hammer(url, key, beganMs + 4_000, 2)));
  const one = await hammer(third, key, performance.now() + 6_000, 3);
  const tookMs = performance.now() - beganMs;
  const served = [...all, one].reduce((sum, seen) => sum + seen.served, 0);
  const other = [...all, one].reduce((sum, seen) => sum + seen.other, 0);
  expect(other).toBe(0);
  expect(served).toBeLessThanOrEqual(30 + 3 + (60 * tookMs) / 1_000);
  // A busy machine asks for less than the limit.
  const refused = [...all, one].reduce((sum, seen) => sum + seen.refused, 0);
  const due = (ms: number, asked: number) => Math.min((60 * ms) / 1_000, asked);
  expect(served).toBeGreaterThanOrEqual(0.5 * due(tookMs, served + refused));
  // The last seconds were one node's: it came to serve what the cluster may.
  expect(one.served).toBeGreaterThanOrEqual(0.5 * due(6_000, one.served + one.refused));

  expect(minikv(first, 'limits', 'list', '--json').stdout).toContain('"requestsPerSecond":60');
  expect(minikv(first, 'limits', 'show', scope).stdout).toContain('60 requests/s');
  expect(minikv(first, 'limits', 'set', scope).status).toBe(2);
  expect(minikv(first, 'limits', 'set', scope, '--requests', '0').status).toBe(2);
  expect(minikv(first, 'limits', 'set', 'nobody', '--requests', '1').status).toBe(1);
  expect(minikv(third, 'limits', 'delete', scope).stdout).toBe(`deleted the limit of ${scope}\n`);
  const free = await hammer(second, key, performance.now() + 1_000, 2);
  expect([free.refused, free.other]).toEqual([0, 0]);
}, 180_000);

test('without --auth, limits of addresses come into force within seconds, and restarts keep them', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const [url] = cluster.urls() as [string];
  expect(minikv(url, 'limits', 'set', 'anonymous', '--requests', '5').status).toBe(0);
  await sleep(3_000);
  const seen = await hammer(url, ADMIN, performance.now() + 2_000, 2);
  expect(seen.refused).toBeGreaterThan(5);
  expect(seen.served + seen.other).toBeLessThanOrEqual(5 + 1 + 5 * 2.5);
  await cluster.kill(0);
  cluster.spawn(0);
  await cluster.ready();
  await sleep(3_000);
  expect(minikv(url, 'limits', 'show', 'anonymous').stdout).toBe('anonymous  5 requests/s\n');
  const again = await hammer(url, ADMIN, performance.now() + 2_000, 2);
  expect(again.refused).toBeGreaterThan(5);
}, 180_000);
