import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type MinikvError } from '../../client/client.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The program in the README that uses the client library. */
function readmeExample(): string {
  const readme = readFileSync(`${ROOT}/README.md`, 'utf8');
  const blocks = [...readme.matchAll(/^```js\n([\s\S]*?)^```/gm)].map(
    (match) => match[1] as string,
  );
  const example = blocks.find((block) => block.includes("from 'minikv/client'"));
  if (example === undefined) throw new Error('the README shows no use of the client library');
  return example;
}

describe('the client library and one node', () => {
  let cluster: ProcessCluster;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 1 });
  });
  afterAll(() => cluster.dispose());

  it("the README's example runs as it stands, in ten lines", async () => {
    const example = readmeExample();
    expect(example.trim().split('\n').length).toBeLessThanOrEqual(10);
    const endpoint = JSON.stringify({ endpoints: cluster.node(0).url });
    const program = example.replace('createClient()', `createClient(${endpoint})`);
    expect(program).not.toBe(example);
    const args = ['--input-type=module', '-e', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
    expect(stdout).toBe('Ada\nusers/1 Ada\nusers/2 Grace\nput users/3\n');
  });
});

describe('the client library and three nodes', () => {
  let cluster: ProcessCluster;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 3 });
  });
  afterAll(() => cluster.dispose());

  it('F01 B09 B27 a node is killed: every write happens once, and a watch shows each once', async () => {
    const kv = createClient({ endpoints: cluster.urls(), timeoutMs: 20_000 });
    const { revision } = await kv.put('c/begin', '');
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const watch = kv.watch({ prefix: 'c/', from: revision, signal: stop.signal });
      for await (const event of watch) {
        if (event.type === 'put') seen.push(event.key);
        if (seen.length === COUNT) return;
      }
    })();
    const keys = Array.from({ length: COUNT }, (_, i) => `c/${i}`);
    const killed = cluster.kill(0);
    const written = await Promise.all(
      keys.map(async (key, i) => {
        await new Promise((resolve) => setTimeout(resolve, i * 20));
        return kv.put(key, 'x', { ifRevision: 0 });
      }),
    );
    await killed;
    expect(written.map(({ version }) => version)).toEqual(keys.map(() => 1));
    const found: string[] = [];
    for await (const item of kv.scan({ prefix: 'c/', pageSize: 16 })) {
      if (item.key !== 'c/begin') found.push(`${item.key} ${item.version}`);
    }
    expect(found.sort()).toEqual(keys.map((key) => `${key} 1`).sort());
    const late = setTimeout(() => stop.abort(), 20_000);
    await watching;
    clearTimeout(late);
    expect([...seen].sort()).toEqual([...keys].sort());
  }, 60_000);

  it('B21 optimistic transactions over several groups keep a sum while a node is killed', async () => {
    cluster.spawn(0);
    await cluster.ready();
    const kv = createClient({ endpoints: cluster.urls(), timeoutMs: 20_000 });
    const accounts = Array.from({ length: 6 }, (_, i) => `bank/${i}`);
    await Promise.all(accounts.map((key) => kv.put(key, '100')));
    const move = (step: number) =>
      kv.transaction(async (tx) => {
        const [from, to] = [accounts[step % 6], accounts[(step * 5 + 1) % 6]] as [string, string];
        if (from === to) return;
        const [a, b] = [await tx.get(from), await tx.get(to)];
        tx.put(from, String(Number(a?.text()) - 1));
        tx.put(to, String(Number(b?.text()) + 1));
      });
    const killed = cluster.kill(1);
    for (let step = 0; step < 24; step += 4) {
      await Promise.all([0, 1, 2, 3].map((i) => move(step + i).catch(onlyUnknown)));
    }
    await killed;
    let sum = 0;
    for await (const item of kv.scan({ prefix: 'bank/' })) sum += Number(item.text());
    expect(sum).toBe(600);
  }, 60_000);
});

const COUNT = 60;

/** A node that was killed may have taken the answer with it. */
function onlyUnknown(error: MinikvError): void {
  if (error.definite) throw error;
}
