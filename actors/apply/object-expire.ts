import type { ObjectOpOf, ObjectResult } from '../../protocol/object-ops.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { deleteObject, deleteVersion, findVersion } from './object-delete.ts';
import { readLink, readVersions, type StoredVersion } from './object-versions.ts';
import type { ObjectContext } from './object-write.ts';

const CHANGED: ObjectResult = Object.freeze({ type: 'precondition_failed', etag: null });

/**
 * What a lifecycle rule takes away (O10): a deletion without any bypass, of what is still as the rule saw it: the same
 * row, in the same place among its key's versions, and not before its time, whatever clock it was judged by.
 */
export function expireObject(context: ObjectContext, op: ObjectOpOf<'expire'>): ObjectResult {
  const version = findVersion(context, op.versionId);
  if (version === null || version.row.revision !== op.seen) return CHANGED;
  if (wallMsOfRevision(context.revision) < op.dueMs) return CHANGED;
  if (op.newer === 0) {
    return op.newerNoncurrent === 0 ? expireNewest(context, op, version) : CHANGED;
  }
  const newer = newerThan(context, version);
  if (newer !== op.newer || !hasNewer(context, newer, op.newerNoncurrent)) return CHANGED;
  return deleteVersion(context, op.versionId, false);
}

function expireNewest(
  context: ObjectContext,
  { versionId }: ObjectOpOf<'expire'>,
  version: StoredVersion,
): ObjectResult {
  if (version === context.current) return deleteObject(context, null, false, 'expire');
  const isAlone = isNewest(context, version) && olderThan(context, version) === 0;
  return isAlone ? deleteVersion(context, versionId, false) : CHANGED;
}

/** Of what is not current: nothing is above it. */
function isNewest({ state, slot, current }: ObjectContext, { record }: StoredVersion): boolean {
  return current === null && readVersions(state, slot.triple).newest === record.putAt;
}

function olderThan({ state, slot }: ObjectContext, { record }: StoredVersion): Revision {
  return readLink(state, slot.triple, record.putAt).older;
}

/** 0: it is the newest one. */
function newerThan(context: ObjectContext, version: StoredVersion): Revision {
  const { state, slot, current } = context;
  if (version === current) return 0;
  const { newer } = readLink(state, slot.triple, version.record.putAt);
  return newer === 0 && current !== null ? current.record.putAt : newer;
}

/** Whether at least so many of the versions from `putAt` on are not current. */
function hasNewer(
  { state, slot, current }: ObjectContext,
  putAt: Revision,
  count: number,
): boolean {
  let at = putAt;
  let found = 0;
  while (found < count && at !== 0 && at !== current?.record.putAt) {
    const { newer } = readLink(state, slot.triple, at);
    // Without a current version the newest one is a marker, and that is current.
    if (newer === 0 && current === null) break;
    found++;
    at = newer;
  }
  return found >= count;
}
