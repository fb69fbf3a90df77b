import { assert, assertNever } from '../../protocol/assert.ts';
import {
  type Command,
  decodeCommand,
  type OpResult,
  revisionCount,
} from '../../protocol/commands.ts';
import { entryPayload, type LogEntry } from '../../protocol/entry.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { decodeConfig } from '../../protocol/membership.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import type { Revision } from '../../protocol/types.ts';
import { VSHARD_COUNT } from '../../protocol/vshard.ts';
import { applyBucket, applyBucketSweep } from './buckets.ts';
import type { AppliedChange } from './change.ts';
import { applyExpire } from './expire.ts';
import type { GroupState } from './group-state.ts';
import { applyIndexes, applyIndexFill } from './index-commands.ts';
import { applyDetach, applyLeaseEnd, applyLeaseForget, applyLeaseGrant } from './lease.ts';
import { applyMetaPut } from './meta-state.ts';
import { applyObject } from './object-write.ts';
import { applyOutboxTrim } from './outbox.ts';
import { applyQuotaCounted, applyQuotaOrder } from './quota-commands.ts';
import { ensureHolds } from './quota-growth.ts';
import {
  applyTxn,
  applyTxnDecide,
  applyTxnForget,
  applyTxnPrepare,
  applyTxnResolve,
  type TxnApplied,
} from './txn.ts';
import { applyTxnCommit } from './txn-commit.ts';
import { applyWrite } from './write.ts';

/**
 * Committed entries to rows, results and change events. Synchronous and a function of (state,
 * entries) alone: no clock, no randomness, no await, so equal logs give equal rows everywhere.
 */

/** A committed entry and its decoded command; null for noop and config entries. */
export interface Committed {
  readonly entry: LogEntry;
  readonly command: Command | null;
}

/** What one entry did. */
export interface Applied {
  readonly index: number;
  readonly term: number;
  /** The group clock after this entry. */
  readonly clock: Revision;
  /** One per op of a write or lease of an end, one for a metaPut or a grant, else none. */
  readonly results: readonly OpResult[];
  /** The results are those of an earlier write with the same idempotency key (FAULTS B9). */
  readonly repeated: boolean;
  /**
   * Why nothing was done and there are no results. `locked`: a prepared transaction has a key of it.
   * `unclaimed`: it would begin an entry of a unique index. `no_room`: in this group's share of a quota.
   */
  readonly rejection: 'idempotency_mismatch' | 'locked' | 'unclaimed' | 'no_room' | null;
  /** In (revision, vshard, key) order; `prev` is always there. */
  readonly events: readonly AppliedChange[];
  /** Of the entries of transactions, else null. */
  readonly txn: TxnApplied | null;
  /** Of the entry of an operation on an object, else null. */
  readonly object: ObjectResult | null;
}

/** What the function of one command hands back; apply adds where it stands. */
export type Outcome = Pick<Applied, 'results' | 'repeated' | 'rejection' | 'events' | 'txn'> & {
  readonly object?: ObjectResult | null;
};

const NOTHING: Outcome = Object.freeze({
  results: Object.freeze([]) as readonly OpResult[],
  repeated: false,
  rejection: null,
  events: Object.freeze([]) as readonly AppliedChange[],
  txn: null,
});

/** Decodes the entry's command. Throws DecodeError for bytes no leader of ours would log. */
export function committed(entry: LogEntry): Committed {
  const command = entry.kind === 'command' ? decodeCommand(entryPayload(entry)) : null;
  return { entry, command };
}

/**
 * Applies entries that follow appliedIndex without a gap, in order, and writes all their rows and
 * the applied index in one batch. Stops behind the entry with which the rows are as many bytes as may wait
 * for the engine: small entries may replace large values. Throws InvariantViolation when they do not follow.
 */
export function applyBatch(state: GroupState, batch: readonly Committed[]): Applied[] {
  const out: Applied[] = [];
  for (let i = 0; i < batch.length; i++) {
    const { entry, command } = batch[i] as Committed;
    out.push(apply(state, entry, command));
    if (state.stagedBytes >= LIMITS.memtableBytesMax) break;
  }
  if (out.length > 0) state.commitBatch();
  return out;
}

