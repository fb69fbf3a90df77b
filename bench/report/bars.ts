import type { Cell, Results } from '../results.ts';
import { latencyRatio, rateRatio, summaryOf } from './cell-summary.ts';
import { count, ratioSpread } from './numbers.ts';
import type { Spread } from './statistics.ts';

/** What the project wants of itself, and what a run found. A bar that was not measured says so. */
export interface BarFound {
  readonly what: string;
  /** The same with what is wanted, short enough for a drawing. */
  readonly label: string;
  readonly wanted: string;
  /** Null when it was not measured. */
  readonly found: string | null;
  readonly isMet: boolean | null;
  /** How much of the wanted there is: 1 and above is met. For plots. */
  readonly share: number | null;
}

const MINIKV = 'minikv';
const BARE = 'node:http';
const CONNECTIONS = 64;
const GROWN_KEYS = 10_000_000;
const SMALL_KEYS = 10_000;

export function barsOf(results: Results): BarFound[] {
  return [
    ...loadBars(results),
    ...batchBars(results),
    singleWriterBar(results),
    ...failoverBars(results),
    ...growthBars(results),
    ...startBars(results),
    ...watchBars(results),
  ];
}

function loadBars({ cells }: Results): BarFound[] {
  const put = find(cells, 'put', 1, CONNECTIONS);
  const get = find(cells, 'get', 1, CONNECTIONS);
  const three = find(cells, 'put', 3, CONNECTIONS);
  const name = `PUT 100 B, durable, ${CONNECTIONS} connections`;
  return [
    {
      ...atLeast(`${name}, one node`, 0.6, BARE, put && rateRatio(put, MINIKV, BARE)),
      label: 'PUT, one node: 0.6 x node:http',
    },
    {
      ...atLeast(`${name}, one node`, 4, 'etcd', put && rateRatio(put, MINIKV, 'etcd')),
      label: 'PUT, one node: 4 x etcd',
    },
    {
      ...atLeast(`${name}, three nodes`, 4, 'etcd', three && rateRatio(three, MINIKV, 'etcd')),
      label: 'PUT, three nodes: 4 x etcd',
    },
    {
      ...atLeast(
        'GET 100 B, linearizable, one node',
        0.75,
        BARE,
        get && rateRatio(get, MINIKV, BARE),
      ),
      label: 'GET, one node: 0.75 x node:http',
    },
  ];
}

function atLeast(
  what: string,
  wanted: number,
  other: string,
  found: Spread | null,
): Omit<BarFound, 'label'> {
  return {
    ...{ what, wanted: `at least ${wanted} x ${other}` },
    found: found === null ? null : `${ratioSpread(found)} x`,
    ...judged(found === null ? null : found.median / wanted),
  };
}

/** The best number of connections counts: how many a client opens is its own choice. */
function batchBars({ cells }: Results): BarFound[] {
  return ([1, 3] as const).map((nodes): BarFound => {
    const wanted = nodes === 1 ? 100_000 : 50_000;
    const what = `Batches of 1,000 keys as MessagePack, fsynced, ${nodes === 1 ? 'one node' : 'three nodes'}`;
    const all = cells.filter((cell) => cell.workload === 'batch' && cell.nodes === nodes);
    const rates = all.flatMap((cell) => summaryOf(cell, MINIKV)?.rate ?? []);
    const best = rates.sort((a, b) => b.median - a.median)[0];
    return {
      ...{ what, wanted: `at least ${count(wanted)} keys/s` },
      label: `Batches, ${nodes === 1 ? 'one node' : 'three nodes'}: ${count(wanted)} keys/s`,
      found: best === undefined ? null : `${count(best.median)} keys/s`,
      ...judged(best === undefined ? null : best.median / wanted),
    };
  });
}

function singleWriterBar({ cells }: Results): BarFound {
  const cell = find(cells, 'put', 1, 1);
  const found = cell === null ? null : latencyRatio(cell, MINIKV, 'disk');
  const wanted = 2.5;
  return {
    what: 'One writer, p50 of a PUT, one node',
    label: `One writer, p50: ${wanted} x fsync`,
    wanted: `below ${wanted} x the disk's own fsync`,
    found: found === null ? null : `${ratioSpread(found)} x`,
    ...judged(found === null ? null : wanted / found.median, true),
  };
}

