import type { FaultKind } from './faults/fault.ts';
import type { Ended, FaultSeen, History } from './history-file.ts';
import type { Finding } from './judge.ts';

/** Requests that must succeed in the calm before each fault, and from its start until all is level. */
export const SUCCESSES_MIN = 30;
/** While faults of a kind last that leave a majority, all of them together. */
export const DURING_MIN = 10;

/** One kind of fault over a whole run. Times in ms. */
export interface Row {
  readonly kind: string;
  readonly faults: number;
  /** Requests that ended between a fault's start and the silence after it, and those that succeeded. */
  readonly operations: number;
  readonly successes: number;
  /** Of these, before the fault was taken away. */
  readonly during: number;
  /** Transactions of several operations that committed in that time. */
  readonly transactions: number;
  readonly violations: number;
  readonly unknowns: number;
  /** After how many the nodes were level too late, or never. */
  readonly late: number;
  /** The longest time without a success. */
  readonly longestGapMs: number;
  /** The longest time from the end of a fault until all nodes were level; null: never. */
  readonly convergenceMs: number | null;
}

/** Transactions of at least two operations. */
export interface TxnCounts {
  readonly committed: number;
  /** Of them: with keys in several groups. */
  readonly overGroups: number;
  /** A compare failed, others were in the way, or nobody could serve it. */
  readonly refused: number;
  readonly unknown: number;
}

export interface Summary {
  readonly seed: number;
  readonly operations: number;
  readonly successes: number;
  readonly lostAnswers: number;
  readonly transactions: TxnCounts;
  readonly faults: number;
  readonly rows: readonly Row[];
  readonly findings: readonly Finding[];
  /** Why the run proves nothing; empty when it does. */
  readonly void: readonly string[];
  /** Kinds that could not run, with the reason. */
  readonly missing: readonly (readonly [string, string])[];
  readonly seconds: number;
}

/** Counts a run by kind of fault, and says whether enough happened for it to mean anything. */
export function summarize(
  history: History,
  findings: readonly Finding[],
  kinds: readonly FaultKind[],
  missing: Summary['missing'],
): Summary {
  const answers = [...history.answers].sort((a, b) => a.at - b.at);
  const successes = endsOf(answers.filter(({ ok }) => ok));
  const all = endsOf(answers);
  const several = history.transactions.filter(({ operations }) => operations > 1);
  const committed = several.filter(({ outcome }) => outcome === 'done').map(({ at }) => at);
  committed.sort((a, b) => a - b);
  const rows = kinds
    .filter(({ name }) => history.faults.some(({ kind }) => kind === name))
    .map((kind) => rowOf(kind, history.faults, { all, successes, committed }, findings));
  const last = history.faults.at(-1)?.silenced ?? history.started;
  return {
    ...{ seed: history.seed, operations: all.length, successes: successes.length },
    transactions: {
      committed: committed.length,
      overGroups: several.filter(({ outcome, groups }) => outcome === 'done' && groups > 1).length,
      refused: several.filter(({ outcome }) => outcome === 'refused').length,
      unknown: several.filter(({ outcome }) => outcome === 'unknown').length,
    },
    lostAnswers: history.operations.filter(({ output }) => output === null).length,
    ...{ faults: history.faults.length, rows, findings, missing },
    void: whyVoid(history, successes, rows, kinds),
    seconds: (last - history.started) / 1000,
  };
}

/** When each operation ended, in order; those of a batch at one time. */
function endsOf(answers: readonly Ended[]): number[] {
  return answers.flatMap(({ at, operations }) => new Array<number>(operations).fill(at));
}

interface Ends {
  readonly all: readonly number[];
  readonly successes: readonly number[];
  readonly committed: readonly number[];
}

