import type { Applied } from '../../actors/apply/apply.ts';
import { readLatest } from '../../actors/apply/read.ts';
import { foresee } from '../../actors/apply/txn-eval.ts';
import { ofRevision } from '../../actors/apply/txn-objects.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import {
  type BucketRule,
  NO_CONDITION,
  type ObjectOp,
  type ObjectResult,
} from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { ObjectTxnOp } from '../../protocol/txn.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { type AppliedGroup, GROUP } from './applied-group.ts';
import type { ObjectStep } from './object-steps.ts';

/** One operation on an object in a transaction, as entries of one group. */

type TxnStep = Extract<ObjectStep, { type: 'txn' }>;

interface Transacted {
  readonly applied: Applied;
  readonly result: TxnResult;
  /** Of its commit; 0: nothing was done. */
  readonly revision: number;
  /** At which it was judged. */
  readonly at: number;
}

/** As the operation of its own answers. */
export function plainResult(result: TxnResult, revision: number): ObjectResult {
  if (result.type === 'objectTagged') {
    return { type: 'amended', revision, versionId: result.versionId };
  }
  if (result.type !== 'objectDeleted') throw new Error(`an object answered ${result.type}`);
  const { gone, versionId, marker } = result;
  return { type: 'deleted', revision: gone ? revision : 0, versionId, marker };
}

/** In one entry, or in a prepare and an end with others that try to come between. */
export function transacted(
  group: AppliedGroup,
  rule: BucketRule,
  op: ObjectTxnOp,
  step: TxnStep,
): Transacted {
  return step.how === 'whole' ? whole(group, op) : prepared(group, rule, op, step);
}

function whole(group: AppliedGroup, op: ObjectTxnOp): Transacted {
  const at = group.nextRevision();
  const body = { compares: [], then: [op], otherwise: null };
  const rest = { body, idempotency: null, traceparent: null };
  const applied = group.apply({ type: 'txn', revision: at, epoch: 1, ...rest });
  if (applied.txn?.type !== 'done') throw new Error(`a transaction was ${applied.txn?.type}`);
  const { refused, results, revision } = applied.txn.outcome;
  if (refused?.type === 'object') {
    return {
      applied,
      result: { type: 'objectRefused', result: refused.result },
      revision: 0,
      at,
    };
  }
  return { applied, result: results[0] as TxnResult, revision, at };
}

/** Whoever comes between its entries finds the locks, and what was voted is what is done. */
function prepared(
  group: AppliedGroup,
  rule: BucketRule,
  op: ObjectTxnOp,
  { how, waitMs }: TxnStep,
): Transacted {
  const at = group.nextRevision();
  const id = { home: GROUP + 1, term: 1, start: at };
  const body = { compares: [], then: [op], otherwise: null };
  const part = { body, comparesAt: [], thenAt: [0], otherwiseAt: [] };
  group.apply({ type: 'txnPrepare', revision: at, epoch: 1, id, part, indexEpoch: 0 });
  const seen = { validUntilMs: Number.POSITIVE_INFINITY };
  const [result] = foresee(group.state, [op], at, seen) as [TxnResult];
  group.wallMs += waitMs;
  intrude(group, rule, op.ref);
  const next = group.nextRevision();
  // No coordinator commits at a time when what the vote counts on has expired.
  const isValid = wallMsOfRevision(next) < seen.validUntilMs;
  const isDone = how === 'prepared' && isValid && result.type !== 'objectRefused';
  const revision = isDone ? next : 0;
  const fate = { commitRevision: revision, succeeded: isDone };
  const applied = group.apply({ type: 'txnResolve', ends: [{ id, fate, removed: [] }] });
  return { applied, result: ofRevision(result, revision), revision, at };
}

/** A put, an expiry and a change of the rule, all in the way of what is prepared. */
function intrude(group: AppliedGroup, now: BucketRule, ref: KeyRef): void {
  const put = { size: 0, etag: 'no', checksum: null, head: NO_HEAD, data: null, ttlMs: null };
  const op: ObjectOp = { type: 'put', ref, ...put, condition: NO_CONDITION };
  const { id: bucket, epoch } = now;
  const rest = { founders: null, op, idempotency: null, traceparent: null };
  const revision = group.nextRevision();
  const { rejection } = group.apply({ type: 'object', revision, epoch: 1, bucket, ...rest });
  const rule: BucketRule = { ...now, epoch: epoch + 1, state: 'gone' };
  const change = group.apply({ type: 'bucket', rule });
  if (rejection !== 'locked' || change.rejection !== 'locked') {
    throw new Error('something came between the entries of a transaction');
  }
  const found = readLatest(group.state, ref, null);
  if (found === null) return;
  const keys = [{ ref, revision: found.revision }];
  const { events } = group.apply({ type: 'expire', revision: group.nextRevision(), keys });
  if (events.length > 0) throw new Error('an object expired under a transaction');
}
