import { expect, it } from 'vitest';
import type { KeyRows } from '../../../../protocol/key-rows.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

it('rows of keys are replaced by who saw the last one, and are seen by all nodes', async () => {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 2 });
  await cluster.start();
  const ask = <T>(name: string, work: (rows: KeyRows) => Promise<T>): Promise<T> =>
    cluster.time.until(work(cluster.node(name).objects.keyRows));
  expect(await ask('n1', (rows) => rows.get(CTX, 'a/b'))).toBeNull();
  const first = { id: 'a/b', text: 'one', revision: 0 };
  expect(await ask('n1', (rows) => rows.put(CTX, first))).toBe(true);
  expect(await ask('n2', (rows) => rows.put(CTX, first))).toBe(false);
  const seen = await ask('n3', (rows) => rows.get(CTX, 'a/b'));
  expect(seen).toMatchObject({ id: 'a/b', text: 'one' });
  const revision = seen?.revision ?? 0;
  const second = { id: 'a/b', text: 'two', revision };
  expect(await ask('n2', (rows) => rows.put(CTX, second))).toBe(true);
  expect(await ask('n3', (rows) => rows.put(CTX, { ...second, text: 'late' }))).toBe(false);
  await ask('n3', (rows) => rows.put(CTX, { id: 'c', text: 'three', revision: 0 }));
  const all = await ask('n1', (rows) => rows.list(CTX));
  expect(all.map(({ id, text }) => [id, text])).toEqual([
    ['a/b', 'two'],
    ['c', 'three'],
  ]);
});
