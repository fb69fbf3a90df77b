import { assertNever } from '../../protocol/assert.ts';
import { staleAttachment } from '../../protocol/attachment.ts';
import type { TxnOutcome, TxnVote, YesVote } from '../../protocol/messages/txn.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import { ABORTED, type TxnBody, type TxnFate } from '../../protocol/txn.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { firstFailed } from './outcome.ts';

/**
 * One attempt of a transaction over several groups, as its coordinator sees it: two-phase commit with
 * presumed abort. Pure: `coordinate` says what follows from an event, the host does it.
 *
 *   P1  A commit is proposed only when every participant has voted yes, at the highest of their revisions.
 *   P2  Nobody is told of a commit before the decision is applied in the home group.
 *   P3  Whoever may have locks is told of the end until it confirms; a commit is forgotten only then.
 *   P4  A commit that attaches keys to leases is at or below every promise about them.
 */
export interface Attempt {
  readonly body: TxnBody;
  readonly groups: readonly GroupId[];
  /** Its outcome is remembered under an idempotency key, also that of a failed compare. */
  readonly remembered: boolean;
  /** `refusing`: aborting, and the reason is on its way into the home group's log. */
  readonly phase: 'preparing' | 'deciding' | 'committed' | 'refusing' | 'aborting' | 'over';
  readonly votes: ReadonlyMap<GroupId, YesVote>;
  /** Groups that were asked to prepare and have not answered. */
  readonly asked: ReadonlySet<GroupId>;
  /** Groups that may hold locks and do not know the end. */
  readonly unresolved: ReadonlySet<GroupId>;
  readonly fate: TxnFate;
  readonly failed: CompareFailed | null;
}

export type AttemptEvent =
  | { readonly type: 'voted'; readonly group: GroupId; readonly vote: TxnVote }
  /** No answer in time: it may have prepared. */
  | { readonly type: 'unanswered'; readonly group: GroupId }
  | { readonly type: 'expired' }
  /** The home group has applied a decision. `outcome`: an earlier attempt of the same request was answered so. */
  | { readonly type: 'decided'; readonly fate: TxnFate; readonly outcome: TxnOutcome | null }
  | { readonly type: 'mismatched' }
  /** The decision is certainly not in the log, or nobody can tell. */
  | { readonly type: 'undecided'; readonly definite: boolean }
  /** What was to be decided is more than may be answered or logged: it is not. */
  | { readonly type: 'tooLarge' }
  | { readonly type: 'resolved'; readonly group: GroupId };

/** What the attempt came to, for whoever asked. */
export type Verdict =
  | { readonly type: 'committed'; readonly fate: TxnFate; readonly votes: Attempt['votes'] }
  | { readonly type: 'answered'; readonly outcome: TxnOutcome }
  | { readonly type: 'compareFailed'; readonly at: number; readonly revision: Revision }
  | { readonly type: 'wrongShard'; readonly epoch: number }
  /** 0: a lease is not there; else a promise about one does not reach to this revision. */
  | { readonly type: 'leaseStale'; readonly revision: Revision }
  | {
      readonly type:
        | 'conflict'
        | 'tooLarge'
        | 'unavailable'
        | 'expired'
        | 'mismatched'
        | 'notLeader'
        | 'unknown';
    };

export type AttemptEffect =
  | { readonly type: 'decide'; readonly fate: TxnFate; readonly failed: CompareFailed | null }
  | { readonly type: 'tell'; readonly verdict: Verdict }
  | { readonly type: 'resolve'; readonly group: GroupId; readonly fate: TxnFate }
  /** Every participant knows of the commit. */
  | { readonly type: 'forget' };

type CompareFailed = Extract<Verdict, { type: 'compareFailed' }>;

export interface Step {
  readonly attempt: Attempt;
  readonly effects: readonly AttemptEffect[];
}

/** Every group has been asked to prepare; `home` is one of them. */
export function beginAttempt(
  body: TxnBody,
  groups: readonly GroupId[],
  remembered: boolean,
): Attempt {
  return {
    ...{ body, groups, remembered, phase: 'preparing', votes: new Map(), asked: new Set(groups) },
    ...{ unresolved: new Set<GroupId>(), fate: ABORTED, failed: null },
  };
}

export function coordinate(attempt: Attempt, event: AttemptEvent, home: GroupId): Step {
  switch (event.type) {
    case 'voted':
      return voted(attempt, event.group, event.vote);
    case 'unanswered':
      return unanswered(attempt, event.group);
    case 'expired':
      return attempt.phase === 'preparing' ? abort(attempt, { type: 'expired' }) : stay(attempt);
    case 'decided':
      return decided(attempt, event.fate, event.outcome, home);
    case 'mismatched':
      return abort({ ...without(attempt, home), phase: 'deciding' }, { type: 'mismatched' });
    case 'undecided':
      return undecided(attempt, event.definite);
    case 'tooLarge':
      return abort(attempt, { type: 'tooLarge' });
    case 'resolved':
      return settle(without(attempt, event.group), []);
    default:
      return assertNever(event);
  }
}

function stay(attempt: Attempt): Step {
  return { attempt, effects: [] };
}

