import type { ListedPart } from '../../protocol/object-access.ts';
import type {
  BucketRule,
  ObjectCondition,
  ObjectOpOf,
  ObjectResult,
} from '../../protocol/object-ops.ts';
import {
  type Checksum,
  markerRecord,
  type ObjectHead,
  type ObjectRecord,
  parseVersionId,
  versionIdOf,
} from '../../protocol/objects.ts';

/** What ADR 0034 says of operations on one key, over plain objects. */

export interface ModelVersion {
  record: ObjectRecord;
  revision: number;
  readonly expiresAtMs: number | null;
  readonly isLatest: boolean;
  readonly inline: Uint8Array | null;
}

/** Newest first. */
export interface ModelKey {
  versions: ModelVersion[];
}

export interface ModelUpload {
  readonly key: string;
  readonly upload: string;
  readonly at: number;
  readonly head: ObjectHead;
  readonly checksum: Pick<Checksum, 'algorithm' | 'kind'> | null;
  readonly parts: Map<number, ListedPart>;
  readonly inline: Map<number, Uint8Array>;
}

export interface ModelBucket {
  readonly keys: Map<string, ModelKey>;
  readonly uploads: Map<string, ModelUpload>;
}

export interface At {
  readonly rule: BucketRule;
  readonly revision: number;
  readonly wallMs: number;
}

function current({ versions }: ModelKey): ModelVersion | null {
  const [newest] = versions;
  return newest === undefined || newest.record.isMarker ? null : newest;
}

export function checked(key: ModelKey, condition: ObjectCondition): ObjectResult | null {
  const etag = current(key)?.record.etag ?? null;
  const has = (list: readonly string[]) =>
    etag !== null && (list.includes('*') || list.includes(etag));
  const { match, noneMatch } = condition;
  const isBroken = (match !== null && !has(match)) || (noneMatch !== null && has(noneMatch));
  return isBroken ? { type: 'precondition_failed', etag } : null;
}

/** Makes a version the newest; where there are no versions, the only one. */
export function pushVersion(key: ModelKey, version: ModelVersion, { rule }: At): void {
  const isNull = rule.versioning !== 'enabled';
  version.record = { ...version.record, isNull };
  const kept = key.versions.filter(({ record }) => !(isNull && record.isNull));
  key.versions = [version, ...kept];
}

export function answerOf(version: ModelVersion, { rule, revision }: At): ObjectResult {
  const { etag, size } = version.record;
  const versionId = rule.versioning === 'off' ? null : versionIdOf(version.record);
  return { type: 'put', revision, versionId, etag, size, expiresAtMs: version.expiresAtMs };
}

export function withDefaults(head: ObjectHead, { rule, wallMs }: At): ObjectHead | ObjectResult {
  if ((head.retention !== null || head.legalHold !== null) && !rule.objectLock) {
    return { type: 'lock_refused', why: 'no_object_lock' };
  }
  if (head.retention !== null || rule.retention === null) return head;
  const { mode, periodMs } = rule.retention;
  return { ...head, retention: { mode, untilMs: wallMs + periodMs } };
}

export function applyPut(key: ModelKey, op: ObjectOpOf<'put'>, at: At): ObjectResult {
  const broken = checked(key, op.condition);
  if (broken !== null) return broken;
  if (op.ttlMs !== null && at.rule.versioning !== 'off') return { type: 'ttl_refused' };
  const head = withDefaults(op.head, at);
  if ('type' in head) return head;
  const { size, etag, checksum, data } = op;
  const piece = {
    ...{ number: 0, size, data: data?.id ?? null, bytes: data?.bytes ?? 0, checksum: null },
    chunkBytes: data?.chunkBytes ?? 0,
  };
  const version: ModelVersion = {
    record: {
      ...{ putAt: at.revision, isNull: false, isMarker: false, size, etag, checksum, head },
      ...{ pieces: size === 0 ? [] : [piece], upload: null },
    },
    revision: at.revision,
    expiresAtMs: op.ttlMs === null ? null : at.wallMs + op.ttlMs,
    isLatest: true,
    inline: data?.inline ?? null,
  };
  pushVersion(key, version, at);
  return answerOf(version, at);
}

