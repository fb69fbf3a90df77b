import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { amountsOf, type Bounds, parseQuotaScope, type QuotaScope } from '../../protocol/quotas.ts';
import { scopeOf } from '../../storage/kv/usage-rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState } from './group-state.ts';
import type { Share } from './quota-table.ts';
import { usageOf } from './usage.ts';

/** Orders to shares of quotas. What comes of one shows in the share. */

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

const DONE: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: null,
  events: [],
  txn: null,
});

/** S3: an order of an earlier round than the share has heard of changes nothing. */
export function applyQuotaOrder(state: GroupState, command: CommandOf<'quotaOrder'>): Outcome {
  const { scope, round, order } = command;
  const { quotas } = state;
  const share = quotas.get(scope);
  switch (order.type) {
    case 'lower':
      lower(state, scope, share, round, order.ceilings);
      return DONE;
    case 'raise':
      if (share === null || share.round !== round || !share.isCounted) return DONE;
      share.allowed = order.allowed;
      quotas.ordered(share);
      return DONE;
    case 'remove':
      if (share === null) quotas.removed(round);
      else if (share.round < round) {
        quotas.remove(share, round, (key, row) => state.stage(key, row));
      }
      return DONE;
  }
}

function lower(
  state: GroupState,
  scope: string,
  known: Share | null,
  round: number,
  ceilings: Bounds,
): void {
  const share = known ?? begin(state, scope, round);
  if (share === null || round < share.round) return;
  share.round = round;
  if (share.isCounted) {
    const { allowed } = share;
    share.allowed = ceilings.map((ceiling, kind) => lowerOf(ceiling, allowed?.[kind] ?? null));
  }
  state.quotas.ordered(share);
}

function lowerOf(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

function begin(state: GroupState, scope: string, round: number): Share | null {
  const { quotas, usage } = state;
  const parsed = parseQuotaScope(scope);
  if (parsed === null || round <= quotas.removedUpTo || quotas.size >= LIMITS.quotasMax)
    return null;
  return quotas.begin(scope, round, knownUse(usage, parsed));
}

/** What a bucket holds is counted already (Q1). */
function knownUse(usage: GroupState['usage'], scope: QuotaScope): readonly number[] | null {
  if (scope.kind !== 'bucket') return null;
  return amountsOf(usageOf(usage.of(scopeOf(scope.tenant, scope.bucket))));
}

/** What was there when the share began, unless it has been told. */
export function applyQuotaCounted(state: GroupState, command: CommandOf<'quotaCounted'>): Outcome {
  const { scope, since, base } = command;
  const share = state.quotas.get(scope);
  if (share !== null && share.since === since && !share.isCounted)
    state.quotas.counted(share, base);
  return DONE;
}
