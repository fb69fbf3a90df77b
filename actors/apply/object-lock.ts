import type { BucketRule, ObjectResult } from '../../protocol/object-ops.ts';
import type { ObjectHead, Retention } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';

/** Object lock: what keeps a version from being destroyed, judged at the wall time of the entry's revision (O5). */

/** Why a version may not be destroyed; null: it may. `bypass`: governance does not count. */
export function lockRefusal(
  { retention, legalHold }: Pick<ObjectHead, 'retention' | 'legalHold'>,
  bypass: boolean,
  revision: Revision,
): ObjectResult | null {
  const held = isInForce(retention, revision) && !(bypass && retention.mode === 'governance');
  return legalHold || held ? locked(retention, legalHold) : null;
}

/** The lock that a new version gets; a refusal where the bucket takes none. */
export function lockOfNew(
  rule: BucketRule,
  { retention, legalHold }: Pick<ObjectHead, 'retention' | 'legalHold'>,
  revision: Revision,
): { readonly retention: Retention | null } | ObjectResult {
  if (!rule.objectLock) {
    const isNone = retention === null && legalHold === null;
    return isNone ? { retention: null } : { type: 'lock_refused', why: 'no_object_lock' };
  }
  if (retention !== null) {
    if (!isInForce(retention, revision)) return { type: 'lock_refused', why: 'in_the_past' };
    return { retention };
  }
  if (rule.retention === null) return { retention: null };
  const { mode, periodMs } = rule.retention;
  const untilMs = Math.min(wallMsOfRevision(revision) + periodMs, Number.MAX_SAFE_INTEGER);
  return { retention: { mode, untilMs } };
}

/** Why a version's retention may not become `next`; null: it may. */
export function retentionRefusal(
  { retention, legalHold }: Pick<ObjectHead, 'retention' | 'legalHold'>,
  next: Retention | null,
  bypass: boolean,
  revision: Revision,
): ObjectResult | null {
  if (next !== null && !isInForce(next, revision)) {
    return { type: 'lock_refused', why: 'in_the_past' };
  }
  if (!isInForce(retention, revision) || isLonger(next, retention)) return null;
  if (bypass && retention.mode === 'governance') return null;
  return locked(retention, legalHold);
}

function locked(retention: Retention | null, legalHold: boolean | null): ObjectResult {
  return { type: 'object_locked', retention, legalHold: legalHold === true };
}

function isInForce(retention: Retention | null, revision: Revision): retention is Retention {
  return retention !== null && retention.untilMs > wallMsOfRevision(revision);
}

/** The same lock, for as long at least. Another mode is another lock: nobody could end compliance any more. */
function isLonger(next: Retention | null, now: Retention): boolean {
  return next !== null && next.mode === now.mode && next.untilMs >= now.untilMs;
}
