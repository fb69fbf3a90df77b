import { describe, expect, test } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { readAt, readRange } from '../../../../actors/apply/read.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';

/** Runs steps until there is nothing to do; how many rows each removed. */
async function collect(group: AppliedGroup, limit: number): Promise<number[]> {
  const steps: number[] = [];
  for (let n = await gcStep(group.state, limit); n > 0; n = await gcStep(group.state, limit))
    steps.push(n);
  return steps;
}

/** Ten versions of one key, a deleted key, a key written once; the floor at the clock. */
function manyVersions(): AppliedGroup {
  const group = new AppliedGroup();
  for (let i = 0; i < 10; i++) group.write([put('a', `${i}`)]);
  group.write([put('gone', '1')]);
  group.write([del('gone')]);
  group.write([put('b', '1')]);
  return group;
}

describe('garbage', () => {
  test('below the floor nothing is left but current rows; steps are bounded', async () => {
    const group = manyVersions();
    group.compact(group.state.clock);
    const steps = await collect(group, 4);
    expect(steps).toEqual([4, 4, 4]);
    expect(group.rowsOf('h')).toEqual([]);
    expect(group.rowsOf('f')).toHaveLength(1);
    expect(group.rowsOf('c')).toHaveLength(2);
  });

  test('without a floor nothing is touched', async () => {
    const group = manyVersions();
    const rows = group.store.rows();
    expect(await collect(group, 4)).toEqual([]);
    expect(group.store.rows()).toBe(rows);
  });

  test('a version is kept as long as a read at or above the floor sees it', async () => {
    const group = manyVersions();
    const third = group.store.rows().length > 0 ? group.rowsOf('f')[2] : undefined;
    expect(third).toBeDefined();
    const view = group.state.view();
    const before = await readRange(view, {
      ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false },
      ...{ limit: 10, revision: group.state.clock - 9, bytesMax: 1000, values: true },
    });
    await view.close();
    group.compact(group.state.clock - 9);
    await collect(group, 2);
    const after = group.state.view();
    for (let r = group.state.floor; r <= group.state.clock; r++) {
      expect(await readAt(after, ref('a'), r)).not.toBeNull();
    }
    expect(
      await readRange(after, {
        ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false },
        ...{ limit: 10, revision: group.state.floor, bytesMax: 1000, values: true },
      }),
    ).toEqual(before);
    await after.close();
  });

  test('C1: what apply writes while a step looks is not lost', async () => {
    const group = manyVersions();
    group.compact(group.state.clock);
    const step = gcStep(group.state, 100);
    group.write([put('a', 'new'), put('gone', 'back')]);
    await step;
    await collect(group, 100);
    const view = group.state.view();
    expect((await readAt(view, ref('gone'), group.state.clock)) as object).toMatchObject({
      version: 1,
    });
    expect((await readAt(view, ref('a'), group.state.floor)) as object).toMatchObject({
      version: 10,
    });
    await view.close();
  });

  test('C1: an idempotency row renewed while a step looks is kept', async () => {
    const group = new AppliedGroup();
    const request = { key: 'r', hash: 1 };
    group.write([put('a', '1')], request);
    group.wallMs += LIMITS.idempotencyWindowMs;
    group.write([put('b', '1')]);
    const step = gcStep(group.state, 100);
    const renewed = group.write([put('a', '1')], request);
    expect(renewed.repeated).toBe(false);
    expect(await step).toBe(1);
    expect(group.write([put('a', '1')], request)).toMatchObject({
      repeated: true,
      results: renewed.results,
    });
    expect(group.rowsOf('i')).toHaveLength(1);
    expect(group.rowsOf('j')).toHaveLength(1);
  });

  test('dead idempotency rows go in bounded steps, live ones stay', async () => {
    const group = new AppliedGroup();
    for (let i = 0; i < 5; i++) group.write([put('a', '1')], { key: `old${i}`, hash: 1 });
    group.wallMs += LIMITS.idempotencyWindowMs;
    group.write([put('a', '2')], { key: 'new', hash: 1 });
    expect(await collect(group, 2)).toEqual([2, 2, 1]);
    expect(group.rowsOf('i')).toHaveLength(1);
    expect(group.rowsOf('j')).toHaveLength(1);
  });

  test('two steps at once remove the same as one after the other', async () => {
    const group = manyVersions();
    group.compact(group.state.clock);
    await Promise.all([gcStep(group.state, 5), gcStep(group.state, 50)]);
    await collect(group, 50);
    expect(group.rowsOf('h')).toEqual([]);
    expect(group.rowsOf('f')).toHaveLength(1);
  });
});
