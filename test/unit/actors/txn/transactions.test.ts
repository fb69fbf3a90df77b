import { afterEach, describe, expect, it } from 'vitest';
import type { TxnAnswer } from '../../../../protocol/service.ts';
import type { Compare, TxnBody, TxnOp, TxnOpOf } from '../../../../protocol/txn.ts';
import { type KeyRef, vshardOf } from '../../../../protocol/vshard.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const GROUPS = 2;
const ctx = { deadlineMs: 5_000, traceparent: null, idempotency: null };

function ref(key: string): KeyRef {
  return { tenant: 'default', space: 'kv', key };
}

/** A key of the data group 1 or 2. */
function keyIn(group: number, name: string): string {
  for (let i = 0; ; i++) {
    const key = `${name}${i}`;
    if (1 + (vshardOf(ref(key)) % GROUPS) === group) return key;
  }
}

const A = keyIn(1, 'a');
const B = keyIn(2, 'b');
const C = keyIn(1, 'c');

function put(key: string, value: string): TxnOp {
  return { type: 'put', ref: ref(key), value: Buffer.from(value), contentType: null, ttlMs: null };
}

function get(key: string): TxnOp {
  return { type: 'get', ref: ref(key) };
}

function exists(key: string, wanted: boolean): Compare {
  return { ref: ref(key), relation: '=', target: { type: 'exists', exists: wanted } };
}

const clusters: MemoryCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) expect(cluster.fatals).toEqual([]);
});

async function start(names: string): Promise<MemoryCluster> {
  const cluster = new MemoryCluster(names, { groupCount: GROUPS });
  clusters.push(cluster);
  await cluster.start();
  return cluster;
}

function transact(
  cluster: MemoryCluster,
  body: Partial<TxnBody>,
  more: Partial<typeof ctx> | { idempotency: unknown } = {},
): Promise<TxnAnswer> {
  const whole = { compares: [], then: [], otherwise: null, ...body };
  return cluster.time.until(
    cluster.node('n1').service.transact({ ...ctx, ...more } as typeof ctx, whole),
  );
}

async function read(cluster: MemoryCluster, key: string): Promise<string | null> {
  const options = { consistency: 'linearizable', revision: null } as const;
  const { item } = await cluster.time.until(cluster.node('n1').service.get(ctx, ref(key), options));
  return item === null ? null : Buffer.from(item.value).toString();
}

