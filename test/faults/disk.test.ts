import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { Client } from 'undici';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { SmallDisk } from '../kit/small-disk.ts';
import { SseReader } from '../kit/sse-reader.ts';
import { sleep, until } from '../kit/wait.ts';

/** Real disks that run full, become read-only, or cannot be opened, under real processes. */

const MIB = 1024 * 1024;
const isLong = process.env['MINIKV_FAULTS'] === '1';
const noDisk = SmallDisk.missing();
if (noDisk !== null) console.log(`tests of full disks are skipped: ${noDisk}`);

let cluster: ProcessCluster | null = null;
const disks: SmallDisk[] = [];

afterEach(async () => {
  await cluster?.dispose().catch(() => {}); // its data folder may be a mount
  for (const disk of disks.splice(0)) disk.unmount();
  await cluster?.dispose();
  cluster = null;
});

interface Answer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of any shape.
  readonly json: any;
}

async function ask(url: string, method = 'GET', body: string | null = null): Promise<Answer> {
  const headers = { 'x-minikv-timeout-ms': '4000' };
  const signal = AbortSignal.timeout(10_000);
  const answer = await fetch(url, { method, body, headers, signal });
  const text = await answer.text();
  return { status: answer.status, text, json: text.startsWith('{') ? JSON.parse(text) : null };
}

