import type { Cell, Results, Sample } from '../../../../bench/results.ts';

/** A run made up for tests: every bar is measured, some are missed. */

export function sampleOf(peer: string, round: number, rate: number, p50Us = 1_000): Sample {
  const latency = { count: 100, meanUs: p50Us, p50Us, p99Us: p50Us * 3, maxUs: p50Us * 9 };
  return {
    ...{ peer, round, requestsPerSecond: rate, keysPerSecond: rate, latency },
    ...{ serverCpu: 0.8, clientCpu: 0.3, othersCpu: 0.05, flaw: null },
  };
}

function cellOf(
  workload: Cell['workload'],
  place: { nodes: number; connections: number },
  rates: Readonly<Record<string, number>>,
): Cell {
  const samples = [1, 2, 3].flatMap((round) =>
    Object.entries(rates).map(([peer, rate]) => sampleOf(peer, round, rate, 1e6 / rate)),
  );
  const operation: Cell['operation'] =
    workload === 'batch' ? { kind: 'batch', size: 1_000 } : { kind: 'put' };
  const name = workload === 'batch' ? 'batch of 1,000' : workload;
  return { workload, name, ...place, operation, samples };
}

const grown = { '10,000 keys': 10_000, '10,000,000 keys': 9_000 };

export const A_RUN: Results = {
  version: 1,
  date: '2026-01-02T03:04:05.000Z',
  commit: 'abcdef012',
  command: 'npm run bench',
  hardware: {
    ...{ cpu: 'A CPU', cores: 2, memoryGiB: 8, kernel: 'Linux 6.1', node: 'v20.20.0' },
    fileSystem: 'ext2/ext3',
  },
  seconds: 1_200,
  peers: [
    { name: 'minikv', version: 'this build', install: 'npm run build' },
    { name: 'etcd', version: '3.4.23', install: 'apt-get install etcd-server' },
    { name: 'Redis', version: null, install: 'apt-get install redis-server' },
  ],
  failures: [{ workload: 'NATS, nodes 3', reason: 'no leader\nsecond line' }],
  cells: [
    cellOf('put', { nodes: 1, connections: 1 }, { minikv: 2_000, disk: 4_000 }),
    cellOf(
      'put',
      { nodes: 1, connections: 64 },
      { minikv: 12_000, 'node:http': 15_000, etcd: 4_000 },
    ),
    cellOf('put', { nodes: 3, connections: 64 }, { minikv: 9_000, etcd: 2_000 }),
    cellOf('get', { nodes: 1, connections: 64 }, { minikv: 16_000, 'node:http': 20_000 }),
    cellOf('batch', { nodes: 1, connections: 4 }, { minikv: 120_000, etcd: 20_000 }),
    cellOf('batch', { nodes: 1, connections: 1 }, { minikv: 80_000, etcd: 20_000 }),
    cellOf('batch', { nodes: 3, connections: 4 }, { minikv: 40_000 }),
    { ...cellOf('growth', { nodes: 1, connections: 64 }, grown), operation: { kind: 'put' } },
    { ...cellOf('growth', { nodes: 1, connections: 64 }, grown), operation: { kind: 'get' } },
  ],
  memory: [{ peer: 'minikv', nodes: 1, residentBytes: 150e6, idleCpu: 0.012 }],
  failover: [
    { peer: 'minikv', gapsMs: new Array(20).fill(500), medianMs: 500, maxMs: 1_300 },
    { peer: 'etcd', gapsMs: [1_000, 1_200], medianMs: 1_100, maxMs: 1_200 },
  ],
  growth: [
    {
      ...{ keys: 10_000_000, fillKeysPerSecond: 80_000, residentBytes: 550e6 },
      ...{ residentPeakBytes: 700e6, dataBytes: 2e9 },
    },
  ],
  startup: { keys: 1_000_000, cleanMs: [900, 1_000], killedMs: [1_500, 3_100] },
  recovery: { writes: 200_000, logEntries: 200_000, walBytes: 5e7, readyMs: [2_000, 1_000] },
  watch: {
    ...{ events: 10_000, deliveries: 1_000_000, flaws: [], clientCpu: 0.5, seconds: 10 },
    ...{ delivery: { p50: 10, p99: 90, max: 200 }, write: { p50: 2, p99: 9, max: 20 } },
    serverCpuPerThousandMs: 6,
  },
  profiles: [
    {
      ...{ path: 'put-64', seconds: 2 },
      self: [{ name: 'writev', share: 0.2 }],
      inclusive: [{ name: 'turn actors/kit/turn-loop.js:10', share: 0.7 }],
    },
  ],
};
