import { assert } from '../../protocol/assert.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import { NO_CONDITION, type ObjectResult } from '../../protocol/object-ops.ts';
import { versionIdOf } from '../../protocol/objects.ts';
import type { ObjectTxnOp } from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { ruleOf } from './buckets.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState } from './group-state.ts';
import { amendObject } from './object-amend.ts';
import { deleteObject } from './object-delete.ts';
import { presentVersion, type Trial } from './object-write.ts';
import { notifyOfOperation } from './outbox.ts';
import { readSlot } from './write.ts';

/**
 * Operations of transactions on objects (ADR 0037): what operations of one entry do, by the same rules O1 to O9.
 *
 *   X1  A vote says what the commit will do: the object is locked, and the rule of its bucket is locked shared,
 *       so it is the same by then. Nothing else may keep a prepared operation from being done: locks of versions
 *       only run out.
 *   X2  A change of the rule waits for what is prepared under it, so whoever was told that versioning is enabled
 *       knows that no transaction destroys a version unasked.
 *   X3  A bucket that is not live refuses. What is prepared was live, and the bucket cannot be seen to be empty before
 *       its end, since `deleting` waits too.
 *   X4  What is refused for the bucket is not remembered: the sender enters the rule and asks again (O2).
 */

/** Whether a refusal says nothing of the object: the group has to hear of the bucket, or it is going away (X4). */
export function isOfBucket({ type }: ObjectResult): boolean {
  return type === 'bucket_unknown' || type === 'no_such_bucket';
}

/** What the operation will give, or why it cannot be done. Its pieces are added to `trial`. */
export function foreseeObject(
  state: GroupState,
  op: ObjectTxnOp,
  revision: Revision,
  trial: Trial,
): TxnResult {
  const result = onObject(state, op, revision, [], trial);
  if (result.type === 'deleted') {
    const { marker } = result;
    const gone = result.revision !== 0;
    const isOwn = marker && op.versionId === null && result.versionId !== 'null';
    return { type: 'objectDeleted', gone, versionId: isOwn ? '' : result.versionId, marker };
  }
  if (result.type === 'amended') return { type: 'objectTagged', versionId: result.versionId };
  return { type: 'objectRefused', result };
}

/** What a vote says, of the transaction's revision. */
export function ofRevision(result: TxnResult, revision: Revision): TxnResult {
  if (result.type !== 'objectDeleted' || result.versionId !== '') return result;
  return { ...result, versionId: versionIdOf({ putAt: revision, isNull: false }) };
}

/** Does what was foreseen (X1). */
export function performObject(
  state: GroupState,
  op: ObjectTxnOp,
  revision: Revision,
  events: AppliedChange[],
): void {
  const { type } = onObject(state, op, revision, events, null);
  assert(type === 'deleted' || type === 'amended', 'what was foreseen of an object is refused');
}

function onObject(
  state: GroupState,
  op: ObjectTxnOp,
  revision: Revision,
  events: AppliedChange[],
  trial: Trial | null,
): ObjectResult {
  const { ref, versionId } = op;
  const rule = ruleOf(state, ref);
  if (rule === null || rule.id !== op.bucket) {
    return { type: 'bucket_unknown', epoch: rule?.epoch ?? 0 };
  }
  if (rule.state !== 'live') return { type: 'no_such_bucket' };
  const slot = readSlot(state, ref, vshardOf(ref));
  const current = presentVersion(slot, revision);
  const founders = null;
  const context = { state, rule, slot, current, revision, founders, events, trial };
  const rest = { ref, versionId, bypass: false, condition: NO_CONDITION };
  if (op.type === 'deleteObject') {
    const result = deleteObject(context, versionId, false, 'delete');
    if (trial === null) notifyOfOperation(context, { type: 'delete', ...rest }, result, null);
    return result;
  }
  const change = { type: 'tags', tags: op.tags } as const;
  const amendment = { type: 'amend', ...rest, change } as const;
  const result = amendObject(context, amendment);
  if (trial === null) notifyOfOperation(context, amendment, result, null);
  return result;
}
