import { expect, it } from 'vitest';
import type { WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { put, ref } from '../kit/applied-group.ts';
import { MemoryCluster } from '../kit/memory-cluster.ts';

/** An engine that takes no more writes, on a node whose log still could: memory must not grow with it. */

const CTX = { deadlineMs: 1_000, traceparent: null, idempotency: null };
const LATEST = { consistency: 'linearizable', revision: null } as const;
const MIB = 1024 * 1024;
const LARGE = 'x'.repeat(700_000);
/** What was on its way when the bound was met. */
const SLACK_BYTES = LIMITS.appendInflightBytesMax + 8 * MIB;

/** Ten large puts at once; how each of them ended. */
function putTen(cluster: MemoryCluster, at: string, round: number): Promise<string[]> {
  const { service } = cluster.node(at);
  const puts = Array.from({ length: 10 }, (_, i) =>
    service.put(CTX, put(`k-${round}-${i}`, LARGE) as Extract<WriteOp, { type: 'put' }>).then(
      () => 'ok',
      (error: unknown) => {
        if (!(error instanceof AppError)) throw error;
        return error.definite ? `${error.code}, definite` : error.code;
      },
    ),
  );
  return cluster.time.until(Promise.all(puts));
}

/** Bytes of all logs of a node. */
function logBytes(cluster: MemoryCluster, name: string): number {
  let bytes = 0;
  for (const replica of cluster.node(name).inspect()) {
    for (let i = replica.baseIndex + 1; i <= replica.lastIndex; i++) {
      bytes += replica.entry(i)?.bytes.length ?? 0;
    }
  }
  return bytes;
}

it('F18 an engine that stalls: writes are refused, definitely, before the log fills the memory, and go on after it', async () => {
  const cluster = new MemoryCluster('n1', { groupCount: 1 });
  await cluster.start();
  const goOn = cluster.stallEngine('n1');
  const outcomes: string[] = [];
  for (let round = 0; round < 16; round++) outcomes.push(...(await putTen(cluster, 'n1', round)));
  expect(outcomes.slice(0, 10)).toEqual(Array(10).fill('ok'));
  expect(outcomes.slice(-30)).toEqual(Array(30).fill('overloaded, definite'));
  expect(logBytes(cluster, 'n1')).toBeLessThan(
    LIMITS.memtableBytesMax + LIMITS.unappliedBytesMax + SLACK_BYTES,
  );
  goOn();
  await cluster.time.pass(2_000);
  expect(await putTen(cluster, 'n1', 99)).toEqual(Array(10).fill('ok'));
  const { service } = cluster.node('n1');
  for (const [i, outcome] of outcomes.entries()) {
    const key = `k-${Math.floor(i / 10)}-${i % 10}`;
    const { item } = await cluster.time.until(service.get(CTX, ref(key), LATEST));
    if (outcome === 'ok') expect(item?.value.length, key).toBe(LARGE.length);
    if (outcome.endsWith('definite')) expect(item, key).toBeNull();
  }
}, 60_000);

it('F18 an engine that stalls on a follower: it takes no more entries, holds up nobody, and catches up after it', async () => {
  const cluster = new MemoryCluster('n1 n2 n3', { groupCount: 1 });
  await cluster.start();
  const leader = ['n1', 'n2', 'n3'].find((name) =>
    cluster
      .node(name)
      .inspect()
      .some(({ group, role }) => group === 1 && role === 'leader'),
  ) as string;
  const follower = leader === 'n1' ? 'n2' : 'n1';
  const goOn = cluster.stallEngine(follower);
  for (let round = 0; round < 16; round++) {
    expect(await putTen(cluster, leader, round)).toEqual(Array(10).fill('ok'));
  }
  expect(logBytes(cluster, follower)).toBeLessThan(
    LIMITS.memtableBytesMax + LIMITS.unappliedBytesMax + SLACK_BYTES,
  );
  goOn();
  await cluster.time.pass(10_000);
  const [ahead, behind] = [leader, follower].map((name) =>
    cluster
      .node(name)
      .inspect()
      .find(({ group }) => group === 1),
  );
  expect(behind?.appliedIndex).toBe(ahead?.appliedIndex);
  expect(await behind?.stateHash()).toBe(await ahead?.stateHash());
}, 60_000);
