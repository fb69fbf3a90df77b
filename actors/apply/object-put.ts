import { LIMITS } from '../../protocol/limits.ts';
import type { ObjectOpOf, ObjectResult } from '../../protocol/object-ops.ts';
import {
  decodeRecord,
  encodeRecord,
  type ObjectHead,
  type ObjectRecord,
  versionIdOf,
} from '../../protocol/objects.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import { lockOfNew, lockRefusal } from './object-lock.ts';
import { dataRefusal, endData, nameData, pieceOf } from './object-store.ts';
import {
  dropVersion,
  pushVersion,
  readStoredVersion,
  readVersions,
  type StoredVersion,
} from './object-versions.ts';
import type { ObjectContext } from './object-write.ts';
import { shortOfObject } from './quota-growth.ts';
import { putRow } from './write.ts';

/** A new current version: by a put, or by an upload that is completed. */

/** A version that is not there yet: what the entry decides is added. */
export type NewVersion = Omit<ObjectRecord, 'putAt' | 'isNull' | 'isMarker'>;

export function putObject(context: ObjectContext, op: ObjectOpOf<'put'>): ObjectResult {
  const { state, slot, revision, founders } = context;
  const refusal = dataRefusal(state, op.data, founders, revision);
  if (refusal !== null) return refusal;
  const { size, etag, checksum, head, data } = op;
  const pieces = data === null ? [] : [pieceOf(0, size, data, null)];
  const version = { size, etag, checksum, head, pieces, upload: null };
  return newVersion(context, version, op.ttlMs, () => nameData(state, slot.triple, data));
}

/** Writes it, unless it is refused; `before` is done only if it is not. */
export function newVersion(
  context: ObjectContext,
  version: NewVersion,
  ttlMs: number | null,
  before: () => void,
): ObjectResult {
  const { state, rule, slot, revision, events } = context;
  const isVersioned = rule.versioning !== 'off';
  if (ttlMs !== null && isVersioned) return { type: 'ttl_refused' };
  const lock = lockOfNew(rule, version.head, revision);
  if ('type' in lock) return lock;
  const isNull = rule.versioning !== 'enabled';
  const replaced = isNull ? nullVersion(context) : null;
  const held = replaced === null ? null : lockRefusal(replaced.record.head, false, revision);
  if (held !== null) return held;
  const head: ObjectHead = { ...version.head, retention: lock.retention };
  const record: ObjectRecord = { ...version, head, putAt: revision, isNull, isMarker: false };
  const value = encodeRecord(record);
  if (value.length > LIMITS.valueBytesMax) return { type: 'too_large' };
  const short = state.quotas.size > 0 ? shortOfVersion(context, version, replaced) : null;
  if (short !== null) return { type: 'no_room', short };
  before();
  makeRoom(context, replaced);
  const { contentType } = head;
  putRow(state, { value, contentType, ttlMs, attach: null }, slot, revision, events);
  const expiresAtMs =
    ttlMs === null ? null : Math.min(wallMsOfRevision(revision) + ttlMs, Number.MAX_SAFE_INTEGER);
  const versionId = isVersioned ? versionIdOf(record) : null;
  return { type: 'put', revision, versionId, etag: record.etag, size: record.size, expiresAtMs };
}

/** Its parts, where it is an upload's, are bytes already; what it destroys, or what has expired in its place, goes. */
function shortOfVersion(
  { state, slot, current }: ObjectContext,
  { size, upload }: NewVersion,
  replaced: StoredVersion | null,
): Shortage[] | null {
  let bytes = upload === null ? size : 0;
  let objects = 1;
  if (replaced !== null) {
    bytes -= replaced.record.size;
    if (!replaced.record.isMarker) objects--;
  }
  if (current === null && slot.bytes !== null) {
    bytes -= decodeRecord(decodeCurrent(slot.bytes).value).size;
    objects--;
  }
  return shortOfObject(state, slot.ref, bytes, objects);
}

/** The version without a version id, current or not. */
export function nullVersion({ state, rule, slot, current }: ObjectContext): StoredVersion | null {
  if (current?.record.isNull === true) return current;
  if (rule.versioning === 'off') return null;
  return readStoredVersion(state, slot.triple, readVersions(state, slot.triple).nullAt);
}

/**
 * Something else is about to be the newest: the current version goes among the others, and `replaced`, current or
 * not, is destroyed. The current row itself is the caller's affair.
 */
export function makeRoom(context: ObjectContext, replaced: StoredVersion | null): void {
  const { state, slot, current, revision } = context;
  if (current !== null && current !== replaced) pushVersion(state, slot.triple, current);
  if (current === null && slot.bytes !== null) {
    // It has expired (O4).
    endData(state, decodeRecord(decodeCurrent(slot.bytes).value).pieces, revision);
  }
  if (replaced === null) return;
  endData(state, replaced.record.pieces, revision);
  if (replaced !== current) dropVersion(state, slot.triple, replaced.record.putAt);
}
