import { describe, expect, it } from 'vitest';
import type { Condition, WriteOp } from '../../../protocol/commands.ts';
import { AppError } from '../../../protocol/errors.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import type { RequestContext, ScanOptions, WatchMessage } from '../../../protocol/service.ts';
import { put, ref } from '../../kit/applied-group.ts';
import { MemoryCluster } from '../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 3_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable' as const, revision: null };
const STALE = { consistency: 'stale' as const, revision: null };

/** A client of one node at a time. */
class Client {
  readonly cluster: MemoryCluster;
  at: string;

  constructor(cluster: MemoryCluster, at: string) {
    this.cluster = cluster;
    this.at = at;
  }

  get service() {
    return this.cluster.node(this.at).service;
  }

  /** The outcome, a refusal as [code, definite]. */
  async told<T>(work: Promise<T>): Promise<T | [string, boolean]> {
    try {
      return await this.cluster.time.until(work);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [error.code, error.definite];
    }
  }

  async put(key: string, value: string, more: { ttlMs?: number; condition?: Condition } = {}) {
    const op = put(key, value, more) as Extract<WriteOp, { type: 'put' }>;
    const done = await this.told(this.service.put(CTX, op));
    return 'result' in done ? done.result : done;
  }

  async revisionOfPut(key: string, value: string): Promise<number> {
    const done = await this.put(key, value);
    if (!('type' in done) || done.type !== 'put') throw new Error(`not written: ${done}`);
    return done.revision;
  }

  async get(
    key: string,
    options: { consistency: 'linearizable' | 'stale'; revision: number | null } = LATEST,
  ) {
    const done = await this.told(this.service.get(CTX, ref(key), options));
    if (!('item' in done)) return done;
    return done.item === null ? null : Buffer.from(done.item.value).toString();
  }

  async scan(more: Partial<ScanOptions> = {}) {
    const options = {
      ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false, limit: 100 },
      ...{ values: true, ...LATEST, ...more },
    };
    const done = await this.told(this.service.scan(CTX, options));
    return 'items' in done ? done.items.map((item) => item.ref.key) : done;
  }
}

async function single(config = {}): Promise<Client> {
  const cluster = new MemoryCluster('n1', { groupCount: 3, ...config });
  await cluster.start();
  return new Client(cluster, 'n1');
}

