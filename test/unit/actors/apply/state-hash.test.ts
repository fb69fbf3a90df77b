import { describe, expect, test } from 'vitest';
import { stateHash } from '../../../../actors/apply/state-hash.ts';
import { vshardOf } from '../../../../protocol/vshard.ts';
import {
  currentKey,
  idempotencyKey,
  idempotencyName,
  tripleOf,
} from '../../../../storage/kv/keyspace.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';

function group(): AppliedGroup {
  const built = new AppliedGroup();
  built.write([put('a', '1'), put('b', '1', { ttlMs: 5 })], { key: 'r', hash: 1 });
  built.write([del('a'), put('c', '1'.repeat(100_000))]);
  return built;
}

describe('the state hash', () => {
  test('is equal for equal logs and 16 hex digits long', async () => {
    const hash = await stateHash(group().state);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(await stateHash(group().state)).toBe(hash);
  });

  test('changes with any current row, idempotency row, counter or ownership', async () => {
    const hash = await stateHash(group().state);
    const changes: ((g: AppliedGroup) => void)[] = [
      (g) => g.store.write([{ key: currentKey(g.state.prefix, tripleOf(ref('b'))), value: null }]),
      (g) => {
        const name = idempotencyName(vshardOf(ref('a')), 't1', 'r');
        g.store.write([{ key: idempotencyKey(g.state.prefix, name), value: null }]);
      },
      (g) => {
        g.state.ownedSince = g.state.ownedSince.map((since, v) => (v === 3 ? 0 : since));
      },
      (g) => {
        g.state.sequence++;
      },
      (g) => {
        g.state.floor++;
      },
      (g) => void g.apply(null),
    ];
    for (const change of changes) {
      const changed = group();
      change(changed);
      expect(await stateHash(changed.state)).not.toBe(hash);
    }
  });
});
