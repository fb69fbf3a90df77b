import { staleAttachment } from '../../protocol/attachment.ts';
import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { TxnOutcome, TxnResult } from '../../protocol/messages/txn.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import {
  ABORTED,
  anchorOf,
  type Decision,
  hasRange,
  type TxnFate,
  type TxnId,
} from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { decisionKey, metaKey, preparedKey } from '../../storage/kv/keyspace.ts';
import { encodeCounts } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState } from './group-state.ts';
import { holdRoom, shortOfBranch, shortOfPart } from './quota-growth.ts';
import { hasOtherIndexes, hasUnclaimed } from './reservations.ts';
import {
  branchOf,
  doBranch,
  firstFailed,
  inOrder,
  ownsAll,
  ownsKeys,
  perform,
} from './txn-eval.ts';
import { footprintOf } from './txn-locks.ts';
import { isOfBucket } from './txn-objects.ts';
import { refusedWith } from './txn-outcome.ts';
import { recallTxn, rememberTxn } from './txn-request.ts';
import { decodeDecision, encodeDecision, encodePrepared, type Prepared } from './txn-table.ts';
import { isAdmitted } from './unseen-ends.ts';

/**
 * Transactions (architecture section 7). In one group: one entry. Over several: a prepare in each, which
 * locks, and one decision in the home group, which the others learn of.
 *
 *   T1  A decision is made once: the first txnDecide or txnCommit that is applied stands. A commit by txnDecide
 *       needs the home group's own prepared part; one by txnCommit does that part itself, and is refused when it
 *       began too long ago for an earlier decision to be remembered (T3). So an abort by inquiry and a late
 *       commit cannot both be.
 *   T2  What is prepared stays locked until its end is applied here; nothing else writes its keys.
 *   T3  A group that did its part remembers that for txnMemoryMs and prepares nothing older, so a late or
 *       repeated message cannot do it twice.
 *   T4  A commit revision is at or above every participant's prepare revision, and closed revisions stay
 *       below the lowest of those: its events come in order, though they are applied late.
 *   T5  A transaction attaches a key to a lease at or below the promise about the lease, as a plain put does
 *       (W4), and what is prepared at or below a promise keeps revisions up to it open: the last sweep
 *       of an ended lease waits for it. Only the branch that is done counts; nothing is done with a refusal. That of
       a lease that is not there is an answer: it is remembered, as a plain put's is.
 *   T6  No decision is remembered of a transaction that began above the group's clock: what begins above all
 *       that have ended since the state was opened, and above its clock then, has none (TxnTable.decidedUpTo).
 *   T7  What is prepared holds room in shares of quotas for the larger of its branches, until its end. What has no room
 *       is refused as a conflict: the leader makes room, or says that there is none.
 */
type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/** What the entry of a transaction did. */
export type TxnApplied =
  /** All in one entry, or nothing of it: the outcome says that it was refused. */
  | { readonly type: 'done'; readonly outcome: TxnOutcome }
  | { readonly type: 'prepared' }
  | { readonly type: 'conflict' }
  | { readonly type: 'over' }
  | { readonly type: 'compareFailed'; readonly at: number }
  | { readonly type: 'wrongShard'; readonly epoch: number }
  | { readonly type: 'tooLarge' }
  /** T5. The promise about a lease does not reach to this revision; 0, with a txnCommit: the lease is not there. */
  | { readonly type: 'leaseStale'; readonly revision: Revision }
  /** With the home group's own part. `failedCompare` is the first of its compares that does not hold. */
  | {
      readonly type: 'committed';
      readonly fate: TxnFate;
      readonly failedCompare: number | null;
      readonly results: TxnResult[];
    }
  /** It would begin an entry of a unique index, and has no claims: not in one entry. */
  | { readonly type: 'unclaimed' }
  /** Transactions that were prepared here have ended. */
  | { readonly type: 'resolved' }
  /** `outcome`: an earlier attempt of the same request was answered with this. */
  | { readonly type: 'ended'; readonly fate: TxnFate; readonly outcome: TxnOutcome | null };

export function txnOutcome(txn: TxnApplied, events: readonly AppliedChange[] = []): Outcome {
  const repeated = 'outcome' in txn && txn.type === 'ended' && txn.outcome !== null;
  return { results: [], repeated, rejection: null, events, txn };
}

