import type { Cell, Results } from '../results.ts';
import { barsOf } from './bars.ts';
import { peersOf, summaryOf } from './cell-summary.ts';
import { type BarChart, barChart, bulletChart, stripChart } from './charts.ts';

/** The drawings of a run: file name without folder, what it shows, and the SVG. */
export interface Plot {
  readonly name: string;
  readonly caption: string;
  readonly svg: string;
}

export function plotsOf(results: Results): Plot[] {
  return [
    bars(results),
    load(results, 'put', 1),
    load(results, 'get', 1),
    load(results, 'put', 3),
    load(results, 'get', 3),
    batch(results),
    latency(results),
    failover(results),
    growth(results),
  ].filter((plot) => plot !== null);
}

function bars(results: Results): Plot | null {
  const rows = barsOf(results).flatMap(({ label, wanted, share, isMet }) =>
    share === null || isMet === null || wanted === 'no flaw'
      ? []
      : [{ name: label, share: Math.max(share, 0.01), isMet }],
  );
  if (rows.length === 0) return null;
  const caption = 'How much of each bar is reached; 1 x and beyond is met';
  return { name: 'bars', caption, svg: bulletChart(caption, rows) };
}

/** Rates by the number of connections. */
function load(results: Results, workload: 'put' | 'get', nodes: 1 | 3): Plot | null {
  const cells = results.cells.filter((c) => c.workload === workload && c.nodes === nodes);
  const what = workload === 'put' ? 'Durable PUT of 100 B' : 'Linearizable GET of 100 B';
  const title = `${what}, ${nodes === 1 ? 'one node' : 'three nodes'}, by connections`;
  return grouped(`${workload}-${nodes}`, cells, {
    title,
    unit: 'requests/s',
    label: ({ connections }) => String(connections),
    isLog: true,
  });
}

function batch(results: Results): Plot | null {
  const cells = results.cells.filter(({ workload }) => workload === 'batch');
  return grouped('batch', cells, {
    title: 'Batches of 1,000 keys, fsynced',
    unit: 'keys/s',
    label: ({ nodes, connections }) =>
      `${nodes === 1 ? 'one node' : 'three nodes'}, ${connections} conn.`,
    isLog: true,
  });
}

function grouped(
  name: string,
  cells: readonly Cell[],
  options: Pick<BarChart, 'title' | 'unit' | 'isLog'> & { readonly label: (cell: Cell) => string },
): Plot | null {
  const { label, ...chart } = options;
  const peers = [...new Set(cells.flatMap(peersOf))];
  const series = peers.map((peer) => ({
    name: peer,
    values: cells.map((cell) => summaryOf(cell, peer)?.rate ?? null),
  }));
  if (series.every(({ values }) => values.every((value) => value === null))) return null;
  const svg = barChart({ ...chart, categories: cells.map(label), series });
  return { name, caption: `${chart.title} (${chart.unit})`, svg };
}

/** p50 of one connection that writes. */
function latency(results: Results): Plot | null {
  const cells = results.cells.filter(
    ({ workload, connections }) => workload === 'put' && connections === 1,
  );
  const peers = [...new Set(cells.flatMap(peersOf))];
  const series = peers.map((peer) => ({
    name: peer,
    values: cells.map((cell) => {
      const p50 = summaryOf(cell, peer)?.p50Us;
      if (p50 === undefined) return null;
      const { median, min, max, count } = p50;
      return { median: median / 1000, min: min / 1000, max: max / 1000, count };
    }),
  }));
  if (series.length === 0) return null;
  const title = 'One connection that writes: median latency';
  const categories = cells.map(({ nodes }) => (nodes === 1 ? 'one node' : 'three nodes'));
  const svg = barChart({ title, unit: 'ms', categories, series, isLog: true });
  return { name: 'latency', caption: `${title} (ms)`, svg };
}

function failover({ failover: found }: Results): Plot | null {
  if (found.length === 0) return null;
  const title = 'Longest time without a success after kill -9 of the leader';
  const rows = found.map(({ peer, gapsMs, medianMs }) => ({
    ...{ name: peer, values: gapsMs, median: medianMs },
  }));
  const bounds = [
    { value: 600, name: 'median below 600' },
    { value: 1_200, name: 'longest below 1,200' },
  ];
  const svg = stripChart({ title, unit: 'ms', rows, bounds });
  return { name: 'failover', caption: title, svg };
}

/** Rates of the same node with more and more keys. */
function growth(results: Results): Plot | null {
  const cells = results.cells.filter(({ workload }) => workload === 'growth');
  const sizes = [...new Set(cells.flatMap(peersOf))];
  const kinds = cells.map(({ operation }) => operation.kind.toUpperCase());
  const series = cells.map((cell, i) => ({
    name: kinds[i] as string,
    values: sizes.map((size) => summaryOf(cell, size)?.rate ?? null),
  }));
  if (series.length === 0) return null;
  const title = 'One node with more and more keys, 64 connections';
  const svg = barChart({ title, unit: 'requests/s', categories: sizes, series });
  return { name: 'growth', caption: title, svg };
}
