import { describe, expect, test } from 'vitest';
import { gcStep } from '../../../../actors/apply/gc.ts';
import { GroupState } from '../../../../actors/apply/group-state.ts';
import { loadSnapshot, snapshotRows } from '../../../../actors/apply/snapshot-rows.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { AppliedGroup, del, GROUP, put, ref } from '../../../kit/applied-group.ts';
import { ALL_VSHARDS } from '../../../kit/kv-history.ts';
import { MemoryState } from '../../../kit/memory-state.ts';

const R1 = { key: 'r1', hash: 1 };

describe('requests apply once', () => {
  test('B09 duplicate application: a retry gives the same results and changes nothing', () => {
    const group = new AppliedGroup();
    const ops = [put('a', '1'), del('b'), put('a', '2', { condition: { type: 'absent' } })];
    const first = group.write(ops, R1);
    expect(first.repeated).toBe(false);
    const { sequence, keyCount } = group.state;
    const again = group.write(ops, R1);
    expect(again).toMatchObject({
      results: first.results,
      repeated: true,
      rejection: null,
      events: [],
    });
    expect(group.state).toMatchObject({ sequence, keyCount });
  });

  test('B09 duplicate application: twice in one batch of entries, and over a restart', () => {
    const group = new AppliedGroup();
    const first = group.write([put('a', '1')], R1);
    const restarted = new AppliedGroup(group.store);
    const again = restarted.write([put('a', '1')], R1);
    expect(again).toMatchObject({ results: first.results, repeated: true });
  });

  test('B09 duplicate application: a replica restored from a snapshot remembers', async () => {
    const group = new AppliedGroup();
    const first = group.write([put('a', '1')], R1);
    const view = group.state.view();
    const store = new MemoryState();
    await loadSnapshot(store, GROUP, snapshotRows(view));
    await view.close();
    const again = new AppliedGroup(store).write([put('a', '1')], R1);
    expect(again).toMatchObject({ results: first.results, repeated: true });
  });

  test('the same key with another request is rejected, and nothing is done', () => {
    const group = new AppliedGroup();
    group.write([put('a', '1')], R1);
    const { sequence } = group.state;
    const other = group.write([put('a', '9')], { key: 'r1', hash: 2 });
    expect(other).toMatchObject({
      results: [],
      rejection: 'idempotency_mismatch',
      repeated: false,
      events: [],
    });
    expect(group.state.sequence).toBe(sequence);
  });

  test('the window counts from the first write’s revision and is exact to the millisecond', async () => {
    for (const [laterMs, repeated] of [
      [LIMITS.idempotencyWindowMs - 1, true],
      [LIMITS.idempotencyWindowMs, false],
    ] as const) {
      for (const collect of [false, true]) {
        const group = new AppliedGroup();
        group.write([put('a', '1')], R1);
        group.wallMs += laterMs;
        if (collect) {
          group.write([put('b', '1')]);
          while ((await gcStep(group.state, 10)) > 0);
        }
        expect(group.write([put('a', '1')], R1).repeated).toBe(repeated);
      }
    }
  });

  test('a request refused for its shard leaves no row, so it applies elsewhere or later', () => {
    const group = new AppliedGroup();
    const vshards = ALL_VSHARDS.filter((vshard) => vshard !== vshardOf(ref('a')));
    group.apply({ type: 'own', epoch: 2, vshards });
    expect(group.write([put('a', '1')], R1).results[0]?.type).toBe('wrong_shard');
    group.apply({ type: 'own', epoch: 3, vshards: ALL_VSHARDS });
    expect(group.write([put('a', '1')], R1)).toMatchObject({
      repeated: false,
      results: [{ type: 'put' }],
    });
  });

  test('tenants cannot meet in one idempotency key', () => {
    const group = new AppliedGroup();
    const tenants = Array.from({ length: 600 }, (_, i) => `t${i}`);
    const one = tenants[0] as string;
    const same = (t: string): boolean => vshardOf(ref('a', t)) === vshardOf(ref('a', one));
    const two = tenants.slice(1).find(same) as string;
    group.write([put('a', '1', { tenant: one })], R1);
    const other = group.write([put('a', '9', { tenant: two })], { key: 'r1', hash: 2 });
    expect(other).toMatchObject({ rejection: null, repeated: false });
  });

  test('a retry that reaches a reopened state reads the stored row, not memory', () => {
    const group = new AppliedGroup();
    const first = group.write([put('a', '1')], R1);
    expect(GroupState.open(group.store, GROUP).appliedIndex).toBe(first.index);
    expect(group.rowsOf('i')).toHaveLength(1);
    expect(group.rowsOf('j')).toHaveLength(1);
  });
});
