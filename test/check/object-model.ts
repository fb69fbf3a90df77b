import type {
  BucketRule,
  NewData,
  ObjectOp,
  ObjectOpOf,
  ObjectResult,
} from '../../protocol/object-ops.ts';
import type { ObjectHead, Retention } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { ReplicaId } from '../../protocol/types.ts';

const DAY_MS = 24 * 3600 * 1000;
const PART_MIN = 5 * 1024 * 1024;

export interface ModelVersion {
  readonly putAt: number;
  readonly isNull: boolean;
  readonly isMarker: boolean;
  readonly size: number;
  readonly etag: string;
  head: ObjectHead | null;
  /** Of its data, hex. */
  readonly ids: readonly string[];
  readonly upload: string | null;
  expiresAtMs: number | null;
  /** Revision of its row. */
  seen: number;
}

export interface ModelPart {
  readonly size: number;
  readonly etag: string;
  readonly ids: readonly string[];
}

export interface ModelUpload {
  readonly bucket: number;
  readonly at: number;
  readonly key: string;
  readonly upload: string;
  readonly head: ObjectHead;
  readonly parts: Map<number, ModelPart>;
}

/** One bucket of S3 as its users see it: every key is a list of versions, newest first. */
export class ObjectModel {
  rule: BucketRule | null = null;
  readonly keys = new Map<string, ModelVersion[]>();
  /** By key, NUL, id. */
  readonly uploads = new Map<string, ModelUpload>();
  voters: readonly ReplicaId[] = [];
  /** While a configuration is joint. */
  votersOld: readonly ReplicaId[] | null = null;

  bucket(rule: BucketRule): void {
    if (this.rule !== null && rule.epoch <= this.rule.epoch) return;
    const isBack = this.rule?.id === rule.id && this.rule.versioning !== 'off';
    this.rule = isBack && rule.versioning === 'off' ? { ...rule, versioning: 'suspended' } : rule;
  }

  /** Versions with bodies and markers, newest first, what has expired too. */
  versions(key: string): ModelVersion[] {
    return this.keys.get(key) ?? [];
  }

  current(key: string, revision: number): ModelVersion | null {
    const [first] = this.versions(key);
    if (first === undefined || first.isMarker || isOver(first, revision)) return null;
    return first;
  }

  /** Names of all data that something names. */
  *named(): Iterable<string> {
    for (const versions of this.keys.values()) for (const { ids } of versions) yield* ids;
    for (const { parts } of this.uploads.values()) for (const { ids } of parts.values()) yield* ids;
  }

  do(op: ObjectOp, bucket: number, revision: number): ObjectResult {
    const { rule } = this;
    if (rule === null || rule.id !== bucket) {
      return { type: 'bucket_unknown', epoch: rule?.epoch ?? 0 };
    }
    const takesAway = op.type === 'delete' || op.type === 'uploadAbort';
    if (rule.state === 'gone' || (rule.state === 'deleting' && !takesAway)) {
      return { type: 'no_such_bucket' };
    }
    if ('condition' in op && op.type !== 'uploadComplete') {
      const failed = this.#condition(op, revision);
      if (failed !== null) return failed;
    }
    switch (op.type) {
      case 'put':
        return this.#put(op, revision);
      case 'delete':
        return op.versionId === null
          ? this.#delete(op.ref.key, op.bypass, revision)
          : this.#deleteVersion(op.ref.key, op.versionId, op.bypass, revision);
      case 'amend':
        return this.#amend(op, revision);
      case 'uploadCreate':
        return this.#create(op, revision);
      case 'uploadPart':
        return this.#part(op, revision);
      case 'uploadComplete':
        return this.#complete(op, revision);
      case 'uploadAbort': {
        if (this.#upload(op) === null) return { type: 'no_such_upload' };
        this.uploads.delete(uploadName(op));
        return { type: 'aborted', revision };
      }
      case 'expire':
        return this.#expire(op, revision);
    }
  }

  /** The leader removes what has expired. */
  expire(key: string): void {
    this.keys.set(key, this.versions(key).slice(1));
  }

  #condition(op: Extract<ObjectOp, { condition: unknown }>, revision: number): ObjectResult | null {
    const etag = this.current(op.ref.key, revision)?.etag ?? null;
    const { match, noneMatch } = op.condition;
    const is = (list: readonly string[]) =>
      etag !== null && list.some((one) => one === '*' || one === etag);
    if (match !== null && !is(match)) return { type: 'precondition_failed', etag };
    if (noneMatch !== null && is(noneMatch)) return { type: 'precondition_failed', etag };
    return null;
  }

