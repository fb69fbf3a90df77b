import { expect, it } from 'vitest';
import type { Operation } from '../../check/history.ts';
import type { Change } from '../../check/truth.ts';
import type { Ended, FaultSeen, History } from '../../torture/history-file.ts';
import { judge } from '../../torture/judge.ts';
import { FAULT_KINDS } from '../../torture/nemesis.ts';
import { summarize } from '../../torture/summary.ts';

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
    ...{ adds: [], sets: [], scans: [], watchers: [], truth: [CHANGE], endRevision: 100 },
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

it('nodes that become level late, or never', () => {
  expect(found({ faults: [{ ...FAULT, converged: 12_001 }] })).toEqual([
    expect.stringMatching(/only after 10001 ms/),
  ]);
  expect(found({ faults: [{ ...FAULT, converged: null }] })).toEqual([
    expect.stringMatching(/never/),
  ]);
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