/** One entry: compares, then all of one branch at the entry's revision, or nothing. */
export function applyTxn(state: GroupState, command: CommandOf<'txn'>): Outcome {
  const { body, revision, epoch, idempotency } = command;
  if (hasRange(body) || !ownsKeys(state, body, epoch)) {
    return txnOutcome({ type: 'wrongShard', epoch: state.epoch });
  }
  const anchor = anchorOf(body);
  if (idempotency !== null) {
    const recalled = recallTxn(state, idempotency, anchor, revision);
    if (recalled === 'mismatch') return MISMATCH;
    if (recalled !== null) {
      return { ...txnOutcome({ type: 'done', outcome: recalled }), repeated: true };
    }
  }
  const { locks } = state.txns;
  if (!locks.isEmpty && !isAdmitted(state, footprintOf(body), revision)) {
    return txnOutcome({ type: 'conflict' });
  }
  const failedCompare = firstFailed(state, body.compares, revision);
  const succeeded = failedCompare === null;
  const ops = branchOf(body, succeeded);
  const stale = staleAttachment(ops, revision);
  const answered = (outcome: TxnOutcome, events: readonly AppliedChange[] = []): Outcome => {
    if (idempotency !== null) rememberTxn(state, idempotency, anchor, revision, outcome);
    return txnOutcome({ type: 'done', outcome }, events);
  };
  if (stale === 0) return answered(refusedWith({ type: 'leaseGone' }));
  if (stale !== null) return txnOutcome({ type: 'leaseStale', revision: stale });
  if (hasUnclaimed(state, ops, revision)) return txnOutcome({ type: 'unclaimed' });
  if (state.quotas.size > 0 && shortOfBranch(state, ops, revision) !== null) {
    return txnOutcome({ type: 'conflict' });
  }
  const done = doBranch(state, ops, revision, 0);
  if (done === null) return txnOutcome({ type: 'tooLarge' });
  if (done.type === 'refused') {
    const { at, revision: found, object: result } = done;
    if (result === null) return answered(refusedWith({ type: 'operation', at, revision: found }));
    const refused = refusedWith({ type: 'object', at, result });
    // X4
    return isOfBucket(result) ? txnOutcome({ type: 'done', outcome: refused }) : answered(refused);
  }
  return answered({ succeeded, failedCompare, revision, results: done.results }, done.events);
}

const MISMATCH: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: 'idempotency_mismatch',
  events: [],
  txn: null,
});

/** Locks a part's keys, or refuses at once. The same id again finds itself prepared. */
export function applyTxnPrepare(state: GroupState, command: CommandOf<'txnPrepare'>): Outcome {
  const { id, part, revision, epoch, indexEpoch } = command;
  const { body, comparesAt } = part;
  if (state.txns.get(id) !== null) return txnOutcome({ type: 'prepared' });
  if (readDecision(state, id) !== null || !isRemembered(id.start, revision)) {
    return txnOutcome({ type: 'over' });
  }
  if (!ownsAll(state, body, epoch)) {
    return txnOutcome({ type: 'wrongShard', epoch: state.epoch });
  }
  if (hasOtherIndexes(state, body, indexEpoch)) return txnOutcome({ type: 'conflict' });
  const footprint = footprintOf(body);
  if (!isAdmitted(state, footprint, revision)) return txnOutcome({ type: 'conflict' });
  const failed = firstFailed(state, body.compares, revision);
  if (failed !== null && body.otherwise === null) {
    return txnOutcome({ type: 'compareFailed', at: comparesAt[failed] ?? 0 });
  }
  const hasQuotas = state.quotas.size > 0;
  if (hasQuotas && shortOfPart(state, body) !== null) return txnOutcome({ type: 'conflict' });
  const slotsBefore = state.txns.slotCount;
  const prepared = state.txns.add(id, revision, part, footprint);
  if (prepared === null) return txnOutcome({ type: 'conflict' });
  if (hasQuotas) holdRoom(state, prepared);
  state.stage(preparedKey(state.prefix, prepared.slot), encodePrepared(prepared));
  if (state.txns.slotCount > slotsBefore) {
    state.stage(metaKey(state.prefix, 'slots'), encodeCounts([state.txns.slotCount]));
  }
  return txnOutcome({ type: 'prepared' });
}