async function eventually(isSo: () => Promise<boolean>, what: string, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not in ${ms} ms: ${what}`);
    await sleep(50);
  }
}

const put = (url: string, key: string, value: string) => ask(`${url}/v1/kv/${key}`, 'PUT', value);

async function onSmallDisk(mib: number) {
  cluster = await ProcessCluster.start({
    nodes: 1,
    prepare: (data) => disks.push(SmallDisk.mount(data, mib)),
  });
  const { url, pid } = cluster.node(0);
  return { running: cluster, disk: disks[0] as SmallDisk, url, pid };
}

test.skipIf(noDisk !== null)(
  'F15 full disk: writes are 507, reads and watches go on, and it recovers by itself',
  async () => {
    const { running, disk, url, pid } = await onSmallDisk(256);
    const watcher = new SseReader([url], 'prefix=w/');
    await watcher.opened;
    for (let n = 0; n < 20; n++) expect((await put(url, `w/${n}`, `v-${n}`)).status).toBe(201);
    for (const freeBytes of isLong ? [40 * MIB, 1 * MIB, 0] : [0]) {
      disk.fillTo(freeBytes);
      await eventually(
        async () => (await put(url, 'probe', 'x')).status === 507,
        'it is full',
        5_000,
      );
      for (let n = 0; n < 20; n++) {
        const refused = await put(url, `no-${n}`, 'x'.repeat(20_000));
        expect([refused.status, refused.json.code]).toEqual([507, 'storage_full']);
        expect(refused.json.definite).toBe(true);
        expect((await ask(`${url}/v1/kv/w/${n}`)).text).toBe(`v-${n}`);
      }
      // Longer than memtables wait for the engine, and than promises about the clock last.
      await sleep(3_000);
      expect((await ask(`${url}/v1/kv?prefix=w/`)).json.items.length).toBe(20);
      expect((await ask(`${url}/health`)).json).toMatchObject({ status: 'degraded', disk: 'full' });
      expect((await ask(`${url}/metrics`)).text).toMatch(
        /minikv_disk_trouble\{.*kind="full".*\} 1/,
      );
    }
    disk.free();
    await eventually(async () => (await put(url, 'w/after', 'room')).status < 300, 'room', 10_000);
    expect((await ask(`${url}/health`)).json).toMatchObject({ status: 'ready', disk: 'ok' });
    await until(() => watcher.puts().length === 21, 'the watch goes on', 10_000);
    expect(watcher.connections).toBe(1);
    watcher.close();
    expect(running.node(0).pid).toBe(pid);
    await running.kill(0);
    running.spawn(0);
    await running.ready();
    for (let n = 0; n < 20; n++) expect((await ask(`${url}/v1/kv/w/${n}`)).text).toBe(`v-${n}`);
    for (let n = 0; n < 20; n++) expect((await ask(`${url}/v1/kv/no-${n}`)).status).toBe(404);
  },
  90_000,
);

test.skipIf(noDisk !== null || !isLong)(
  'F15 a disk that its own writes fill: none is lost, none is stuck, and more room is all it needs',
  async () => {
    const { running, disk, url, pid } = await onSmallDisk(224);
    const acknowledged = new Map<string, string>();
    const codes = new Map<number, number>();
    let n = 0;
    const client = async (): Promise<void> => {
      while ((codes.get(507) ?? 0) < 20) {
        const key = `big-${n++}`;
        // Bytes that do not compress.
        const value = randomBytes(350_000).toString('hex');
        const { status } = await put(url, key, value);
        codes.set(status, (codes.get(status) ?? 0) + 1);
        if (status === 201) acknowledged.set(key, value);
      }
    };
    await Promise.all([client(), client(), client()]);
    expect(disk.freeBytes()).toBeGreaterThan(8 * MIB);
    expect(acknowledged.size).toBeGreaterThan(20);
    // Busy (503), waited too long for the disk (504), full (507): nothing else, and no crash.
    for (const status of codes.keys()) expect([201, 503, 504, 507]).toContain(status);
    const all = async (): Promise<void> => {
      for (const [key, value] of acknowledged) {
        expect((await ask(`${url}/v1/kv/${key}`)).text === value, key).toBe(true);
      }
    };
    await all();
    expect(running.node(0).pid).toBe(pid);
    disk.resize(512);
    await eventually(async () => (await put(url, 'after', 'room')).status < 300, 'room', 10_000);
    await running.kill(0);
    running.spawn(0);
    await running.ready();
    await all();
  },
  120_000,
);

test.skipIf(noDisk !== null || !isLong)(
  'F15 one full disk of three: the others lead, writes go on, and the full node catches up',
  async () => {
    const running = await ProcessCluster.start({
      nodes: 3,
      groups: 2,
      prepare: (data, index) => {
        if (index === 2) disks.push(SmallDisk.mount(data, 256));
      },
    });
    cluster = running;
    const [disk] = disks as [SmallDisk];
    const { pid } = running.node(2);
    disk.fillTo(0);
    await eventually(
      async () => (await ask(`${running.node(2).url}/health`)).json.disk === 'full',
      'it knows',
      5_000,
    );
    await sleep(3_000);
    for (let n = 0; n < 60; n++) {
      const url = running.node(n % 3).url;
      expect((await put(url, `k-${n}`, `v-${n}`)).status, `${n}`).toBe(201);
    }
    for (const group of [0, 1, 2]) expect(await running.leaderOf(group)).not.toBe(2);
    expect(running.node(2).pid).toBe(pid);
    disk.free();
    await eventually(
      async () => (await ask(`${running.node(2).url}/health`)).json.disk === 'ok',
      'room',
      5_000,
    );
    await sleep(3_000);
    await running.kill(0);
    for (let n = 0; n < 60; n++) {
      expect((await ask(`${running.node(2).url}/v1/kv/k-${n}`)).text).toBe(`v-${n}`);
    }
  },
  90_000,
);

test('F17 no file can be opened: writes are refused, reads go on, it says so, and it recovers', async () => {
  const running = await ProcessCluster.start({ nodes: 1 });
  cluster = running;
  const { url, pid } = running.node(0);
  // One connection, made before: another could not be accepted.
  const client = new Client(url, { keepAliveTimeout: 60_000 });
  const on = async (path: string, method: 'GET' | 'PUT' = 'GET', body: string | null = null) => {
    const answer = await client.request({ path, method, body });
    const text = await answer.body.text();
    return {
      status: answer.statusCode,
      text,
      json: text.startsWith('{') ? JSON.parse(text) : null,
    };
  };
  expect((await on('/v1/kv/a', 'PUT', 'one')).status).toBe(201);
  const hard = /Max open files\s+\d+\s+(\d+)/.exec(
    readFileSync(`/proc/${pid}/limits`, 'utf8'),
  )?.[1];
  const setLimit = (soft: number | string): void => {
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:${hard}`]);
  };
  // The lowest number that is free: from then on no descriptor can be had at all.
  const lowestFree = (): number => {
    const open = readdirSync(`/proc/${pid}/fd`).map(Number);
    let first = 0;
    while (open.includes(first)) first++;
    return first;
  };
  const isRefused = async () => {
    // Anew each time: one that was open for a moment when it was looked at is free now.
    setLimit(lowestFree());
    return (await on('/v1/kv/probe', 'PUT', 'x')).status === 503;
  };
  await eventually(isRefused, 'it notices', 5_000);
  const refused = await on('/v1/kv/a', 'PUT', 'two');
  expect([refused.status, refused.json.code]).toEqual([503, 'unavailable']);
  expect(refused.json.definite).toBe(true);
  expect((await on('/v1/kv/a')).text).toBe('one');
  expect((await on('/health')).json).toMatchObject({ status: 'degraded', disk: 'no-handles' });
  // Others are turned away, and that ends nothing.
  const { hostname, port } = new URL(url);
  const sockets = Array.from({ length: 50 }, () =>
    connect(Number(port), hostname).on('error', () => {}),
  );
  await sleep(500);
  for (const socket of sockets) socket.destroy();
  setLimit(hard as string);
  const isWell = async () => (await on('/v1/kv/a', 'PUT', 'two')).status < 300;
  await eventually(isWell, 'it recovers', 10_000);
  expect((await ask(`${url}/v1/kv/a`)).text).toBe('two');
  expect(running.node(0).pid).toBe(pid);
  await client.close();
}, 60_000);
