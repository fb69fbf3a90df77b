import type { IndexDefinition } from '../../protocol/indexes.ts';
import type { Item, TxnRefusal } from '../../protocol/messages/txn.ts';
import type { TxnBody, TxnOp, TxnPart } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import type { GroupIndexes } from '../apply/index-codec.ts';
import { branchOf } from '../apply/txn-eval.ts';
import type { Calls } from '../router/calls.ts';
import type { ShardMap } from '../router/shard-map.ts';
import type { Verdict } from './attempt.ts';
import { type Clash, endsEntry, holderRef, refusedClaim } from './claims.ts';

/** What a coordinator does when a participant could not do an operation. */
export type RefusalStep =
  | { readonly type: 'tell'; readonly refusal: TxnRefusal }
  | { readonly type: 'again' }
  /** The transaction itself ends the holder's entry. */
  | { readonly type: 'takeOver'; readonly reservation: string; readonly holder: string }
  /** Whether the holder still has the entry decides. */
  | {
      readonly type: 'look';
      readonly reservation: string;
      readonly holder: KeyRef;
      readonly definition: IndexDefinition;
      readonly clash: Clash;
    };

/** `asked` is the client's body, `body` the same with its claims. Pure. */
export function afterRefusal(
  indexes: GroupIndexes,
  asked: TxnBody,
  body: TxnBody,
  parts: ReadonlyMap<GroupId, TxnPart>,
  { succeeded, refusal }: Extract<Verdict, { type: 'refused' }>,
): RefusalStep {
  const part = parts.get(refusal.group) as TxnPart;
  const at = (succeeded ? part.thenAt : part.otherwiseAt)[refusal.at] as number;
  const ops = branchOf(body, succeeded);
  const op = ops[at] as TxnOp;
  if (op.type !== 'claim' || refusal.holder === null) {
    // A holder that was to be as it had been seen: everything is looked at again.
    if (at >= branchOf(asked, succeeded).length) return { type: 'again' };
    const { revision } = refusal;
    return { type: 'tell', refusal: { type: 'operation', at, revision } };
  }
  const found = refusedClaim(indexes, op, refusal.holder);
  if (found === null) return { type: 'again' };
  const { definition, key, duplicate } = found;
  const reservation = tripleOf(op.ref);
  const holder = holderRef(definition, duplicate.holder);
  if (endsEntry(ops, holder)) return { type: 'takeOver', reservation, holder: duplicate.holder };
  return { type: 'look', reservation, holder, definition, clash: { key, duplicate } };
}

/** A linearizable read of one key, in whichever group it is. Rejects with AppErrors. */
export async function readKey(
  reach: { readonly calls: Calls; map(): ShardMap },
  ref: KeyRef,
  deadlineMs: number,
  traceparent: string | null,
): Promise<Item | null> {
  const { epoch, groups } = reach.map();
  const at = { epoch, keys: [ref], revision: null, stale: false };
  const options = { deadlineMs, traceparent, target: 'leader', repeatable: true } as const;
  const group = groups[vshardOf(ref)] as GroupId;
  const { items } = await reach.calls.call(
    group,
    { type: 'Read' as const, ...at },
    'Items',
    options,
  );
  return items[0] ?? null;
}
