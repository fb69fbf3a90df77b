import { describe, expect, it } from 'vitest';
import { vshardOf } from '../../../protocol/vshard.ts';
import type { LockSeen } from '../../check/locks.ts';
import type { Change } from '../../check/truth.ts';
import { checkFair } from '../../sim/invariants/locks-fair.ts';
import { LeaseModel } from '../../sim/model-leases.ts';

/** What was committed: revisions are small numbers, and times the same numbers. */
class Committed {
  readonly leases = new LeaseModel();
  readonly changes: Change[] = [];
  readonly seen: LockSeen[] = [];

  place(lease: number, revision: number, expiresAtMs: number | null = null): this {
    const key = `_lockwaits/1/l/${lease.toString(16).padStart(14, '0')}`;
    this.leases.attached.push({ lease, key, revision, atMs: revision });
    return this.#change('put', key, revision, expiresAtMs);
  }

  leave(lease: number, revision: number): this {
    const key = `_lockwaits/1/l/${lease.toString(16).padStart(14, '0')}`;
    return this.#change('delete', key, revision, null);
  }

  /** The lock is given to a lease, which had asked at `askedMs`. */
  give(lease: number, revision: number, askedMs: number): this {
    const lock = '_locks/l';
    this.leases.attached.push({ lease, key: lock, revision, atMs: revision });
    this.seen.push({ lock, lease, token: 0, kind: 'asked', callMs: askedMs, atMs: revision + 1 });
    return this;
  }

  check(): void {
    checkFair(this.seen, this.changes, this.leases);
  }

  #change(kind: 'put' | 'delete', key: string, revision: number, expiresAtMs: number | null): this {
    const ref = { tenant: 'default', space: 'kv', key };
    const value = kind === 'put' ? '' : null;
    const vshard = vshardOf(ref);
    this.changes.push({ kind, ref, vshard, revision, prevRevision: 0, value, expiresAtMs });
    return this;
  }
}

const line = () => new Committed().place(1, 10).place(2, 20);

describe('locks are given in order of arrival', () => {
  it('where the first in line gets it, and the second when that one has left', () => {
    const served = line().leave(1, 30).give(1, 30, 9).leave(2, 40).give(2, 40, 19);
    expect(() => served.check()).not.toThrow();
    const left = line().leave(1, 25).leave(2, 40).give(2, 40, 19);
    expect(() => left.check()).not.toThrow();
  });

  it('not where the second one gets it while the first one waits', () => {
    expect(() => line().leave(2, 30).give(2, 30, 19).check()).toThrow(/not to lease 1/);
  });

  it('not where somebody without a place gets it who asked when others had theirs', () => {
    expect(() => line().give(3, 30, 12).check()).toThrow(/not to lease 1/);
    expect(() => line().give(3, 30, 9).check()).not.toThrow();
  });

  it('a place that is put again keeps its rank, one that had expired has a new one', () => {
    const again = line().place(1, 25).leave(1, 30).give(1, 30, 24);
    expect(() => again.check()).not.toThrow();
    const anew = new Committed().place(1, 10, 0).place(2, 20).place(1, 25).leave(1, 30);
    expect(() => anew.give(1, 30, 24).check()).toThrow(/not to lease 2/);
  });
});
