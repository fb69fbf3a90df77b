import type { Command } from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import { decodeConfig, type GroupConfig } from '../../protocol/membership.ts';
import { NO_CONDITION, type ObjectOp, type ObjectResult } from '../../protocol/object-ops.ts';
import type { ObjectTxnOp } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { idOf, type ModelVersion, ObjectModel, uploadName } from '../check/object-model.ts';
import type { Change } from '../check/truth.ts';
import { checkExpired } from './lifecycle-truth.ts';
import { type ChangedAt, NotificationsModel } from './model-notifications.ts';
import { SimViolation } from './violation.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** What a request came to, over all entries that it has in the log. */
interface Fate {
  readonly results: ObjectResult[];
  /** Revisions of the entries that changed something. */
  readonly effects: number[];
}

/**
 * Buckets and objects as the committed logs make them, each group by itself: the model of S3 of the unit tests,
 * and which request did what.
 */
export class ObjectsModel {
  /** By what its client calls the request. */
  readonly fates = new Map<string, Fate>();
  readonly notifications = new NotificationsModel();
  readonly #buckets = new Map<string, ObjectModel>();
  readonly #answers = new Map<string, ObjectResult>();
  readonly #configs = new Map<GroupId, GroupConfig>();
  /** Of current rows. */
  readonly #rows = new Map<string, { revision: number; etag: string; putAt: number }>();

  config(group: GroupId, entry: LogEntry): void {
    if (entry.kind === 'config') this.#configs.set(group, decodeConfig(entryPayload(entry)));
  }

  bucket(group: GroupId, { rule }: CommandOf<'bucket'>): void {
    const model = this.#model(group, rule.name);
    model.bucket(rule);
    if (model.rule?.state !== 'gone') return;
    for (const [key, versions] of model.keys) {
      if (versions.length === 0) continue;
      const what = `group ${group} has ${key} in ${rule.name}, which is gone (epoch ${rule.epoch})`;
      throw new SimViolation('a bucket that is gone is empty', what);
    }
  }

  sweep(group: GroupId, { name, uploads }: CommandOf<'bucketSweep'>): void {
    const model = this.#model(group, name);
    const { rule } = model;
    for (const { key, upload } of uploads) {
      const id = uploadName({ ref: { key }, upload });
      const known = model.uploads.get(id);
      const isOwn = known?.bucket === rule?.id && rule?.state !== 'gone';
      if (!isOwn) model.uploads.delete(id);
    }
  }

  /** Gives the change of the key that it makes. */
  apply(group: GroupId, index: number, command: CommandOf<'object'>): Change | null {
    const { op, revision, idempotency, founders, bucket } = command;
    const fate = this.#fateOf(op, idempotency?.key ?? '');
    const known = idempotency === null ? undefined : this.#answers.get(idempotency.key);
    if (known !== undefined) {
      fate.results.push(known);
      return null;
    }
    const model = this.#model(group, op.ref.space);
    const config = this.#configs.get(group);
    model.voters = config?.voters ?? founders ?? [];
    model.votersOld = config?.votersOld ?? null;
    const before = [...model.versions(op.ref.key)];
    const result = model.do(op, bucket, revision);
    if (op.type === 'expire' && result.type === 'deleted') {
      checkExpired(op, before, revision);
    }
    this.notifications.done({ group, index, revision }, model, op, result, command.by ?? null);
    fate.results.push(result);
    const isAnswer = !PASSING.has(result.type);
    if (isAnswer && idempotency !== null) this.#answers.set(idempotency.key, result);
    if ('revision' in result && result.revision === revision) fate.effects.push(revision);
    return this.#changeOf(op, model, revision);
  }

