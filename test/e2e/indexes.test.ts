import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import {
  type DebianPackage,
  debianPackages,
  dependants,
  PACKAGE_INDEXES,
  queryPackages,
  scanPackages,
} from '../kit/debian-packages.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

const SLICE = new URL('../fixtures/packages.deb822', import.meta.url);

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

async function post(url: string, body: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function load(url: string, records: ReadonlyMap<string, DebianPackage>): Promise<void> {
  const ops = [...records].map(([key, value]) => ({
    op: 'put',
    key,
    value: JSON.stringify(value),
  }));
  for (let i = 0; i < ops.length; i += 50) {
    expect((await post(`${url}/v1/batch`, { ops: ops.slice(i, i + 50) })).status).toBe(200);
  }
}

async function waitLive(url: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const indexes = await fetch(`${url}/v1/indexes`)
      .then(async (answer) => ((await answer.json()) as { indexes: { state: string }[] }).indexes)
      .catch(() => []);
    if (indexes.length > 0 && indexes.every(({ state }) => state === 'live')) return;
    await sleep(100);
  }
  throw new Error('the indexes do not go live');
}

/** Rewrites records for as long as it is told to: another section, another size, now and then gone. */
async function rewrite(
  running: ProcessCluster,
  records: ReadonlyMap<string, DebianPackage>,
  isOver: () => boolean,
): Promise<number> {
  const keys = [...records.keys()];
  let written = 0;
  for (let i = 0; !isOver(); i++) {
    const key = keys[(i * 7919) % keys.length] as string;
    const before = records.get(key) as DebianPackage;
    const url = running.urls()[i % running.size];
    const depends = i % 3 === 0 ? before.depends.slice(1) : before.depends;
    const after = { ...before, section: `moved-${i % 5}`, installedSize: (i * 37) % 5000, depends };
    const body = i % 11 === 10 ? null : JSON.stringify(after);
    const request = { method: body === null ? 'DELETE' : 'PUT', body };
    const answer = await fetch(`${url}/v1/kv/${key}`, request).catch(() => null);
    if (answer?.ok) written++;
    else await sleep(20);
  }
  return written;
}

/** Every index against a full scan at the revision of its own answer. */
async function expectExact(url: string): Promise<void> {
  const { keys, revision } = await queryPackages(url, 'by-dependency', 'eq=libc6&order=desc');
  const all = await scanPackages(url, revision);
  expect(keys).toEqual(dependants(all, 'libc6'));
  const at = `revision=${revision}`;
  const sections = [...all].filter(([, { section }]) => section.startsWith('moved-'));
  const moved = await queryPackages(url, 'by-section', `prefix=moved-&${at}`);
  expect(moved.keys.sort()).toEqual(sections.map(([key]) => key).sort());
  const large = await queryPackages(url, 'by-size', `gte=1000&lt=3000&${at}`);
  const wanted = [...all]
    .filter(([, { installedSize }]) => installedSize >= 1000 && installedSize < 3000)
    .sort(([a, x], [b, y]) => x.installedSize - y.installedSize || (a < b ? -1 : 1));
  expect(large.keys).toEqual(wanted.map(([key]) => key));
  const [first] = all.values();
  const maintainer = first?.maintainer ?? '';
  const theirs = await queryPackages(
    url,
    'by-maintainer',
    `eq=${encodeURIComponent(JSON.stringify([maintainer]))}&${at}`,
  );
  const ofThem = [...all].filter(([, one]) => one.maintainer === maintainer);
  expect(theirs.keys).toEqual(ofThem.map(([key]) => key).sort());
}

test('who depends on libc6, largest first: indexes of Debian packages equal full scans, on every node, while records move and a leader is killed', async () => {
  const records = debianPackages(readFileSync(SLICE, 'utf8'));
  expect(records.size).toBeGreaterThanOrEqual(300);
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  const [url = ''] = running.urls();
  await load(url, records);
  for (const index of PACKAGE_INDEXES) {
    expect((await post(`${url}/v1/indexes`, { ...index, prefix: 'pkg/' })).status).toBe(201);
  }
  await waitLive(url);
  const before = await queryPackages(url, 'by-dependency', 'eq=libc6&order=desc');
  expect(before.keys.length).toBeGreaterThan(20);
  expect(before.keys).toEqual(dependants(records, 'libc6'));
  let isOver = false;
  const writing = rewrite(running, records, () => isOver);
  for (let i = 0; i < 3; i++) for (const node of running.urls()) await expectExact(node);
  const victim = await running.leaderOf(1);
  await running.kill(victim);
  const left = running.urls().filter((_, index) => index !== victim);
  await sleep(1500);
  for (const node of left) await expectExact(node);
  running.spawn(victim);
  await running.ready();
  isOver = true;
  expect(await writing).toBeGreaterThan(50);
  for (const node of running.urls()) await expectExact(node);
  // The past, too, is as it was.
  const past = await queryPackages(
    url,
    'by-dependency',
    `eq=libc6&order=desc&revision=${before.revision}`,
  );
  expect(past.keys).toEqual(before.keys);
}, 120_000);
