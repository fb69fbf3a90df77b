import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient, type Minikv, type MinikvError } from '../../client/client.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A program that holds a lock, and writes under its fence when a line comes in. */
const HOLDER = `
import { createClient } from 'minikv/client';
const kv = createClient({ endpoints: process.argv[1].split(',') });
const lock = await kv.locks.acquire('job', { ttlSeconds: 2, value: 'holder' });
console.log('token', lock.token);
lock.signal.addEventListener('abort', () => console.log('lost'));
process.stdin.on('data', async () => {
  const write = async (tx) => tx.put('guarded', 'from the paused holder');
  const fenced = kv.transaction(write, { compare: [lock.fence] });
  console.log('fenced', await fenced.then(() => 'done', (error) => error.code));
  process.exit(0);
});
`;

const WAITER = `
import { createClient } from 'minikv/client';
const kv = createClient({ endpoints: process.argv[1].split(',') });
await kv.locks.acquire('line', { ttlSeconds: 2, waitMs: 30_000 });
`;

/** A process that waits for a lock. */
function waiter(urls: readonly string[]): ChildProcess {
  const args = ['--input-type=module', '-e', WAITER, urls.join(',')];
  return spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
}

/** Until so many have a place in line. */
async function placesAre(kv: Minikv, lock: string, count: number): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    const { items } = await kv.page({ prefix: `_lockwaits/${lock.length}/${lock}/` });
    // The sign is there as well.
    if (items.length === count + 1) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`there are not ${count} places`);
}

/** The holder's process, and what it has said. */
class Holder {
  readonly child: ChildProcess;
  #text = '';

  constructor(urls: readonly string[]) {
    const args = ['--input-type=module', '-e', HOLDER, urls.join(',')];
    this.child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
  }

  /** Waits for a line that begins with a word, and gives the rest of it. */
  async said(word: string): Promise<string> {
    for (let i = 0; i < 1_000; i++) {
      const line = this.#text.split('\n').find((one) => one.startsWith(word));
      if (line !== undefined) return line.slice(word.length).trim();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`the holder never said ${word}: ${this.#text}`);
  }
}

describe('leases and locks of three nodes', () => {
  let cluster: ProcessCluster;
  let kv: Minikv;
  beforeAll(async () => {
    cluster = await ProcessCluster.start({ nodes: 3 });
    kv = createClient({ endpoints: cluster.urls(), timeoutMs: 20_000 });
  });
  afterAll(() => cluster.dispose());

  it('B20 a holder that is stopped loses its lock, and its fenced write is refused when it wakes', async () => {
    const holder = new Holder(cluster.urls());
    const token = Number(await holder.said('token'));
    expect(await kv.locks.get('job')).toMatchObject({ held: true, token });
    holder.child.kill('SIGSTOP');
    const next = await kv.locks.acquire('job', { ttlSeconds: 30, waitMs: 20_000, value: 'next' });
    expect(next.token).toBeGreaterThan(token);
    holder.child.stdin?.write('go\n');
    holder.child.kill('SIGCONT');
    expect(await holder.said('fenced')).toBe('compare_failed');
    expect(await kv.get('guarded')).toBeNull();
    const mine = kv.transaction(async (tx) => tx.put('guarded', 'next'), { compare: [next.fence] });
    await mine;
    expect((await kv.get('guarded'))?.text()).toBe('next');
    expect(await kv.locks.get('job')).toMatchObject({ held: true, token: next.token });
    expect(await next.release()).toBe(true);
  }, 60_000);

  it('N4 waiters at all nodes are served in order of arrival, past one whose program was killed', async () => {
    const urls = cluster.urls();
    const first = await kv.locks.acquire('line', { ttlSeconds: 30 });
    const served: number[] = [];
    const waiting: Promise<void>[] = [];
    let victim: ChildProcess | null = null;
    for (let i = 0; i < 7; i++) {
      if (i === 2) victim = waiter(urls);
      else {
        const endpoints = urls[i % urls.length] as string;
        const at = createClient({ endpoints, timeoutMs: 30_000 });
        const work = async (): Promise<void> => void served.push(i);
        waiting.push(at.locks.with('line', work, { ttlSeconds: 30, waitMs: 30_000 }));
      }
      await placesAre(kv, 'line', i + 1);
    }
    victim?.kill('SIGKILL');
    await first.release();
    await Promise.all(waiting);
    expect(served).toEqual([0, 1, 3, 4, 5, 6]);
    expect(await kv.locks.get('line')).toMatchObject({ held: false });
  }, 60_000);

  it('F01 B20 a lease that is kept alive outlives the leader of its group, with its keys', async () => {
    const lease = await kv.leases.hold(2);
    const keys = Array.from({ length: 16 }, (_, i) => `leased/${i}`);
    await Promise.all(keys.map((key) => kv.put(key, 'x', { lease: lease.id })));
    await cluster.kill(0);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(lease.signal.aborted).toBe(false);
    expect((await kv.leases.keys(lease.id)).length).toBe(keys.length);
    expect(await lease.revoke()).toBe(true);
    for await (const item of kv.scan({ prefix: 'leased/' })) throw new Error(`${item.key} is left`);
    const late = kv.put('leased/late', 'x', { lease: lease.id });
    expect(await late.catch((error: MinikvError) => error.code)).toBe('lease_not_found');
    expect(await kv.leases.get(lease.id)).toBeNull();
  }, 60_000);
});
