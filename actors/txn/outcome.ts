import { assert } from '../../protocol/assert.ts';
import type { TxnOutcome, TxnResult, YesVote } from '../../protocol/messages/txn.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import type { TxnBody, TxnFate, TxnOp, TxnPart } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import { ofRevision } from '../apply/txn-objects.ts';

/** What a group has voted. */
export interface Ballot {
  readonly group: GroupId;
  readonly vote: YesVote;
}

/** The answer of a committed transaction, put together from what its participants voted. Pure. */
export function outcomeOf(
  body: TxnBody,
  parts: ReadonlyMap<GroupId, TxnPart>,
  votes: readonly Ballot[],
  fate: TxnFate,
): TxnOutcome {
  const { succeeded, commitRevision } = fate;
  const ops = succeeded ? body.then : (body.otherwise ?? []);
  const results = new Array<TxnResult | undefined>(ops.length).fill(undefined);
  assert(votes.length === parts.size, 'a transaction was committed without a vote');
  for (const { group, vote } of votes) {
    const part = parts.get(group) as TxnPart;
    const places = succeeded ? part.thenAt : part.otherwiseAt;
    const given = succeeded ? vote.then : vote.otherwise;
    for (let i = 0; i < places.length; i++) {
      const at = places[i] as number;
      results[at] = joined(ops[at] as TxnOp, results[at], given[i] as TxnResult, commitRevision);
    }
  }
  return {
    succeeded,
    failedCompare: firstFailed(votes),
    revision: commitRevision,
    results: results as TxnResult[],
  };
}

/** The least of the compares that failed anywhere. */
export function firstFailed(votes: readonly Ballot[]): number | null {
  let first: number | null = null;
  for (const { vote } of votes) {
    const { failedCompare } = vote;
    if (failedCompare !== null && (first === null || failedCompare < first)) first = failedCompare;
  }
  return first;
}

/** An operation that a participant cannot do, by its place in that participant's part. */
export interface RefusedAt {
  readonly group: GroupId;
  readonly at: number;
  readonly revision: number;
  readonly holder: string | null;
  /** What an object says, where the operation is on one. */
  readonly object: ObjectResult | null;
}

export function firstRefused(votes: readonly Ballot[], succeeded: boolean): RefusedAt | null {
  for (const { group, vote } of votes) {
    for (const [at, result] of (succeeded ? vote.then : vote.otherwise).entries()) {
      if (result.type === 'objectRefused') {
        return { group, at, revision: 0, holder: null, object: result.result };
      }
      if (result.type !== 'refused') continue;
      return { group, at, revision: result.revision, holder: result.holder, object: null };
    }
  }
  return null;
}

/** What the client asked for comes first in each branch; the rest is for unique indexes. */
export function clientsPart(outcome: TxnOutcome, { then, otherwise }: TxnBody): TxnOutcome {
  const count = (outcome.succeeded ? then : (otherwise ?? [])).length;
  if (outcome.results.length <= count) return outcome;
  return { ...outcome, results: outcome.results.slice(0, count) };
}

/** One group's result beside those of the groups before it. */
function joined(
  op: TxnOp,
  before: TxnResult | undefined,
  given: TxnResult,
  commitRevision: number,
): TxnResult {
  if (given.type === 'put' && given.createRevision === 0) {
    return { ...given, createRevision: commitRevision };
  }
  if (before === undefined) return ofRevision(given, commitRevision);
  if (before.type === 'deleted' && given.type === 'deleted') {
    return { type: 'deleted', count: before.count + given.count };
  }
  assert(before.type === 'page' && given.type === 'page', 'only ranges have many results');
  return mergedPage(op, before, given);
}

type PageResult = Extract<TxnResult, { type: 'page' }>;

/** Both have the first items of their group in the range, so the first of all are among them. */
function mergedPage(op: TxnOp, a: PageResult, b: PageResult): PageResult {
  assert(op.type === 'range', 'a page came from no range');
  const sign = op.reverse ? -1 : 1;
  const items = [...a.items, ...b.items].sort((x, y) => (x.ref.key < y.ref.key ? -sign : sign));
  const more = a.more || b.more || items.length > op.limit;
  return { type: 'page', items: items.slice(0, op.limit), more };
}
