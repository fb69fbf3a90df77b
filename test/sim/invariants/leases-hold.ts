import { flawOfLocks } from '../../check/locks.ts';
import type { LeaseKeysSeen, LeaseSeen } from '../history.ts';
import type { LeaseModel } from '../model-leases.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'leases and locks hold';

/**
 * What clients were told of leases and locks against the committed logs:
 *
 *   a lease that was granted or renewed does not expire before its whole time has gone by since it was asked for;
 *   a lease that has ended is not renewed, and nothing is attached to it by whoever knows that it has ended;
 *   what was attached is removed for its lease only after the lease has ended, and nothing is attached to a
 *   lease whose row is gone;
 *   a revoke that is complete has removed what was attached under an answer before the revoke was asked for;
 *   nobody of another tenant is told of a lease, or ends it;
 *   tokens of a lock rise, and a token is valid no more once a later one was given out.
 */
export const leasesHold: FinalCheck = {
  name: NAME,
  source: 'ADR 0030, ADR 0031; bug class B20, fault F19',
  run: ({ history, model }) => {
    checkTimes(history.leases, model.leases);
    checkAttached(history.leases, model.leases);
    checkSwept(history.leaseKeys, model.leases);
    const flaw = flawOfLocks(history.locks);
    if (flaw !== null) fail(flaw.reason);
  },
};

function checkTimes(seen: readonly LeaseSeen[], model: LeaseModel): void {
  for (const { lease, kind, callMs, atMs } of seen) {
    const known = model.all.get(lease);
    const endedMs = known?.endedMs ?? null;
    if (kind === 'foreign') fail(`another tenant was told of lease ${lease} at ${atMs}`);
    if (kind === 'alive') {
      if (known === undefined) fail(`lease ${lease} was given out but is in no log`);
      if (endedMs === null) continue;
      if (callMs > endedMs)
        fail(`lease ${lease} ended at ${endedMs}, and was renewed at ${callMs}`);
      const untilMs = callMs + known.ttlMs;
      if (known.why === 'expired' && endedMs < untilMs) {
        fail(`lease ${lease} expired at ${endedMs}, but was alive until ${untilMs}`);
      }
    } else if (kind === 'gone' && known !== undefined && (endedMs === null || endedMs > atMs)) {
      fail(`lease ${lease} was said to be gone at ${atMs}, but ended at ${endedMs}`);
    }
  }
}

function checkAttached(seen: readonly LeaseSeen[], model: LeaseModel): void {
  const goneMs = new Map<number, number>();
  for (const { lease, kind, atMs } of seen) {
    if (kind !== 'gone') continue;
    goneMs.set(lease, Math.min(atMs, goneMs.get(lease) ?? Number.POSITIVE_INFINITY));
  }
  for (const { lease, kind, callMs } of seen) {
    const sinceMs = goneMs.get(lease);
    if (kind === 'attached' && sinceMs !== undefined && callMs > sinceMs) {
      fail(`a key was attached to lease ${lease} at ${callMs}, known as gone since ${sinceMs}`);
    }
  }
  for (const { lease, key, atMs } of model.detached) {
    const endedMs = model.all.get(lease)?.endedMs ?? null;
    if (endedMs === null || endedMs > atMs) {
      fail(`${key} was removed at ${atMs} for lease ${lease}, which ended at ${endedMs}`);
    }
  }
  for (const { lease, key, atMs } of model.attached) {
    const forgottenMs = model.all.get(lease)?.forgottenMs ?? null;
    if (forgottenMs !== null && atMs > forgottenMs) {
      fail(`${key} was attached at ${atMs} to lease ${lease}, forgotten at ${forgottenMs}`);
    }
  }
}

function checkSwept(seen: readonly LeaseKeysSeen[], { detached }: LeaseModel): void {
  for (const { lease, kind, callMs, atMs } of seen) {
    if (kind !== 'swept') continue;
    for (const left of detached) {
      if (left.lease !== lease || left.atMs <= atMs) continue;
      const known = seen.find(
        (one) =>
          one.kind === 'attached' &&
          one.lease === lease &&
          one.revision === left.attachedRevision &&
          one.keys.includes(left.key),
      );
      if (known !== undefined && known.atMs < callMs) {
        fail(
          `${left.key} was left until ${left.atMs}, by a revoke of ${lease} complete at ${atMs}`,
        );
      }
    }
  }
}

function fail(why: string): never {
  throw new SimViolation(NAME, why);
}
