import { describe, expect, it } from 'vitest';
import type { LockSeen } from '../../check/locks.ts';
import { Truth } from '../../check/truth.ts';
import { History, type LeaseSeen } from '../../sim/history.ts';
import { leasesHold } from '../../sim/invariants/leases-hold.ts';
import { StoreModel } from '../../sim/model.ts';
import { Trace } from '../../sim/trace.ts';

/** A run with one lease of a second, granted at 100 and ended at `endedMs`. */
function run(
  endedMs: number | null,
  seen: Partial<LeaseSeen>[],
  locks: Partial<LockSeen>[] = [],
  change: (model: StoreModel) => void = () => {},
): () => void {
  const model = new StoreModel();
  const grant = { type: 'leaseGrant' as const, revision: 1, epoch: 1, lease: 7, ttlMs: 1_000 };
  model.leases.grant(grant, 100);
  if (endedMs !== null) {
    const leases = [{ lease: 7, why: 'expired' as const }];
    model.leases.end({ type: 'leaseEnd', revision: 2, leases }, endedMs);
  }
  change(model);
  const history = new History(new Trace(() => 0, false, null));
  for (const one of seen) {
    history.leases.push({ lease: 7, kind: 'alive', callMs: 100, atMs: 110, ...one });
  }
  for (const one of locks) {
    history.locks.push({
      lock: 'l',
      lease: 7,
      token: 5,
      kind: 'acquired',
      callMs: 1,
      atMs: 2,
      ...one,
    });
  }
  return () => leasesHold.run({ history, model, truth: new Truth(model.changes) } as never);
}

describe('leases and locks hold', () => {
  it('where a lease lives its time, ends, and is told to be gone', () => {
    const seen = [
      { callMs: 600, atMs: 640 },
      { kind: 'gone' as const, callMs: 1_700, atMs: 1_710 },
    ];
    expect(run(1_650, [{}, ...seen])).not.toThrow();
    expect(run(null, [{}])).not.toThrow();
  });

  it('not where a lease expires before its time, or is renewed after it', () => {
    expect(run(1_050, [{}])).toThrow(/was alive until 1100/);
    expect(run(1_500, [{ callMs: 600, atMs: 640 }])).toThrow(/was alive until 1600/);
    expect(run(1_200, [{}, { callMs: 1_300, atMs: 1_310 }])).toThrow(/was renewed at 1300/);
    expect(run(null, [{ lease: 8 }])).toThrow(/is in no log/);
  });

  it('not where another tenant is told of a lease', () => {
    expect(run(null, [{}, { kind: 'foreign' }])).toThrow(/another tenant was told of lease 7/);
  });

  it('not where a living lease is said to be gone', () => {
    expect(run(null, [{ kind: 'gone' }])).toThrow(/said to be gone/);
    expect(run(1_200, [{ kind: 'gone', callMs: 1_100, atMs: 1_150 }])).toThrow(/said to be gone/);
  });

  it('not where a key is attached to a lease that its client knows as gone', () => {
    const gone = { kind: 'gone' as const, callMs: 1_300, atMs: 1_310 };
    const late = { kind: 'attached' as const, callMs: 1_320, atMs: 1_330 };
    expect(run(1_200, [gone, late])).toThrow(/known as gone since 1310/);
    expect(run(1_200, [gone, { ...late, callMs: 1_305 }])).not.toThrow();
  });

  it('not where a key is removed before its lease has ended, or attached after it is forgotten', () => {
    const at = { lease: 7, key: 'k', revision: 9, attachedRevision: 3 };
    const early = run(1_200, [], [], (model) => model.leases.detached.push({ ...at, atMs: 900 }));
    expect(early).toThrow(/k was removed at 900/);
    const late = run(1_200, [], [], (model) => {
      model.leases.forget({ type: 'leaseForget', leases: [7] }, 4_000);
      model.leases.attached.push({ ...at, atMs: 4_500 });
    });
    expect(late).toThrow(/forgotten at 4000/);
  });

  it('not where a revoke is complete and leaves what was known to be attached', () => {
    const check = (attachedMs: number, removedMs: number, revision = 3) => {
      const model = new StoreModel();
      const grant = { type: 'leaseGrant' as const, revision: 1, epoch: 1, lease: 7, ttlMs: 1_000 };
      model.leases.grant(grant, 100);
      const leases = [{ lease: 7, why: 'revoked' as const }];
      model.leases.end({ type: 'leaseEnd', revision: 4, leases }, 210);
      const left = { lease: 7, key: 'k', revision: 9, attachedRevision: 3, atMs: removedMs };
      model.leases.detached.push(left);
      const history = new History(new Trace(() => 0, false, null));
      const put = { lease: 7, kind: 'attached' as const, keys: ['k'], revision };
      history.leaseKeys.push({ ...put, callMs: 110, atMs: attachedMs });
      const swept = { lease: 7, kind: 'swept' as const, keys: [], revision: 0 };
      history.leaseKeys.push({ ...swept, callMs: 200, atMs: 220 });
      return () => leasesHold.run({ history, model, truth: new Truth(model.changes) } as never);
    };
    expect(check(150, 300)).toThrow(/k was left until 300/);
    expect(check(150, 215)).not.toThrow();
    // Of the same time as the revoke: it may come later.
    expect(check(205, 300)).not.toThrow();
    expect(check(150, 300, 2)).not.toThrow();
  });

  it('not where a token is valid, or given out, after a later one was given out', () => {
    const later = { token: 9, callMs: 10, atMs: 12 };
    const valid = { kind: 'valid' as const, callMs: 20, atMs: 22 };
    expect(run(null, [], [{}, later, valid])).toThrow(/token 5 of l was valid at 20/);
    expect(run(null, [], [{}, later, { ...valid, callMs: 11 }])).not.toThrow();
    expect(run(null, [], [later, { callMs: 20, atMs: 22 }])).toThrow(/token 5 of l was acquired/);
    expect(run(null, [], [{}, later, { ...valid, lock: 'm' }])).not.toThrow();
  });
});
