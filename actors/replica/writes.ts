import type { Command, OpResult } from '../../protocol/commands.ts';
import type { ReplyBody, RequestOf } from '../../protocol/messages/request.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import type { DiskView } from '../../storage/ports.ts';
import { recallRequest } from '../apply/idempotency.ts';
import { currentKeyOf } from '../apply/read.ts';
import { isLocked, shortOfWrite } from '../apply/write.ts';
import { noRoom, type RoomEnd } from '../quota/room.ts';
import { type ClaimedWriteParts, needsClaims, writeClaimed } from '../txn/claimed-writes.ts';
import type { Transactions } from '../txn/transactions.ts';
import type { Closer } from './closer.ts';
import {
  notApplied,
  notLeader,
  type ProposalOutcome,
  type ReplicaContext,
  type Reply,
  rejected,
  trustedWallMs,
  waited,
} from './context.ts';
import type { LockWaits } from './lock-waits.ts';
import type { WriteSpans } from './write-spans.ts';

/** What a write needs beside its request. */
export interface WriteParts {
  readonly context: ReplicaContext;
  readonly spans: WriteSpans;
  readonly waits: LockWaits;
  readonly closer: Closer;
  readonly txns: Transactions;
}

/**
 * Proposes a write request as one entry; op i gets revision `revision + i`. A write of a key that a
 * prepared transaction has locked waits for its end, until `endMs` (monotonic).
 */
export function handleWrite(
  parts: WriteParts,
  request: RequestOf<'Write'>,
  traceparent: string | null,
  endMs: number,
  reply: Reply,
  isLast = false,
): void {
  const { context, spans } = parts;
  if (!context.isLeader() || context.state.epoch === 0) return reply(notLeader(context));
  if (!context.clockTrusted()) {
    return reply(rejected('clock_skew', 'this leader has no trusted clock and hands over'));
  }
  const refusal = roomRefusal(context);
  if (refusal !== null) return reply(refusal);
  if (request.ops.length === 0) return reply(rejected('invalid_argument', 'nothing to write'));
  const { state } = context;
  if (state.indexes.unique.length > 0 && needsClaims(state, request)) {
    return writeClaimed(claimedParts(parts, request, traceparent, endMs), request, reply);
  }
  const again = () => handleWrite(parts, request, traceparent, endMs, reply, isLast);
  const giveUp = () => reply(waited('conflict', 'a transaction or a snapshot was in the way'));
  const makeRoom = (short: readonly Shortage[] | null): void => {
    if (short === null) return again();
    const isOne = request.ops.length === 1;
    const retry = (answer: Reply, last: boolean) =>
      handleWrite(parts, request, traceparent, endMs, answer, last);
    const end: RoomEnd = {
      again: (answer) => retry(answer, false),
      none: (scope, answer) => (isOne ? answer(noRoom(scope)) : retry(answer, true)),
    };
    parts.txns.room.make(short, endMs, reply, end, !isOne);
  };
  if (state.txns.size > 0 && isLocked(state, request.ops)) {
    return parts.waits.wait(endMs, again, giveUp);
  }
  if (parts.closer.gate.isClosed) return parts.closer.gate.wait(endMs, again, giveUp);
  if (state.quotas.size > 0 && !isLast) {
    const short = shortOf(context, request);
    if (short !== null) return makeRoom(short);
  }
  // The disk has the time until the entry is committed to read what the write replaces.
  if (state.isCold) for (const op of request.ops) state.warm(currentKeyOf(state, op.ref), null);
  const revision = context.clock.assign(request.ops.length, trustedWallMs(context));
  const span = spans.propose(traceparent);
  const command: Command = {
    type: 'write',
    revision,
    epoch: request.epoch,
    ops: request.ops,
    idempotency: request.idempotency,
    traceparent: span?.traceparent ?? traceparent,
    isLast: isLast ? true : null,
  };
  context.propose(command, (outcome) => {
    span?.end(outcome.type === 'applied' ? undefined : outcome.type);
    if (outcome.type === 'applied') {
      const { rejection } = outcome.applied;
      if (rejection === 'locked') return parts.waits.wait(endMs, again, giveUp);
      // What came before it in the log made it begin an entry, or defined the index.
      if (rejection === 'unclaimed') return again();
      if (rejection === 'no_room') return makeRoom(shortOf(context, request));
    }
    reply(written(context, outcome));
  });
}

function claimedParts(
  parts: WriteParts,
  { epoch }: RequestOf<'Write'>,
  traceparent: string | null,
  endMs: number,
): ClaimedWriteParts {
  return {
    context: parts.context,
    transact: (body, idempotency, reply) =>
      parts.txns.transact({ type: 'Txn', epoch, body, idempotency }, traceparent, endMs, reply),
    write: (ops, idempotency, reply) =>
      handleWrite(parts, { type: 'Write', epoch, ops, idempotency }, traceparent, endMs, reply),
  };
}

/** Quotas that have no room for it here; null where they have, or where it has been done before. */
function shortOf(
  { state }: ReplicaContext,
  { ops, idempotency }: RequestOf<'Write'>,
): Shortage[] | null {
  const short = shortOfWrite(state, ops, state.clock);
  if (short === null || idempotency === null) return short;
  const { ref } = ops[0] as (typeof ops)[number];
  const known = recallRequest(
    state,
    idempotency,
    vshardOf(ref),
    ref.tenant,
    state.clock,
    ops.length,
  );
  return known === null ? short : null;
}

/** Why a leader has no room for what clients write just now; null where it has. */
export function roomRefusal(context: ReplicaContext): ReplyBody | null {
  const refusal = diskRefusal(context.ports.storage.health);
  if (refusal !== null || !context.isBehind()) return refusal;
  return rejected('overloaded', `the state of group ${context.group} is far behind its log`);
}

/** Writes are refused while there is still room for what Raft itself has to write. */
export function diskRefusal(health: DiskView): ReplyBody | null {
  if (!health.refusesWrites()) return null;
  if (health.trouble() === 'full') {
    return rejected('storage_full', "the leader's disk is full: free some space, or add a node");
  }
  return rejected('unavailable', `the leader's disk cannot be written: ${health.trouble()}`);
}

function written(context: ReplicaContext, outcome: ProposalOutcome): ReplyBody {
  if (outcome.type !== 'applied') return notApplied(context, outcome);
  const { applied } = outcome;
  if (applied.rejection !== null) {
    return rejected('idempotency_mismatch', 'the idempotency key was used for another request');
  }
  const results = applied.results as OpResult[];
  return { type: 'Written', results, clock: applied.clock, repeated: applied.repeated };
}