  #data(data: NewData | null, revision: number): ObjectResult | null {
    if (data === null) return null;
    const drawn = Number.parseInt(hex(data.id).slice(0, 12), 16);
    if (Math.abs(wallMsOfRevision(revision) - drawn) >= DAY_MS) return { type: 'data_stale' };
    if ([...this.named()].includes(hex(data.id))) return { type: 'data_taken' };
    if (data.inline !== null) return null;
    const halves = [this.voters, ...(this.votersOld === null ? [] : [this.votersOld])];
    const isHeld = halves.every((half) => {
      return half.filter((voter) => data.holders.includes(voter)).length > half.length / 2;
    });
    if (isHeld) return null;
    return { type: 'copies_missing', voters: [...new Set(halves.flat())] };
  }

  #put(op: ObjectOpOf<'put'>, revision: number): ObjectResult {
    const refused = this.#data(op.data, revision);
    if (refused !== null) return refused;
    const { etag, size, head, data } = op;
    const ids = data === null ? [] : [hex(data.id)];
    return this.#add(op.ref.key, { etag, size, head, ids, upload: null }, op.ttlMs, revision);
  }

  #add(
    key: string,
    fields: Pick<ModelVersion, 'etag' | 'size' | 'ids' | 'upload'> & { head: ObjectHead },
    ttlMs: number | null,
    revision: number,
  ): ObjectResult {
    const rule = this.rule as BucketRule;
    const isVersioned = rule.versioning !== 'off';
    if (ttlMs !== null && isVersioned) return { type: 'ttl_refused' };
    let { retention } = fields.head;
    if (!rule.objectLock && (retention !== null || fields.head.legalHold !== null)) {
      return { type: 'lock_refused', why: 'no_object_lock' };
    }
    const nowMs = wallMsOfRevision(revision);
    if (retention !== null && retention.untilMs <= nowMs) {
      return { type: 'lock_refused', why: 'in_the_past' };
    }
    if (rule.objectLock && retention === null && rule.retention !== null) {
      retention = { mode: rule.retention.mode, untilMs: nowMs + rule.retention.periodMs };
    }
    const isNull = rule.versioning !== 'enabled';
    const held = isNull ? this.#heldNull(key, false, revision) : null;
    if (held !== null) return held;
    this.#clear(key, isNull, revision);
    const expiresAtMs = ttlMs === null ? null : nowMs + ttlMs;
    const head = { ...fields.head, retention };
    const rest = { putAt: revision, seen: revision, isNull, isMarker: false, expiresAtMs };
    const version = { ...fields, head, ...rest };
    this.keys.set(key, [version, ...this.versions(key)]);
    const versionId = isVersioned ? idOf(version) : null;
    return { type: 'put', revision, versionId, etag: fields.etag, size: fields.size, expiresAtMs };
  }

  #heldNull(key: string, bypass: boolean, revision: number): ObjectResult | null {
    const first = this.versions(key)[0];
    const version = this.versions(key).find((one) => one.isNull && !isOver(one, revision));
    if (version === undefined || (first === version && isOver(version, revision))) return null;
    return heldBy(version, bypass, revision);
  }

  /** Makes room for a new newest version: what has expired goes, and the null version if another comes. */
  #clear(key: string, isNull: boolean, revision: number): void {
    const left = this.versions(key).filter(
      (one) => !isOver(one, revision) && !(isNull && one.isNull),
    );
    for (const one of left) one.expiresAtMs = null;
    this.keys.set(key, left);
  }

  /** By position: what a lifecycle rule saw must be there, and be the same. */
  #expire(op: ObjectOpOf<'expire'>, revision: number): ObjectResult {
    const { key } = op.ref;
    const changed: ObjectResult = { type: 'precondition_failed', etag: null };
    const all = this.versions(key).filter((one) => !isOver(one, revision));
    const at = all.findIndex((one) => idOf(one) === op.versionId);
    const found = all[at];
    const isDue = op.dueMs <= wallMsOfRevision(revision);
    if (!isDue || found === undefined || found.seen !== op.seen) return changed;
    if ((all[at - 1]?.putAt ?? 0) !== op.newer) return changed;
    if (Math.max(0, at - 1) < op.newerNoncurrent) return changed;
    if (at > 0) return this.#deleteVersion(key, op.versionId, false, revision);
    if (!found.isMarker) return this.#delete(key, false, revision);
    return all.length > 1 ? changed : this.#deleteVersion(key, op.versionId, false, revision);
  }

  #delete(key: string, bypass: boolean, revision: number): ObjectResult {
    const rule = this.rule as BucketRule;
    if (rule.versioning === 'off') {
      const current = this.current(key, revision);
      if (current === null) return { type: 'deleted', revision: 0, versionId: null, marker: false };
      this.keys.delete(key);
      return { type: 'deleted', revision, versionId: null, marker: false };
    }
    if (rule.state !== 'live') return { type: 'no_such_bucket' };
    const isNull = rule.versioning === 'suspended';
    const held = isNull ? this.#heldNull(key, bypass, revision) : null;
    if (held !== null) return held;
    this.#clear(key, isNull, revision);
    const marker: ModelVersion = {
      ...{ putAt: revision, isNull, isMarker: true, size: 0, etag: '', head: null, ids: [] },
      ...{ upload: null, expiresAtMs: null, seen: revision },
    };
    this.keys.set(key, [marker, ...this.versions(key)]);
    return { type: 'deleted', revision, versionId: idOf(marker), marker: true };
  }

  #find(key: string, versionId: string, revision: number): ModelVersion | null {
    const found = this.versions(key).find((one) => idOf(one) === versionId);
    return found === undefined || isOver(found, revision) ? null : found;
  }

  #deleteVersion(key: string, id: string, bypass: boolean, revision: number): ObjectResult {
    const found = this.#find(key, id, revision);
    if (found === null) return { type: 'deleted', revision: 0, versionId: id, marker: false };
    const held = heldBy(found, bypass, revision);
    if (held !== null) return held;
    const wasNewest = this.versions(key)[0] === found;
    const left = this.versions(key).filter((one) => one !== found);
    this.keys.set(key, left);
    // What is brought back has a new row.
    if (wasNewest && left[0]?.isMarker === false) left[0].seen = revision;
    return { type: 'deleted', revision, versionId: id, marker: found.isMarker };
  }

  #amend(op: ObjectOpOf<'amend'>, revision: number): ObjectResult {
    const rule = this.rule as BucketRule;
    const { key } = op.ref;
    const { change } = op;
    const id = op.versionId;
    const found = id === null ? this.current(key, revision) : this.#find(key, id, revision);
    if (found === null) {
      if (id !== null) return { type: 'no_such_version' };
      return { type: 'no_such_key', marker: this.versions(key)[0]?.isMarker === true };
    }
    if (found.isMarker) return { type: 'method_not_allowed' };
    const head = found.head as ObjectHead;
    if (change.type === 'retention' || change.type === 'legalHold') {
      if (!rule.objectLock) return { type: 'lock_refused', why: 'no_object_lock' };
      if (found.expiresAtMs !== null) return { type: 'ttl_refused' };
    }
    if (change.type === 'retention') {
      const refused = retentionChange(head, change.retention, op.bypass, revision);
      if (refused !== null) return refused;
    }
    if (change.type === 'metadata') {
      const held = heldBy(found, false, revision);
      if (held !== null) return held;
    }
    const { type: _, ...fields } = change;
    found.head = { ...head, ...fields };
    found.seen = revision;
    const versionId = rule.versioning === 'off' ? null : idOf(found);
    return { type: 'amended', revision, versionId };
  }

  #upload(op: UploadOp): ModelUpload | null {
    const found = this.uploads.get(uploadName(op));
    return found !== undefined && found.bucket === this.rule?.id ? found : null;
  }

  #create(op: ObjectOpOf<'uploadCreate'>, revision: number): ObjectResult {
    const { retention, legalHold } = op.head;
    const rule = this.rule as BucketRule;
    if (!rule.objectLock && (retention !== null || legalHold !== null)) {
      return { type: 'lock_refused', why: 'no_object_lock' };
    }
    if (retention !== null && retention.untilMs <= wallMsOfRevision(revision)) {
      return { type: 'lock_refused', why: 'in_the_past' };
    }
    const known = this.#upload(op);
    if (known !== null) return { type: 'uploaded', revision: known.at, etag: '' };
    const { key } = op.ref;
    const parts = new Map<number, ModelPart>();
    this.uploads.set(uploadName(op), {
      ...{ bucket: rule.id, at: revision, key, upload: op.upload },
      ...{ head: op.head, parts },
    });
    return { type: 'uploaded', revision, etag: '' };
  }

  #part(op: ObjectOpOf<'uploadPart'>, revision: number): ObjectResult {
    const { number, size, etag, data } = op;
    if (number < 1 || number > 10_000) return { type: 'invalid_part', number };
    const upload = this.#upload(op);
    if (upload === null) return { type: 'no_such_upload' };
    const refused = this.#data(data, revision);
    if (refused !== null) return refused;
    upload.parts.set(number, { size, etag, ids: data === null ? [] : [hex(data.id)] });
    return { type: 'uploaded', revision, etag };
  }

  #complete(op: ObjectOpOf<'uploadComplete'>, revision: number): ObjectResult {
    const { key } = op.ref;
    const upload = this.#upload(op);
    if (upload === null) {
      const current = this.current(key, revision);
      if (current === null || current.upload !== op.upload) return { type: 'no_such_upload' };
      const versionId = this.rule?.versioning === 'off' ? null : idOf(current);
      const { etag, size, expiresAtMs } = current;
      return { type: 'put', revision: current.putAt, versionId, etag, size, expiresAtMs };
    }
    const taken: ModelPart[] = [];
    if (op.parts.length === 0) return { type: 'malformed' };
    for (const [i, { number, etag }] of op.parts.entries()) {
      if (i > 0 && number <= (op.parts[i - 1]?.number ?? 0)) return { type: 'invalid_part_order' };
      const part = upload.parts.get(number);
      if (part === undefined || part.etag !== etag) return { type: 'invalid_part', number };
      if (i < op.parts.length - 1 && part.size < PART_MIN) {
        return { type: 'entity_too_small', number, size: part.size };
      }
      taken.push(part);
    }
    const failed = this.#condition(op, revision);
    if (failed !== null) return failed;
    const size = taken.reduce((sum, part) => sum + part.size, 0);
    const ids = taken.flatMap((part) => part.ids);
    const fields = { etag: op.etag, size, head: upload.head, ids, upload: op.upload };
    const result = this.#add(key, fields, op.ttlMs, revision);
    if (result.type === 'put') this.uploads.delete(uploadName(op));
    return result;
  }
}

