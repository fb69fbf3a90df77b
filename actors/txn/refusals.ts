import { AppError } from '../../protocol/errors.ts';
import type { IndexDefinition } from '../../protocol/indexes.ts';
import type { RequestOf } from '../../protocol/messages/request.ts';
import type { Item, TxnRefusal } from '../../protocol/messages/txn.ts';
import { ABORTED, anchorOf, type TxnBody, type TxnOp, type TxnPart } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import type { GroupIndexes } from '../apply/index-codec.ts';
import { branchOf } from '../apply/txn-eval.ts';
import { isOfBucket } from '../apply/txn-objects.ts';
import { encodeOutcome, refusedWith } from '../apply/txn-outcome.ts';
import {
  notApplied,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
} from '../replica/context.ts';
import type { Calls } from '../router/calls.ts';
import type { ShardMap } from '../router/shard-map.ts';
import { doneReply, MISMATCH } from './answers.ts';
import type { Verdict } from './attempt.ts';
import { type Clash, endsEntry, holderRef, refusedClaim } from './claims.ts';
import { leaderRefusal } from './participant.ts';

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
  if (refusal.object !== null) {
    return { type: 'tell', refusal: { type: 'object', at, result: refusal.object } };
  }
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

/**
 * Tells a refusal. With an idempotency key the home group's log has it first, in an entry under an id of its own that
 * aborts nothing: then no other attempt of the request can commit any more (P6). One that was answered before stands.
 */
export function refuse(
  context: ReplicaContext,
  term: number,
  { idempotency, body }: RequestOf<'Txn'>,
  refused: TxnRefusal,
  reply: Reply,
): void {
  const outcome = refusedWith(refused);
  // X4: the same request comes again, and may be done then.
  const isOpen = refused.type === 'object' && isOfBucket(refused.result);
  if (idempotency === null || isOpen) return reply(doneReply(context, outcome, false));
  const refusal = leaderRefusal(context);
  if (refusal !== null) return reply(refusal);
  const start = context.clock.assign(1, trustedWallMs(context));
  const id = { home: context.group, term, start };
  const request = { idempotency, anchor: anchorOf(body), outcome: encodeOutcome(outcome) };
  const rest = { participants: [], request, removed: [] };
  context.propose({ type: 'txnDecide', id, fate: ABORTED, ...rest }, (end) => {
    if (end.type !== 'applied') return reply(notApplied(context, end));
    const { rejection, txn } = end.applied;
    if (rejection !== null) return reply(MISMATCH);
    const earlier = txn?.type === 'ended' ? txn.outcome : null;
    reply(doneReply(context, earlier ?? outcome, earlier !== null));
  });
}

interface Reach {
  readonly calls: Calls;
  map(): ShardMap;
}

/** Reads one key, linearizably and in whichever group it is; what cannot be read is told to who asked. */
export function look(
  { ports }: ReplicaContext,
  reach: Reach | null,
  asked: { readonly endMs: number; readonly traceparent: string | null; readonly reply: Reply },
  ref: KeyRef,
  use: (item: Item | null) => void,
): void {
  const { endMs, traceparent, reply } = asked;
  if (reach === null) return reply(rejected('unavailable', 'this node has just started'));
  const deadlineMs = endMs - ports.clock.monotonicMs();
  readKey(reach, ref, deadlineMs, traceparent).then(use, (error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    reply(rejected('unavailable', 'the key with the same value could not be read'));
  });
}

async function readKey(
  reach: Reach,
  ref: KeyRef,
  deadlineMs: number,
  traceparent: string | null,
): Promise<Item | null> {
  const { epoch, groups } = reach.map();
  const at = { epoch, keys: [ref], revision: null, stale: false };
  const options = { deadlineMs, traceparent, target: 'leader', repeatable: true } as const;
  const group = groups[vshardOf(ref)] as GroupId;
  const request = { type: 'Read', ...at } as const;
  const { items } = await reach.calls.call(group, request, 'Items', options);
  return items[0] ?? null;
}
