import { assertNever } from '../../protocol/assert.ts';
import { staleAttachment } from '../../protocol/attachment.ts';
import type { TxnOutcome, TxnVote, YesVote } from '../../protocol/messages/txn.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { ABORTED, type TxnBody, type TxnFate } from '../../protocol/txn.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { type Ballot, firstFailed, firstRefused, type RefusedAt } from './outcome.ts';

/**
 * One attempt of a transaction over several groups, as its coordinator sees it: two-phase commit with
 * presumed abort. Pure: `coordinate` says what follows from an event, the host does it.
 *
 *   P1  A commit is proposed only when every group that prepares has voted yes: at the highest of their revisions, or
 *       above them where the home group's part is done with the decision.
 *   P2  Nobody is told of a commit before the decision is applied in the home group.
 *   P3  A commit is told to every participant until it confirms, and forgotten only then. An abort is told
 *       once to each that is known to hold locks, and kept by nobody: whoever does not hear of it asks.
 *   P4  A commit that attaches keys to leases is at or below every promise about them.
 *   P5  Nobody holds locks while a group is waited for that was silent before: that one votes first.
 *   P6  With an idempotency key a refusal is told only when the home group's log has it: another attempt of the
 *       same request, of a router that was not answered, may be on its way (done by the host).
 */
export interface Attempt {
  readonly body: TxnBody;
  /** Those that prepare. Without the home group among them its part is judged and done with the decision. */
  readonly groups: readonly GroupId[];
  /** Its outcome is remembered under an idempotency key, also that of a failed compare. */
  readonly remembered: boolean;
  /** `refusing`: aborting, and the reason is on its way into the home group's log. */
  readonly phase: 'preparing' | 'deciding' | 'refusing' | 'aborting' | 'over';
  readonly votes: readonly Ballot[];
  /** Groups that were asked to prepare and have not answered. */
  readonly asked: readonly GroupId[];
  /** Groups that are asked when those have voted. */
  readonly later: readonly GroupId[];
  /** Groups that have locked their part and do not know the end. */
  readonly holding: readonly GroupId[];
  readonly failed: CompareFailed | null;
}

export type AttemptEvent =
  | { readonly type: 'voted'; readonly group: GroupId; readonly vote: TxnVote }
  /** Refused, for a reason that asking again does not mend. */
  | { readonly type: 'unanswered'; readonly group: GroupId }
  /** Nobody can tell whether it has prepared. */
  | { readonly type: 'silent'; readonly group: GroupId }
  /** The time for voting is over. */
  | { readonly type: 'expired' }
  /** The home group has applied a decision. `outcome`: an earlier attempt of the same request was answered so. */
  | { readonly type: 'decided'; readonly fate: TxnFate; readonly outcome: TxnOutcome | null }
  /** The home group has committed it with its own part, of which this is the vote. */
  | {
      readonly type: 'committed';
      readonly fate: TxnFate;
      readonly home: GroupId;
      readonly vote: YesVote;
    }
  /** The home group has something against its part, or could not be asked in time. */
  | { readonly type: 'refused'; readonly verdict: Verdict }
  | { readonly type: 'mismatched' }
  /** The decision is certainly not in the log, or nobody can tell. */
  | { readonly type: 'undecided'; readonly definite: boolean }
  /** What was to be decided is more than may be answered or logged: it is not. */
  | { readonly type: 'tooLarge' };

/** What the attempt came to, for whoever asked. */
export type Verdict =
  | { readonly type: 'committed'; readonly fate: TxnFate; readonly votes: Attempt['votes'] }
  | { readonly type: 'answered'; readonly outcome: TxnOutcome }
  | { readonly type: 'compareFailed'; readonly at: number; readonly revision: Revision }
  | { readonly type: 'wrongShard'; readonly epoch: number }
  /** 0: a lease is not there; else a promise about one does not reach to this revision. */
  | { readonly type: 'leaseStale'; readonly revision: Revision }
  /** An operation of the branch that was to be done. */
  | { readonly type: 'refused'; readonly succeeded: boolean; readonly refusal: RefusedAt }
  /** In the quota of this scope. */
  | { readonly type: 'noRoom'; readonly scope: string }
  /** To be tried again. */
  | { readonly type: 'conflict' }
  | { readonly type: 'silent' }
  | { readonly type: 'tooLarge' | 'unavailable' | 'mismatched' | 'notLeader' | 'unknown' };

export type AttemptEffect =
  | { readonly type: 'prepare'; readonly groups: readonly GroupId[] }
  | { readonly type: 'decide'; readonly fate: TxnFate; readonly failed: CompareFailed | null }
  /**
   * The home group does its part with the decision, at a revision above `above` and before the wall time
   * `validUntilMs`. `failedCompare`: the first that does not hold in the other groups.
   */
  | {
      readonly type: 'commit';
      readonly above: Revision;
      readonly validUntilMs: number;
      readonly failedCompare: number | null;
    }
  | { readonly type: 'tell'; readonly verdict: Verdict }
  /** Told once. */
  | { readonly type: 'unlock'; readonly group: GroupId }
  /** The other groups are told until they have confirmed. */
  | { readonly type: 'announce'; readonly fate: TxnFate; readonly groups: readonly GroupId[] };

