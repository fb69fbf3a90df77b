import { expect, it } from 'vitest';
import type { Operation } from '../../check/history.ts';
import { precheck } from '../../check/prechecks.ts';

const put: Operation = {
  process: 1,
  key: 'k',
  input: { type: 'put', value: 'a', condition: null, expires: false },
  output: { type: 'put', revision: 5 },
  call: 1,
  ret: 2,
};
const read = (value: string | null, revision: number, call: number): Operation => ({
  process: 2,
  key: 'k',
  input: { type: 'get' },
  output: { type: 'got', value, revision },
  call,
  ret: call + 1,
});

it('finds nothing in a valid history', () => {
  expect(precheck([put, read('a', 5, 3)])).toBeNull();
});

it('says which read saw what nobody wrote', () => {
  expect(precheck([put, read('b', 5, 3)])).toContain('nobody wrote');
});

it('says that a read and a put disagree on the revision', () => {
  expect(precheck([put, read('a', 6, 3)])).toContain('disagree');
});

it('says that revisions went back', () => {
  const second: Operation = {
    ...put,
    input: { type: 'put', value: 'b', condition: null, expires: false },
    output: { type: 'put', revision: 9 },
    call: 3,
    ret: 4,
  };
  expect(precheck([put, second, read('a', 5, 6)])).toContain('went back');
});
