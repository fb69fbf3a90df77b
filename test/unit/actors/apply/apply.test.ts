import { describe, expect, test } from 'vitest';
import { applyBatch, committed } from '../../../../actors/apply/apply.ts';
import { GroupState } from '../../../../actors/apply/group-state.ts';
import { InvariantViolation } from '../../../../protocol/assert.ts';
import { DecodeError } from '../../../../protocol/codec.ts';
import type { Command } from '../../../../protocol/commands.ts';
import { makeEntry } from '../../../../protocol/entry.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { encodeConfig, type GroupConfig } from '../../../../protocol/membership.ts';
import type { ReplicaId } from '../../../../protocol/types.ts';
import { metaKey } from '../../../../storage/kv/keyspace.ts';
import { AppliedGroup, del, GROUP, put } from '../../../kit/applied-group.ts';
import { logEntry } from '../../../kit/kv-history.ts';

const write = (revision: number, ...keys: string[]): Command => ({
  type: 'write',
  revision,
  epoch: 1,
  ops: keys.map((key) => put(key, 'v')),
  idempotency: null,
  traceparent: null,
});

describe('applying entries', () => {
  test('B17 applied index atomic with data: a batch of entries is one write, and it holds the applied row', () => {
    const group = new AppliedGroup();
    const before = group.store.batches.length;
    applyBatch(group.state, [logEntry(2, 1, write(10, 'a')), logEntry(3, 1, write(20, 'b', 'c'))]);
    expect(group.store.batches).toHaveLength(before + 1);
    const keys = group.store.batches.at(-1)?.map((row) => row.key);
    expect(keys?.at(-1)).toBe(metaKey(group.state.prefix, 'applied'));
    const reopened = GroupState.open(group.store, GROUP);
    expect(reopened).toMatchObject({
      appliedIndex: 3,
      appliedTerm: 1,
      clock: 21,
      keyCount: 3,
      sequence: 3,
    });
  });

  test('small entries that replace large values are applied in several batches, each of bounded size', () => {
    const group = new AppliedGroup();
    const large = 'x'.repeat(LIMITS.valueBytesMax);
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    for (const key of keys) group.write([put(key, large)]);
    const first = group.state.appliedIndex + 1;
    const entries = keys.map((key, i) =>
      logEntry(first + i, 1, { ...write(group.nextRevision() + i), ops: [del(key)] } as Command),
    );
    const sizes: number[] = [];
    for (let at = 0; at < entries.length; ) {
      const done = applyBatch(group.state, entries.slice(at));
      expect(done.map(({ index }) => index)).toEqual(done.map((_, i) => first + at + i));
      at += done.length;
      const rows = group.store.batches.at(-1) ?? [];
      sizes.push(rows.reduce((sum, { value }) => sum + (value?.length ?? 0), 0));
    }
    expect(group.state.keyCount).toBe(0);
    expect(sizes.length).toBeGreaterThan(2);
    const most = LIMITS.memtableBytesMax + LIMITS.valueBytesMax + 64 * 1024;
    expect(Math.max(...sizes)).toBeLessThanOrEqual(most);
  });

  test('B09 duplicate application: an entry that was applied, or skipped, is a broken invariant', () => {
    const group = new AppliedGroup();
    group.write([put('a', '1')]);
    for (const index of [2, 4]) {
      const entry = logEntry(index, 1, write(1e15, 'a'));
      expect(() => applyBatch(group.state, [entry])).toThrow(InvariantViolation);
    }
    expect(() => applyBatch(group.state, [logEntry(3, 0, null)])).toThrow(InvariantViolation);
  });

  test('B22 equal timestamps: a revision at or below the group clock is never applied', () => {
    for (const revision of [1, 10, 11]) {
      const group = new AppliedGroup();
      applyBatch(group.state, [logEntry(2, 1, write(10, 'a', 'b'))]);
      const entry = logEntry(3, 1, write(revision, 'c'));
      expect(() => applyBatch(group.state, [entry])).toThrow(InvariantViolation);
    }
  });

  test('the clock rises by refused and repeated writes too, and not by empty ones', () => {
    const group = new AppliedGroup();
    const refused = group.write([put('a', '1', { condition: { type: 'exists' } })]);
    expect(refused.clock).toBe(group.state.clock);
    expect(refused.results[0]?.type).toBe('precondition_failed');
    const clock = group.state.clock;
    expect(group.write([]).clock).toBe(clock);
    expect(clock).toBeGreaterThan(0);
  });

  test('noop and reserve change nothing but index, term and clock bound', () => {
    const group = new AppliedGroup();
    group.write([put('a', '1')]);
    const { clock, sequence } = group.state;
    group.apply(null);
    group.apply({ type: 'reserve', bound: clock + 1_000_000 });
    expect(group.state).toMatchObject({
      clock,
      sequence,
      clockBound: clock + 1_000_000,
      appliedIndex: 4,
    });
    expect(group.write([put('a', '2')]).results[0]).toMatchObject({ version: 2 });
  });

  test('a configuration entry becomes the state’s configuration and survives reopening', () => {
    const group = new AppliedGroup();
    const config: GroupConfig = {
      voters: ['n1:00000001' as ReplicaId],
      votersOld: null,
      learners: [],
    };
    const entry = makeEntry(
      { index: 2, term: 1, kind: 'config', clockBound: 0 },
      encodeConfig(config),
    );
    applyBatch(group.state, [committed(entry)]);
    expect(group.state.config).toEqual(config);
    expect(GroupState.open(group.store, GROUP).config).toEqual(config);
  });

  test('the floor only rises, and never above the clock', () => {
    const group = new AppliedGroup();
    group.write([put('a', '1')]);
    const { clock } = group.state;
    group.compact(clock - 5);
    expect(group.state.floor).toBe(clock - 5);
    group.compact(clock - 9);
    expect(group.state.floor).toBe(clock - 5);
    group.compact(clock + 1_000_000);
    expect(group.state.floor).toBe(clock);
  });

  test('an older map is ignored; a vshard kept over maps keeps its first epoch', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'own', epoch: 4, vshards: [7, 8, 300] });
    group.apply({ type: 'own', epoch: 3, vshards: [1] });
    expect(group.state.owned).toEqual([7, 8]);
    expect(group.state.isOwned(7, 1)).toBe(true);
    group.apply({ type: 'own', epoch: 5, vshards: [8, 9] });
    expect([
      group.state.isOwned(7, 9),
      group.state.isOwned(9, 4),
      group.state.isOwned(9, 5),
    ]).toEqual([false, false, true]);
    expect(GroupState.open(group.store, GROUP).isOwned(9, 4)).toBe(false);
    expect(group.state.isOwned(256, 9)).toBe(false);
  });

  test('a view is refused inside an open batch', () => {
    const group = new AppliedGroup();
    group.state.stage(`${group.state.prefix}M`, new Uint8Array(0));
    expect(() => group.state.view()).toThrow(InvariantViolation);
  });

  test('an entry whose command cannot be read is a decode error before anything is applied', () => {
    const fields = { index: 2, term: 1, kind: 'command', clockBound: 0 } as const;
    expect(() => committed(makeEntry(fields, new Uint8Array([1, 2, 3])))).toThrow(DecodeError);
  });
});
