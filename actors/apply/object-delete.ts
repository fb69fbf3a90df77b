import type { ObjectResult } from '../../protocol/object-ops.ts';
import {
  encodeRecord,
  markerRecord,
  NULL_VERSION,
  type ObjectRecord,
  parseVersionId,
  versionIdOf,
} from '../../protocol/objects.ts';
import type { Revision } from '../../protocol/types.ts';
import { lockRefusal } from './object-lock.ts';
import { makeRoom, nullVersion } from './object-put.ts';
import { endData } from './object-store.ts';
import {
  dropVersion,
  pushVersion,
  readStoredVersion,
  readVersions,
  type StoredVersion,
} from './object-versions.ts';
import type { ObjectContext, Trial } from './object-write.ts';
import { type FullSlot, putRow, removeRow } from './write.ts';

/** Deletions: of the current version, by a marker where there are versions, or of one version for good. */
export function deleteObject(
  context: ObjectContext,
  versionId: string | null,
  bypass: boolean,
  kind: 'delete' | 'expire',
): ObjectResult {
  if (versionId !== null) return deleteVersion(context, versionId, bypass);
  const { state, rule, slot, current, revision, events, trial } = context;
  if (rule.versioning !== 'off') return putMarker(context, bypass, kind);
  if (current === null) return NOTHING_THERE;
  const held = lockRefusal(current.record.head, bypass, revision);
  if (held !== null) return held;
  const done: ObjectResult = { type: 'deleted', revision, versionId: null, marker: false };
  if (trial !== null) return foreseen(trial, current, done);
  endData(state, current.record.pieces, revision);
  events.push(removeRow(state, slot as FullSlot, revision, kind));
  return done;
}

function foreseen(trial: Trial, ended: StoredVersion | null, result: ObjectResult): ObjectResult {
  trial.pieces += ended?.record.pieces.length ?? 0;
  return result;
}

const NOTHING_THERE: ObjectResult = Object.freeze({
  type: 'deleted',
  revision: 0,
  versionId: null,
  marker: false,
});

function putMarker(
  context: ObjectContext,
  bypass: boolean,
  why: 'delete' | 'expire',
): ObjectResult {
  const { state, rule, slot, current, revision, events, trial } = context;
  // A marker is a version too.
  if (rule.state !== 'live') return { type: 'no_such_bucket' };
  const isNull = rule.versioning !== 'enabled';
  const replaced = isNull ? nullVersion(context) : null;
  const held = replaced === null ? null : lockRefusal(replaced.record.head, bypass, revision);
  if (held !== null) return held;
  const record = markerRecord(revision, isNull);
  const versionId = versionIdOf(record);
  const done: ObjectResult = { type: 'deleted', revision, versionId, marker: true };
  if (trial !== null) return foreseen(trial, replaced, done);
  makeRoom(context, replaced);
  if (slot.row !== null) {
    const kind = current === null ? 'expire' : why;
    events.push(removeRow(state, slot as FullSlot, revision, kind));
  }
  pushVersion(state, slot.triple, storedMarker(record));
  return done;
}

function storedMarker(record: ObjectRecord): StoredVersion {
  const row = {
    ...{ revision: record.putAt, createRevision: record.putAt, version: 1 },
    ...{ expiresAtMs: null, contentType: null, value: encodeRecord(record) },
  };
  return { row, record };
}

export function deleteVersion(
  context: ObjectContext,
  versionId: string,
  bypass: boolean,
): ObjectResult {
  const { state, slot, current, revision, events, trial } = context;
  const version = findVersion(context, versionId);
  if (version === null) return { type: 'deleted', revision: 0, versionId, marker: false };
  const { record } = version;
  const held = lockRefusal(record.head, bypass, revision);
  if (held !== null) return held;
  const done: ObjectResult = { type: 'deleted', revision, versionId, marker: record.isMarker };
  if (trial !== null) return foreseen(trial, version, done);
  endData(state, record.pieces, revision);
  const { triple } = slot;
  if (version !== current) dropVersion(state, triple, record.putAt);
  // The key is left without a version that is above all others, or was before (O1).
  if (version === current || current === null) {
    const heir = heirOf(context);
    if (heir !== null) {
      const { value, contentType } = heir.row;
      dropVersion(state, triple, heir.record.putAt);
      putRow(state, { value, contentType, ttlMs: null, attach: null }, slot, revision, events);
    } else if (version === current) {
      events.push(removeRow(state, slot as FullSlot, revision, 'delete'));
    }
  }
  return done;
}

/** The newest of the versions that are not current, unless that is a marker: then the object stays deleted. */
function heirOf({ state, rule, slot }: ObjectContext): StoredVersion | null {
  if (rule.versioning === 'off') return null;
  const newest = readVersions(state, slot.triple).newest;
  const heir = readStoredVersion(state, slot.triple, newest);
  return heir === null || heir.record.isMarker ? null : heir;
}

/** The version of this id, or marker; null when there is none. */
export function findVersion(
  { state, rule, slot, current }: ObjectContext,
  versionId: string,
): StoredVersion | null {
  const wanted = parseVersionId(versionId);
  if (wanted === null) return null;
  if (current !== null && isVersion(current.record, wanted)) return current;
  if (rule.versioning === 'off') return null;
  const { triple } = slot;
  const putAt = wanted === NULL_VERSION ? readVersions(state, triple).nullAt : wanted;
  const stored = readStoredVersion(state, triple, putAt);
  return stored !== null && isVersion(stored.record, wanted) ? stored : null;
}

function isVersion({ putAt, isNull }: ObjectRecord, wanted: Revision | 'null'): boolean {
  return wanted === NULL_VERSION ? isNull : !isNull && putAt === wanted;
}