function voted(before: Attempt, group: GroupId, vote: TxnVote): Step {
  if (!before.asked.has(group)) return stay(before);
  const asked = new Set(before.asked);
  asked.delete(group);
  const holds = vote.type === 'yes' || vote.type === 'tooLarge';
  const unresolved = holds ? new Set(before.unresolved).add(group) : before.unresolved;
  const attempt: Attempt = { ...before, asked, unresolved };
  if (isAborting(attempt)) {
    const effects: AttemptEffect[] = holds ? [{ type: 'resolve', group, fate: ABORTED }] : [];
    return settle(attempt, effects);
  }
  switch (vote.type) {
    case 'yes': {
      const votes = new Map(attempt.votes).set(group, vote);
      const counted: Attempt = { ...attempt, votes };
      return asked.size > 0 ? stay(counted) : allVoted(counted);
    }
    case 'compareFailed':
      return abort(attempt, { type: 'compareFailed', at: vote.at, revision: vote.revision });
    case 'wrongShard':
      return abort(attempt, { type: 'wrongShard', epoch: vote.epoch });
    case 'tooLarge':
      return abort(attempt, { type: 'tooLarge' });
    case 'conflict':
    case 'over':
      return abort(attempt, { type: 'conflict' });
    default:
      return assertNever(vote);
  }
}

/** P1, P4. A key that a vote counts on must not have expired by the commit revision: then it is done again. */
function allVoted(attempt: Attempt): Step {
  let commitRevision = 0;
  let validUntilMs = Number.POSITIVE_INFINITY;
  for (const vote of attempt.votes.values()) {
    commitRevision = Math.max(commitRevision, vote.revision);
    validUntilMs = Math.min(validUntilMs, vote.validUntilMs ?? Number.POSITIVE_INFINITY);
  }
  if (wallMsOfRevision(commitRevision) >= validUntilMs) return abort(attempt, { type: 'conflict' });
  const fate = { commitRevision, succeeded: firstFailed(attempt.votes) === null };
  const ops = fate.succeeded ? attempt.body.then : (attempt.body.otherwise ?? []);
  const stale = staleAttachment(ops, commitRevision);
  if (stale !== null) return abort(attempt, { type: 'leaseStale', revision: stale });
  const deciding: Attempt = { ...attempt, phase: 'deciding', fate };
  return { attempt: deciding, effects: [{ type: 'decide', fate, failed: null }] };
}

function unanswered(before: Attempt, group: GroupId): Step {
  if (!before.asked.has(group)) return stay(before);
  const asked = new Set(before.asked);
  asked.delete(group);
  const unresolved = new Set(before.unresolved).add(group);
  const attempt: Attempt = { ...before, asked, unresolved };
  if (!isAborting(attempt)) return abort(attempt, { type: 'unavailable' });
  return settle(attempt, [{ type: 'resolve', group, fate: ABORTED }]);
}

/** A failed compare that is to be remembered is decided in the log before anybody hears of it. */
function abort(attempt: Attempt, verdict: Verdict): Step {
  if (verdict.type === 'compareFailed' && attempt.remembered) {
    const refusing: Attempt = { ...attempt, phase: 'refusing', fate: ABORTED, failed: verdict };
    const decide: AttemptEffect = { type: 'decide', fate: ABORTED, failed: verdict };
    return { attempt: refusing, effects: [decide, ...resolves(refusing)] };
  }
  const aborting: Attempt = { ...attempt, phase: 'aborting', fate: ABORTED };
  return settle(aborting, [{ type: 'tell', verdict }, ...resolves(aborting)]);
}

function isAborting({ phase }: Attempt): boolean {
  return phase === 'aborting' || phase === 'refusing';
}

function resolves({ unresolved, fate }: Attempt): AttemptEffect[] {
  return [...unresolved].map((group) => ({ type: 'resolve', group, fate }));
}

/** P2, P3: the home group has done its own part with the decision. */
function decided(before: Attempt, fate: TxnFate, outcome: TxnOutcome | null, home: GroupId): Step {
  const attempt = without(before, home);
  if (attempt.phase === 'refusing' && attempt.failed !== null) {
    const verdict: Verdict = outcome === null ? attempt.failed : { type: 'answered', outcome };
    return settle({ ...attempt, phase: 'aborting' }, [{ type: 'tell', verdict }]);
  }
  if (attempt.phase !== 'deciding') return stay(attempt);
  if (fate.commitRevision === 0) {
    return abort(attempt, outcome === null ? { type: 'conflict' } : { type: 'answered', outcome });
  }
  const committed: Attempt = { ...attempt, phase: 'committed', fate };
  const verdict: Verdict = { type: 'committed', fate, votes: attempt.votes };
  return settle(committed, [{ type: 'tell', verdict }, ...resolves(committed)]);
}

/** The participants find out by themselves: they ask the home group. */
function undecided(attempt: Attempt, definite: boolean): Step {
  const verdict: Verdict = { type: definite ? 'notLeader' : 'unknown' };
  return { attempt: { ...attempt, phase: 'over' }, effects: [{ type: 'tell', verdict }] };
}

function without(attempt: Attempt, group: GroupId): Attempt {
  const unresolved = new Set(attempt.unresolved);
  unresolved.delete(group);
  return { ...attempt, unresolved };
}

/** Over when nobody is left who may hold a lock. */
function settle(attempt: Attempt, effects: readonly AttemptEffect[]): Step {
  const isOver =
    (attempt.phase === 'committed' || attempt.phase === 'aborting') &&
    attempt.asked.size + attempt.unresolved.size === 0;
  if (!isOver) return { attempt, effects };
  const last: AttemptEffect[] = attempt.phase === 'committed' ? [{ type: 'forget' }] : [];
  return { attempt: { ...attempt, phase: 'over' }, effects: [...effects, ...last] };
}

/** How it ends, as far as its coordinator knows; null while that is open. */
export function fateInMemory(attempt: Attempt): TxnFate | null {
  return attempt.phase === 'committed' || isAborting(attempt) ? attempt.fate : null;
}
