import { assertNever } from '../../protocol/assert.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectOpOf, ObjectResult } from '../../protocol/object-ops.ts';
import { encodeRecord, type ObjectHead, versionIdOf } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { findVersion } from './object-delete.ts';
import { lockRefusal, retentionRefusal } from './object-lock.ts';
import { readVersions, type StoredVersion, writeVersion } from './object-versions.ts';
import type { ObjectContext } from './object-write.ts';
import { putRow } from './write.ts';

/**
 * Changes what is said about a version and leaves its bytes, its id and its modification time alone. Of a current
 * version that is a new row and an event, as a put is; another version changes in its place.
 */
export function amendObject(context: ObjectContext, op: ObjectOpOf<'amend'>): ObjectResult {
  const { state, rule, slot, current, revision, events } = context;
  const version = op.versionId === null ? current : findVersion(context, op.versionId);
  if (version === null) return missing(context, op.versionId);
  if (version.record.isMarker) return { type: 'method_not_allowed' };
  const head = amended(context, version, op);
  if ('type' in head) return head;
  const record = { ...version.record, head };
  const value = encodeRecord(record);
  if (value.length > LIMITS.valueBytesMax) return { type: 'too_large' };
  const versionId = rule.versioning === 'off' ? null : versionIdOf(record);
  const done: ObjectResult = { type: 'amended', revision, versionId };
  if (context.trial !== null) return done;
  const { contentType } = head;
  const { expiresAtMs } = version.row;
  if (version === current) {
    const ttlMs = expiresAtMs === null ? null : expiresAtMs - wallMsOfRevision(revision);
    putRow(state, { value, contentType, ttlMs, attach: null }, slot, revision, events);
  } else {
    const row = { ...version.row, revision, contentType, value };
    writeVersion(state, slot.triple, { row, record });
  }
  return done;
}

function missing({ state, rule, slot }: ObjectContext, versionId: string | null): ObjectResult {
  if (versionId !== null) return { type: 'no_such_version' };
  const marker = rule.versioning !== 'off' && readVersions(state, slot.triple).newest !== 0;
  return { type: 'no_such_key', marker };
}

function amended(
  { rule, revision }: ObjectContext,
  { row, record }: StoredVersion,
  { change, bypass }: ObjectOpOf<'amend'>,
): ObjectHead | ObjectResult {
  const { head } = record;
  switch (change.type) {
    case 'tags':
      return { ...head, tags: change.tags };
    case 'acl':
      return { ...head, acl: change.acl };
    case 'metadata': {
      const { contentType, headers, metadata } = change;
      const held = lockRefusal(head, false, revision);
      return held ?? { ...head, contentType, headers, metadata };
    }
    case 'retention':
    case 'legalHold': {
      if (!rule.objectLock) return { type: 'lock_refused', why: 'no_object_lock' };
      // O5: what may be locked does not expire.
      if (row.expiresAtMs !== null) return { type: 'ttl_refused' };
      if (change.type === 'legalHold') return { ...head, legalHold: change.legalHold };
      const refusal = retentionRefusal(head, change.retention, bypass, revision);
      return refusal ?? { ...head, retention: change.retention };
    }
    default:
      return assertNever(change);
  }
}
