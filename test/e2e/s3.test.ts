import { createHash } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { SseReader } from '../kit/sse-reader.ts';
import { until } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;
let watcher: SseReader | null = null;

afterEach(async () => {
  watcher?.close();
  watcher = null;
  await cluster?.dispose();
  cluster = null;
});

const MIB = 1024 * 1024;

/** Bytes that follow from a name. */
function bytesOf(name: string, size: number): Buffer {
  const out = Buffer.alloc(size);
  const seed = createHash('sha256').update(name).digest();
  for (let i = 0; i < size; i += seed.length) {
    seed.writeUInt32BE(i >>> 0, 0);
    seed.copy(out, i);
  }
  return out;
}

function put(
  url: string,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
) {
  return fetch(`${url}/s3/${path}`, { method: 'PUT', body, headers });
}

async function read(url: string, path: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/s3/${path}`, { headers });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) };
}

/** Until it is answered: a leader may have been killed a moment ago. */
async function eventually(step: () => Promise<Response>): Promise<Response> {
  for (let i = 0; ; i++) {
    const answer = await step().catch(() => null);
    if (answer !== null && answer.status < 500) return answer;
    if (i === 200) throw new Error(`not answered: ${answer?.status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('objects on three nodes', () => {
  test('F01 F08: what was acknowledged is read byte for byte, with its writer killed, and after a kill of all', async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 2 });
    const urls = cluster.urls();
    await eventually(() => put(urls[0]!, 'kept', ''));
    const sizes = [0, 1, 64 * 1024, 64 * 1024 + 1, 4 * MIB, 9 * MIB + 3];
    const acknowledged: { path: string; bytes: Buffer }[] = [];
    for (const size of sizes) {
      const path = `kept/of-${size}`;
      const bytes = bytesOf(path, size);
      expect((await put(urls[0]!, path, bytes)).status).toBe(200);
      acknowledged.push({ path, bytes });
    }
    // Puts are under way at every node while the first one dies.
    let isOver = false;
    const writers = urls.map(async (url, w) => {
      for (let i = 0; !isOver; i++) {
        const path = `kept/w${w}-${i}`;
        const bytes = bytesOf(path, i % 4 === 0 ? 300_000 : 3_000);
        const answer = await put(url, path, bytes).catch(() => null);
        if (answer?.status === 200) acknowledged.push({ path, bytes });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await cluster.kill(0);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    isOver = true;
    await Promise.all(writers);
    expect(acknowledged.length).toBeGreaterThan(sizes.length + 10);
    for (const { path, bytes } of acknowledged) {
      const answer = await eventually(() => fetch(`${urls[1]}/s3/${path}`));
      expect(answer.status, path).toBe(200);
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes), path).toBe(true);
    }
    await cluster.kill(1);
    await cluster.kill(2);
    for (const i of [0, 1, 2]) cluster.spawn(i);
    await cluster.ready();
    for (const url of urls) {
      for (const { path, bytes } of acknowledged) {
        const { status, bytes: got } = await read(url, path);
        expect(status, path).toBe(200);
        expect(got.equals(bytes), path).toBe(true);
      }
      const tail = await read(url, `kept/of-${9 * MIB + 3}`, { range: 'bytes=-5' });
      expect(tail.status).toBe(206);
      expect(tail.bytes.equals(bytesOf(`kept/of-${9 * MIB + 3}`, 9 * MIB + 3).subarray(-5))).toBe(
        true,
      );
    }
  }, 60_000);

  test('of many that race with If-None-Match at all nodes, one wins; so it is with If-Match', async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 2 });
    const urls = cluster.urls();
    await eventually(() => put(urls[0]!, 'races', ''));
    for (let round = 0; round < 20; round++) {
      const path = `races/${round % 4 === 0 ? 'large' : 'small'}-${round}`;
      const body = (i: number) =>
        round % 4 === 0 ? bytesOf(`racer ${i}`, 200_000) : Buffer.from(`racer ${i}`);
      const race = (headers: Record<string, string>) =>
        Promise.all(
          Array.from({ length: 12 }, async (_, i) => {
            const answer = await put(urls[i % 3]!, path, body(i), headers);
            if (answer.status !== 200 && answer.status !== 412) {
              throw new Error(`${answer.status}: ${await answer.text()}`);
            }
            return { i, won: answer.status === 200, etag: answer.headers.get('etag') };
          }),
        );
      const made = (await race({ 'if-none-match': '*' })).filter(({ won }) => won);
      expect(made.length).toBe(1);
      expect((await read(urls[round % 3]!, path)).bytes.equals(body(made[0]!.i))).toBe(true);
      const swapped = (await race({ 'if-match': made[0]!.etag! })).filter(({ won }) => won);
      // The racer that has the same bytes leaves the ETag as it was.
      const others = swapped.filter(({ i }) => i !== made[0]!.i);
      expect(others.length).toBe(1);
      expect((await read(urls[round % 3]!, path)).bytes.equals(body(others[0]!.i))).toBe(true);
    }
  });

  test('B19: changes of objects are events, once each and in order, across the kill of a node', async () => {
    cluster = await ProcessCluster.start({ nodes: 3, groups: 2 });
    const urls = cluster.urls();
    await eventually(() => put(urls[0]!, 'watched', ''));
    watcher = new SseReader([urls[1]!, urls[2]!], 'bucket=watched');
    await watcher.opened;
    for (let i = 0; i < 60; i++) {
      if (i === 30) await cluster.kill(0);
      const url = i < 30 ? urls[i % 3]! : urls[1 + (i % 2)]!;
      const path = `watched/k${i}`;
      await eventually(() => put(url, path, bytesOf(path, i % 10 === 0 ? 100_000 : 10)));
    }
    await eventually(() => fetch(`${urls[1]}/s3/watched/k59`, { method: 'DELETE' }));
    await until(
      () => watcher?.events.some(({ type }) => type === 'delete') ?? false,
      'the deletion is told',
      20_000,
    );
    const puts = watcher.puts();
    const firstSeen = [...new Set(puts.map(({ data }) => data['key'] as string))];
    expect(firstSeen).toEqual(Array.from({ length: 60 }, (_, i) => `k${i}`));
    const revisions = watcher.events.map(({ data }) => data['revision'] as number);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(puts[10]?.data).toMatchObject({
      bucket: 'watched',
      object: { size: 100_000, versionId: 'null' },
    });
  });
});
