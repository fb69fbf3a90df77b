import type { RequestOf } from '../../protocol/messages/request.ts';
import { addAmounts, type QuotaShare } from '../../protocol/quotas.ts';
import { META_GROUP } from '../../protocol/types.ts';
import type { GroupState } from '../apply/group-state.ts';
import { ensureHolds } from '../apply/quota-growth.ts';
import { notApplied, notLeader, type ReplicaContext, type Reply, rejected } from './context.ts';
import type { ReadParts } from './reads.ts';
import { diskRefusal } from './writes.ts';

/** This group's share of a quota. */
export function handleQuotaLook(
  { context, rounds }: ReadParts,
  { scope }: RequestOf<'QuotaLook'>,
  reply: Reply,
): void {
  if (!context.isLeader()) return reply(notLeader(context));
  rounds.join(
    () => reply(found(context, scope)),
    () => reply(notLeader(context)),
  );
}

/**
 * An order is an entry of the log. What the share is when the answer is given bounds what it may come to as well as what it was behind
 * the entry: it only falls, while its round stays and the round's own raise has not come.
 */
export function handleQuotaOrder(
  context: ReplicaContext,
  { scope, round, order }: RequestOf<'QuotaOrder'>,
  reply: Reply,
): void {
  if (context.group === META_GROUP) {
    return reply(rejected('invalid_argument', 'the meta group stores nothing for clients'));
  }
  if (!context.isLeader() || context.state.epoch === 0) return reply(notLeader(context));
  const refusal = diskRefusal(context.ports.storage.health);
  if (refusal !== null) return reply(refusal);
  context.propose({ type: 'quotaOrder', scope, round, order }, (outcome) => {
    if (outcome.type !== 'applied') return reply(notApplied(context, outcome));
    reply(found(context, scope));
  });
}

function found(context: ReplicaContext, scope: string) {
  const share = shareOf(context.state, scope);
  return { type: 'QuotaFound' as const, share, clock: context.clock.clock };
}

function shareOf(state: GroupState, scope: string): QuotaShare | null {
  ensureHolds(state);
  const share = state.quotas.get(scope);
  if (share === null) return null;
  const { round, allowed, isCounted } = share;
  const added = addAmounts(share.held, share.reserved);
  const used = addAmounts(share.used, added).map((amount) => Math.max(0, amount));
  return { round, allowed: allowed === null ? null : [...allowed], used, isCounted };
}
