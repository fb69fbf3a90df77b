import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { ProcessCluster, statusOf } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const OBJECTS = 200;
const BYTES_MIN = 100_000;
const BYTES_MAX = 5_000_000;

/** From 100 KB to 5 MB, evenly over the orders of magnitude; no two alike. */
function bodyOf(i: number): Buffer {
  const bytes = Math.round(BYTES_MIN * (BYTES_MAX / BYTES_MIN) ** (i / (OBJECTS - 1)));
  const block = createHash('sha512').update(`object ${i}`).digest();
  return Buffer.alloc(bytes, block);
}

async function putAll(running: ProcessCluster): Promise<void> {
  const urls = running.urls();
  while (!(await fetch(`${urls[0]}/s3/kept`, { method: 'PUT' })).ok) await sleep(100);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < OBJECTS; i = next++) {
      const target = `${urls[i % urls.length]}/s3/kept/${i}`;
      const { status } = await fetch(target, { method: 'PUT', body: bodyOf(i) });
      expect(status).toBe(200);
    }
  };
  await Promise.all([work(), work(), work()]);
}

/** Every object, over nodes that run, byte for byte. */
async function readAll(running: ProcessCluster, nodes: readonly number[]): Promise<void> {
  for (let i = 0; i < OBJECTS; i++) {
    const { url } = running.node(nodes[i % nodes.length] as number);
    const answer = await fetch(`${url}/s3/kept/${i}`);
    expect([i, answer.status]).toEqual([i, 200]);
    const isSame = Buffer.from(await answer.arrayBuffer()).equals(bodyOf(i));
    expect([i, isSame]).toEqual([i, true]);
  }
}

/** Replaces the disk of a node; resolves when all nodes say that every copy is there. Seconds that took. */
async function replaceDisk(running: ProcessCluster, index: number): Promise<number> {
  await running.kill(index);
  running.wipe(index);
  const startedMs = performance.now();
  running.spawn(index);
  await running.ready(120_000);
  const seen = new Set<string>();
  while (performance.now() - startedMs < 180_000) {
    const all = await Promise.all(running.urls().map((url) => statusOf(url)));
    const states = all.map((status) => status?.copies ?? 'none');
    for (const state of states) seen.add(state);
    if (states.every((state) => state === 'whole')) {
      expect([...seen]).toContain('restoring');
      return (performance.now() - startedMs) / 1000;
    }
    await sleep(100);
  }
  throw new Error(`not whole again: ${JSON.stringify([...seen])}`);
}

test('F13 one disk after another is lost, each as soon as the cluster says that it may: 200 objects are all there', async () => {
  const running = await ProcessCluster.start({ nodes: 3, groups: 2 });
  cluster = running;
  await putAll(running);
  const took: number[] = [];
  for (const index of [2, 0, 1]) took.push(await replaceDisk(running, index));
  await readAll(running, [0, 1, 2]);
  // What the last replaced node says that it has, it has alone as well as with any other.
  await running.kill(0);
  await readAll(running, [1, 2]);
  console.info(`whole again after ${took.map((s) => s.toFixed(1)).join(', ')} s`);
}, 600_000);
