import { expect, it } from 'vitest';
import { REVISION_EPOCH_MS, REVISIONS_PER_MS } from '../../../protocol/revision.ts';
import { type Change, Truth } from '../../check/truth.ts';

const ref = (key: string) => ({ tenant: 'default', space: 'kv', key });
const range = { tenant: 'default', space: 'kv', start: '', end: null };

function put(
  key: string,
  revision: number,
  prevRevision: number,
  more: Partial<Change> = {},
): Change {
  const value = `${key}@${revision}`;
  return {
    kind: 'put',
    ref: ref(key),
    vshard: 1,
    revision,
    prevRevision,
    value,
    expiresAtMs: null,
    ...more,
  };
}

it('gives the versions that are visible at a revision, in key order', () => {
  const truth = new Truth([put('b', 3, 0), put('a', 5, 2), put('a', 2, 0)]);
  expect(truth.versionsAt(range, 4).map((v) => `${v.key}@${v.revision}`)).toEqual(['a@2', 'b@3']);
  expect(truth.versionsAt(range, 5).map((v) => `${v.key}@${v.revision}`)).toEqual(['a@5', 'b@3']);
  expect(truth.versionsAt({ ...range, start: 'b', end: 'c' }, 9)).toHaveLength(1);
  expect(truth.versionsAt({ ...range, tenant: 'other' }, 9)).toHaveLength(0);
});

it('a key is absent from the revision of its expiry on', () => {
  const second = 1000 * REVISIONS_PER_MS;
  const expiresAtMs = REVISION_EPOCH_MS + 1000;
  const truth = new Truth([put('a', 5, 0, { expiresAtMs })]);
  expect(truth.versionsAt(range, second - 1)).toHaveLength(1);
  expect(truth.versionsAt(range, second)).toHaveLength(0);
});

it('finds a history that contradicts itself', () => {
  expect(new Truth([put('a', 2, 0), put('a', 5, 2)]).flaw()).toBeNull();
  expect(new Truth([put('a', 2, 0), put('a', 5, 1)]).flaw()).toContain('replaced @1');
  expect(new Truth([put('a', 2, 0), put('a', 2, 0)]).flaw()).toContain('two changes');
  const removal: Change = { ...put('a', 3, 0), kind: 'delete', value: null };
  expect(new Truth([removal]).flaw()).toContain('removed nothing');
});
