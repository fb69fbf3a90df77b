import { describe, expect, test } from 'vitest';
import { nextExpiry } from '../../../../actors/apply/expire.ts';
import { encodeCommand } from '../../../../protocol/commands.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import type { KeyRef } from '../../../../protocol/vshard.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';
import { ALL_VSHARDS } from '../../../kit/kv-history.ts';

async function due(group: AppliedGroup, limit = 100): Promise<{ ref: KeyRef; revision: number }[]> {
  const view = group.state.view();
  const { keys } = await nextExpiry(view, limit, group.wallMs);
  await view.close();
  return keys;
}

describe('the leader’s removals', () => {
  test('a due key goes with an expire event that carries what it was', async () => {
    const group = new AppliedGroup();
    group.write([put('a', '1', { ttlMs: 50 }), put('b', '1')]);
    expect(await due(group)).toEqual([]);
    group.wallMs += 50;
    const keys = await due(group);
    const applied = group.apply({ type: 'expire', revision: group.nextRevision(), keys });
    expect(applied.results).toEqual([]);
    expect(applied.events).toEqual([
      expect.objectContaining({
        kind: 'expire',
        ref: ref('a'),
        prevRevision: keys[0]?.revision,
        item: null,
      }),
    ]);
    expect(applied.events[0]?.prev?.version).toBe(1);
    expect(group.state.keyCount).toBe(1);
    expect(await due(group)).toEqual([]);
  });

  test('one entry takes away no more bytes than a batch may hold, however large values are', async () => {
    const group = new AppliedGroup();
    const value = 'v'.repeat(700_000);
    for (let i = 0; i < 60; i++) group.write([put(`k${i}`, value, { ttlMs: 50 })]);
    group.wallMs += 1_000;
    const keys = await due(group);
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.length * value.length).toBeLessThanOrEqual(LIMITS.memtableBytesMax / 2);
  });

  test('a key that was written again, is not due at that revision, or is gone, is left alone', async () => {
    const group = new AppliedGroup();
    group.write([put('a', '1', { ttlMs: 50 }), put('b', '1', { ttlMs: 50 })]);
    group.write([put('c', '1', { ttlMs: 500 }), put('d', '1')]);
    const d = group.state.clock;
    group.wallMs += 50;
    const keys = await due(group);
    expect(keys).toHaveLength(2);
    group.wallMs -= 1;
    group.write([put('a', '2'), del('b')]);
    group.wallMs += 1;
    const early = [
      { ref: ref('c'), revision: d - 1 },
      { ref: ref('d'), revision: d },
    ];
    const revision = group.nextRevision();
    const applied = group.apply({ type: 'expire', revision, keys: [...keys, ...early] });
    expect(applied.events).toEqual([]);
    expect(applied.clock).toBe(revision + 3);
    expect(group.state.keyCount).toBe(3);
  });

  test('a vshard that is not owned any more is not touched', async () => {
    const group = new AppliedGroup();
    group.write([put('a', '1', { ttlMs: 0 })]);
    const keys = await due(group);
    const vshards = ALL_VSHARDS.filter((vshard) => vshard !== vshardOf(ref('a')));
    group.apply({ type: 'own', epoch: 2, vshards });
    const applied = group.apply({ type: 'expire', revision: group.nextRevision(), keys });
    expect(applied.events).toEqual([]);
    expect(group.state.keyCount).toBe(1);
    expect(await due(group)).toEqual([]);
  });

  test('due keys come soonest first and at most as many as asked for', async () => {
    const group = new AppliedGroup();
    group.write(['c', 'b', 'a'].map((key, i) => put(key, '1', { ttlMs: i })));
    group.wallMs += 10;
    expect((await due(group, 2)).map((entry) => entry.ref.key)).toEqual(['c', 'b']);
    group.write([put('c', '2', { ttlMs: 1 })]);
    expect((await due(group)).map((entry) => entry.ref.key)).toEqual(['b', 'a']);
  });

  test('keys with the longest names go step by step, each within an entry, until none is left', async () => {
    const group = new AppliedGroup();
    const long = (i: number): string => `${i}`.padStart(LIMITS.keyBytesMax, '\xff');
    const count = 700;
    for (let from = 0; from < count; from += 100) {
      group.write(Array.from({ length: 100 }, (_, i) => put(long(from + i), '', { ttlMs: 5 })));
    }
    group.wallMs += 10;
    let steps = 0;
    for (let keys = await due(group, 1000); keys.length > 0; keys = await due(group, 1000)) {
      const command = { type: 'expire', revision: group.nextRevision(), keys } as const;
      expect(encodeCommand(command).length).toBeLessThanOrEqual(LIMITS.entryBytesMax);
      expect(group.apply(command).events).toHaveLength(keys.length);
      steps++;
    }
    expect(group.state.keyCount).toBe(0);
    expect(steps).toBeLessThanOrEqual(Math.ceil(count / 90));
  });
});
