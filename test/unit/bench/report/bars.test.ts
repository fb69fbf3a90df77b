import { expect, test } from 'vitest';
import { barsOf } from '../../../../bench/report/bars.ts';
import { A_RUN } from './a-run.ts';

test('each bar says what was found and whether that is enough', () => {
  const found = barsOf(A_RUN).map(({ found, isMet }) => [found, isMet]);
  expect(found).toEqual([
    ['0.80 (0.80 to 0.80) x', true],
    ['3.00 (3.00 to 3.00) x', false],
    ['4.50 (4.50 to 4.50) x', true],
    ['0.80 (0.80 to 0.80) x', true],
    ['120,000 keys/s', true],
    ['40,000 keys/s', false],
    ['2.00 (2.00 to 2.00) x', true],
    ['500 ms (etcd 1100 ms)', true],
    ['1300 ms (etcd 1200 ms)', false],
    ['0.90 (0.90 to 0.90) x', true],
    ['0.90 (0.90 to 0.90) x', true],
    ['550 MB', true],
    ['3.10 s', false],
    ['2.00 s', true],
    ['no flaw', true],
    ['90 ms', true],
  ]);
});

test('what was not measured, or not at its size, is neither met nor missed', () => {
  const small = {
    ...A_RUN,
    ...{ cells: [], growth: [], watch: null },
    startup: { keys: 10_000, cleanMs: [1], killedMs: [1] },
    recovery: { writes: 10, logEntries: 10, walBytes: 1, readyMs: [1] },
    failover: [{ peer: 'minikv', gapsMs: [1, 2], medianMs: 1, maxMs: 2 }],
  };
  for (const bar of barsOf(small)) expect(bar).toMatchObject({ found: null, isMet: null });
});

test('a flaw in the watch misses its bar, however fast', () => {
  const watch = { ...(A_RUN.watch as NonNullable<typeof A_RUN.watch>), flaws: ['one was lost'] };
  const bar = barsOf({ ...A_RUN, watch }).find(({ wanted }) => wanted === 'no flaw');
  expect(bar).toMatchObject({ found: 'one was lost', isMet: false });
});