/** One entry, into the open batch: nothing is stored before state.commitBatch(). */
export function apply(state: GroupState, entry: LogEntry, command: Command | null): Applied {
  assert(entry.index === state.appliedIndex + 1, 'an entry was skipped or applied twice');
  assert(entry.term >= state.appliedTerm, 'terms went back');
  state.appliedIndex = entry.index;
  state.appliedTerm = entry.term;
  state.clockBound = Math.max(state.clockBound, entry.clockBound);
  const hasQuotas = state.quotas.size > 0;
  if (hasQuotas) ensureHolds(state);
  const outcome = dispatch(state, entry, command);
  if (hasQuotas) state.quotas.endEntry();
  return {
    index: entry.index,
    term: entry.term,
    clock: state.clock,
    results: outcome.results,
    repeated: outcome.repeated,
    rejection: outcome.rejection,
    events: outcome.events,
    txn: outcome.txn,
    object: outcome.object ?? null,
  };
}

function dispatch(state: GroupState, entry: LogEntry, command: Command | null): Outcome {
  if (entry.kind === 'noop') return NOTHING;
  if (entry.kind === 'config') {
    state.stageConfig(decodeConfig(entryPayload(entry)));
    return NOTHING;
  }
  assert(command !== null, 'a command entry came without its command');
  switch (command.type) {
    case 'write':
      raiseClock(state, command.revision, revisionCount(command));
      return applyWrite(state, command);
    case 'expire':
      raiseClock(state, command.revision, revisionCount(command));
      return applyExpire(state, command);
    case 'metaPut':
      raiseClock(state, command.revision, revisionCount(command));
      return applyMetaPut(state, command);
    case 'leaseGrant':
      raiseClock(state, command.revision, 1);
      return applyLeaseGrant(state, command);
    case 'leaseEnd':
      raiseClock(state, command.revision, 1);
      return applyLeaseEnd(state, command);
    case 'leaseForget':
      return applyLeaseForget(state, command);
    case 'detach':
      raiseClock(state, command.revision, revisionCount(command));
      return applyDetach(state, command);
    case 'compact':
      raiseFloor(state, command.floor);
      return NOTHING;
    case 'own':
      applyOwn(state, command.epoch, command.vshards);
      return NOTHING;
    case 'reserve':
      return NOTHING;
    case 'indexes':
      applyIndexes(state, command);
      return NOTHING;
    case 'indexFill':
      applyIndexFill(state, command);
      return NOTHING;
    case 'txn':
      raiseClock(state, command.revision, 1);
      return applyTxn(state, command);
    case 'txnPrepare':
      raiseClock(state, command.revision, 1);
      return applyTxnPrepare(state, command);
    case 'txnCommit':
      raiseClock(state, command.revision, 1);
      return applyTxnCommit(state, command);
    case 'txnDecide':
      return applyTxnDecide(state, command);
    case 'txnResolve':
      return applyTxnResolve(state, command);
    case 'txnForget':
      return applyTxnForget(state, command);
    case 'object':
    case 'bucket':
    case 'bucketSweep':
    case 'outboxTrim':
      return dispatchObject(state, command);
    case 'quotaOrder':
      return applyQuotaOrder(state, command);
    case 'quotaCounted':
      return applyQuotaCounted(state, command);
    default:
      return assertNever(command);
  }
}

/**
 * Never above the clock, or the latest state itself would not be readable; never up to what is prepared, whose
 * events are yet to come.
 */
function raiseFloor(state: GroupState, floor: Revision): void {
  state.floor = Math.max(state.floor, Math.min(floor, state.clock, state.txns.lowest - 1));
}

function dispatchObject(
  state: GroupState,
  command: Extract<Command, { type: 'object' | 'bucket' | 'bucketSweep' | 'outboxTrim' }>,
): Outcome {
  // A bucket's rule is no change of what is stored.
  if (command.type === 'bucket') return applyBucket(state, command);
  if (command.type === 'outboxTrim') return applyOutboxTrim(state, command);
  raiseClock(state, command.revision, 1);
  return command.type === 'object' ? applyObject(state, command) : applyBucketSweep(state, command);
}

/** Log order is revision order: two writes never share a revision, whatever the clocks (FAULTS B22). */
function raiseClock(state: GroupState, revision: Revision, count: number): void {
  if (count === 0) return;
  assert(revision > state.clock, 'a revision at or below the group clock was proposed');
  state.clock = revision + count - 1;
  assert(Number.isSafeInteger(state.clock), 'revision clock overflow');
}

/** A map older than the one in force changes nothing: it was overtaken on its way into the log. */
function applyOwn(state: GroupState, epoch: number, vshards: readonly number[]): void {
  if (epoch < state.epoch) return;
  const since = new Float64Array(VSHARD_COUNT);
  for (let i = 0; i < vshards.length; i++) {
    const vshard = vshards[i] as number;
    if (vshard < VSHARD_COUNT) since[vshard] = state.ownedSince[vshard] || epoch + 1;
  }
  state.stageOwned(epoch, since);
}
