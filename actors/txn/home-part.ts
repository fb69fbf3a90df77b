import type { YesVote } from '../../protocol/messages/txn.ts';
import { changesObjects, hasRange, type TxnBody } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { addsReservations } from '../apply/reservations.ts';
import { gotBytes } from '../apply/txn-eval.ts';
import type { ProposalOutcome } from '../replica/context.ts';
import { attachesAny } from '../router/lease-promises.ts';
import type { AttemptEvent } from './attempt.ts';
import type { Ballot } from './outcome.ts';

/** The part of a home group that does it with the decision (ADR 0032), and what comes of that. Pure. */

/**
 * Whether the home group prepares nothing. Not where something has to be known of its part before the decision:
 * the keys of a range, the outcome that an idempotency key remembers, the branch whose leases count, or whose claims, or
 * what its objects say.
 */
export function commitsAtHome(
  body: TxnBody,
  isRemembered: boolean,
  groups: readonly GroupId[],
): boolean {
  if (groups.length === 1 || isRemembered || changesObjects(body)) return false;
  return !hasRange(body) && !attachesAny(body) && !addsReservations(body);
}

/** What the reads of the groups that have voted take in the answer, about. */
export function readBytesOf(votes: readonly Ballot[]): {
  thenBytes: number;
  otherwiseBytes: number;
} {
  let thenBytes = 0;
  let otherwiseBytes = 0;
  for (const { vote } of votes) {
    thenBytes += gotBytes(vote.then);
    otherwiseBytes += gotBytes(vote.otherwise);
  }
  return { thenBytes, otherwiseBytes };
}

/** What became of the entry of a commit. */
export function committedEvent(end: ProposalOutcome, home: GroupId): AttemptEvent {
  if (end.type !== 'applied') return notDecided(end);
  const { txn, clock: revision } = end.applied;
  switch (txn?.type) {
    case 'committed': {
      const { fate, failedCompare, results } = txn;
      const [then, otherwise] = fate.succeeded ? [results, []] : [[], results];
      const word = { failedCompare, validUntilMs: null, then, otherwise };
      const vote: YesVote = { type: 'yes', revision: fate.commitRevision, ...word };
      return { type: 'committed', fate, home, vote };
    }
    case 'ended':
      return { type: 'decided', fate: txn.fate, outcome: null };
    case 'compareFailed':
      return { type: 'refused', verdict: { type: 'compareFailed', at: txn.at, revision } };
    case 'wrongShard':
    case 'leaseStale':
    case 'tooLarge':
      return { type: 'refused', verdict: txn };
    case 'conflict':
    case 'over':
    case 'unclaimed':
      return { type: 'refused', verdict: { type: 'conflict' } };
    default:
      return { type: 'undecided', definite: false };
  }
}

/** What became of the entry of a decision. */
export function decidedEvent(end: ProposalOutcome): AttemptEvent {
  if (end.type !== 'applied') return notDecided(end);
  const { rejection, txn } = end.applied;
  if (rejection === 'idempotency_mismatch') return { type: 'mismatched' };
  if (txn?.type !== 'ended') return { type: 'undecided', definite: false };
  return { type: 'decided', fate: txn.fate, outcome: txn.outcome };
}

/** The entry was refused, or nobody can tell. */
function notDecided(end: Exclude<ProposalOutcome, { type: 'applied' }>): AttemptEvent {
  if (end.type === 'unknown') return { type: 'undecided', definite: false };
  return end.reason === 'too_large' ? { type: 'tooLarge' } : { type: 'undecided', definite: true };
}
