import { expect, test } from 'vitest';
import { latencyRatio, rateRatio, summaryOf } from '../../../../bench/report/cell-summary.ts';
import { median, ratioOf, spreadOf } from '../../../../bench/report/statistics.ts';
import type { Cell, Sample } from '../../../../bench/results.ts';
import { sampleOf } from './a-run.ts';

test('medians of odd and even counts', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(() => median([])).toThrow();
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, count: 3 });
});

test('a ratio is taken round by round, so a slow minute of both changes nothing', () => {
  const ours = new Map([
    [1, 100],
    [2, 10],
    [3, 50],
  ]);
  const theirs = new Map([
    [1, 50],
    [2, 5],
    [3, 25],
    [4, 1],
  ]);
  expect(ratioOf(ours, theirs)).toEqual({ median: 2, min: 2, max: 2, count: 3 });
  expect(ratioOf(ours, new Map([[1, 0]]))).toBeNull();
});

function cell(samples: readonly Sample[], kind: 'put' | 'batch' = 'put'): Cell {
  const operation = kind === 'put' ? { kind } : { kind, size: 1_000 };
  return { workload: kind, name: kind, nodes: 1, connections: 64, operation, samples };
}

test('a void round counts nowhere', () => {
  const one = cell([
    sampleOf('minikv', 1, 100),
    { ...sampleOf('minikv', 2, 900), flaw: 'wrong' },
    sampleOf('etcd', 1, 50),
    sampleOf('etcd', 2, 1),
  ]);
  expect(summaryOf(one, 'minikv')).toMatchObject({
    ...{ rate: { median: 100, min: 100, max: 100, count: 1 }, voidRounds: 1 },
  });
  expect(rateRatio(one, 'minikv', 'etcd')).toMatchObject({ median: 2, count: 1 });
  expect(summaryOf(cell([{ ...sampleOf('minikv', 1, 1), flaw: 'wrong' }]), 'minikv')).toBeNull();
});

test('batches count keys, and a rate per CPU second of the servers', () => {
  const sample = { ...sampleOf('minikv', 1, 10), keysPerSecond: 10_000, serverCpu: 0.5 };
  expect(summaryOf(cell([sample], 'batch'), 'minikv')).toMatchObject({
    ...{ rate: { median: 10_000 }, perCpuSecond: 20_000, isClientBound: false },
  });
  const unknown = { ...sample, serverCpu: null, clientCpu: 0.97 };
  expect(summaryOf(cell([unknown], 'batch'), 'minikv')).toMatchObject({
    ...{ perCpuSecond: null, isClientBound: true },
  });
});

test('latencies are compared by their medians', () => {
  const one = cell([sampleOf('minikv', 1, 1, 500), sampleOf('disk', 1, 1, 250)]);
  expect(latencyRatio(one, 'minikv', 'disk')).toMatchObject({ median: 2 });
});
