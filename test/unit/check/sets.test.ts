import { expect, it } from 'vitest';
import { type AddSeen, checkSets, type SetSeen } from '../../check/sets.ts';

function add(element: string, call: number, ret: number, outcome: AddSeen['outcome'] = 'done') {
  return { set: 's', element, outcome, call, ret: outcome === 'unknown' ? Infinity : ret };
}

function read(elements: string, call: number, ret: number): SetSeen {
  return { set: 's', elements: [...elements], call, ret };
}

const ROWS: readonly [string, AddSeen[], SetSeen[], RegExp | null][] = [
  ['a good set', [add('a', 1, 2), add('b', 3, 9)], [read('a', 4, 5), read('ab', 10, 11)], null],
  [
    'a lost answer, seen later',
    [add('a', 1, 2, 'unknown')],
    [read('', 3, 4), read('a', 5, 6)],
    null,
  ],
  ['a lost element', [add('a', 1, 2)], [read('', 3, 4)], /lacks it/],
  [
    'an element that goes again',
    [add('a', 1, 2, 'unknown')],
    [read('a', 3, 4), read('', 5, 6)],
    /lacks it/,
  ],
  ['an element nobody added', [add('a', 1, 2)], [read('ax', 3, 4)], /never added/],
  ['a refused addition', [add('a', 1, 2, 'refused')], [read('a', 3, 4)], /refused/],
  ['a read from the future', [add('a', 5, 6)], [read('a', 1, 2)], /before its addition/],
  ['an element twice', [add('a', 1, 2)], [read('aa', 3, 4)], /twice/],
];

it.each(ROWS)('%s', (_, adds, reads, flaw) => {
  const verdict = checkSets(adds, reads);
  if (flaw === null) expect(verdict).toMatchObject({ result: 'ok' });
  else expect(verdict).toMatchObject({ result: 'violation', reason: expect.stringMatching(flaw) });
});
