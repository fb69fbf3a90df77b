import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSnapshotReads, type ScanSeen } from '../../check/snapshot-read.ts';
import { type Change, Truth, type Version } from '../../check/truth.ts';

const range = { tenant: 'default', space: 'kv', start: '', end: null };

function put(key: string, revision: number, prevRevision = 0): Change {
  const ref = { tenant: 'default', space: 'kv', key };
  const value = `${key}${revision}`;
  return { kind: 'put', ref, vshard: 1, revision, prevRevision, value, expiresAtMs: null };
}

const version = (key: string, revision: number): Version => ({
  key,
  revision,
  value: `${key}${revision}`,
});

function scan(revision: number, items: readonly Version[], more: Partial<ScanSeen> = {}): ScanSeen {
  const common = { range, reverse: false, limit: 100, next: null, past: false, call: 10, ret: 11 };
  return { ...common, revision, items, ...more };
}

const truth = new Truth([put('a', 2), put('b', 4), put('a', 6, 2), put('c', 8)]);

describe('a scan at R is what was visible at R', () => {
  it('accepts the versions at R', () => {
    expect(
      checkSnapshotReads(truth, [scan(5, [version('a', 2), version('b', 4)])], []).result,
    ).toBe('ok');
  });

  it('refuses a cut that was never there: one key old, another new', () => {
    const torn = scan(8, [version('a', 2), version('b', 4), version('c', 8)]);
    expect(checkSnapshotReads(truth, [torn], [])).toMatchObject({ result: 'violation' });
  });

  it('refuses a missing key, a key from the future and a wrong value', () => {
    const missing = scan(5, [version('a', 2)]);
    const early = scan(1, [version('a', 2)]);
    const wrong = scan(5, [version('a', 2), { ...version('b', 4), value: 'x' }]);
    for (const bad of [missing, early, wrong]) {
      expect(checkSnapshotReads(truth, [bad], []).result).toBe('violation');
    }
  });

  it('pages and reverse pages go on exactly where they stopped', () => {
    const first = scan(8, [version('a', 6)], { limit: 1, next: 'a\0' });
    const reverse = scan(8, [version('c', 8)], { limit: 1, next: 'c', reverse: true });
    expect(checkSnapshotReads(truth, [first, reverse], []).result).toBe('ok');
    const skips = scan(8, [version('a', 6)], { limit: 1, next: 'c' });
    expect(checkSnapshotReads(truth, [skips], []).result).toBe('violation');
    const skipsDown = scan(8, [version('c', 8)], { limit: 1, next: 'b', reverse: true });
    expect(checkSnapshotReads(truth, [skipsDown], []).result).toBe('violation');
  });
});

describe('a scan of the latest is not older than what was public', () => {
  const at5 = [version('a', 2), version('b', 4)];

  it('refuses to miss a write that was acknowledged before it began', () => {
    expect(checkSnapshotReads(truth, [scan(5, at5)], [{ revision: 6, ret: 9 }]).result).toBe(
      'violation',
    );
    expect(checkSnapshotReads(truth, [scan(5, at5)], [{ revision: 6, ret: 10 }]).result).toBe('ok');
  });

  it('refuses to be older than a scan that was over, unless it asked for the past', () => {
    const newer = scan(7, [version('a', 6), version('b', 4)], { call: 1, ret: 2 });
    expect(checkSnapshotReads(truth, [newer, scan(5, at5)], []).result).toBe('violation');
    expect(checkSnapshotReads(truth, [newer, scan(5, at5, { past: true })], []).result).toBe('ok');
  });
});

it('accepts every page of a generated history and refuses it with one version swapped', () => {
  const writes = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 80 });
  fc.assert(
    fc.property(writes, fc.nat(), (keys, pick) => {
      const latest = new Map<string, number>();
      const changes = keys.map((k, i) => {
        const change = put(`k${k}`, i + 1, latest.get(`k${k}`) ?? 0);
        latest.set(`k${k}`, i + 1);
        return change;
      });
      const history = new Truth(changes);
      const revision = 1 + (pick % keys.length);
      const items = history.versionsAt(range, revision);
      expect(checkSnapshotReads(history, [scan(revision, items)], []).result).toBe('ok');
      const bad = items.map((item, i) =>
        i === 0 ? { ...item, revision: item.revision + 1 } : item,
      );
      expect(checkSnapshotReads(history, [scan(revision, bad)], []).result).toBe('violation');
    }),
  );
});
