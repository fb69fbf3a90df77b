import { assertNever } from '../../protocol/assert.ts';
import type { Command } from '../../protocol/commands.ts';
import type { BucketRule, ObjectOp, ObjectResult } from '../../protocol/object-ops.ts';
import { decodeRecord } from '../../protocol/objects.ts';
import type { ReplicaId, Revision } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { decodeCurrent } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import { ruleOf } from './buckets.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState } from './group-state.ts';
import { hasExpired } from './item.ts';
import { amendObject } from './object-amend.ts';
import { conditionRefusal } from './object-condition.ts';
import { deleteObject } from './object-delete.ts';
import { expireObject } from './object-expire.ts';
import { putObject } from './object-put.ts';
import { recallObject, rememberObject } from './object-request.ts';
import { abortUpload, completeUpload, createUpload, putPart } from './object-upload.ts';
import type { StoredVersion } from './object-versions.ts';
import { notifyOfOperation } from './outbox.ts';
import { readSlot, type Slot } from './write.ts';

/**
 * Operations on objects (ADR 0034): one entry each, which does all of it or nothing. The rules O1 to O10 and why they
 * hold are in docs/protocol/objects.md.
 *
 *   O1  A key's current row is its newest version: all others, and markers, were put before it. Without a
 *       current row the newest of the others, if there is one, is a marker.
 *   O2  An operation is judged by the rule that this group has of the bucket, and only if that is the bucket
 *       the operation names by id; otherwise nothing is done and nothing remembered (`bucket_unknown`).
 *   O3  Conditions look at the current version, in the entry that acts on them.
 *   O4  A current row that has expired is absent (W2); whatever takes its place ends its data.
 *   O5  No version under a lock is destroyed: not by its id, nor by what takes the place of the null version,
 *       nor by expiry, since what can be locked cannot expire.
 *   O6  Data is named by one version or part at a time, and its `D` row says so.
 *   O7  Chunks are named only while a quorum of the voters of this entry has them, and data of any kind only
 *       within a day of its id.
 *   O8  When its name goes data stays until the floor has passed that revision.
 *   O9  A bucket's id is never used again; what is left of one that is gone is found by it.
 *   O10 A lifecycle rule takes away what it was held against, where that is, or nothing.
 */
export type ObjectCommand = Extract<Command, { type: 'object' }>;

/** What an operation would do. */
export interface Trial {
  /** Pieces whose data it would end. */
  pieces: number;
}

/** What an operation is done with. */
export interface ObjectContext {
  readonly state: GroupState;
  readonly rule: BucketRule;
  /** The key, and its row as stored, expired or not. */
  readonly slot: Slot;
  /** The current version; null when there is none, or it has expired. */
  readonly current: StoredVersion | null;
  readonly revision: Revision;
  readonly founders: readonly ReplicaId[] | null;
  readonly events: AppliedChange[];
  /** Not null: nothing is done, and the result says what would come of it. */
  readonly trial: Trial | null;
}

export function applyObject(state: GroupState, command: ObjectCommand): Outcome {
  const { op, revision, idempotency } = command;
  const { ref } = op;
  const vshard = vshardOf(ref);
  if (!state.isOwned(vshard, command.epoch)) {
    return outcome({ type: 'wrong_shard', epoch: state.epoch });
  }
  if (idempotency !== null) {
    const recalled = recallObject(state, idempotency, ref, revision);
    if (recalled === 'mismatch') return rejected('idempotency_mismatch');
    if (recalled !== null) return outcome(recalled, [], true);
  }
  const rule = ruleOf(state, ref);
  if (rule === null || rule.id !== command.bucket) {
    return outcome({ type: 'bucket_unknown', epoch: rule?.epoch ?? 0 });
  }
  const slot = readSlot(state, ref, vshard);
  if (!isWritable(state, op, slot.triple)) {
    return rejected('locked');
  }
  const events: AppliedChange[] = [];
  const current = presentVersion(slot, revision);
  const { founders } = command;
  const trial = null;
  const context = { state, rule, slot, current, revision, founders, events, trial };
  const result = perform(context, op);
  notifyOfOperation(context, op, result, command.by ?? null);
  if (idempotency !== null && isAnswer(result)) {
    rememberObject(state, idempotency, ref, revision, result);
  }
  return outcome(result, events);
}

/** Whether no prepared transaction is in its way. A part is a row of its own: it waits for nobody. */
export function isWritable(state: GroupState, op: ObjectOp, triple: string): boolean {
  if (state.txns.size === 0 || op.type === 'uploadPart' || op.type === 'uploadCreate') return true;
  return state.txns.locks.isFree(triple);
}

function perform(context: ObjectContext, op: ObjectOp): ObjectResult {
  const { rule, current } = context;
  // What takes away works on to the end.
  const isNew = op.type !== 'delete' && op.type !== 'uploadAbort';
  if (rule.state === 'gone' || (isNew && rule.state === 'deleting')) return NO_BUCKET;
  // A completion may be one that was done already.
  const isJudged = 'condition' in op && op.type !== 'uploadComplete';
  const failed = isJudged ? conditionRefusal(op.condition, current) : null;
  if (failed !== null) return failed;
  switch (op.type) {
    case 'put':
      return putObject(context, op);
    case 'delete':
      return deleteObject(context, op.versionId, op.bypass, 'delete');
    case 'amend':
      return amendObject(context, op);
    case 'uploadCreate':
      return createUpload(context, op);
    case 'uploadPart':
      return putPart(context, op);
    case 'uploadComplete':
      return completeUpload(context, op);
    case 'uploadAbort':
      return abortUpload(context, op);
    case 'expire':
      return expireObject(context, op);
    default:
      return assertNever(op);
  }
}

const NO_BUCKET: ObjectResult = Object.freeze({ type: 'no_such_bucket' });

export function presentVersion({ row, bytes }: Slot, revision: Revision): StoredVersion | null {
  if (row === null || bytes === null || hasExpired(row, revision)) return null;
  const version = decodeCurrent(bytes);
  return { row: version, record: decodeRecord(version.value) };
}

/** Whether a retry is to hear the same: what it may yet be given is no answer. */
function isAnswer({ type }: ObjectResult): boolean {
  return type !== 'copies_missing' && type !== 'data_stale' && type !== 'no_room';
}

function outcome(
  object: ObjectResult,
  events: readonly AppliedChange[] = [],
  repeated = false,
): Outcome {
  return { results: [], repeated, rejection: null, events, txn: null, object };
}

function rejected(rejection: 'idempotency_mismatch' | 'locked'): Outcome {
  return { results: [], repeated: false, rejection, events: [], txn: null, object: null };
}
