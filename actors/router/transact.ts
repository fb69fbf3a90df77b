import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext, TxnAnswer } from '../../protocol/service.ts';
import { anchorOf, type TxnBody, txnBytes } from '../../protocol/txn.ts';
import { flawOfTxn } from '../../protocol/txn-flaw.ts';
import type { GroupId } from '../../protocol/types.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import type { Calls } from './calls.ts';
import { writeOptions } from './options.ts';
import type { ShardMap } from './shard-map.ts';

/** Where the map comes from, and the time. */
export interface TxnSource {
  readonly clock: Clock;
  map(): ShardMap;
  refreshMap(epoch: number, deadlineMs: number): Promise<void>;
}

const MAP_RETRIES_MAX = 5;

/**
 * Hands a transaction to the leader of its home group, the group of its first key, which applies it as one
 * entry or coordinates the others. Checked here, so that nothing that cannot be done leaves this node.
 */
export async function transact(
  calls: Calls,
  source: TxnSource,
  ctx: RequestContext,
  body: TxnBody,
): Promise<TxnAnswer> {
  const flaw = flawOfTxn(body);
  if (flaw !== null) throw new AppError('invalid_argument', flaw);
  if (txnBytes(body) > LIMITS.txnBytesMax) {
    const max = LIMITS.txnBytesMax;
    const details = { limit: 'txnBytesMax', max };
    throw new AppError('too_large', `larger than txnBytesMax, ${max}`, { details });
  }
  const endMs = source.clock.monotonicMs() + ctx.deadlineMs;
  const anchor = anchorOf(body);
  for (let attempt = 1; ; attempt++) {
    const map = source.map();
    const home = map.groups[vshardOf(anchor)] as GroupId;
    const { epoch } = map;
    const request = { type: 'Txn', epoch, body, idempotency: ctx.idempotency } as const;
    const leftMs = endMs - source.clock.monotonicMs();
    try {
      const reply = await calls.call(home, request, 'TxnDone', writeOptions(ctx, leftMs));
      const { outcome, clock, repeated } = reply;
      return { outcome, clock, repeated };
    } catch (error) {
      const isMoved = error instanceof AppError && error.code === 'wrong_shard';
      if (!isMoved || attempt === MAP_RETRIES_MAX) throw error;
      await source.refreshMap(Number(error.details['epoch'] ?? 0), leftMs);
    }
  }
}
