import { assert, assertNever } from '../../protocol/assert.ts';
import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import {
  isNotified,
  type Notification,
  type NotificationRule,
  type NotifiedEvent,
  notificationCodec,
  type OutboxPosition,
  type Requester,
} from '../../protocol/notifications.ts';
import type { BucketRule, ObjectOp, ObjectResult } from '../../protocol/object-ops.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import {
  outboxKey,
  outboxRange,
  outboxTotalsKey,
  outboxTotalsRange,
  parseOutboxKey,
  targetOfTotalsKey,
} from '../../storage/kv/object-keys.ts';
import { decodeCounts, encodeCounts } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState, GroupView } from './group-state.ts';
import { findVersion } from './object-delete.ts';
import type { ObjectContext } from './object-write.ts';

/**
 * Notifications that are to be sent (ADR 0040).
 *
 *   N1  The row of a notification reaches the store in the batch of the change that it tells of, or the target's count
 *       of dropped ones does.
 *   N2  A row goes only by an entry that says that its target has it, or that it was dropped; never by itself.
 *   N3  Of one key and target, rows are in the order of the changes: that of the log.
 *   N4  The totals are those of the rows, so bounds are held without a scan.
 */

/** Of one target; `dropped`: what found no room, or waited too long. */
export interface OutboxTotals {
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly sent: number;
  readonly dropped: number;
}

/** All targets' totals are under the name that no target has. */
const ALL = '';
export const NO_TOTALS: OutboxTotals = Object.freeze({
  waiting: 0,
  waitingBytes: 0,
  sent: 0,
  dropped: 0,
});

/** An operation that was done, as its result says. */
export function notifyOfOperation(
  context: ObjectContext,
  op: ObjectOp,
  result: ObjectResult,
  by: Requester | null,
): void {
  const { state, rule, revision } = context;
  if (rule.notifications == null || !isDone(result) || result.revision !== revision) return;
  const marker = result.type === 'deleted' && result.marker && madeMarker(context, op);
  const event = eventOf(op, by?.via ?? 'other', marker);
  if (event === null) return;
  const { versionId } = result;
  const { size, etag } = contentOf(context, op, result);
  const { ref } = op;
  notify(state, rule.notifications, { event, revision, ref, size, etag, versionId, by });
}

type Done = Extract<ObjectResult, { type: 'put' | 'deleted' | 'amended' }>;

function isDone(result: ObjectResult): result is Done {
  return result.type === 'put' || result.type === 'deleted' || result.type === 'amended';
}

/** `marker` of a deletion may also say that one went. A rule makes one only over a current version. */
function madeMarker({ current }: ObjectContext, op: ObjectOp): boolean {
  if (op.type === 'delete') return op.versionId === null;
  return op.type === 'expire' && op.newer === 0 && current !== null;
}

type Content = Pick<Notification, 'size' | 'etag'>;
const NO_CONTENT: Content = { size: null, etag: null };

function contentOf(context: ObjectContext, op: ObjectOp, result: Done): Content {
  if (result.type === 'put') return { size: result.size, etag: result.etag };
  if (op.type !== 'amend') return NO_CONTENT;
  const { current } = context;
  const version = op.versionId === null ? current : findVersion(context, op.versionId);
  return version === null ? NO_CONTENT : { size: version.record.size, etag: version.record.etag };
}

/** The event of an operation that was done; null: S3 tells of none. `marker`: a delete marker came of it. */
export function eventOf(
  op: ObjectOp,
  via: Requester['via'],
  marker: boolean,
): NotifiedEvent | null {
  switch (op.type) {
    case 'put':
      if (via === 'post') return 'ObjectCreated:Post';
      return via === 'copy' ? 'ObjectCreated:Copy' : 'ObjectCreated:Put';
    case 'uploadComplete':
      return 'ObjectCreated:CompleteMultipartUpload';
    case 'delete':
      return marker ? 'ObjectRemoved:DeleteMarkerCreated' : 'ObjectRemoved:Delete';
    case 'expire':
      return marker ? 'LifecycleExpiration:DeleteMarkerCreated' : 'LifecycleExpiration:Delete';
    case 'amend':
      return ofAmendment(op.change.type, via);
    case 'uploadCreate':
    case 'uploadPart':
    case 'uploadAbort':
      return null;
    default:
      return assertNever(op);
  }
}

type AmendmentType = Extract<ObjectOp, { type: 'amend' }>['change']['type'];

function ofAmendment(type: AmendmentType, via: Requester['via']): NotifiedEvent | null {
  if (type === 'acl') return 'ObjectAcl:Put';
  if (type !== 'tags') return null;
  return via === 'untag' ? 'ObjectTagging:Delete' : 'ObjectTagging:Put';
}

/** The end of an object's time to live. */
export function notifyOfExpiry(
  state: GroupState,
  rule: BucketRule | null,
  ref: KeyRef,
  revision: number,
): void {
  if (rule?.notifications == null) return;
  const event = 'LifecycleExpiration:Delete';
  const about = { event, revision, ref, ...NO_CONTENT, versionId: null, by: null } as const;
  notify(state, rule.notifications, about);
}

