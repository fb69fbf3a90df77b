import type { Cell } from '../results.ts';
import { peersOf, rateRatio, summaryOf } from './cell-summary.ts';
import { count, countSpread, milliseconds, ratio, ratioSpread } from './numbers.ts';

/** One cell as rows of a Markdown table, and as lines for a terminal. */

export const CELL_COLUMNS = [
  ...['Workload', 'Nodes', 'Connections', 'Server', 'Per second', 'p50 ms', 'p99 ms', 'max ms'],
  ...['Per server CPU second', 'Server CPU', 'Client CPU', 'minikv is'],
];

export function cellRows(cell: Cell, ours = 'minikv'): string[][] {
  return peersOf(cell).map((peer) => {
    const summary = summaryOf(cell, peer);
    const place = [cell.name, String(cell.nodes), String(cell.connections), peer];
    if (summary === null) {
      const flaw = cell.samples.find((sample) => sample.peer === peer)?.flaw;
      return [...place, `void: ${flaw}`, '', '', '', '', '', '', ''];
    }
    const against = peer === ours ? null : rateRatio(cell, ours, peer);
    return [
      ...place,
      countSpread(summary.rate),
      milliseconds(summary.p50Us.median),
      milliseconds(summary.p99Us),
      milliseconds(summary.maxUs),
      summary.perCpuSecond === null ? '' : count(summary.perCpuSecond),
      summary.serverCpu === null ? '' : ratio(summary.serverCpu),
      `${ratio(summary.clientCpu)}${summary.isClientBound ? ' (bound)' : ''}`,
      against === null ? '' : `${ratioSpread(against)} x`,
    ];
  });
}

export function cellLines(cell: Cell, ours = 'minikv'): string[] {
  return cellRows(cell, ours).map((row) => {
    const [name, nodes, connections, peer, rate, p50, p99, max, perCpu, server, client, ours] = row;
    const place = `${name} n=${nodes} c=${connections}`.padEnd(20);
    const latency = `p50 ${p50} p99 ${p99} max ${max} ms`;
    const cost = `cpu ${server} (${perCpu}/s) client ${client}`;
    return `${place} ${(peer as string).padEnd(10)} ${rate}/s  ${latency}  ${cost}  ${ours}`;
  });
}

export function markdownTable(columns: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(columns), `|${columns.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