function rowOf(
  kind: FaultKind,
  everyFault: readonly FaultSeen[],
  ends: Ends,
  findings: readonly Finding[],
): Row {
  const faults = everyFault.filter((fault) => fault.kind === kind.name);
  const touching = findings.filter((finding) =>
    faults.some(({ start, silenced }) => finding.from <= silenced && finding.to >= start),
  );
  const sum = (count: (fault: FaultSeen) => number) =>
    faults.reduce((total, fault) => total + count(fault), 0);
  const isLevel = faults.every(({ converged }) => converged !== null);
  return {
    ...{ kind: kind.name, faults: faults.length },
    operations: sum(({ start, silenced }) => countBetween(ends.all, start, silenced)),
    successes: sum(({ start, silenced }) => countBetween(ends.successes, start, silenced)),
    during: sum(({ start, end }) => countBetween(ends.successes, start, end)),
    transactions: sum(({ start, silenced }) => countBetween(ends.committed, start, silenced)),
    violations: touching.filter(({ result }) => result === 'violation').length,
    unknowns: touching.filter(({ result }) => result === 'unknown').length,
    late: touching.filter(({ result }) => result === 'late').length,
    longestGapMs: Math.max(...faults.map((fault) => longestGap(ends.successes, fault))),
    convergenceMs: isLevel
      ? Math.max(...faults.map(({ end, converged }) => (converged ?? 0) - end))
      : null,
  };
}

function countBetween(sorted: readonly number[], from: number, to: number): number {
  return indexAfter(sorted, to) - indexAfter(sorted, from);
}

function longestGap(successes: readonly number[], { start, silenced }: FaultSeen): number {
  const from = Math.max(0, indexAfter(successes, start) - 1);
  const to = indexAfter(successes, silenced);
  let longest = 0;
  for (let at = from + 1; at < to; at++) {
    longest = Math.max(longest, (successes[at] as number) - (successes[at - 1] as number));
  }
  return longest;
}

/** How many are at or before a time. */
function indexAfter(sorted: readonly number[], time: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function whyVoid(
  { faults, started }: History,
  successes: readonly number[],
  rows: readonly Row[],
  kinds: readonly FaultKind[],
): string[] {
  const reasons: string[] = [];
  let calm = started;
  for (const { number, kind, start, silenced, converged } of faults) {
    const before = countBetween(successes, calm, start);
    const after = countBetween(successes, start, silenced);
    if (before < SUCCESSES_MIN) reasons.push(`only ${before} successes before ${kind} ${number}`);
    if (after < SUCCESSES_MIN) reasons.push(`only ${after} successes in ${kind} ${number}`);
    calm = converged ?? silenced;
  }
  for (const { kind, during } of rows) {
    const leavesMajority = kinds.find(({ name }) => name === kind)?.leavesMajority ?? false;
    if (leavesMajority && during < DURING_MIN) {
      reasons.push(`only ${during} successes while ${kind} lasted`);
    }
  }
  if (faults.length === 0) reasons.push('there was no fault');
  return reasons;
}

/** The summary as a Markdown table, and what is wrong in words. */
export function showSummary(summary: Summary): string {
  const head = ['fault', 'faults', 'operations', 'successes', 'while it lasted', 'transactions'];
  head.push('violations', 'unknowns', 'level too late', 'longest gap', 'level after at most');
  const lines = [`| ${head.join(' | ')} |`, `|---|${'---:|'.repeat(head.length - 1)}`];
  for (const row of summary.rows) {
    const { kind, faults, operations, successes, during, transactions } = row;
    const { violations, unknowns, late } = row;
    const level = row.convergenceMs === null ? 'never' : seconds(row.convergenceMs);
    const cells = [kind, faults, operations, successes, during, transactions];
    cells.push(violations, unknowns, late);
    lines.push(`| ${[...cells, seconds(row.longestGapMs), level].join(' | ')} |`);
  }
  const { operations, successes, faults, findings } = summary;
  const count = (wanted: Finding['result']): number =>
    findings.filter(({ result }) => result === wanted).length;
  const total = `${operations} operations, ${successes} of them successful, ${faults} faults`;
  lines.push('', `${total} in ${Math.round(summary.seconds)} s with seed ${summary.seed}: `);
  lines[lines.length - 1] +=
    `${count('violation')} violations, ${count('unknown')} unknowns, ${count('late')} times level too late`;
  const { committed, overGroups, refused, unknown } = summary.transactions;
  const share = committed === 0 ? 0 : Math.round((overGroups / committed) * 100);
  lines.push(
    `${committed} transactions of several operations committed, ${share} % of them over several ` +
      `groups; ${refused} refused, ${unknown} without an answer`,
  );
  for (const [kind, reason] of summary.missing) lines.push(`not run: ${kind}: ${reason}`);
  for (const { result, checker, reason } of findings.slice(0, 20)) {
    lines.push(`${result} (${checker}): ${reason}`);
  }
  for (const reason of summary.void.slice(0, 20)) lines.push(`void: ${reason}`);
  return lines.join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
