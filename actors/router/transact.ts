import { duplicateError } from '../../protocol/duplicate.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type { RequestContext, TxnAnswer } from '../../protocol/service.ts';
import { anchorOf, type TxnBody, txnBytes } from '../../protocol/txn.ts';
import { flawOfTxn } from '../../protocol/txn-flaw.ts';
import type { GroupId } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { isOfBucket } from '../apply/txn-objects.ts';
import type { Calls } from './calls.ts';
import { followingMap, type MapSource } from './following-map.ts';
import { writeOptions } from './options.ts';
import type { ShardMap } from './shard-map.ts';
import { objectRefusal } from './transact-objects.ts';

/**
 * Hands a transaction to the leader of its home group, the group of its first key, which applies it as one
 * entry or coordinates the others. Checked here, so that nothing that cannot be done leaves this node.
 */
export function transact(
  calls: Calls,
  source: MapSource,
  ctx: RequestContext,
  body: TxnBody,
): Promise<TxnAnswer> {
  const refusal = refusalOf(body);
  if (refusal !== null) return Promise.reject(refusal);
  const vshard = vshardOf(anchorOf(body));
  const ask = (map: ShardMap, leftMs: number): Promise<ReplyOf<'TxnDone'>> => {
    const { epoch } = map;
    const request = { type: 'Txn', epoch, body, idempotency: ctx.idempotency } as const;
    const home = map.groups[vshard] as GroupId;
    return calls.call(home, request, 'TxnDone', writeOptions(ctx, leftMs));
  };
  return followingMap(source, ctx.deadlineMs, ask, told);
}

/** A refusal that the log or the coordinator knows is an answer; here it becomes the error. */
function told(reply: ReplyOf<'TxnDone'>): ReplyOf<'TxnDone'> {
  const { refused } = reply.outcome;
  if (refused === null || refused === undefined) return reply;
  if (refused.type === 'duplicate') throw duplicateError(refused.key, refused.duplicate);
  if (refused.type === 'leaseGone') {
    throw new AppError('lease_not_found', 'there is no such lease, or it has ended');
  }
  if (refused.type === 'object') {
    // The caller knows what to do about a bucket.
    if (isOfBucket(refused.result)) return reply;
    throw objectRefusal(refused);
  }
  throw new AppError('internal', 'an operation was refused');
}

function refusalOf(body: TxnBody): AppError | null {
  const flaw = flawOfTxn(body);
  if (flaw !== null) return new AppError('invalid_argument', flaw);
  const max = LIMITS.txnBytesMax;
  if (txnBytes(body) <= max) return null;
  const details = { limit: 'txnBytesMax', max };
  return new AppError('too_large', `larger than txnBytesMax, ${max}`, { details });
}
