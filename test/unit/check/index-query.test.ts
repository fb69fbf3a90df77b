import { expect, test } from 'vitest';
import { checkQueries, type QuerySeen } from '../../check/index-query.ts';
import { type Change, Truth } from '../../check/truth.ts';

const RANGE = { tenant: 't', space: 'kv', start: 'k/', end: 'k0' };

function put(key: string, text: string, revision: number, prevRevision = 0): Change {
  const ref = { tenant: 't', space: 'kv', key };
  const value = JSON.stringify(text);
  return { kind: 'put', ref, vshard: 1, revision, prevRevision, value, expiresAtMs: null };
}

const truth = new Truth([
  put('k/a', 'mm', 1),
  put('k/b', 'cc', 2),
  put('k/c', 'zz', 3),
  put('k/a', 'aa', 4, 1),
]);

const item = (key: string, text: string, revision: number) => {
  return { key, value: JSON.stringify(text), revision };
};
const PAST = [item('k/b', 'cc', 2), item('k/a', 'mm', 1), item('k/c', 'zz', 3)];

function page(more: Partial<QuerySeen>): QuerySeen {
  return {
    ...{ range: RANGE, kind: 'ordered', text: '', reverse: false, limit: 9, after: null },
    ...{ items: PAST, next: null, revision: 3, past: true, call: 1, ret: 2 },
    ...more,
  };
}

const verdict = (more: Partial<QuerySeen>) => checkQueries(truth, [page(more)]);

test('a page that a full scan gives is right, in both directions, cut and gone on with', () => {
  expect(verdict({})).toEqual({ result: 'ok', queries: 1, items: 3 });
  expect(verdict({ items: [...PAST].reverse(), reverse: true }).result).toBe('ok');
  const next = { value: 'mm', key: 'k/a' };
  expect(verdict({ items: PAST.slice(0, 2), next }).result).toBe('ok');
  expect(verdict({ items: PAST.slice(2), after: next }).result).toBe('ok');
  expect(verdict({ items: PAST.slice(1), text: 'm' }).result).toBe('ok');
  expect(verdict({ kind: 'text', text: 'm', items: [item('k/a', 'mm', 1)] }).result).toBe('ok');
});

test('a stale, missing, added or misplaced entry is found', () => {
  const stale = [PAST[0]!, PAST[1]!, PAST[2]!];
  expect(verdict({ items: stale, revision: 4 })).toMatchObject({
    result: 'violation',
    reason: expect.stringContaining('a full scan has "k/a" @4'),
  });
  for (const [items, reason] of [
    [PAST.slice(0, 2), 'complete'],
    [[...PAST, item('k/d', 'zzz', 3)], 'not in a full scan'],
    [[PAST[1]!, PAST[0]!, PAST[2]!], 'item 0'],
  ] as const) {
    expect(verdict({ items })).toMatchObject({ reason: expect.stringContaining(reason) });
  }
  const beyond = { value: 'zz', key: 'k/c' };
  expect(verdict({ items: PAST.slice(0, 1), next: beyond })).toMatchObject({
    reason: expect.stringContaining('goes on after'),
  });
  expect(verdict({ limit: 2 })).toMatchObject({ reason: expect.stringContaining('more than 2') });
});