describe('one node', () => {
  it('answers latest reads in the moment they are asked, also while a write is synced', async () => {
    const client = await single();
    await client.put('a', '1');
    const answers: string[] = [];
    const { service } = client;
    const writing = service.put(CTX, put('a', '2') as Extract<WriteOp, { type: 'put' }>);
    void writing.then(() => answers.push('written'));
    const reading = service.get(CTX, ref('a'), LATEST);
    void reading.then(({ item }) => answers.push(Buffer.from(item?.value ?? []).toString()));
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(answers).toEqual(['1']);
    await client.told(writing);
    expect(await client.get('a')).toBe('2');
  });

  it('writes, reads, lists and deletes', async () => {
    const client = await single();
    const first = await client.revisionOfPut('a', '1');
    expect(await client.revisionOfPut('b', '2')).toBeGreaterThan(0);
    await client.put('c', '3');
    expect(await client.get('a')).toBe('1');
    expect(await client.get('nothing')).toBeNull();
    expect(await client.scan()).toEqual(['a', 'b', 'c']);
    expect(await client.scan({ reverse: true, limit: 2 })).toEqual(['c', 'b']);
    const gone = await client.told(client.service.delete(CTX, ref('a'), null));
    expect(gone).toMatchObject({ result: { type: 'deleted', deleted: true } });
    expect(await client.get('a')).toBeNull();
    expect(await client.get('a', { ...LATEST, revision: first })).toBe('1');
    expect(await client.scan()).toEqual(['b', 'c']);
    expect(client.cluster.fatals).toEqual([]);
  });

  it('keeps conditions', async () => {
    const client = await single();
    const revision = await client.revisionOfPut('a', '1');
    const refused = { type: 'precondition_failed', revision };
    expect(await client.put('a', '2', { condition: { type: 'absent' } })).toEqual(refused);
    expect(await client.put('a', '2', { condition: { type: 'revision', revision: 1 } })).toEqual(
      refused,
    );
    const done = await client.put('a', '2', { condition: { type: 'revision', revision } });
    expect(done).toMatchObject({ type: 'put', version: 2 });
    const none = await client.put('new', '1', { condition: { type: 'exists' } });
    expect(none).toEqual({ type: 'precondition_failed', revision: 0 });
    expect(await client.get('a')).toBe('2');
  });

  it('applies a write under an idempotency key once', async () => {
    const client = await single();
    const idempotency = { key: 'K', requestHash: new Uint8Array(32).fill(1) };
    const op = put('a', '1') as Extract<WriteOp, { type: 'put' }>;
    const write = () => client.told(client.service.put({ ...CTX, idempotency }, op));
    const first = await write();
    const second = await write();
    expect(second).toMatchObject({ repeated: true, result: 'result' in first && first.result });
    const other = { ...idempotency, requestHash: new Uint8Array(32).fill(2) };
    const mismatch = client.service.put({ ...CTX, idempotency: other }, op);
    expect(await client.told(mismatch)).toEqual(['idempotency_mismatch', true]);
  });

  it('runs a batch over all groups, result by result', async () => {
    const client = await single();
    const keys = Array.from({ length: 30 }, (_, i) => `k${String(i).padStart(2, '0')}`);
    const ops = keys.map((key) => ({ kind: 'write' as const, op: put(key, key) }));
    const wrote = await client.told(client.service.batch(CTX, ops));
    expect('results' in wrote && wrote.results.every((one) => one.kind === 'write')).toBe(true);
    const gets = keys.map((key) => ({ kind: 'get' as const, ref: ref(key) }));
    const read = await client.told(client.service.batch(CTX, gets));
    const seen = 'results' in read ? read.results : [];
    expect(seen.map((one) => one.kind === 'get' && one.item?.ref.key)).toEqual(keys);
    expect(await client.scan()).toEqual(keys);
  });

  it('lets keys expire, for reads at once and as an event', async () => {
    const client = await single();
    await client.put('a', '1', { ttlMs: 1_000 });
    expect(await client.get('a')).toBe('1');
    await client.cluster.time.pass(1_000);
    expect(await client.get('a')).toBeNull();
    expect(await client.scan()).toEqual([]);
    await client.cluster.time.pass(1_000);
    expect(client.cluster.published.map(({ kind }) => kind)).toEqual(['put', 'expire']);
  });

  it('gives up the past only behind the retention window', async () => {
    const client = await single({ retentionMs: 5_000 });
    const first = await client.revisionOfPut('a', '1');
    const second = await client.revisionOfPut('a', '2');
    expect(await client.get('a', { ...LATEST, revision: first })).toBe('1');
    expect(await client.get('a', { ...LATEST, revision: second + 1e12 })).toEqual([
      ...['invalid_argument', true],
    ]);
    await client.cluster.time.pass(20_000);
    expect(await client.get('a', { ...LATEST, revision: first })).toEqual(['compacted', true]);
    expect(await client.get('a')).toBe('2');
    const from = { revision: 1 };
    const options = { tenant: 't1', space: 'kv', prefix: '', from, initial: false, prev: false };
    expect(await client.told(client.service.watch(CTX, options))).toEqual(['compacted', true]);
  });

  it('shows a watcher the state, then every change in order', async () => {
    const client = await single();
    await client.put('a', '1');
    await client.put('b', '1');
    const options = {
      ...{ tenant: 't1', space: 'kv', prefix: '', from: null, initial: true, prev: false },
    };
    const watch = await client.cluster.time.until(client.service.watch(CTX, options));
    const seen: WatchMessage[] = [];
    const more = async (count: number) => {
      while (seen.length < count) {
        seen.push(...((await client.cluster.time.until(watch.next())) ?? []));
      }
    };
    await more(3);
    const revisions = [];
    for (const key of ['c', 'a', 'd']) revisions.push(await client.revisionOfPut(key, '2'));
    await more(6);
    const brief = seen.map((m) => (m.type === 'event' ? `${m.event.ref.key}${m.initial}` : m.type));
    expect(brief).toEqual(['atrue', 'btrue', 'synced', 'cfalse', 'afalse', 'dfalse']);
    expect(seen.slice(3).map((m) => m.type === 'event' && m.event.revision)).toEqual(revisions);
    watch.close();
    expect(await watch.next()).toBeNull();
  });

  it('B19 a wall clock that is set back loses a watcher nothing and refuses no scan', async () => {
    const client = await single();
    client.cluster.time.jumpWall(60_000);
    await client.put('a', '1');
    client.cluster.time.jumpWall(-60_000);
    const options = { tenant: 't1', space: 'kv', prefix: '', initial: false, prev: false };
    const watch = await client.cluster.time.until(
      client.service.watch(CTX, { ...options, from: null }),
    );
    const keys = ['b', 'c', 'd', 'e', 'f', 'g'];
    for (const key of keys) await client.put(key, '1');
    expect(await client.scan()).toEqual(['a', ...keys]);
    const seen: string[] = [];
    while (seen.length < keys.length) {
      for (const message of (await client.cluster.time.until(watch.next())) ?? []) {
        if (message.type === 'event') seen.push(message.event.ref.key);
      }
    }
    expect(seen).toEqual(keys);
    watch.close();
  });

  it('grows to three: nodes that join are made voters, over a restart of theirs too', async () => {
    const cluster = new MemoryCluster('n1', { groupCount: 2 });
    await cluster.start();
    const client = new Client(cluster, 'n1');
    await client.put('a', '1');
    for (const name of ['n2', 'n3']) await cluster.time.until(cluster.joinNode(name));
    const joined = cluster.node('n2').replicaId;
    await cluster.time.pass(15_000);
    cluster.kill('n2');
    await cluster.time.until(cluster.startNode('n2', { join: true }));
    expect(cluster.node('n2').replicaId).toBe(joined);
    await cluster.ready();
    for (const group of [0, 1, 2]) {
      const config = cluster.node('n1').service.members(group);
      expect(config).toMatchObject({ votersOld: null, learners: [] });
      expect(config?.voters.map((voter) => voter.slice(0, 2))).toEqual(['n1', 'n2', 'n3']);
    }
    cluster.kill('n1');
    await cluster.time.pass(3_000);
    expect(await new Client(cluster, 'n3').get('a')).toBe('1');
    expect(cluster.fatals).toEqual([]);
  });

  it('has everything that it acknowledged after a restart, planned or not', async () => {
    const client = await single();
    await client.put('a', '1');
    await client.cluster.stopNode('n1');
    await client.cluster.time.until(client.cluster.startNode('n1'));
    await client.cluster.ready();
    expect(await client.get('a')).toBe('1');
    const before = await client.revisionOfPut('b', '2');
    client.cluster.kill('n1');
    await client.cluster.time.until(client.cluster.startNode('n1'));
    await client.cluster.ready();
    expect(await client.scan()).toEqual(['a', 'b']);
    expect(await client.revisionOfPut('b', '3')).toBeGreaterThan(before);
    expect(
      client.cluster
        .node('n1')
        .inspect()
        .map(({ role }) => role),
    ).toEqual([...['leader', 'leader', 'leader', 'leader']]);
  });
});

