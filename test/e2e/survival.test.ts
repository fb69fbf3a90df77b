import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { until } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

async function put(url: string, key: string, value: string): Promise<number> {
  const answer = await fetch(`${url}/v1/kv/${key}`, { method: 'PUT', body: value });
  await answer.arrayBuffer();
  return answer.status;
}

async function get(url: string, key: string): Promise<string | null> {
  const answer = await fetch(`${url}/v1/kv/${key}`);
  const text = await answer.text();
  if (answer.status === 404) return null;
  expect(answer.status, text).toBe(200);
  return text;
}

/** Writes until stopped; resolves with every value that was acknowledged. */
interface Writer {
  /** Resolves when so many writes were acknowledged. */
  wrote(count: number): Promise<void>;
  stop(): Promise<Map<string, string>>;
}

function writer(url: string, prefix: string): Writer {
  const acknowledged = new Map<string, string>();
  let running = true;
  const clients = [0, 1, 2, 3].map(async (client) => {
    for (let n = 0; running; n++) {
      const key = `${prefix}-${client}-${n}`;
      try {
        if ((await put(url, key, `value of ${key}`)) === 201)
          acknowledged.set(key, `value of ${key}`);
      } catch {
        return;
      }
    }
  });
  return {
    wrote: (count) => until(() => acknowledged.size >= count, `${count} writes`, 30_000),
    async stop() {
      running = false;
      await Promise.all(clients);
      return acknowledged;
    },
  };
}

async function expectAll(url: string, acknowledged: ReadonlyMap<string, string>): Promise<void> {
  expect(acknowledged.size).toBeGreaterThan(20);
  for (const [key, value] of acknowledged) expect(await get(url, key), key).toBe(value);
}

test('F01 one node: every acknowledged write is there after kill -9', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const { url } = cluster.node(0);
  const writing = writer(url, 'a');
  await writing.wrote(60);
  await cluster.kill(0);
  const acknowledged = await writing.stop();
  cluster.spawn(0);
  await cluster.ready();
  await expectAll(url, acknowledged);
});

test('F10 a torn tail of the WAL is cut and every acknowledged write is there', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const { url } = cluster.node(0);
  const writing = writer(url, 'b');
  await writing.wrote(60);
  await cluster.kill(0);
  const acknowledged = await writing.stop();
  cluster.tearWalTail(0);
  cluster.spawn(0);
  await cluster.ready();
  await expectAll(url, acknowledged);
  expect(await put(url, 'after', 'the cut')).toBe(201);
  await cluster.kill(0);
  cluster.spawn(0);
  await cluster.ready();
  await expectAll(url, acknowledged);
  expect(await get(url, 'after')).toBe('the cut');
});

test('B15 the only copy: a node whose WAL is damaged refuses to start and says where', async () => {
  cluster = await ProcessCluster.start({ nodes: 1 });
  const { url } = cluster.node(0);
  for (let n = 0; n < 50; n++) expect(await put(url, `c-${n}`, 'x'.repeat(200))).toBe(201);
  await cluster.kill(0);
  cluster.flipWalBit(0, 0.5);
  cluster.spawn(0);
  expect(await cluster.exit(0)).toBe(1);
  expect(cluster.node(0).output()).toMatch(/WAL segment .* is damaged at byte \d+/);
});

test('F08 kill -9 of all three nodes at once: every acknowledged write comes back', async () => {
  cluster = await ProcessCluster.start({ nodes: 3 });
  const writers = cluster.urls().map((url, i) => writer(url, `d${i}`));
  await Promise.all(writers.map((writing) => writing.wrote(30)));
  await Promise.all([cluster.kill(0), cluster.kill(1), cluster.kill(2)]);
  const acknowledged = new Map<string, string>();
  for (const one of writers) for (const [k, v] of await one.stop()) acknowledged.set(k, v);
  for (let i = 0; i < 3; i++) cluster.spawn(i);
  const startMs = performance.now();
  await cluster.ready();
  expect(performance.now() - startMs).toBeLessThan(15_000);
  for (const url of cluster.urls()) await expectAll(url, acknowledged);
}, 90_000);
