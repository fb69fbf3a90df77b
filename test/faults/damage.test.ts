import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';

/** Files of a stopped node that no longer are what was written. */

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

async function put(url: string, key: string, value: string): Promise<void> {
  const answer = await fetch(`${url}/v1/kv/${key}`, { method: 'PUT', body: value });
  expect(answer.status).toBe(201);
  await answer.arrayBuffer();
}

const get = async (url: string, key: string): Promise<string> =>
  (await fetch(`${url}/v1/kv/${key}`)).text();

function overwrite(path: string): Buffer {
  const before = readFileSync(path);
  writeFileSync(path, Buffer.alloc(before.length, 0x5a));
  return before;
}

test('F12 damaged engine files of a single node are set aside, and the state is made again from the log', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const { url, data } = cluster.node(0);
  for (let n = 0; n < 40; n++) await put(url, `k-${n}`, `v-${n}`);
  await cluster.stop(0);
  const folder = join(data, 'state');
  const before = readdirSync(folder).filter((name) => name.endsWith('.ldb'));
  // One bit: LevelDB itself would not notice and serve it.
  const table = join(folder, before[0] as string);
  const bytes = readFileSync(table);
  bytes[100] = (bytes[100] as number) ^ 1;
  writeFileSync(table, bytes);
  cluster.spawn(0);
  await cluster.ready();
  expect(cluster.node(0).output()).toMatch(/the state is damaged; it is made again from the log/);
  for (let n = 0; n < 40; n++) expect(await get(url, `k-${n}`)).toBe(`v-${n}`);
  const aside = readdirSync(join(data, 'quarantine')).find((name) => name.startsWith('state'));
  const kept = readdirSync(join(data, 'quarantine', aside as string));
  for (const name of before) expect(kept).toContain(name);
}, 60_000);

test('F12 a damaged identity of the only copy: it refuses to start, says what to do, and changes nothing', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const { url, data } = cluster.node(0);
  await put(url, 'a', 'one');
  await cluster.stop(0);
  const identity = overwrite(join(data, 'identity.json'));
  cluster.spawn(0);
  expect(await cluster.exit(0)).toBe(1);
  expect(cluster.node(0).output()).toMatch(
    /identity file is damaged.*only copy.*copy the data folder/,
  );
  expect(existsSync(join(data, 'quarantine'))).toBe(false);
  writeFileSync(join(data, 'identity.json'), identity);
  cluster.spawn(0);
  await cluster.ready();
  expect(await get(url, 'a')).toBe('one');
}, 60_000);

test('F12 F13 a damaged identity in a cluster: everything is kept aside, and it comes back as a new member', async () => {
  cluster = await ProcessCluster.start({ nodes: 3, groups: 1 });
  for (let n = 0; n < 30; n++) await put(cluster.node(n % 3).url, `k-${n}`, `v-${n}`);
  await cluster.stop(2);
  const { data, url } = cluster.node(2);
  overwrite(join(data, 'identity.json'));
  cluster.spawn(2);
  await cluster.ready();
  for (let n = 0; n < 30; n++) expect(await get(url, `k-${n}`)).toBe(`v-${n}`);
  const kept = readdirSync(join(data, 'quarantine')).join(' ');
  for (const part of ['identity', 'state', 'wal']) expect(kept).toContain(part);
}, 60_000);