describe('three nodes', () => {
  it('answer everything anywhere', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 3 });
    await cluster.start();
    const client = new Client(cluster, 'n1');
    for (const at of ['n1', 'n2', 'n3']) {
      client.at = at;
      expect(await client.put(`by-${at}`, at)).toMatchObject({ type: 'put' });
    }
    for (const at of ['n3', 'n1', 'n2']) {
      client.at = at;
      expect(await client.get('by-n1')).toBe('n1');
      expect(await client.scan()).toEqual(['by-n1', 'by-n2', 'by-n3']);
      await cluster.time.pass(200);
      expect(await client.get('by-n2', STALE)).toBe('n2');
      expect(await client.scan(STALE)).toEqual(['by-n1', 'by-n2', 'by-n3']);
    }
    expect(cluster.published).toHaveLength(3);
    expect(cluster.fatals).toEqual([]);
  });

  it('answer a batch of long keys from anywhere, and refuse at once what no message can hold', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 3 });
    await cluster.start();
    const client = new Client(cluster, 'n1');
    const pad = 'p'.repeat(1_200);
    const gets = Array.from({ length: 4_000 }, (_, i) => ({
      ...{ kind: 'get' as const, ref: ref(pad + i) },
    }));
    const single: unknown[] = [];
    for (const at of ['n1', 'n2', 'n3']) {
      client.at = at;
      const read = await client.told(client.service.batch(CTX, gets));
      expect('results' in read && read.results.every(({ kind }) => kind === 'get')).toBe(true);
      const startMs = cluster.time.scheduler.nowMs();
      single.push(await client.get('k'.repeat(LIMITS.busPayloadBytesMax)));
      expect(cluster.time.scheduler.nowMs() - startMs).toBeLessThan(500);
    }
    const refused = ['too_large', true];
    expect(single.filter((one) => one !== null)).toEqual([refused, refused]);
    expect(cluster.fatals).toEqual([]);
  });

  it('go on without one of them; that one says unavailable, in time, and never what was', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 2 });
    await cluster.start();
    const [inside, outside] = [new Client(cluster, 'n1'), new Client(cluster, 'n2')];
    await inside.put('a', 'old');
    cluster.cut('n1', true);
    await cluster.time.pass(3_000);
    expect(await outside.put('a', 'new')).toMatchObject({ type: 'put', version: 2 });
    expect(await outside.get('a')).toBe('new');
    const { scheduler } = cluster.time;
    for (const ask of [() => inside.get('a'), () => inside.put('a', 'lost'), () => inside.scan()]) {
      const startMs = scheduler.nowMs();
      expect(await ask()).toEqual(['unavailable', true]);
      expect(scheduler.nowMs() - startMs).toBeLessThan(3_500);
    }
    expect(await inside.get('a', STALE)).toBe('old');
    cluster.cut('n1', false);
    await cluster.time.pass(2_000);
    await cluster.ready();
    expect(await inside.get('a')).toBe('new');
    expect(cluster.fatals).toEqual([]);
  });

  it('catch a node up that was away', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 1 });
    await cluster.start();
    const client = new Client(cluster, 'n1');
    await client.put('a', '1');
    await cluster.stopNode('n3');
    await client.put('b', '2');
    await cluster.time.until(cluster.startNode('n3'));
    await cluster.time.pass(3_000);
    expect(await new Client(cluster, 'n3').get('b', STALE)).toBe('2');
    expect(await hashesOf(cluster, 'n1', 'n3')).toHaveLength(1);
  });

  it('take a node that comes back without its data for a new one, and make it a voter again', async () => {
    const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 1 });
    await cluster.start();
    const client = new Client(cluster, 'n1');
    await client.put('a', '1');
    const before = cluster.node('n3').replicaId;
    cluster.kill('n3');
    cluster.wipe('n3');
    await cluster.time.until(cluster.startNode('n3'));
    const after = cluster.node('n3').replicaId;
    expect(after).not.toBe(before);
    await cluster.time.pass(15_000);
    for (const group of [0, 1]) {
      const config = cluster.node('n1').service.members(group);
      expect(config).toMatchObject({ votersOld: null, learners: [] });
      expect(config?.voters).toHaveLength(3);
      expect(config?.voters).toContain(after);
    }
    expect(await new Client(cluster, 'n3').get('a', STALE)).toBe('1');
    expect(await hashesOf(cluster, 'n1', 'n2', 'n3')).toHaveLength(1);
    expect(cluster.fatals).toEqual([]);
  });
});

/** The different states of the first data group on these nodes. */
async function hashesOf(cluster: MemoryCluster, ...names: string[]): Promise<unknown[]> {
  const hashes = names.map((name) => {
    const replicas = cluster.node(name).inspect();
    return replicas.find(({ group }) => group === 1)?.stateHash();
  });
  return [...new Set(await cluster.time.until(Promise.all(hashes)))];
}
