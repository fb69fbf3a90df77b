import { assert } from '../../protocol/assert.ts';
import { staleAttachment } from '../../protocol/attachment.ts';
import type { Command } from '../../protocol/commands.ts';
import { ABORTED, changesObjects, hasRange, type TxnId } from '../../protocol/txn.ts';
import type { Outcome } from './apply.ts';
import type { GroupState } from './group-state.ts';
import { shortOfBranch } from './quota-growth.ts';
import { addsReservations, hasUnclaimed } from './reservations.ts';
import { isRemembered, readDecision, remember, type TxnApplied, txnOutcome } from './txn.ts';
import { branchOf, doBranch, firstFailed, ownsKeys } from './txn-eval.ts';
import { footprintOf } from './txn-locks.ts';
import { isAdmitted } from './unseen-ends.ts';

type TxnCommit = Extract<Command, { type: 'txnCommit' }>;

/**
 * The decision of a transaction, and its home group's part, in one entry (T1, ADR 0032). Nothing of the part
 * was locked before: it is judged as a transaction of one entry is, beside what the other groups have voted. What is
 * refused is aborted, and stays so.
 */
export function applyTxnCommit(state: GroupState, command: TxnCommit): Outcome {
  const { id, part, revision, epoch, participants } = command;
  const { body, comparesAt } = part;
  const known = readDecision(state, id);
  if (known !== null) return txnOutcome({ type: 'ended', fate: known.fate, outcome: null });
  if (!isRemembered(id.start, revision)) return refuse(state, id, { type: 'over' });
  if (hasRange(body) || addsReservations(body) || changesObjects(body)) {
    return refuse(state, id, { type: 'wrongShard', epoch: state.epoch });
  }
  if (!ownsKeys(state, body, epoch)) {
    return refuse(state, id, { type: 'wrongShard', epoch: state.epoch });
  }
  const { locks } = state.txns;
  if (!locks.isEmpty && !isAdmitted(state, footprintOf(body), revision)) {
    return refuse(state, id, { type: 'conflict' });
  }
  const failed = firstFailed(state, body.compares, revision);
  const failedCompare = failed === null ? null : (comparesAt[failed] ?? 0);
  if (failedCompare !== null && body.otherwise === null) {
    return refuse(state, id, { type: 'compareFailed', at: failedCompare });
  }
  const succeeded = failedCompare === null && command.failedCompare === null;
  const ops = branchOf(body, succeeded);
  // U1: the index was defined after the leader had looked.
  if (hasUnclaimed(state, ops, revision)) return refuse(state, id, { type: 'unclaimed' });
  const stale = staleAttachment(ops, revision);
  if (stale !== null) return refuse(state, id, { type: 'leaseStale', revision: stale });
  if (state.quotas.size > 0 && shortOfBranch(state, ops, revision) !== null) {
    return refuse(state, id, { type: 'conflict' });
  }
  const otherBytes = succeeded ? command.thenBytes : command.otherwiseBytes;
  const done = doBranch(state, ops, revision, otherBytes);
  if (done === null) return refuse(state, id, { type: 'tooLarge' });
  assert(done.type === 'done', 'an operation of a client is not refused by itself');
  const fate = { commitRevision: revision, succeeded };
  remember(state, { id, fate, pending: participants });
  const { results, events } = done;
  return txnOutcome({ type: 'committed', fate, failedCompare, results }, events);
}

function refuse(state: GroupState, id: TxnId, why: TxnApplied): Outcome {
  remember(state, { id, fate: ABORTED, pending: [] });
  return txnOutcome(why);
}
