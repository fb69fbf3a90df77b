import type { ReplyBody } from '../../protocol/messages/request.ts';
import type { TxnOutcome } from '../../protocol/messages/txn.ts';
import { noRoom } from '../quota/room.ts';
import { notLeader, type ReplicaContext, rejected, waited } from '../replica/context.ts';
import type { Verdict } from './attempt.ts';

/** What whoever asked for a transaction hears of it. */

/** A verdict that is an answer; the others are followed by something. */
export type LastVerdict = Exclude<
  Verdict,
  { type: 'committed' | 'refused' | 'leaseStale' | 'conflict' | 'silent' }
>;

export function answerTo(context: ReplicaContext, verdict: LastVerdict): ReplyBody {
  switch (verdict.type) {
    case 'answered':
      return doneReply(context, verdict.outcome, true);
    case 'compareFailed': {
      const { at: failedCompare, revision } = verdict;
      return doneReply(context, { succeeded: false, failedCompare, revision, results: [] }, false);
    }
    case 'wrongShard':
      return rejected('wrong_shard', 'the shard map has changed', { hint: verdict.epoch });
    case 'tooLarge':
      return rejected('too_large', 'the transaction reads or removes more than it may');
    case 'noRoom':
      return noRoom(verdict.scope);
    case 'unavailable':
      return rejected('unavailable', 'a group could not be asked for its vote');
    case 'mismatched':
      return MISMATCH;
    case 'notLeader':
      return notLeader(context);
    case 'unknown':
      return rejected('outcome_unknown', 'the replica lost track of the decision');
  }
}

export function doneReply(
  { clock }: ReplicaContext,
  outcome: TxnOutcome,
  repeated: boolean,
): ReplyBody {
  return { type: 'TxnDone', outcome, clock: clock.clock, repeated };
}

export const MISMATCH = rejected(
  'idempotency_mismatch',
  'the idempotency key was used for another request',
);
export const CONFLICT = waited('conflict', 'other transactions were in the way');
export const SILENT = waited('deadline_exceeded', 'not every group has voted in time');