describe.each(['n1', 'n1 n2 n3'])('transactions over %s', (names) => {
  it('in one group: one revision for all writes, reads of the state before', async () => {
    const cluster = await start(names);
    const first = await transact(cluster, { then: [put(A, '1'), put(C, '2')] });
    expect(first.outcome).toMatchObject({ succeeded: true, failedCompare: null });
    const second = await transact(cluster, {
      compares: [exists(A, true)],
      then: [get(A), put(C, '3')],
    });
    const [got, written] = second.outcome.results;
    expect(got).toMatchObject({ type: 'got', item: { revision: first.outcome.revision } });
    const createRevision = first.outcome.revision;
    expect(written).toEqual({ type: 'put', createRevision, version: 2 });
    expect(await read(cluster, C)).toBe('3');
  });

  it('over two groups: all at one revision, and the events too', async () => {
    const cluster = await start(names);
    const { outcome } = await transact(cluster, { then: [put(A, '1'), put(B, '2'), get(C)] });
    expect(outcome.results[2]).toEqual({ type: 'got', item: null });
    expect([await read(cluster, A), await read(cluster, B)]).toEqual(['1', '2']);
    await cluster.time.pass(500);
    const { revision } = outcome;
    expect(cluster.published.map((event) => event.revision)).toEqual([revision, revision]);
  });

  it('does the other branch when a compare fails, or nothing', async () => {
    const cluster = await start(names);
    await transact(cluster, { then: [put(A, '1')] });
    const compares = [exists(A, true), exists(B, true)];
    const nothing = await transact(cluster, { compares, then: [put(A, '2'), put(B, '2')] });
    expect(nothing.outcome).toMatchObject({ succeeded: false, failedCompare: 1, results: [] });
    expect([await read(cluster, A), await read(cluster, B)]).toEqual(['1', null]);
    const other = await transact(cluster, {
      compares,
      then: [put(A, '2')],
      otherwise: [put(B, '3')],
    });
    expect(other.outcome).toMatchObject({ succeeded: false, failedCompare: 1 });
    expect([await read(cluster, A), await read(cluster, B)]).toEqual(['1', '3']);
  });

  it('applies once under an idempotency key, also a failed compare', async () => {
    const cluster = await start(names);
    const idempotency = { key: 'once', requestHash: new Uint8Array(32).fill(1) };
    const body = { compares: [exists(A, false)], then: [put(A, '1'), put(B, '1')] };
    const first = await transact(cluster, body, { idempotency });
    expect(first.outcome.succeeded).toBe(true);
    const again = await transact(cluster, body, { idempotency });
    expect(again).toMatchObject({ outcome: first.outcome, repeated: true });
    const failing = { key: 'fails', requestHash: new Uint8Array(32).fill(2) };
    const refused = await transact(cluster, body, { idempotency: failing });
    expect(refused.outcome).toMatchObject({ succeeded: false, failedCompare: 0 });
    await transact(cluster, { then: [{ type: 'delete', ref: ref(A) }] });
    const repeated = await transact(cluster, body, { idempotency: failing });
    expect(repeated).toMatchObject({ outcome: refused.outcome, repeated: true });
  });

  it('reads ranges and deletes them over all groups', async () => {
    const cluster = await start(names);
    const keys = Array.from({ length: 30 }, (_, i) => `r/${String(i).padStart(2, '0')}`);
    await transact(cluster, { then: keys.map((key) => put(key, key)) });
    const range = { tenant: 'default', space: 'kv', start: 'r/', end: 'r0' };
    const page = { type: 'range', ...range, reverse: true, limit: 7, values: true } as const;
    const found = await transact(cluster, { then: [page, { type: 'deleteRange', ...range }] });
    const [items, deleted] = found.outcome.results;
    expect(deleted).toEqual({ type: 'deleted', count: 30 });
    expect(items?.type === 'page' && items.items.map((item) => item.ref.key)).toEqual(
      keys.toReversed().slice(0, 7),
    );
    expect(await read(cluster, 'r/05')).toBeNull();
  });

  it.each([null, { key: 'large', requestHash: new Uint8Array(32) }])(
    'refuses what reads too much in all groups together, with the key %j',
    async (idempotency) => {
      const cluster = await start(names);
      const keys = [1, 2].flatMap((group) =>
        Array.from({ length: 7 }, (_, i) => keyIn(group, `large/${i}/`)),
      );
      for (const key of keys) await transact(cluster, { then: [put(key, 'x'.repeat(30_000))] });
      const then = keys.map(get);
      const startMs = cluster.time.scheduler.nowMs();
      const refused = transact(cluster, { then: [...then, put(A, '1')] }, { idempotency });
      await expect(refused).rejects.toMatchObject({ code: 'too_large', definite: true });
      expect(cluster.time.scheduler.nowMs() - startMs).toBeLessThan(1_000);
      const half = await transact(cluster, { then: then.slice(3, 11) });
      expect(half.outcome.results).toHaveLength(8);
      expect(await read(cluster, A)).toBeNull();
    },
  );

  it('keeps the sum of accounts under contention', async () => {
    const cluster = await start(names);
    await transact(cluster, { then: [put(A, '100'), put(B, '100'), put(C, '100')] });
    const move = async (from: string, to: string, node: string): Promise<boolean> => {
      const { service } = cluster.node(node);
      const seen = await service.transact(ctx, {
        ...{ compares: [], then: [get(from), get(to)], otherwise: null },
      });
      const [a, b] = seen.outcome.results.map((r) => (r.type === 'got' ? r.item : null));
      if (a == null || b == null) throw new Error('an account is gone');
      const compares = [a, b].map(
        ({ ref: key, revision }): Compare => ({
          ...{ ref: key, relation: '=', target: { type: 'revision', revision } },
        }),
      );
      const amount = (item: { value: Uint8Array }) => Number(Buffer.from(item.value).toString());
      const then = [put(from, `${amount(a) - 1}`), put(to, `${amount(b) + 1}`)];
      const { outcome } = await service.transact(ctx, { compares, then, otherwise: null });
      return outcome.succeeded;
    };
    const nodes = names.split(' ');
    const all = [A, B, C];
    const moves = Array.from({ length: 60 }, (_, i) =>
      move(all[i % 3] as string, all[(i + 1) % 3] as string, nodes[i % nodes.length] as string),
    );
    const done = await cluster.time.until(Promise.all(moves));
    expect(done.filter(Boolean).length).toBeGreaterThan(0);
    const values = await Promise.all(all.map((key) => read(cluster, key)));
    expect(values.reduce((sum, value) => sum + Number(value), 0)).toBe(300);
  });
});

it('a transaction goes on when the wall clock was far ahead for a while, in one group only', async () => {
  const cluster = await start('n1');
  const { service } = cluster.node('n1');
  await transact(cluster, { then: [put(B, '1'), put(A, '1')] });
  cluster.time.jumpWall(3_600_000);
  const ahead = { ...(put(A, '2') as TxnOpOf<'put'>), condition: null };
  await cluster.time.until(service.put(ctx, ahead));
  cluster.time.jumpWall(-3_600_000);
  await cluster.time.pass(1_000);
  const { outcome } = await transact(cluster, { then: [put(B, '3'), put(A, '3')] });
  expect(outcome.succeeded).toBe(true);
  expect([await read(cluster, A), await read(cluster, B)]).toEqual(['3', '3']);
});
