import { expect, it } from 'vitest';
import type { Operation } from '../../check/history.ts';
import type { TxnSeen } from '../../check/transactions.ts';
import type { Change } from '../../check/truth.ts';
import type { Ended, FaultSeen, History } from '../../torture/history-file.ts';
import { judge } from '../../torture/judge.ts';
import { FAULT_KINDS } from '../../torture/nemesis.ts';
import { showSummary, summarize } from '../../torture/summary.ts';

const REF = { tenant: 'default', space: 'kv', key: 'r/1' };
const PUT: Operation = {
  ...{ process: 1, key: 'r/1', call: 10, ret: 20 },
  input: { type: 'put', value: 'v1', condition: null, expires: false },
  output: { type: 'put', revision: 100 },
};
const CHANGE: Change = {
  ...{ kind: 'put', ref: REF, vshard: 3, revision: 100, prevRevision: 0, value: 'v1' },
  expiresAtMs: null,
};
const FAULT: FaultSeen = {
  ...{ number: 1, kind: 'kill', what: 'n1', start: 1_000, end: 2_000, silenced: 3_000 },
  converged: 3_500,
};

function historyOf(part: Partial<History>): History {
  return {
    ...{ seed: 1, started: 0, answers: [], operations: [PUT], refused: [], appends: [], lists: [] },
    ...{ adds: [], sets: [], scans: [], transactions: [], together: [], txns: [], banks: [] },
    ...{ locks: [], watchers: [], truth: [CHANGE], endRevision: 100 },
    ...{ faults: [FAULT], flaws: [], ...part },
  };
}

function found(part: Partial<History>): string[] {
  return judge(historyOf(part), 10_000).map(({ checker, reason }) => `${checker}: ${reason}`);
}

it('finds nothing in a good history', () => {
  expect(found({})).toEqual([]);
});

it('B05 an acknowledged write that is not in the history', () => {
  expect(found({ truth: [] })).toEqual([expect.stringMatching(/^answers: v1: .*has null/)]);
});

it('B09 a write that was applied twice', () => {
  const again = { ...CHANGE, revision: 200, prevRevision: 100 };
  expect(found({ truth: [CHANGE, again], endRevision: 200 })).toContainEqual(
    expect.stringMatching(/v1 was applied twice/),
  );
});

it('B10 a refused write that is there', () => {
  const refused = [{ key: 'r/1', value: 'v1', why: 'test', call: 10 }];
  expect(found({ operations: [], refused })).toEqual([expect.stringMatching(/was refused/)]);
});

it('B01 a stale read', () => {
  const read: Operation = {
    ...{ process: 2, key: 'r/1', call: 30, ret: 40, input: { type: 'get' } },
    output: { type: 'got', value: null, revision: 0 },
  };
  expect(found({ operations: [PUT, read] })).toEqual([expect.stringMatching(/^linearizability/)]);
});

it('B19 a watcher that missed a change', () => {
  const start = { from: 'revision', revision: 0 } as const;
  const watcher = { tenant: 'default', space: 'kv', prefix: '', complete: true, name: 'w' };
  const watchers = [{ ...watcher, sessions: [{ start, messages: [] }] }];
  expect(found({ watchers })).toEqual([expect.stringMatching(/^watches: w: never saw put/)]);
});