type CompareFailed = Extract<Verdict, { type: 'compareFailed' }>;

export interface Step {
  readonly attempt: Attempt;
  readonly effects: readonly AttemptEffect[];
}

const NOBODY: readonly GroupId[] = Object.freeze([]);
const NO_VOTES: readonly Ballot[] = Object.freeze([]);
const NOTHING: readonly AttemptEffect[] = Object.freeze([]);

/** `isSilent`: groups that did not answer of late. Begins with the prepares of the first groups. */
export function beginAttempt(
  body: TxnBody,
  groups: readonly GroupId[],
  remembered: boolean,
  isSilent: (group: GroupId) => boolean = () => false,
): Step {
  const silent = groups.some(isSilent) ? groups.filter(isSilent) : NOBODY;
  const first = silent.length > 0 ? silent : groups;
  const later = silent.length > 0 ? groups.filter((group) => !silent.includes(group)) : NOBODY;
  const attempt: Attempt = {
    body,
    groups,
    remembered,
    phase: 'preparing',
    votes: NO_VOTES,
    asked: first,
    later,
    holding: NOBODY,
    failed: null,
  };
  return { attempt, effects: [{ type: 'prepare', groups: first }] };
}

/** `home`: the group whose log the decision is in. */
export function coordinate(attempt: Attempt, event: AttemptEvent, home: GroupId): Step {
  switch (event.type) {
    case 'voted':
      return voted(attempt, event.group, event.vote, home);
    case 'unanswered':
      return unanswered(attempt, event.group, 'unavailable');
    case 'silent':
      return unanswered(attempt, event.group, 'silent');
    case 'expired':
      return attempt.phase === 'preparing' ? abort(attempt, { type: 'silent' }) : stay(attempt);
    case 'decided':
      return decided(attempt, event.fate, event.outcome, home);
    case 'committed':
      return committed(
        attempt,
        event.fate,
        withOne(attempt.votes, { group: event.home, vote: event.vote }),
      );
    case 'refused':
      return abort(attempt, event.verdict);
    case 'mismatched':
      return abort({ ...notHolding(attempt, home), phase: 'deciding' }, { type: 'mismatched' });
    case 'undecided':
      return undecided(attempt, event.definite);
    case 'tooLarge':
      return abort(attempt, { type: 'tooLarge' });
    default:
      return assertNever(event);
  }
}

function stay(attempt: Attempt): Step {
  return { attempt, effects: NOTHING };
}

function voted(before: Attempt, group: GroupId, vote: TxnVote, home: GroupId): Step {
  if (!before.asked.includes(group)) return stay(before);
  const asked = without(before.asked, group);
  const holds = vote.type === 'yes' || vote.type === 'tooLarge';
  if (isAborting(before)) {
    return settle({ ...before, asked }, holds ? [{ type: 'unlock', group }] : []);
  }
  const holding = holds ? withOne(before.holding, group) : before.holding;
  if (vote.type === 'yes') {
    const votes = withOne(before.votes, { group, vote });
    const attempt: Attempt = { ...before, asked, holding, votes };
    return asked.length > 0 ? stay(attempt) : nextVotes(attempt, home);
  }
  const attempt: Attempt = { ...before, asked, holding };
  switch (vote.type) {
    case 'compareFailed':
      return abort(attempt, { type: 'compareFailed', at: vote.at, revision: vote.revision });
    case 'wrongShard':
      return abort(attempt, { type: 'wrongShard', epoch: vote.epoch });
    case 'tooLarge':
      return abort(attempt, { type: 'tooLarge' });
    case 'noRoom':
      return abort(attempt, { type: 'noRoom', scope: vote.scope });
    case 'conflict':
    case 'over':
      return abort(attempt, { type: 'conflict' });
    default:
      return assertNever(vote);
  }
}

/** P5 */
function nextVotes(attempt: Attempt, home: GroupId): Step {
  const { later } = attempt;
  if (later.length === 0) return allVoted(attempt, home);
  const next: Attempt = { ...attempt, asked: later, later: NOBODY };
  return { attempt: next, effects: [{ type: 'prepare', groups: later }] };
}