function failoverBars({ failover }: Results): BarFound[] {
  const ours = failover.find(({ peer }) => peer === MINIKV);
  const theirs = failover.find(({ peer }) => peer === 'etcd');
  const kills = ours?.gapsMs.length ?? 20;
  const bar = (
    what: string,
    label: string,
    wantedMs: number,
    read: 'medianMs' | 'maxMs',
  ): BarFound => {
    const isEnough = ours !== undefined && kills >= 20;
    const beside = theirs === undefined ? '' : ` (etcd ${Math.round(theirs[read])} ms)`;
    return {
      ...{ what, wanted: `below ${wantedMs} ms`, label: `${label}: ${wantedMs} ms` },
      found: isEnough ? `${Math.round(ours[read])} ms${beside}` : null,
      ...judged(isEnough ? wantedMs / ours[read] : null, true),
    };
  };
  return [
    bar(
      'Failover gap after kill -9 of the leader, median of 20',
      'Failover, median',
      600,
      'medianMs',
    ),
    bar('Failover gap, longest of 20', 'Failover, longest', 1_200, 'maxMs'),
  ];
}

function growthBars({ cells, growth }: Results): BarFound[] {
  const name = (keys: number): string => `${keys.toLocaleString('en-US')} keys`;
  const bars = (['put', 'get'] as const).map((kind): BarFound => {
    const cell = cells.find((c) => c.workload === 'growth' && c.operation.kind === kind) ?? null;
    const found = cell && rateRatio(cell, name(GROWN_KEYS), name(SMALL_KEYS));
    const what = `${kind.toUpperCase()} at ${name(GROWN_KEYS)}`;
    return {
      ...atLeast(what, 0.8, `the rate at ${name(SMALL_KEYS)}`, found),
      label: `${what}: 0.8 x`,
    };
  });
  const bytes = growth.find(({ keys }) => keys === GROWN_KEYS)?.residentBytes ?? null;
  const wanted = 600e6;
  return [
    ...bars,
    {
      ...{ what: `Resident memory at ${name(GROWN_KEYS)}`, wanted: 'below 600 MB' },
      label: `Memory at ${name(GROWN_KEYS)}: 600 MB`,
      found: bytes === null ? null : `${Math.round(bytes / 1e6)} MB`,
      ...judged(bytes === null ? null : wanted / bytes, true),
    },
  ];
}

function startBars({ startup, recovery }: Results): BarFound[] {
  const wantedMs = 3_000;
  const bar = (what: string, label: string, readyMs: readonly number[] | null): BarFound => {
    const longestMs = readyMs === null ? null : Math.max(...readyMs);
    return {
      ...{ what, wanted: 'below 3 s', label: `${label}: 3 s` },
      found: longestMs === null ? null : `${(longestMs / 1000).toFixed(2)} s`,
      ...judged(longestMs === null ? null : wantedMs / longestMs, true),
    };
  };
  const isFull = startup !== null && startup.keys >= 1_000_000;
  const isWhole = recovery !== null && recovery.writes >= 200_000;
  return [
    bar(
      'Start-up with 1,000,000 keys, longest',
      'Start-up, 1,000,000 keys',
      isFull ? [...startup.cleanMs, ...startup.killedMs] : null,
    ),
    bar(
      'Start-up after kill -9 with 200,000 writes in the WAL, longest',
      'Start-up, 200,000 writes in the WAL',
      isWhole ? recovery.readyMs : null,
    ),
  ];
}

function watchBars({ watch }: Results): BarFound[] {
  const wantedMs = 250;
  const what = '1,000 SSE subscribers, 1,000 events/s, one in ten each';
  return [
    {
      ...{ what: `${what}: every event once and in order`, wanted: 'no flaw' },
      label: 'Watch: every event once',
      found: watch === null ? null : watch.flaws.length === 0 ? 'no flaw' : `${watch.flaws[0]}`,
      ...judged(watch === null ? null : watch.flaws.length === 0 ? 1 : 0),
    },
    {
      ...{ what: `${what}: p99 of the delivery`, wanted: `below ${wantedMs} ms` },
      label: `Watch, p99: ${wantedMs} ms`,
      found: watch === null ? null : `${watch.delivery.p99} ms`,
      ...judged(watch === null ? null : wantedMs / Math.max(watch.delivery.p99, 0.01), true),
    },
  ];
}

/** `isStrict`: exactly the bound is not enough. */
function judged(
  share: number | null,
  isStrict = false,
): { isMet: boolean | null; share: number | null } {
  if (share === null) return { isMet: null, share };
  return { isMet: isStrict ? share > 1 : share >= 1, share };
}

function find(
  cells: readonly Cell[],
  workload: Cell['workload'],
  nodes: number,
  connections: number,
): Cell | null {
  const found = cells.find(
    (cell) =>
      cell.workload === workload && cell.nodes === nodes && cell.connections === connections,
  );
  return found ?? null;
}
