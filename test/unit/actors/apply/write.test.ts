import { describe, expect, test } from 'vitest';
import { readLatest } from '../../../../actors/apply/read.ts';
import { wallMsOfRevision } from '../../../../protocol/revision.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';
import { ALL_VSHARDS } from '../../../kit/kv-history.ts';

describe('versions', () => {
  test('op i has revision base + i; version counts from 1, createRevision stays until the key is gone', () => {
    const group = new AppliedGroup();
    const base = group.nextRevision();
    const first = group.write([
      put('a', '1'),
      put('b', '1'),
      put('a', '2'),
      del('a'),
      put('a', '3'),
    ]);
    expect(first.results).toEqual([
      { type: 'put', revision: base, createRevision: base, version: 1 },
      { type: 'put', revision: base + 1, createRevision: base + 1, version: 1 },
      { type: 'put', revision: base + 2, createRevision: base, version: 2 },
      { type: 'deleted', deleted: true, revision: base + 3 },
      { type: 'put', revision: base + 4, createRevision: base + 4, version: 1 },
    ]);
    expect(first.events.map((e) => [e.kind, e.prevRevision, e.sequence])).toEqual([
      ['put', 0, 1],
      ['put', 0, 2],
      ['put', base, 3],
      ['delete', base + 2, 4],
      ['put', 0, 5],
    ]);
    expect(group.state.keyCount).toBe(2);
  });

  test('a delete of an absent key says so, takes no event and no row', () => {
    const group = new AppliedGroup();
    const rows = group.store.rows().length;
    const applied = group.write([del('a')]);
    expect(applied.results).toEqual([{ type: 'deleted', deleted: false, revision: 0 }]);
    expect(applied.events).toEqual([]);
    expect(group.store.rows()).toHaveLength(rows);
  });
});

describe('conditions', () => {
  test.each([
    [{ type: 'exists' }, true, false],
    [{ type: 'absent' }, false, true],
    [{ type: 'revision', revision: 0 }, false, true],
  ] as const)(
    '%j holds on a present key: %s, on an absent one: %s',
    (condition, onPresent, onAbsent) => {
      const group = new AppliedGroup();
      group.write([put('here', '1')]);
      const { clock } = group.state;
      const [here, gone] = group.write([
        put('here', '2', { condition }),
        put('gone', '2', { condition }),
      ]).results;
      expect(here?.type).toBe(onPresent ? 'put' : 'precondition_failed');
      expect(gone?.type).toBe(onAbsent ? 'put' : 'precondition_failed');
      if (!onPresent) expect(here).toEqual({ type: 'precondition_failed', revision: clock });
      if (!onAbsent) expect(gone).toEqual({ type: 'precondition_failed', revision: 0 });
    },
  );

  test('a revision condition holds on exactly that revision, also for an op earlier in the batch', () => {
    const group = new AppliedGroup();
    const base = group.nextRevision();
    const { results, events } = group.write([
      put('a', '1'),
      put('a', '2', { condition: { type: 'revision', revision: base } }),
      put('a', '3', { condition: { type: 'revision', revision: base } }),
      del('a', { type: 'revision', revision: base + 1 }),
    ]);
    expect(results.map((r) => r.type)).toEqual(['put', 'put', 'precondition_failed', 'deleted']);
    expect(events).toHaveLength(3);
  });
});

describe('expired keys', () => {
  function expired(): AppliedGroup {
    const group = new AppliedGroup();
    group.write([put('a', '1', { ttlMs: 100 })]);
    group.wallMs += 100;
    return group;
  }

  test('a key is there until the millisecond of its expiry', () => {
    const group = expired();
    group.wallMs -= 1;
    expect(group.write([put('a', '2', { condition: { type: 'exists' } })]).results[0]?.type).toBe(
      'put',
    );
    const item = readLatest(expired().state, ref('a'), null);
    const dueMs = item?.expiresAtMs as number;
    expect(dueMs).toBe(wallMsOfRevision(item?.revision as number) + 100);
  });

  test('W2: conditions see revision 0, a delete finds nothing, a put creates', () => {
    const group = expired();
    const { results, events } = group.write([
      del('a'),
      del('a', { type: 'exists' }),
      put('a', '2', { condition: { type: 'absent' } }),
    ]);
    const revision = group.state.clock;
    expect(results).toEqual([
      { type: 'deleted', deleted: false, revision: 0 },
      { type: 'precondition_failed', revision: 0 },
      { type: 'put', revision, createRevision: revision, version: 1 },
    ]);
    expect(events).toHaveLength(1);
    expect(group.state.keyCount).toBe(1);
  });

  test('W3: a put over an expired version is one event that names it', () => {
    const group = expired();
    const before = readLatest(group.state, ref('a'), null);
    const { events } = group.write([put('a', '2')]);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ kind: 'put', prevRevision: before?.revision, sequence: 2 });
    expect(events[0]?.item).toMatchObject({ version: 1, createRevision: events[0]?.revision });
    expect(events[0]?.prev).toEqual(before);
    expect(group.rowsOf('x')).toHaveLength(0);
  });

  test('a ttl of 0 is absent at once, one beyond all time never comes due', () => {
    const group = new AppliedGroup();
    group.write([put('a', '1', { ttlMs: 0 }), put('b', '1', { ttlMs: Number.MAX_SAFE_INTEGER })]);
    expect(readLatest(group.state, ref('a'), group.state.clock)).toBeNull();
    expect(readLatest(group.state, ref('b'), Number.MAX_SAFE_INTEGER)).not.toBeNull();
  });
});

describe('ownership (W1)', () => {
  const lost = vshardOf(ref('lost'));
  const without = ALL_VSHARDS.filter((vshard) => vshard !== lost);

  test('one op in a lost vshard refuses the whole command and writes nothing', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'own', epoch: 2, vshards: without });
    const rows = group.store.rows().length;
    const applied = group.write([put('kept', '1'), put('lost', '1')], { key: 'r', hash: 1 });
    expect(applied.results).toEqual([
      { type: 'wrong_shard', epoch: 2 },
      { type: 'wrong_shard', epoch: 2 },
    ]);
    expect(applied.events).toEqual([]);
    expect(group.store.rows()).toHaveLength(rows);
  });

  test('a vshard that came back is refused to those who routed by a map from before', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'own', epoch: 2, vshards: without });
    group.apply({ type: 'own', epoch: 3, vshards: ALL_VSHARDS });
    expect(group.writeAt(1, [put('lost', '1')], null).results[0]).toEqual({
      type: 'wrong_shard',
      epoch: 3,
    });
    expect(group.writeAt(1, [put('kept', '1')], null).results[0]?.type).toBe('put');
    expect(group.writeAt(3, [put('lost', '1')], null).results[0]?.type).toBe('put');
  });

  test('a group that was told of no vshard owns none', () => {
    const group = new AppliedGroup();
    group.apply({ type: 'own', epoch: 2, vshards: [] });
    expect(group.write([put('a', '1')]).results[0]?.type).toBe('wrong_shard');
  });
});
