import type { Idempotency } from '../../protocol/commands.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import { anchorOf, type TxnBody } from '../../protocol/txn.ts';
import type { GroupState } from '../apply/group-state.ts';
import { shortOfBranch } from '../apply/quota-growth.ts';
import { branchOf, firstFailed } from '../apply/txn-eval.ts';
import { recallTxn } from '../apply/txn-request.ts';

/**
 * Quotas that have no room here for the branch that would be done now, as far as is applied; null where they have, or
 * where it has been done before.
 */
export function shortOfTxn(
  state: GroupState,
  body: TxnBody,
  idempotency: Idempotency | null,
): Shortage[] | null {
  if (state.quotas.size === 0) return null;
  const { clock } = state;
  const succeeded = firstFailed(state, body.compares, clock) === null;
  const short = shortOfBranch(state, branchOf(body, succeeded), clock);
  if (short === null || idempotency === null) return short;
  return recallTxn(state, idempotency, anchorOf(body), clock) === null ? short : null;
}