/** The end of a transaction, in its home group (T1). A commit does the home group's part with it. */
export function applyTxnDecide(state: GroupState, command: CommandOf<'txnDecide'>): Outcome {
  const { id, request, participants } = command;
  const prepared = state.txns.get(id);
  // What is prepared has no decision yet: a decision ends it, and nothing is prepared after one (T1, T3).
  const known = prepared === null ? readDecision(state, id) : null;
  if (known !== null) return txnOutcome({ type: 'ended', fate: known.fate, outcome: null });
  let fate: TxnFate = prepared === null ? ABORTED : command.fate;
  let earlier: TxnOutcome | 'mismatch' | null = null;
  if (request !== null && (fate.commitRevision > 0 || command.fate.commitRevision === 0)) {
    const at = Math.max(state.clock, fate.commitRevision);
    earlier = recallTxn(state, request.idempotency, request.anchor, at);
    if (earlier !== null) fate = ABORTED;
    else rememberTxn(state, request.idempotency, request.anchor, at, request.outcome);
  }
  const isCommit = fate.commitRevision > 0;
  // T6. Its home group's clock had given `start` when it began.
  state.clock = Math.max(state.clock, id.start);
  const pending = isCommit ? participants : [];
  remember(state, { id, fate, pending });
  const events = prepared === null ? [] : end(state, prepared, fate, command.removed);
  if (earlier === 'mismatch') return { ...MISMATCH, events };
  return txnOutcome({ type: 'ended', fate, outcome: earlier }, events);
}

/** A participant learns of ends. What it has not prepared, or has ended already, changes nothing. */
export function applyTxnResolve(state: GroupState, command: CommandOf<'txnResolve'>): Outcome {
  const { ends } = command;
  let events: AppliedChange[] = [];
  for (let i = 0; i < ends.length; i++) {
    const { id, fate, removed } = ends[i] as (typeof ends)[number];
    const prepared = state.txns.get(id);
    if (prepared === null) continue;
    const own = end(state, prepared, fate, removed);
    if (fate.commitRevision > 0) remember(state, { id, fate, pending: [] });
    events = events.length === 0 ? own : events.concat(own);
  }
  return txnOutcome(RESOLVED, ends.length > 1 ? inOrder(events) : events);
}

const RESOLVED: TxnApplied = Object.freeze({ type: 'resolved' });

/** Every participant knows: the decision is kept only for late messages, for a while. */
export function applyTxnForget(state: GroupState, command: CommandOf<'txnForget'>): Outcome {
  for (const id of command.ids) {
    state.stageRow(decisionKey(state.prefix, 'u', id), null);
  }
  return NOTHING_ENDED;
}

const NOTHING_ENDED: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: null,
  events: [],
  txn: null,
});

/** Unlocks; on a commit the chosen branch is done at the commit revision. */
function end(
  state: GroupState,
  prepared: Prepared,
  fate: TxnFate,
  removed: readonly KeyRef[],
): AppliedChange[] {
  state.txns.remove(prepared);
  state.stage(preparedKey(state.prefix, prepared.slot), null);
  let events: AppliedChange[] = [];
  if (fate.commitRevision > 0) {
    state.clock = Math.max(state.clock, fate.commitRevision);
    const ops = branchOf(prepared.part.body, fate.succeeded);
    events = perform(state, ops, removed, fate.commitRevision);
  }
  state.quotas.release(prepared);
  return events;
}

/** Writes down how a transaction ended. */
export function remember(state: GroupState, decision: Decision): void {
  const { id, pending } = decision;
  state.txns.decided(id.start);
  const bytes = encodeDecision(decision);
  // Twice: what is told on has to be found among all, and outlives the others where a participant is silent.
  if (pending.length > 0) state.stage(decisionKey(state.prefix, 'u', id), bytes);
  state.stageRow(decisionKey(state.prefix, 'd', id), bytes);
}

/** How a transaction ended, as far as this group knows and remembers. */
export function readDecision(state: GroupState, id: TxnId): Decision | null {
  if (id.start > state.txns.decidedUpTo) return null;
  const bytes =
    state.row(decisionKey(state.prefix, 'd', id)) ?? state.row(decisionKey(state.prefix, 'u', id));
  return bytes === null ? null : decodeDecision(bytes);
}

/** Whether a transaction that began at `start` is young enough to be prepared (T3). */
export function isRemembered(start: Revision, at: Revision): boolean {
  return wallMsOfRevision(at) - wallMsOfRevision(start) < LIMITS.txnMemoryMs;
}
