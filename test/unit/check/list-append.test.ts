import { expect, it } from 'vitest';
import { type AppendSeen, checkLists, type ListSeen } from '../../check/list-append.ts';

function append(
  element: string,
  call: number,
  ret: number,
  outcome: AppendSeen['outcome'] = 'done',
) {
  return { key: 'k', element, outcome, call, ret: outcome === 'unknown' ? Infinity : ret };
}

function read(elements: string, call: number, ret: number): ListSeen {
  return { key: 'k', elements: [...elements], call, ret };
}

const ROWS: readonly [string, AppendSeen[], ListSeen[], RegExp | null][] = [
  [
    'a good list',
    [append('a', 1, 2), append('b', 3, 4)],
    [read('a', 2.5, 5), read('ab', 6, 7)],
    null,
  ],
  ['a lost answer that took effect', [append('a', 1, 2, 'unknown')], [read('a', 3, 4)], null],
  ['a lost answer without effect', [append('a', 1, 2, 'unknown')], [read('', 3, 4)], null],
  [
    'concurrent appends in either order',
    [append('a', 1, 9), append('b', 2, 8)],
    [read('ba', 10, 11)],
    null,
  ],
  ['an element twice (B9)', [append('a', 1, 2)], [read('aa', 3, 4)], /twice/],
  ['an element nobody appended', [append('a', 1, 2)], [read('ax', 3, 4)], /never appended/],
  [
    'a refused append that took effect (B10)',
    [append('a', 1, 2, 'refused')],
    [read('a', 3, 4)],
    /refused/,
  ],
  [
    'two orders (B6)',
    [append('a', 1, 9), append('b', 1, 9)],
    [read('ab', 2, 3), read('b', 4, 5)],
    /lost/,
  ],
  ['a lost append (B5)', [append('a', 1, 2)], [read('', 3, 4)], /began after/],
  ['a stale read (B1)', [append('a', 1, 2)], [read('a', 3, 4), read('', 5, 6)], /began after/],
  ['a read from the future', [append('a', 5, 6)], [read('a', 1, 2)], /before its append/],
  [
    'an order against time',
    [append('a', 1, 2), append('b', 3, 4)],
    [read('ba', 5, 6)],
    /comes after/,
  ],
];

it.each(ROWS)('%s', (_, appends, reads, flaw) => {
  const verdict = checkLists(appends, reads);
  if (flaw === null) expect(verdict).toMatchObject({ result: 'ok' });
  else expect(verdict).toMatchObject({ result: 'violation', reason: expect.stringMatching(flaw) });
});