function notify(
  state: GroupState,
  rules: readonly NotificationRule[],
  about: Omit<Notification, 'ruleId' | 'bucketOwner'>,
): void {
  for (const rule of rules) {
    if (!isNotified(rule, about.event, about.ref.key)) continue;
    const { id: ruleId, bucketOwner = null } = rule;
    addRow(state, rule.target, { ...about, ruleId, bucketOwner });
  }
}

function addRow(state: GroupState, target: string, notification: Notification): void {
  const row = encodeWith(notificationCodec, notification);
  const own = readTotals(state, target);
  const all = readTotals(state, ALL);
  const added = { waiting: 1, waitingBytes: row.length, sent: 0, dropped: 0 };
  if (!hasRoom(own, all, row.length)) return writeTotals(state, target, own, all, ONE_DROPPED);
  const { outbox, appliedIndex } = state;
  const at = { index: appliedIndex, ordinal: outbox.ordinalIn(appliedIndex) };
  outbox.changes++;
  state.stageRow(outboxKey(state.prefix, target, at), row);
  writeTotals(state, target, own, all, added);
}

const ONE_DROPPED: OutboxTotals = { ...NO_TOTALS, dropped: 1 };

function hasRoom(own: OutboxTotals, all: OutboxTotals, bytes: number): boolean {
  return (
    own.waiting < LIMITS.notificationsWaitingMax &&
    own.waitingBytes + bytes <= LIMITS.notificationTargetWaitingBytesMax &&
    all.waitingBytes + bytes <= LIMITS.notificationWaitingBytesMax
  );
}

/** N2. Rows that an earlier entry took are passed over: two leaders may ask for the same. */
export function applyOutboxTrim(
  state: GroupState,
  { target, rows }: Extract<Command, { type: 'outboxTrim' }>,
): Outcome {
  let [waiting, waitingBytes, sent, dropped] = [0, 0, 0, 0];
  for (const at of rows) {
    const key = outboxKey(state.prefix, target, at);
    const row = state.row(key);
    if (row === null) continue;
    state.stageRow(key, null);
    waiting--;
    waitingBytes -= row.length;
    if (at.isDropped) dropped++;
    else sent++;
  }
  if (waiting < 0) {
    const [own, all] = [readTotals(state, target), readTotals(state, ALL)];
    writeTotals(state, target, own, all, { waiting, waitingBytes, sent, dropped });
  }
  return DONE;
}

const DONE: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: null,
  events: [],
  txn: null,
});

function readTotals(state: GroupState, target: string): OutboxTotals {
  const bytes = state.row(outboxTotalsKey(state.prefix, target));
  return bytes === null ? NO_TOTALS : decodeTotals(bytes);
}

function writeTotals(
  state: GroupState,
  target: string,
  own: OutboxTotals,
  all: OutboxTotals,
  change: OutboxTotals,
): void {
  state.stageRow(outboxTotalsKey(state.prefix, target), encodeTotals(addTotals(own, change)));
  state.stageRow(outboxTotalsKey(state.prefix, ALL), encodeTotals(addTotals(all, change)));
}

/** `b` may be a change, with what went below zero. */
export function addTotals(a: OutboxTotals, b: OutboxTotals): OutboxTotals {
  const waiting = a.waiting + b.waiting;
  const waitingBytes = a.waitingBytes + b.waitingBytes;
  assert(waiting >= 0 && waitingBytes >= 0, 'more notifications went than there were');
  return { waiting, waitingBytes, sent: a.sent + b.sent, dropped: a.dropped + b.dropped };
}

function encodeTotals({ waiting, waitingBytes, sent, dropped }: OutboxTotals): Uint8Array {
  return encodeCounts([waiting, waitingBytes, sent, dropped]);
}

/** Throws DecodeError. */
function decodeTotals(bytes: Uint8Array): OutboxTotals {
  const [waiting, waitingBytes, sent, dropped] = decodeCounts(bytes, 4) as [
    number,
    number,
    number,
    number,
  ];
  return { waiting, waitingBytes, sent, dropped };
}

/** Targets that ever had notifications of this group, with their totals. */
export async function outboxTotals(view: GroupView): Promise<Map<string, OutboxTotals>> {
  const [start, end] = outboxTotalsRange(view.prefix);
  const cursor = view.cursor({ start, end, reverse: false });
  const found = new Map<string, OutboxTotals>();
  try {
    for (;;) {
      const rows = await cursor.next(ROWS_AT_ONCE);
      if (rows.length === 0) return found;
      for (const [key, value] of rows) found.set(targetOfTotalsKey(key), decodeTotals(value));
    }
  } finally {
    await cursor.close();
  }
}

const ROWS_AT_ONCE = 64;

export interface OutboxRow {
  readonly at: OutboxPosition;
  readonly notification: Notification;
}

/** What waits for one target, in order, behind `after`. */
export async function readOutbox(
  view: GroupView,
  target: string,
  after: OutboxPosition | null,
  limit: number,
): Promise<OutboxRow[]> {
  const [start, end] = outboxRange(view.prefix, target, after);
  const cursor = view.cursor({ start, end, reverse: false, rows: limit });
  try {
    const rows = await cursor.next(limit);
    return rows.map(([key, value]) => ({
      at: parseOutboxKey(key),
      notification: notificationCodec.unpack(unpackBytes(value, BOUNDS)),
    }));
  } finally {
    await cursor.close();
  }
}

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: 64, depthMax: 6 };
