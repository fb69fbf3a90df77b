import { expect, it } from 'vitest';
import { SharedSyncs } from '../../../../storage/disk/shared-syncs.ts';

/** Syncs that end, or fail, when the test says so. */
function syncs() {
  const begun: string[] = [];
  const ends: ((error?: Error) => void)[] = [];
  const shared = new SharedSyncs((folder) => {
    begun.push(folder);
    return new Promise((resolved, rejected) => {
      ends.push((error) => (error === undefined ? resolved() : rejected(error)));
    });
  });
  return { shared, begun, ends };
}

const settled = () => new Promise<void>((resolved) => setImmediate(resolved));

it('whoever comes during a sync shares the next one, which begins after it', async () => {
  const { shared, begun, ends } = syncs();
  const done: number[] = [];
  for (let i = 0; i < 5; i++) shared.sync('a').then(() => done.push(i));
  expect(begun).toEqual(['a']);
  ends[0]!();
  await settled();
  expect([done, begun]).toEqual([[0], ['a', 'a']]);
  shared.sync('a').then(() => done.push(5)); // the second has begun: this one waits for a third
  ends[1]!();
  await settled();
  expect([done, begun.length]).toEqual([[0, 1, 2, 3, 4], 3]);
  ends[2]!();
  await settled();
  expect(done).toEqual([0, 1, 2, 3, 4, 5]);
  shared.sync('a');
  expect(begun.length).toBe(4);
});

it('folders do not wait for each other', () => {
  const { shared, begun } = syncs();
  shared.sync('a');
  shared.sync('b');
  expect(begun).toEqual(['a', 'b']);
});

it('a failed sync fails those it was for, and no others', async () => {
  const { shared, ends } = syncs();
  const seen: string[] = [];
  const watch = (name: string) =>
    shared.sync('a').then(
      () => seen.push(`${name} ok`),
      () => seen.push(`${name} failed`),
    );
  watch('first');
  watch('second');
  ends[0]!(new Error('EIO'));
  await settled();
  ends[1]!();
  await settled();
  expect(seen).toEqual(['first failed', 'second ok']);
});
