import { afterEach, expect, test } from 'vitest';
import { isReady, ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;
afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const OLD = 'the first secret of this cluster';
const NEW = 'the second secret of this cluster';

/** The three restarts of docs/operations.md, as [current, previous]. */
const ROUNDS: readonly (readonly [current: string, previous: string | null])[] = [
  [OLD, NEW],
  [NEW, OLD],
  [NEW, null],
];

function secrets(current: string, previous: string | null): Record<string, string> {
  const own = { MINIKV_CLUSTER_SECRET: current };
  return previous === null ? own : { ...own, MINIKV_CLUSTER_SECRET_PREVIOUS: previous };
}

async function request(url: string, method: string, body?: string): Promise<number> {
  const headers = { 'x-minikv-timeout-ms': '15000' };
  const answer = await fetch(
    url,
    body === undefined ? { method, headers } : { method, headers, body },
  );
  await answer.arrayBuffer();
  return answer.status;
}

test('the secret is changed on three nodes, one after the other, and no request fails meanwhile', async () => {
  const running = await ProcessCluster.start({ nodes: 3, env: secrets(OLD, null) });
  cluster = running;
  const urls = running.urls();
  let resting: number | null = null;
  let isDone = false;
  let count = 0;
  const failures: string[] = [];
  // Each writes through every node that is not being restarted at present, and reads it back there.
  const client = async (name: string): Promise<void> => {
    for (let i = 0; !isDone; i++) {
      const index = i % 3;
      if (index === resting) continue;
      const url = `${urls[index]}/v1/kv/${name}`;
      const [put, got] = [await request(url, 'PUT', `${i}`), await request(url, 'GET')];
      count++;
      if (put !== 200 && put !== 201) failures.push(`${put} of a put through n${index + 1}`);
      if (got !== 200) failures.push(`${got} of a get through n${index + 1}`);
      await sleep(5);
    }
  };
  const clients = ['a', 'b'].map((name) =>
    client(name).catch((error: Error) => {
      failures.push(`${error.message}: ${String(error.cause)}`);
    }),
  );
  for (const [current, previous] of ROUNDS) {
    for (const index of [0, 1, 2]) {
      resting = index;
      // A request that has been sent to it is answered first.
      await sleep(500);
      expect(await running.stop(index)).toBe(0);
      running.spawn(index, { env: secrets(current, previous) });
      await running.ready();
      resting = null;
      await sleep(200);
    }
  }
  isDone = true;
  await Promise.all(clients);
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(50);
  // What is sealed with the old secret alone is heard by nobody any more.
  await running.stop(2);
  running.spawn(2, { env: secrets(OLD, null) });
  await sleep(5_000);
  expect(await isReady(urls[2] as string)).toBe(false);
  expect(await request(`${urls[0]}/v1/kv/a`, 'PUT', 'without it')).toBe(200);
  await running.stop(2);
  running.spawn(2, { env: secrets(NEW, null) });
  await running.ready();
  expect(await request(`${urls[2]}/v1/kv/a`, 'GET')).toBe(200);
}, 300_000);
