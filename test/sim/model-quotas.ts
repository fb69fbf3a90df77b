import type { Command } from '../../protocol/commands.ts';
import { type Amounts, addAmounts, type Bounds, parseQuotaScope } from '../../protocol/quotas.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { SimViolation } from './violation.ts';

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** A key of the model, in the group that has it. */
export interface ModelKey {
  readonly ref: KeyRef;
  readonly bytes: number;
  readonly expires: boolean;
}

/** The keys that the model has, and what is prepared: by group. */
export interface QuotaFacts {
  keys(group: GroupId): Iterable<ModelKey>;
  at(ref: KeyRef): ModelKey | null;
  /** Both branches of each. */
  prepared(group: GroupId): readonly (readonly TxnOp[])[][];
}

interface ShareModel {
  readonly since: number;
  /** What was there when it began. */
  readonly base: Amounts;
  round: number;
  allowed: Bounds | null;
  isCounted: boolean;
}

const NOTHING: Amounts = [0, 0, 0];

/**
 * Shares of quotas of keys as ADR 0043 has them, from the committed logs: what each uses is added up anew each time. It says
 * what has no room, and that no quota is passed that is in force.
 */
export class QuotasModel {
  readonly #facts: QuotaFacts;
  readonly #shares = new Map<GroupId, Map<string, ShareModel>>();
  readonly #removedUpTo = new Map<GroupId, number>();
  /** By scope: what all groups together may hold from now on. */
  readonly #enforced = new Map<string, Bounds>();
  /** Puts that had no room. */
  refused = 0;

  constructor(facts: QuotaFacts) {
    this.#facts = facts;
  }

  /** A client was told that the quota is in force. */
  enforce(scope: string, quota: Bounds): void {
    this.#enforced.set(scope, quota);
    this.check();
  }