  /** Versions of a bucket over all groups, by key, newest first. */
  versions(groups: readonly GroupId[], bucket: string): { key: string; version: ModelVersion }[] {
    const all = groups.flatMap((group) => [...this.#model(group, bucket).keys]);
    all.sort(([a], [b]) => (a < b ? -1 : 1));
    return all.flatMap(([key, versions]) => versions.map((version) => ({ key, version })));
  }

  /** What keeps a transaction from changing an object; null: nothing. */
  refuses(group: GroupId, op: ObjectTxnOp, revision: number): ObjectResult | null {
    const model = this.#model(group, op.ref.space);
    if (model.rule?.id === op.bucket && model.rule.state !== 'live') {
      return { type: 'no_such_bucket' };
    }
    const result = foreseen(model, plainOf(op), op.bucket, revision);
    return result.type === 'deleted' || result.type === 'amended' ? null : result;
  }

  /** An operation of a transaction, when that ends. Gives the change of the key that it makes. */
  change(at: ChangedAt, op: ObjectTxnOp): Change | null {
    const { group, revision } = at;
    const model = this.#model(group, op.ref.space);
    const plain = plainOf(op);
    const result = model.do(plain, op.bucket, revision);
    this.notifications.done(at, model, plain, result, null);
    return this.#changeOf(plain, model, revision);
  }

  current(group: GroupId, ref: KeyRef, revision: number): ModelVersion | null {
    return this.#model(group, ref.space).current(ref.key, revision);
  }

  /** Of the key's row; 0: there is none. */
  rowRevision(ref: KeyRef): number {
    return this.#rows.get(`${ref.space}\0${ref.key}`)?.revision ?? 0;
  }

  #changeOf(op: ObjectOp, model: ObjectModel, revision: number): Change | null {
    const { type, ref } = op;
    const name = `${ref.space}\0${ref.key}`;
    const before = this.#rows.get(name);
    const now = model.current(ref.key, revision);
    // An amendment of the current version is a put of it, another's is none.
    const isNew = type === 'amend' && now !== null && (op.versionId ?? idOf(now)) === idOf(now);
    if (now?.putAt === before?.putAt && !isNew) return null;
    const rest = { ref, vshard: vshardOf(ref), revision, expiresAtMs: null };
    const prevRevision = before?.revision ?? 0;
    if (now === null) {
      this.#rows.delete(name);
      const kind = type === 'expire' ? 'expire' : 'delete';
      return { ...rest, kind, prevRevision, value: null };
    }
    this.#rows.set(name, { revision, etag: now.etag, putAt: now.putAt });
    return { ...rest, kind: 'put', prevRevision, value: now.etag };
  }

  #fateOf(op: ObjectOp, key: string): Fate {
    const name = fateName(op, key);
    let fate = this.fates.get(name);
    if (fate === undefined) {
      fate = { results: [], effects: [] };
      this.fates.set(name, fate);
    }
    return fate;
  }

  #model(group: GroupId, bucket: string): ObjectModel {
    const name = `${group}\0${bucket}`;
    let model = this.#buckets.get(name);
    if (model === undefined) {
      model = new ObjectModel();
      this.#buckets.set(name, model);
    }
    return model;
  }
}

/** The result of an operation on one key that is not done. */
function foreseen(
  model: ObjectModel,
  op: ObjectOp,
  bucket: number,
  revision: number,
): ObjectResult {
  const { key } = op.ref;
  const versions = structuredClone(model.keys.get(key));
  const result = model.do(op, bucket, revision);
  if (versions === undefined) model.keys.delete(key);
  else model.keys.set(key, versions);
  return result;
}

/** The same as an operation of its own. */
function plainOf(op: ObjectTxnOp): ObjectOp {
  const { ref, versionId } = op;
  const rest = { ref, versionId, condition: NO_CONDITION, bypass: false };
  if (op.type === 'deleteObject') return { type: 'delete', ...rest };
  return { type: 'amend', ...rest, change: { type: 'tags', tags: op.tags } };
}

/** Nothing was done, and the router asks again. */
const PASSING: ReadonlySet<ObjectResult['type']> = new Set([
  ...(['bucket_unknown', 'copies_missing', 'data_stale', 'wrong_shard'] as const),
]);

/** What writes has an ETag of its own in a run; other requests are told apart by their key. */
export function fateName(op: ObjectOp, key: string): string {
  return 'etag' in op ? `etag ${op.etag}` : `key ${key}`;
}
