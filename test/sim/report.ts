import { againLine } from './pool.ts';
import type { SimResult } from './simulate.ts';

/** One line per seed. */
export function summaryLine(result: SimResult): string {
  const { ok, refused, unknown } = result.operations;
  const { committed, overGroups, aborted } = result.transactions;
  const speed = Math.round(result.virtualMs / Math.max(1, result.realMs));
  return (
    `seed ${result.seed}: ${result.failure === null ? 'ok  ' : 'FAIL'} ${result.traceHash} ` +
    `${Math.round(result.virtualMs / 1000)} s virtual, ${result.events} events, ` +
    `${ok} ok ${refused} refused ${unknown} unknown, ` +
    `${committed} transactions (${overGroups} over groups, ${aborted} aborted), x${speed} real time`
  );
}

/** What a person needs to see first when a seed fails. */
export function failureReport(result: SimResult, linesShown: number): string {
  const codes = [...result.codes].map(([code, count]) => `${code} ${count}`).join(', ');
  const faults = [...result.faults].map(([kind, count]) => `${kind} ${count}`).join(', ');
  return [
    `seed ${result.seed} failed: ${result.failure}`,
    `  faults: ${faults || 'none'}`,
    `  answers other than ok: ${codes || 'none'}`,
    '  the last of what happened:',
    ...result.lines.slice(-linesShown).map((line) => `    ${line}`),
    againLine(result.seed),
    `  when it is fixed, add the seed to test/sim/seeds.txt`,
  ].join('\n');
}