interface UploadOp {
  readonly ref: { readonly key: string };
  readonly upload: string;
}

export function uploadName({ ref, upload }: UploadOp): string {
  return `${ref.key}\x00${upload}`;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function idOf({ putAt, isNull }: ModelVersion): string {
  return isNull ? 'null' : putAt.toString(32).padStart(13, '0');
}

export function isOver({ expiresAtMs }: ModelVersion, revision: number): boolean {
  return expiresAtMs !== null && expiresAtMs <= wallMsOfRevision(revision);
}

function heldBy({ head }: ModelVersion, bypass: boolean, revision: number): ObjectResult | null {
  if (head === null) return null;
  const { retention, legalHold } = head;
  const isKept = retention !== null && retention.untilMs > wallMsOfRevision(revision);
  const isFree = !isKept || (bypass && retention.mode === 'governance');
  if (isFree && legalHold !== true) return null;
  return { type: 'object_locked', retention, legalHold: legalHold === true };
}

function retentionChange(
  { retention: now, legalHold }: ObjectHead,
  next: Retention | null,
  bypass: boolean,
  revision: number,
): ObjectResult | null {
  const nowMs = wallMsOfRevision(revision);
  if (next !== null && next.untilMs <= nowMs) return { type: 'lock_refused', why: 'in_the_past' };
  if (now === null || now.untilMs <= nowMs) return null;
  if (now.mode === 'governance' && bypass) return null;
  const isLonger = next !== null && next.untilMs >= now.untilMs;
  const isSameMode = next !== null && next.mode === now.mode;
  if (isLonger && isSameMode) return null;
  return { type: 'object_locked', retention: now, legalHold: legalHold === true };
}
