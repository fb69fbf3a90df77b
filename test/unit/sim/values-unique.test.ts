import { expect, it } from 'vitest';
import { revisionAtWallMs, wallMsOfRevision } from '../../../protocol/revision.ts';
import { vshardOf } from '../../../protocol/vshard.ts';
import type { Change } from '../../check/truth.ts';
import { duplicateIn } from '../../sim/invariants/values-unique.ts';

const BASE = revisionAtWallMs(1_800_000_000_000);
const ENFORCED = { id: 1, prefix: 'q/', fromRevision: BASE + 10, toRevision: BASE + 100 };

function put(key: string, u: unknown, at: number, ttlMs: number | null = null): Change {
  const ref = { tenant: 'default', space: 'kv', key };
  const revision = BASE + at;
  const expiresAtMs = ttlMs === null ? null : wallMsOfRevision(revision) + ttlMs;
  const value = JSON.stringify({ u });
  return { kind: 'put', ref, vshard: vshardOf(ref), revision, prevRevision: 0, value, expiresAtMs };
}

function gone(key: string, at: number): Change {
  return { ...put(key, null, at), kind: 'delete', value: null };
}

it('two live keys with a value are found, at the revision from which both have it', () => {
  expect(duplicateIn([put('q/a', 'x', 20), put('q/b', 'x', 30)], ENFORCED)).toContain(
    `${BASE + 30}`,
  );
  expect(duplicateIn([put('q/a', ['x', 'y'], 20), put('q/b', 'y', 30)], ENFORCED)).toContain('y');
});

it('what was there twice before the index was live counts from then on', () => {
  const twice = [put('q/a', 'x', 1), put('q/b', 'x', 2)];
  expect(duplicateIn(twice, ENFORCED)).toContain(`${BASE + 10}`);
  expect(duplicateIn([...twice, gone('q/a', 9)], ENFORCED)).toBeNull();
  expect(duplicateIn([...twice, gone('q/a', 11)], ENFORCED)).toContain(`${BASE + 10}`);
});

it('values that change hands, expire, are null or of other keys are no duplicates', () => {
  const swapped = [
    put('q/a', 'x', 20),
    put('q/b', 'y', 21),
    put('q/a', 'y', 30),
    put('q/b', 'x', 30),
  ];
  expect(duplicateIn(swapped, ENFORCED)).toBeNull();
  const expired = [put('q/a', 'x', 20, 0), put('q/b', 'x', 30)];
  expect(duplicateIn(expired, ENFORCED)).toBeNull();
  expect(duplicateIn([put('q/a', null, 20), put('q/b', null, 30)], ENFORCED)).toBeNull();
  expect(duplicateIn([put('q/a', 'x', 20), put('r/b', 'x', 30)], ENFORCED)).toBeNull();
  expect(duplicateIn([put('q/a', 'x', 20), put('q/b', 'x', 101)], ENFORCED)).toBeNull();
});