  /** After each change of keys. */
  check(): void {
    for (const [scope, quota] of this.#enforced) {
      let total: Amounts = NOTHING;
      for (const group of this.#shares.keys()) total = addAmounts(total, this.#used(group, scope));
      for (const [kind, bound] of quota.entries()) {
        if (bound === null || (total[kind] as number) <= bound) continue;
        const what = `${scope} holds ${total.join(' ')}, its quota is ${quota.join(' ')}`;
        throw new SimViolation('no quota is passed', what);
      }
    }
  }

  order(group: GroupId, { scope, round, order }: CommandOf<'quotaOrder'>): void {
    const shares = this.#of(group);
    const share = shares.get(scope);
    if (order.type === 'remove') {
      if (share !== undefined && share.round >= round) return;
      shares.delete(scope);
      this.#removedUpTo.set(group, Math.max(this.#removedUpTo.get(group) ?? 0, round));
    } else if (order.type === 'raise') {
      if (share?.round === round && share.isCounted) share.allowed = order.allowed;
    } else if (share === undefined) {
      if (round <= (this.#removedUpTo.get(group) ?? 0)) return;
      const base = this.#used(group, scope);
      shares.set(scope, { since: round, base, round, allowed: null, isCounted: false });
    } else if (round >= share.round) {
      share.round = round;
      if (share.isCounted) share.allowed = lower(order.ceilings, share.allowed);
    }
  }

  counted(group: GroupId, { scope, since, base }: CommandOf<'quotaCounted'>): void {
    const share = this.#of(group).get(scope);
    if (share === undefined || share.since !== since || share.isCounted) return;
    if (base.join(' ') !== share.base.join(' ')) {
      const what = `group ${group} counted ${base.join(' ')} of ${scope}, there was ${share.base.join(' ')}`;
      throw new SimViolation('what was there is counted', what);
    }
    share.isCounted = true;
  }

  /** Whether all of them have room, in their order; `isDone`: whether an operation does anything at all. */
  hasRoomForEach(group: GroupId, ops: readonly TxnOp[], isDone: (i: number) => boolean): boolean {
    for (const [scope, share] of this.#of(group)) {
      const written = new Map<string, number | null>();
      let growth: Amounts = NOTHING;
      for (const [i, op] of ops.entries()) {
        if ((op.type !== 'put' && op.type !== 'delete') || !isOf(scope, op.ref)) continue;
        const { key } = op.ref;
        const stored = this.#facts.at(op.ref);
        const earlier = written.get(key);
        if (earlier === undefined && !isDone(i)) continue;
        const before = earlier === undefined ? (stored?.bytes ?? null) : earlier;
        const after = op.type === 'put' ? op.value.length : null;
        const own = change(op.ref, before, after);
        growth = addAmounts(growth, own);
        written.set(key, after);
        if (!this.#fits(group, scope, share, growth, own)) return false;
      }
    }
    return true;
  }

  /** Whether a branch has room as a whole; of several, the larger one in each kind. `isEnd`: which deletions do anything. */
  hasRoom(
    group: GroupId,
    branches: readonly (readonly TxnOp[])[],
    isEnd: (key: ModelKey) => boolean,
  ): boolean {
    for (const [scope, share] of this.#of(group)) {
      const growth = this.#larger(scope, branches, isEnd);
      if (!this.#fits(group, scope, share, growth, growth)) return false;
    }
    return true;
  }

  #larger(
    scope: string,
    branches: readonly (readonly TxnOp[])[],
    isEnd: (key: ModelKey) => boolean,
  ): Amounts {
    const all = branches.map((ops) => {
      let growth: Amounts = NOTHING;
      for (const op of ops) {
        if ((op.type !== 'put' && op.type !== 'delete') || !isOf(scope, op.ref)) continue;
        const stored = this.#facts.at(op.ref);
        if (op.type === 'put') {
          growth = addAmounts(growth, change(op.ref, stored?.bytes ?? null, op.value.length));
        } else if (stored !== null && isEnd(stored)) {
          growth = addAmounts(growth, change(op.ref, stored.bytes, null));
        }
      }
      return growth;
    });
    if (all.length === 1) return all[0] as Amounts;
    return NOTHING.map((_, kind) => Math.max(0, ...all.map((growth) => growth[kind] as number)));
  }

  /** `own`: what is judged, with which there are `growth` more. */
  #fits(
    group: GroupId,
    scope: string,
    { allowed }: ShareModel,
    growth: Amounts,
    own: Amounts,
  ): boolean {
    if (allowed === null) return true;
    let sum = addAmounts(this.#used(group, scope), growth);
    for (const branches of this.#facts.prepared(group)) {
      const held = this.#larger(scope, [...branches, []], ({ expires }) => !expires);
      sum = addAmounts(sum, held);
    }
    return allowed.every((bound, kind) => {
      return bound === null || (own[kind] as number) <= 0 || (sum[kind] as number) <= bound;
    });
  }

  #used(group: GroupId, scope: string): Amounts {
    let used: Amounts = NOTHING;
    for (const { ref, bytes } of this.#facts.keys(group)) {
      if (isOf(scope, ref)) used = addAmounts(used, change(ref, null, bytes));
    }
    return used;
  }

  #of(group: GroupId): Map<string, ShareModel> {
    const known = this.#shares.get(group) ?? new Map<string, ShareModel>();
    this.#shares.set(group, known);
    return known;
  }
}

function lower(ceilings: Bounds, before: Bounds | null): Bounds {
  return ceilings.map((ceiling, kind) => {
    const known = before?.[kind] ?? null;
    if (ceiling === null || known === null) return ceiling ?? known;
    return Math.min(ceiling, known);
  });
}

const PARSED = new Map<string, ReturnType<typeof parseQuotaScope>>();

function isOf(scope: string, { tenant, space, key }: KeyRef): boolean {
  const parsed = PARSED.get(scope) ?? parseQuotaScope(scope);
  PARSED.set(scope, parsed);
  if (parsed?.kind !== 'prefix' || space !== KV_SPACE) return false;
  return tenant === parsed.tenant && key.startsWith(parsed.prefix);
}

function change({ key }: KeyRef, before: number | null, after: number | null): Amounts {
  const bytesOf = (bytes: number | null): number => (bytes === null ? 0 : key.length + bytes);
  return [bytesOf(after) - bytesOf(before), Number(after !== null) - Number(before !== null), 0];
}