it('B21 B22 transactions: a cycle, a sum that is wrong, a half, a write without its lock', () => {
  const lists = (name: string, x: string, y: string): TxnSeen => ({
    ...{ name, appends: [], outcome: 'done', call: 1, ret: 90 },
    reads: [
      { key: 'x', elements: [...x] },
      { key: 'y', elements: [...y] },
    ],
  });
  const append: TxnSeen = {
    ...lists('T', '', ''),
    appends: [
      { key: 'x', element: '1' },
      { key: 'y', element: '1' },
    ],
  };
  const txns = [append, lists('R', '1', ''), lists('S', '1', '1')];
  expect(found({ txns })).toEqual([expect.stringMatching(/^transactions: G-single: /)]);
  const banks = [{ how: 'scan', amounts: { 'b/1': 99 }, call: 5 }];
  expect(found({ banks })).toEqual([expect.stringMatching(/^bank: scan: the sum is/)]);
  const together = [{ values: ['v1', 'v2'], outcome: 'unknown', revision: 0, call: 5 } as const];
  expect(found({ together })).toEqual([expect.stringMatching(/^all or nothing: a part/)]);
  const token = { lock: 'l', lease: 1, kind: 'acquired', callMs: 1, atMs: 2 } as const;
  const stale = { ...token, token: 3, kind: 'valid', callMs: 9, atMs: 10 } as const;
  const locks = [{ ...token, token: 3 }, { ...token, token: 4 }, stale];
  expect(found({ locks })).toEqual([expect.stringMatching(/^locks: token 3 of l was valid/)]);
  const guarded = { ...CHANGE, ref: { ...REF, key: 'f/l' }, revision: 101, value: '3 v3' };
  expect(found({ truth: [CHANGE, guarded] })).toEqual([expect.stringMatching(/^fencing: f\/l/)]);
});

it('nodes that become level late, or never, are named for what they are', () => {
  const late = (fault: Partial<FaultSeen>) =>
    judge(historyOf({ faults: [{ ...FAULT, ...fault }] }), 10_000);
  expect(late({ converged: 12_001 })).toMatchObject([
    { result: 'late', reason: expect.stringMatching(/only after 10001 ms$/) },
  ]);
  const never = late({ converged: null, open: 'n2 does not answer' });
  expect(never).toMatchObject([
    { result: 'late', reason: expect.stringMatching(/never: n2 does not answer$/) },
  ]);
  const summary = summarize(historyOf({}), never, FAULT_KINDS, []);
  expect(summary.rows).toMatchObject([{ kind: 'kill', violations: 0, unknowns: 0, late: 1 }]);
});

it('transactions of several operations are counted, and those over groups', () => {
  const ended = (at: number, more: object) => {
    return { outcome: 'done', operations: 2, groups: 1, at, ...more } as const;
  };
  const transactions = [
    ...[ended(500, {}), ended(1_500, { groups: 3 }), ended(1_600, { operations: 1 })],
    ...[ended(1_700, { outcome: 'refused' }), ended(1_800, { outcome: 'unknown', groups: 2 })],
  ];
  const summary = summarize(historyOf({ transactions }), [], FAULT_KINDS, []);
  expect(summary.transactions).toEqual({ committed: 2, overGroups: 1, refused: 1, unknown: 1 });
  expect(summary.rows[0]?.transactions).toBe(1);
  expect(showSummary(summary)).toMatch(/\n2 transactions of several .* 50 % of them over several/);
});

it('a history that could not be read back is unknown, not good', () => {
  expect(judge(historyOf({ endRevision: null, truth: [] }), 10_000)).toMatchObject([
    { result: 'unknown' },
  ]);
});

it('a run is void when too little happened before, after or while faults lasted', () => {
  const answers = (from: number, to: number) =>
    Array.from({ length: 40 }, (_, i) => ({
      at: from + ((to - from) * (i + 1)) / 41,
      ok: true,
      operations: 1,
    }));
  const summaryOf = (ends: readonly Ended[]) =>
    summarize(historyOf({ answers: [...ends] }), [], FAULT_KINDS, []);
  const good = [...answers(0, 1_000), ...answers(1_000, 2_000), ...answers(2_000, 3_000)];
  expect(summaryOf(good).void).toEqual([]);
  expect(summaryOf(good.slice(40)).void).toEqual(['only 0 successes before kill 1']);
  expect(summaryOf(good.slice(0, 40)).void).toEqual([
    ...['only 0 successes in kill 1', 'only 0 successes while kill lasted'],
  ]);
  const kept = [...answers(0, 1_000), ...answers(2_000, 3_000)];
  expect(summaryOf(kept).void).toEqual(['only 0 successes while kill lasted']);
  const [row] = summaryOf(kept).rows;
  expect(row?.longestGapMs).toBeGreaterThan(1_000);
  expect(row).toMatchObject({ faults: 1, operations: 40, during: 0, convergenceMs: 1_500 });
});