/** P1, P4. A key that a vote counts on must not have expired by the commit revision: then it is done again. */
function allVoted(attempt: Attempt, home: GroupId): Step {
  let commitRevision = 0;
  let validUntilMs = Number.POSITIVE_INFINITY;
  for (const { vote } of attempt.votes) {
    commitRevision = Math.max(commitRevision, vote.revision);
    validUntilMs = Math.min(validUntilMs, vote.validUntilMs ?? Number.POSITIVE_INFINITY);
  }
  const failedCompare = firstFailed(attempt.votes);
  const deciding: Attempt = { ...attempt, phase: 'deciding' };
  if (!attempt.groups.includes(home)) {
    const commit = { type: 'commit', above: commitRevision, validUntilMs, failedCompare } as const;
    return { attempt: deciding, effects: [commit] };
  }
  if (wallMsOfRevision(commitRevision) >= validUntilMs) return abort(attempt, { type: 'conflict' });
  const succeeded = failedCompare === null;
  const refusal = firstRefused(attempt.votes, succeeded);
  if (refusal !== null) return abort(attempt, { type: 'refused', succeeded, refusal });
  const fate = { commitRevision, succeeded };
  const ops = succeeded ? attempt.body.then : (attempt.body.otherwise ?? []);
  const stale = staleAttachment(ops, commitRevision);
  if (stale !== null) return abort(attempt, { type: 'leaseStale', revision: stale });
  return { attempt: deciding, effects: [{ type: 'decide', fate, failed: null }] };
}

function unanswered(before: Attempt, group: GroupId, verdict: 'unavailable' | 'silent'): Step {
  if (!before.asked.includes(group)) return stay(before);
  const attempt: Attempt = { ...before, asked: without(before.asked, group) };
  return isAborting(attempt) ? settle(attempt, NOTHING) : abort(attempt, { type: verdict });
}

/** A failed compare that is to be remembered is decided in the log before anybody hears of it. */
function abort(before: Attempt, verdict: Verdict): Step {
  const unlocks = before.holding.map((group): AttemptEffect => ({ type: 'unlock', group }));
  const attempt: Attempt = { ...before, later: NOBODY, holding: NOBODY };
  if (verdict.type === 'compareFailed' && attempt.remembered) {
    const refusing: Attempt = { ...attempt, phase: 'refusing', failed: verdict };
    const decide: AttemptEffect = { type: 'decide', fate: ABORTED, failed: verdict };
    return { attempt: refusing, effects: [decide, ...unlocks] };
  }
  return settle({ ...attempt, phase: 'aborting' }, [{ type: 'tell', verdict }, ...unlocks]);
}

function isAborting({ phase }: Attempt): boolean {
  return phase === 'aborting' || phase === 'refusing';
}

/** P2, P3: the home group has done its own part with the decision. */
function decided(before: Attempt, fate: TxnFate, outcome: TxnOutcome | null, home: GroupId): Step {
  const attempt = notHolding(before, home);
  if (attempt.phase === 'refusing' && attempt.failed !== null) {
    const verdict: Verdict = outcome === null ? attempt.failed : { type: 'answered', outcome };
    return settle({ ...attempt, phase: 'aborting' }, [{ type: 'tell', verdict }]);
  }
  if (attempt.phase !== 'deciding') return stay(attempt);
  if (fate.commitRevision === 0) {
    return abort(attempt, outcome === null ? { type: 'conflict' } : { type: 'answered', outcome });
  }
  return committed(attempt, fate, attempt.votes);
}

/** P2, P3 */
function committed(attempt: Attempt, fate: TxnFate, votes: Attempt['votes']): Step {
  return over(attempt, [
    { type: 'tell', verdict: { type: 'committed', fate, votes } },
    { type: 'announce', fate, groups: attempt.holding },
  ]);
}

/** The participants find out by themselves: they ask the home group. */
function undecided(attempt: Attempt, definite: boolean): Step {
  const verdict: Verdict = { type: definite ? 'notLeader' : 'unknown' };
  return over(attempt, [{ type: 'tell', verdict }]);
}

function notHolding(attempt: Attempt, group: GroupId): Attempt {
  const { holding } = attempt;
  return holding.includes(group) ? { ...attempt, holding: without(holding, group) } : attempt;
}

/** The others, where `group` is one of them. Two groups are by far the most frequent. */
export function without(groups: readonly GroupId[], group: GroupId): GroupId[] {
  if (groups.length === 1) return [];
  if (groups.length > 2) return groups.filter((other) => other !== group);
  return [(groups[0] === group ? groups[1] : groups[0]) as GroupId];
}

/** Spread makes room for many more. */
function withOne<T>(list: readonly T[], item: T): readonly T[] {
  return list.length === 0 ? [item] : [...list, item];
}

/** An abort is over when no vote can come any more that somebody has locked its part. */
function settle(attempt: Attempt, effects: readonly AttemptEffect[]): Step {
  const isOver = attempt.phase === 'aborting' && attempt.asked.length === 0;
  return isOver ? over(attempt, effects) : { attempt, effects };
}

function over(attempt: Attempt, effects: readonly AttemptEffect[]): Step {
  return { attempt: { ...attempt, phase: 'over' }, effects };
}

/** How it ends, as far as its coordinator knows and the log does not say; null while that is open. */
export function fateInMemory(attempt: Attempt): TxnFate | null {
  return isAborting(attempt) ? ABORTED : null;
}

/** Whether its end is with the log, which says how it is decided. */
export function isInLog({ phase }: Attempt): boolean {
  return phase === 'deciding' || phase === 'refusing';
}
