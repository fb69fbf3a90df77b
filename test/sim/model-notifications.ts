import { encodeWith } from '../../protocol/codec.ts';
import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  type Notification,
  type NotifiedEvent,
  notificationCodec,
  type Requester,
} from '../../protocol/notifications.ts';
import type { ObjectOp, ObjectResult } from '../../protocol/object-ops.ts';
import type { GroupId } from '../../protocol/types.ts';
import { idOf, type ModelVersion, type ObjectModel } from '../check/object-model.ts';
import { SimViolation } from './violation.ts';

const NAME = 'notifications are told';

/** Where a change is in the logs. */
export interface ChangedAt {
  readonly group: GroupId;
  readonly index: number;
  readonly revision: number;
}

/** One notification that somebody was to get. */
export interface ModelNotification {
  readonly group: GroupId;
  readonly target: string;
  readonly notification: Notification;
  readonly bytes: number;
  state: 'waiting' | 'sent' | 'dropped';
}

export interface ModelTotals {
  waiting: number;
  waitingBytes: number;
  sent: number;
  dropped: number;
}

/** What is to be told, as the committed logs have it: ADR 0040 written a second time. */
export class NotificationsModel {
  /** In the order of each group's log. */
  readonly all: ModelNotification[] = [];
  /** Whether a target has got it. */
  hasGot: (target: string, notification: Notification) => boolean = () => true;
  readonly #waiting = new Map<string, ModelNotification>();
  readonly #totals = new Map<string, ModelTotals>();
  readonly #lastIndexes = new Map<GroupId, number>();
  #lastEntry = '';
  #ordinal = 0;

  /** An operation, after it was done. Model: the bucket as it is then. */
  done(
    at: ChangedAt,
    model: ObjectModel,
    op: ObjectOp,
    result: ObjectResult,
    by: Requester | null,
  ): void {
    const rules = model.rule?.notifications ?? [];
    if (rules.length === 0 || !('revision' in result) || result.revision !== at.revision) return;
    const newest = model.versions(op.ref.key)[0];
    const isMarker = newest?.isMarker === true && newest.putAt === at.revision;
    const event = eventOf(op, isMarker, by?.via ?? 'other');
    if (event === null) return;
    const { ref } = op;
    for (const { id, target, events, prefix, suffix, bucketOwner = null } of rules) {
      if (!events.includes(event) || !ref.key.startsWith(prefix) || !ref.key.endsWith(suffix)) {
        continue;
      }
      const { size, etag } = contentOf(model, op, result, at.revision);
      const versionId = 'versionId' in result ? result.versionId : null;
      const { revision } = at;
      const about = { event, revision, ref, size, etag, versionId, by };
      this.#add(at, target, { ...about, ruleId: id, bucketOwner });
    }
  }

  /** Throws SimViolation where something goes that its target has not got. */
  trim(
    group: GroupId,
    entry: number,
    { target, rows }: Extract<Command, { type: 'outboxTrim' }>,
  ): void {
    for (const { index, ordinal, isDropped } of rows) {
      const name = positionName(group, target, index, ordinal);
      const found = this.#waiting.get(name);
      if (found === undefined) continue;
      const { ref, revision, event } = found.notification;
      const shown = `${target} ${event} ${ref.space}/${ref.key} @${revision}`;
      if (isDropped) throw new SimViolation(NAME, `${shown} was dropped before its time`);
      if (!this.hasGot(target, found.notification)) {
        throw new SimViolation(NAME, `${shown} went before its target had it`);
      }
      this.#waiting.delete(name);
      this.#lastIndexes.set(group, entry);
      found.state = 'sent';
      for (const totals of [this.totals(group, target), this.totals(group, '')]) {
        totals.waiting--;
        totals.waitingBytes -= found.bytes;
        totals.sent++;
      }
    }
  }

  get waiting(): readonly ModelNotification[] {
    return [...this.#waiting.values()];
  }

  /** Of the last entry that changed any totals. */
  lastIndex(group: GroupId): number {
    return this.#lastIndexes.get(group) ?? 0;
  }

  /** Of one target; '': of all together. */
  totals(group: GroupId, target: string): ModelTotals {
    const name = `${group}\0${target}`;
    let known = this.#totals.get(name);
    if (known === undefined) {
      known = { waiting: 0, waitingBytes: 0, sent: 0, dropped: 0 };
      this.#totals.set(name, known);
    }
    return known;
  }

  #add({ group, index }: ChangedAt, target: string, notification: Notification): void {
    const bytes = encodeWith(notificationCodec, notification).length;
    const [own, sum] = [this.totals(group, target), this.totals(group, '')];
    const hasRoom =
      own.waiting < LIMITS.notificationsWaitingMax &&
      own.waitingBytes + bytes <= LIMITS.notificationTargetWaitingBytesMax &&
      sum.waitingBytes + bytes <= LIMITS.notificationWaitingBytesMax;
    const state = hasRoom ? 'waiting' : 'dropped';
    const one: ModelNotification = { group, target, notification, bytes, state };
    this.all.push(one);
    this.#lastIndexes.set(group, index);
    for (const totals of [own, sum]) {
      if (!hasRoom) {
        totals.dropped++;
        continue;
      }
      totals.waiting++;
      totals.waitingBytes += bytes;
    }
    if (!hasRoom) return;
    const entry = `${group}/${index}`;
    this.#ordinal = entry === this.#lastEntry ? this.#ordinal + 1 : 0;
    this.#lastEntry = entry;
    this.#waiting.set(positionName(group, target, index, this.#ordinal), one);
  }
}

function positionName(group: GroupId, target: string, index: number, ordinal: number): string {
  return `${group}\0${target}\0${index}\0${ordinal}`;
}

const PUTS = { copy: 'ObjectCreated:Copy', post: 'ObjectCreated:Post' } as const;

function eventOf(op: ObjectOp, isMarker: boolean, via: Requester['via']): NotifiedEvent | null {
  const end = isMarker ? 'DeleteMarkerCreated' : 'Delete';
  if (op.type === 'put') {
    return via === 'copy' || via === 'post' ? PUTS[via] : 'ObjectCreated:Put';
  }
  if (op.type === 'uploadComplete') return 'ObjectCreated:CompleteMultipartUpload';
  if (op.type === 'delete') return `ObjectRemoved:${end}`;
  if (op.type === 'expire') return `LifecycleExpiration:${end}`;
  if (op.type !== 'amend') return null;
  if (op.change.type === 'acl') return 'ObjectAcl:Put';
  if (op.change.type !== 'tags') return null;
  return via === 'untag' ? 'ObjectTagging:Delete' : 'ObjectTagging:Put';
}

function contentOf(
  model: ObjectModel,
  op: ObjectOp,
  result: ObjectResult,
  revision: number,
): Pick<Notification, 'size' | 'etag'> {
  if (result.type === 'put') return { size: result.size, etag: result.etag };
  const found = op.type === 'amend' ? versionOf(model, op.ref.key, op.versionId, revision) : null;
  return { size: found?.size ?? null, etag: found?.etag ?? null };
}

function versionOf(
  model: ObjectModel,
  key: string,
  versionId: string | null,
  revision: number,
): ModelVersion | null {
  if (versionId === null) return model.current(key, revision);
  return model.versions(key).find((one) => idOf(one) === versionId) ?? null;
}
