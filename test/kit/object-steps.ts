import fc from 'fast-check';

/** Random operations on one bucket, as they are drawn. */

/** With NUL and 0xff, prefixes of each other, and several below one delimiter. */
export const KEYS = ['a', 'a\x00', 'a/', 'a/b', 'a/c/d', 'ab', 'b/\xff', 'b/\xff\xff', '\xff'];
const MIB = 1024 * 1024;

const anyCondition = fc.constantFrom('none', 'none', 'none', 'absent', 'exists', 'same', 'other');
const anyData = fc.constantFrom(
  'none',
  'inline',
  'inline',
  'chunks',
  'chunks',
  'few',
  'old',
  'again',
);
const anyVersion = fc.constantFrom('none', 'none', 'null', 0, 1, 2, 3, 'bad' as const);
const anyLock = fc.constantFrom('none', 'none', 'governance', 'compliance', 'past', 'hold');
const key = fc.nat(KEYS.length - 1);
const upload = fc.constantFrom('u1', 'u1', 'u2');
const bypass = fc.boolean();

const anyStep = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('put' as const),
      ...{ key, data: anyData, condition: anyCondition, lock: anyLock },
      ttlMs: fc.constantFrom(null, null, null, null, 5, 60_000),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      type: fc.constant('delete' as const),
      ...{ key, version: anyVersion, condition: anyCondition, bypass },
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('amend' as const),
      what: fc.constantFrom('tags', 'acl', 'retention', 'free', 'hold', 'unhold', 'metadata'),
      ...{ key, version: anyVersion, lock: anyLock, bypass },
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('create' as const), key, upload, lock: anyLock }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('part' as const),
      ...{ key, upload, data: anyData },
      number: fc.constantFrom(1, 2, 3, 9, 10_000, 0, 10_001),
      size: fc.constantFrom(5 * MIB, 5 * MIB, 10),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('complete' as const),
      ...{ key, upload, condition: anyCondition },
      how: fc.constantFrom('all', 'all', 'last', 'wrong', 'reverse', 'none'),
      ttlMs: fc.constantFrom(null, null, null, 60_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('abort' as const), key, upload }) },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('lifecycle' as const),
      ...{ key, version: anyVersion },
      // As it is now, or as it was when something else was there.
      stale: fc.constantFrom('no', 'no', 'no', 'no', 'seen', 'newer'),
      more: fc.constantFrom(0, 0, 0, 1),
      aheadMs: fc.constantFrom(-1, 0, 0, 1_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('rule' as const),
      versioning: fc.constantFrom('off', 'enabled', 'enabled', 'suspended'),
      state: fc.constantFrom('live', 'live', 'live', 'live', 'live', 'deleting', 'gone'),
      lock: fc.constantFrom(false, true, true, 'default'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('txn' as const),
      ...{ key, version: anyVersion },
      what: fc.constantFrom('delete', 'delete', 'tags'),
      how: fc.constantFrom('whole', 'prepared', 'prepared', 'aborted'),
      waitMs: fc.constantFrom(0, 1, 70_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('compact' as const), back: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('config' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 10, 70_000, 90_000_000),
    }),
  },
);
export type ObjectStep = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

/** Most begin with versions: that is where the cases are. */
export function objectSteps(maxLength: number): fc.Arbitrary<ObjectStep[]> {
  const first = fc.constantFrom<ObjectStep[]>(
    [],
    [{ type: 'rule', versioning: 'enabled', state: 'live', lock: false }],
    [{ type: 'rule', versioning: 'enabled', state: 'live', lock: true }],
  );
  const rest = fc.array(anyStep, { minLength: 1, maxLength, size: 'max' });
  return fc.tuple(first, rest).map(([begin, steps]) => [...begin, ...steps]);
}
