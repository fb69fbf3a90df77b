import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext, TxnAnswer } from '../../protocol/service.ts';
import { anchorOf, type TxnBody, txnBytes } from '../../protocol/txn.ts';
import { flawOfTxn } from '../../protocol/txn-flaw.ts';
import type { GroupId } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import type { Calls } from './calls.ts';
import { followingMap, type MapSource } from './following-map.ts';
import { writeOptions } from './options.ts';

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
  return followingMap(source, ctx.deadlineMs, (map, leftMs) => {
    const { epoch } = map;
    const request = { type: 'Txn', epoch, body, idempotency: ctx.idempotency } as const;
    const home = map.groups[vshard] as GroupId;
    return calls.call(home, request, 'TxnDone', writeOptions(ctx, leftMs));
  });
}

function refusalOf(body: TxnBody): AppError | null {
  const flaw = flawOfTxn(body);
  if (flaw !== null) return new AppError('invalid_argument', flaw);
  const max = LIMITS.txnBytesMax;
  if (txnBytes(body) <= max) return null;
  const details = { limit: 'txnBytesMax', max };
  return new AppError('too_large', `larger than txnBytesMax, ${max}`, { details });
}
