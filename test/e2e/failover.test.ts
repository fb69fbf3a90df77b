import { afterEach, expect, test } from 'vitest';
import { checkLinearizability } from '../check/linearizability.ts';
import { Load } from '../kit/load.ts';
import { ProcessCluster, statusOf } from '../kit/process-cluster.ts';
import { SseReader } from '../kit/sse-reader.ts';
import { sleep, until } from '../kit/wait.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.dispose();
  cluster = null;
});

const KEYS = Array.from({ length: 40 }, (_, i) => `register-${i}`);

/** Load on all nodes that run, while `faults` happen; the history must be linearizable. */
async function underLoad(running: ProcessCluster, faults: () => Promise<void>): Promise<Load> {
  const urls = () => running.urls().filter((_, i) => running.node(i).pid !== null);
  const load = new Load({ urls, keys: KEYS, clients: 6, timeoutMs: 3_000 });
  await until(() => load.acknowledged > 60, 'operations before the fault', 20_000);
  await faults();
  const healed = load.acknowledged;
  await until(() => load.acknowledged > healed + 60, 'operations after the fault', 20_000);
  await load.stop();
  const verdict = checkLinearizability(load.history);
  expect(verdict, JSON.stringify(verdict)).toMatchObject({ result: 'ok' });
  return load;
}

test('F01 kill -9 of a leader under load: linearizable, and writes resume', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  await underLoad(running, async () => {
    const leader = await running.leaderOf(1);
    await running.kill(leader);
    await sleep(3_000);
    running.spawn(leader);
    await running.ready();
  });
}, 90_000);

test('F02 a leader paused for 2.5 s serves nothing stale when it wakes', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  await underLoad(running, async () => {
    for (const group of [1, 2]) {
      const leader = await running.leaderOf(group);
      running.signal(leader, 'SIGSTOP');
      await sleep(2_500);
      running.signal(leader, 'SIGCONT');
      await sleep(1_000);
    }
  });
}, 90_000);

test('F25 nats-server is restarted under load: nothing acknowledged is lost', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  await underLoad(running, async () => {
    await running.nats?.stop();
    await sleep(1_500);
    await running.nats?.start();
    await sleep(6_000);
  });
}, 90_000);

/** Three nodes, two groups, sixty keys. */
async function filledCluster(): Promise<ProcessCluster> {
  const running = await ProcessCluster.start({ nodes: 3, groups: 2 });
  cluster = running;
  for (let n = 0; n < 60; n++) {
    const answer = await fetch(`${running.node(n % 3).url}/v1/kv/k-${n}`, {
      method: 'PUT',
      body: `v-${n}`,
    });
    expect(answer.status).toBe(201);
  }
  return running;
}

test('F13 an emptied node comes back under a new incarnation and is made a voter again', async () => {
  const running = await filledCluster();
  const before = await replicasOf(running.node(0).url);
  await running.kill(2);
  running.wipe(2);
  running.spawn(2);
  await running.ready();
  await repaired(running, before);
  // The new voter holds everything: with another node gone it still answers.
  await running.kill(0);
  for (let n = 0; n < 60; n++) expect(await text(running.node(2).url, `k-${n}`)).toBe(`v-${n}`);
}, 120_000);

test('F11 a node with a damaged WAL never answers with it: it returns empty and is caught up', async () => {
  const running = await filledCluster();
  const before = await replicasOf(running.node(0).url);
  await running.kill(2);
  running.flipWalBit(2, 0.5);
  running.spawn(2);
  await running.ready();
  await repaired(running, before);
  expect(running.node(2).output()).toMatch(/acknowledged data is damaged/);
  await running.kill(0);
  for (let n = 0; n < 60; n++) expect(await text(running.node(2).url, `k-${n}`)).toBe(`v-${n}`);
}, 120_000);

/** Voters of all groups, as one node sees them. */
async function replicasOf(url: string): Promise<Set<string>> {
  const status = await statusOf(url);
  return new Set(status?.groups.flatMap((group) => group.local?.config.voters ?? []));
}

/**
 * Waits until node n3 votes in every group under another incarnation than before, and all three nodes
 * have that configuration: until then the former one still needs its quorum.
 */
async function repaired(running: ProcessCluster, before: ReadonlySet<string>): Promise<void> {
  const deadline = performance.now() + 45_000;
  for (;;) {
    const seen = await Promise.all(running.urls().map((url) => statusOf(url)));
    const configs = seen.flatMap((status) => status?.groups.map((group) => group.local?.config));
    const done = configs.every((config) => {
      const voters = config?.voters ?? [];
      const own = voters.filter((voter) => voter.startsWith('n3:'));
      const isFinal = config?.votersOld === null && voters.length === 3;
      return isFinal && own.length === 1 && !before.has(own[0] as string);
    });
    if (done) return;
    if (performance.now() > deadline) throw new Error(`not repaired: ${JSON.stringify(configs)}`);
    await sleep(200);
  }
}

async function text(url: string, key: string): Promise<string> {
  const answer = await fetch(`${url}/v1/kv/${key}`);
  return await answer.text();
}

test('B19 a watcher sees every change once and in order across a leader kill, a resume and a gateway restart', async () => {
  const running = await ProcessCluster.start({ nodes: 3 });
  cluster = running;
  const watcher = new SseReader([running.node(1).url, running.node(2).url], 'prefix=w/');
  await watcher.opened;
  const written = new Map<string, number>();
  const write = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      const key = `w/${n}`;
      for (let attempt = 0; ; attempt++) {
        const url = running.node(1 + ((n + attempt) % 2)).url;
        try {
          const answer = await fetch(`${url}/v1/kv/${key}`, {
            method: 'PUT',
            body: `v${n}`,
            headers: { 'idempotency-key': `write-${n}`, 'x-minikv-timeout-ms': '4000' },
          });
          const body = (await answer.json()) as { revision: number };
          if (answer.status < 300) {
            written.set(key, body.revision);
            break;
          }
        } catch {
          await sleep(50);
        }
        if (attempt > 100) throw new Error(`${key} could not be written`);
      }
    }
  };
  await write(0, 100);
  await running.kill(0);
  await write(100, 200);
  watcher.disconnect();
  await write(200, 300);
  await running.stop(1);
  await sleep(300);
  running.spawn(1);
  running.spawn(0);
  await running.ready();
  await write(300, 400);
  await until(() => watcher.puts().length >= 400, 'every change has been seen', 20_000);
  await sleep(500);
  watcher.close();
  const seen = watcher.puts();
  expect(seen.length).toBe(400);
  expect(new Set(seen.map(({ data }) => data['key'])).size).toBe(400);
  for (const { data } of seen) expect(data['revision']).toBe(written.get(data['key'] as string));
  const revisions = seen.map(({ data }) => data['revision'] as number);
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
  expect(watcher.connections).toBeGreaterThanOrEqual(2);
}, 120_000);
