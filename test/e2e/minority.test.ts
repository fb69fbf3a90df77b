import { afterEach, expect, test } from 'vitest';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { sleep } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const headers = { 'x-minikv-timeout-ms': '1500' };
  const answer = await fetch(url, { headers, ...init });
  return { status: answer.status, text: await answer.text() };
}

test('B01 F03 a minority says 503 to reads and writes, and gives what it has only to those who ask for stale', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  const survivor = running.node(2).url;
  expect((await ask(`${survivor}/v1/kv/a`, { method: 'PUT', body: 'one' })).status).toBe(201);
  // What a stale read needs has reached this node's own replica.
  for (let n = 0; (await ask(`${survivor}/v1/kv/a?consistency=stale`)).status !== 200; n++) {
    expect(n).toBeLessThan(100);
    await sleep(50);
  }
  await Promise.all([running.kill(0), running.kill(1)]);
  // Longer than a leader without its quorum stays one.
  await sleep(2_000);
  for (const init of [{}, { method: 'PUT', body: 'two' }, { method: 'DELETE' }]) {
    const { status, text } = await ask(`${survivor}/v1/kv/a`, init);
    expect(status, text).toBe(503);
    expect(JSON.parse(text)).toMatchObject({ definite: true });
  }
  expect((await ask(`${survivor}/v1/kv?prefix=a`)).status).toBe(503);
  expect((await ask(`${survivor}/health/ready`)).status).toBe(503);
  expect(await ask(`${survivor}/v1/kv/a?consistency=stale`)).toEqual({ status: 200, text: 'one' });
  running.spawn(0);
  await running.ready();
  expect(await ask(`${survivor}/v1/kv/a`)).toEqual({ status: 200, text: 'one' });
}, 60_000);