export function isHeld({ head }: ObjectRecord, wallMs: number, bypass: boolean): boolean {
  if (head.legalHold) return true;
  const { retention } = head;
  if (retention === null || retention.untilMs <= wallMs) return false;
  return !(bypass && retention.mode === 'governance');
}

export function applyDelete(key: ModelKey, op: ObjectOpOf<'delete'>, at: At): ObjectResult {
  const broken = checked(key, op.condition);
  if (broken !== null) return broken;
  const { revision, rule, wallMs } = at;
  if (op.versionId !== null) {
    const found = named(key, op.versionId);
    if (found === undefined) return { type: 'no_such_version' };
    const { head, isMarker } = found.record;
    if (isHeld(found.record, wallMs, op.bypass)) {
      return lockedBy(head);
    }
    key.versions = key.versions.filter((version) => version !== found);
    return { type: 'deleted', revision, versionId: op.versionId, marker: isMarker };
  }
  if (rule.versioning === 'off') {
    const before = current(key);
    key.versions = [];
    return {
      type: 'deleted',
      revision: before === null ? 0 : revision,
      versionId: null,
      marker: false,
    };
  }
  const marker: ModelVersion = {
    ...{ record: markerRecord(revision, false), revision, expiresAtMs: null },
    ...{ isLatest: true, inline: null },
  };
  pushVersion(key, marker, at);
  return { type: 'deleted', revision, versionId: versionIdOf(marker.record), marker: true };
}

function named(key: ModelKey, versionId: string | null): ModelVersion | undefined {
  if (versionId === null) return key.versions[0];
  const wanted = parseVersionId(versionId);
  return key.versions.find(({ record }) =>
    wanted === 'null' ? record.isNull : !record.isNull && record.putAt === wanted,
  );
}

export function applyAmend(key: ModelKey, op: ObjectOpOf<'amend'>, at: At): ObjectResult {
  const broken = checked(key, op.condition);
  if (broken !== null) return broken;
  const found = named(key, op.versionId);
  if (found === undefined) {
    return op.versionId === null
      ? { type: 'no_such_key', marker: false }
      : { type: 'no_such_version' };
  }
  const { record } = found;
  if (record.isMarker) {
    return op.versionId === null
      ? { type: 'no_such_key', marker: true }
      : { type: 'method_not_allowed' };
  }
  const refused = lockRefusal(record, op, at);
  if (refused !== null) return refused;
  found.record = { ...record, head: amended(record.head, op.change) };
  const versionId = at.rule.versioning === 'off' ? null : versionIdOf(record);
  return { type: 'amended', revision: at.revision, versionId };
}

function lockRefusal(record: ObjectRecord, op: ObjectOpOf<'amend'>, at: At): ObjectResult | null {
  const { change, bypass } = op;
  if (change.type !== 'retention' && change.type !== 'legalHold') return null;
  if (!at.rule.objectLock) return { type: 'lock_refused', why: 'no_object_lock' };
  if (change.type === 'legalHold') return null;
  const { retention: wanted } = change;
  if (wanted !== null && wanted.untilMs <= at.wallMs)
    return { type: 'lock_refused', why: 'in_the_past' };
  const before = record.head.retention;
  const isShorter =
    before !== null &&
    (wanted === null || wanted.untilMs < before.untilMs || wanted.mode !== before.mode);
  if (!isShorter || before === null || before.untilMs <= at.wallMs) return null;
  if (bypass && before.mode === 'governance') return null;
  return lockedBy(record.head);
}

function lockedBy({ retention, legalHold }: ObjectHead): ObjectResult {
  return { type: 'object_locked', retention, legalHold: legalHold === true };
}

function amended(head: ObjectHead, change: ObjectOpOf<'amend'>['change']): ObjectHead {
  switch (change.type) {
    case 'tags':
      return { ...head, tags: change.tags };
    case 'acl':
      return { ...head, acl: change.acl };
    case 'retention':
      return { ...head, retention: change.retention };
    case 'legalHold':
      return { ...head, legalHold: change.legalHold };
    case 'metadata': {
      const { contentType, headers, metadata } = change;
      return { ...head, contentType, headers, metadata };
    }
  }
}
