import {
  abortOf,
  dueMs,
  expiryMs,
  isSelected,
  type LifecycleConfiguration,
  type LifecycleRule,
  selectionOf,
} from '../../protocol/lifecycle.ts';
import type { ObjectOpOf } from '../../protocol/object-ops.ts';
import { type ObjectRecord, versionIdOf } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';

/** What lifecycle rules say of versions and uploads: pure. `dayMs` is how long a day is. */

/** One version in its place. */
export interface SeenVersion {
  readonly ref: KeyRef;
  readonly record: ObjectRecord;
  /** Of its row. */
  readonly revision: Revision;
  /** When the next newer version was put; 0: there is none. */
  readonly newer: Revision;
  /** Newer versions that are not current. */
  readonly newerNoncurrent: number;
  /** Nothing older is known of it: only then a marker can be alone. */
  readonly isOldest: boolean;
}

export interface RuleTime {
  /** Unix ms. */
  readonly nowMs: number;
  readonly dayMs: number;
}

/** Which rule of S3 it was. */
export type Removal = 'expired' | 'noncurrent' | 'marker';

/** What takes the version away, if its time has come; null: it stays. */
export function judgeVersion(
  { rules }: LifecycleConfiguration,
  seen: SeenVersion,
  time: RuleTime,
): { readonly why: Removal; readonly op: ObjectOpOf<'expire'> } | null {
  const { ref, record, revision, newer } = seen;
  for (const rule of rules) {
    if (!isFor(rule, seen)) continue;
    const found = removalBy(rule, seen, time.dayMs);
    if (found === null || found.dueMs > time.nowMs) continue;
    const { why, dueMs: due } = found;
    if (why === 'noncurrent' && isLocked(record, time.nowMs)) return null;
    const place = { seen: revision, newer, newerNoncurrent: keptBy(rule, why) };
    const versionId = versionIdOf(record);
    return { why, op: { type: 'expire', ref, versionId, ...place, dueMs: due } };
  }
  return null;
}

function isFor(rule: LifecycleRule, { ref, record }: SeenVersion): boolean {
  const { size, head } = record;
  const subject = { key: ref.key, size, tags: head.tags };
  return rule.status === 'Enabled' && isSelected(selectionOf(rule), subject);
}

/** What the rule does to it, and when (Unix ms). */
function removalBy(
  rule: LifecycleRule,
  seen: SeenVersion,
  dayMs: number,
): { readonly why: Removal; readonly dueMs: number } | null {
  const { record, isOldest, newer, newerNoncurrent } = seen;
  if (newer !== 0) {
    const { noncurrentVersionExpiration: noncurrent } = rule;
    if (noncurrent === null || newerNoncurrent < keptBy(rule, 'noncurrent')) return null;
    // Days count from the moment in which it stopped being current.
    const at = dueMs(wallMsOfRevision(newer), noncurrent.noncurrentDays, dayMs);
    return { why: 'noncurrent', dueMs: at };
  }
  const at = expiryMs(rule, wallMsOfRevision(record.putAt), dayMs);
  if (!record.isMarker) return at === null ? null : { why: 'expired', dueMs: at };
  if (!isOldest) return null;
  if (rule.expiration?.expiredObjectDeleteMarker === true) return { why: 'marker', dueMs: 0 };
  // Days and dates take lonely markers away too.
  return at === null ? null : { why: 'marker', dueMs: at };
}

/** How many newer versions that are not current the rule leaves. */
function keptBy({ noncurrentVersionExpiration: rule }: LifecycleRule, why: Removal): number {
  return why === 'noncurrent' ? (rule?.newerNoncurrentVersions ?? 0) : 0;
}

/** Asking would be in vain: apply refuses it, whatever is seen here. */
function isLocked({ head }: ObjectRecord, nowMs: number): boolean {
  return head.legalHold === true || (head.retention !== null && head.retention.untilMs > nowMs);
}

/** Whether an upload that was begun at `at` is to be aborted. `key` is latin1. */
export function isUploadDue(
  rules: LifecycleConfiguration,
  { key, at }: { readonly key: string; readonly at: Revision },
  { nowMs, dayMs }: RuleTime,
): boolean {
  const abort = abortOf(rules, key, wallMsOfRevision(at), dayMs);
  return abort !== null && abort.atMs <= nowMs;
}
