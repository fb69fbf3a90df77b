import { WAIT_PREFIX } from '../../../gateways/kv/lock-queue.ts';
import { LOCK_PREFIX } from '../../../gateways/kv/locks.ts';
import { wallMsOfRevision } from '../../../protocol/revision.ts';
import type { LockSeen } from '../../check/locks.ts';
import type { Change } from '../../check/truth.ts';
import type { LeaseModel } from '../model-leases.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'locks are given in order of arrival';

/** A waiter's place, for as long as it was there. */
interface Place {
  readonly lock: string;
  readonly lease: number;
  readonly createRevision: number;
  /** Virtual time at which it was first seen committed. */
  readonly atMs: number;
  expiresAtMs: number | null;
  endRevision: number;
}

/**
 * Nobody who had a place in line when a lock was given was passed over: not by a place made later, and not by
 * whoever had no place and asked only when that place was there.
 */
export const locksFair: FinalCheck = {
  name: NAME,
  source: 'ADR 0031, N4',
  run: ({ history, model }) => checkFair(history.locks, model.changes, model.leases),
};

/** Throws SimViolation. */
export function checkFair(
  seen: readonly LockSeen[],
  changes: readonly Change[],
  leases: LeaseModel,
): void {
  const places = placesOf(changes, leases);
  for (const { key: lock, revision: token, lease, atMs } of leases.attached) {
    if (!lock.startsWith(LOCK_PREFIX)) continue;
    const there = places.filter((place) => place.lock === lock && isThere(place, token));
    const own = places.find(
      (place) => place.lock === lock && place.lease === lease && place.endRevision === token,
    );
    const askedMs = askedFor(seen, lock, lease, atMs);
    for (const place of there) {
      const isPassed =
        own === undefined ? place.atMs < askedMs : place.createRevision < own.createRevision;
      if (place.lease === lease || !isPassed) continue;
      const what = `${lock} was given to lease ${lease} at ${token}`;
      const waiter = `lease ${place.lease}, which waited since ${place.createRevision}`;
      throw new SimViolation(NAME, `${what}, not to ${waiter}`);
    }
  }
}

/** When the request came that got the lock at `atMs`: the earliest of those that can have. */
function askedFor(seen: readonly LockSeen[], lock: string, lease: number, atMs: number): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (const one of seen) {
    if (one.kind !== 'asked' || one.lock !== lock || one.lease !== lease) continue;
    if (one.callMs <= atMs && one.atMs >= atMs) earliest = Math.min(earliest, one.callMs);
  }
  return earliest === Number.POSITIVE_INFINITY ? 0 : earliest;
}

function isThere(place: Place, revision: number): boolean {
  if (place.createRevision >= revision || place.endRevision <= revision) return false;
  return place.expiresAtMs === null || place.expiresAtMs > wallMsOfRevision(revision);
}

/** All places there ever were, by what was committed. */
function placesOf(changes: readonly Change[], leases: LeaseModel): Place[] {
  const times = new Map(leases.attached.map((one) => [`${one.key} ${one.revision}`, one]));
  const open = new Map<string, Place>();
  const places: Place[] = [];
  const waits = changes.filter(({ ref }) => ref.key.startsWith(WAIT_PREFIX));
  for (const change of waits.sort((a, b) => a.revision - b.revision)) {
    const { key } = change.ref;
    const attached = times.get(`${key} ${change.revision}`);
    const known = open.get(key);
    const isAlive = known !== undefined && isThere(known, change.revision);
    if (change.kind !== 'put') {
      if (known !== undefined) known.endRevision = change.revision;
      open.delete(key);
    } else if (isAlive) {
      known.expiresAtMs = change.expiresAtMs;
    } else if (attached !== undefined) {
      if (known !== undefined) known.endRevision = change.revision;
      const lock = LOCK_PREFIX + key.slice(WAIT_PREFIX.length).split('/').slice(1, -1).join('/');
      const place: Place = {
        ...{ lock, lease: attached.lease, createRevision: change.revision, atMs: attached.atMs },
        ...{ expiresAtMs: change.expiresAtMs, endRevision: Number.POSITIVE_INFINITY },
      };
      open.set(key, place);
      places.push(place);
    }
  }
  return places;
}
