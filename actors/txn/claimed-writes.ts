import type { Idempotency, OpResult, WriteOp } from '../../protocol/commands.ts';
import type { ReplyBody, ReplyOf, RequestOf } from '../../protocol/messages/request.ts';
import type { TxnOutcome, TxnRefusal } from '../../protocol/messages/txn.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import { vshardOf } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import type { GroupState } from '../apply/group-state.ts';
import { recallRequest } from '../apply/idempotency.ts';
import { beginsEntry, isCovered } from '../apply/reservations.ts';
import type { ReplicaContext, Reply } from '../replica/context.ts';

/** Chains of one request that are under way at once. */
const CHAINS_MAX = 16;

type WriteRequest = RequestOf<'Write'>;

export interface ClaimedWriteParts {
  readonly context: ReplicaContext;
  /** A whole transaction, home here. Its claims are added on the way. */
  transact(body: TxnBody, idempotency: Idempotency | null, reply: Reply): void;
  /** A write without claims. */
  write(ops: WriteOp[], idempotency: Idempotency | null, reply: Reply): void;
}

/**
 * Whether a request has to be done by `writeClaimed`. With an idempotency key every put that a unique index covers
 * counts, so that a repetition is cut as the request was; one that was answered before is answered by apply.
 */
export function needsClaims(state: GroupState, { ops, idempotency }: WriteRequest): boolean {
  if (!ops.some((op) => isSingle(state, op, idempotency !== null))) return false;
  const [first] = ops;
  if (idempotency === null || first === undefined) return true;
  const { tenant } = first.ref;
  const vshard = vshardOf(first.ref);
  const known = recallRequest(state, idempotency, vshard, tenant, state.clock, ops.length);
  if (known === null) return true;
  // Of several operations there is a row with another hash (`partial`); one that is used for another request is refused by apply.
  return ops.length > 1 && known.rejection !== null;
}

function isSingle(state: GroupState, op: WriteOp, isRepeatable: boolean): boolean {
  if (op.type !== 'put') return false;
  return isRepeatable ? isCovered(state, op.ref) : beginsEntry(state, op, state.clock);
}

/**
 * A request with puts that begin entries of unique indexes: each of those is a transaction by itself, which
 * claims them. Operations on the same key stay in order; those on other keys are one plain write.
 */
export function writeClaimed(parts: ClaimedWriteParts, request: WriteRequest, reply: Reply): void {
  const { ops, idempotency } = request;
  const { plain, chains } = chainsOf(parts.context.state, request);
  const [only] = ops;
  if (ops.length === 1 && only !== undefined) {
    return single(parts, only, idempotency, (found) => {
      const isOther = found.type === 'Rejected' && found.code === 'idempotency_mismatch';
      // Perhaps it was done before the index was there: then apply knows what it was answered.
      if (isOther) parts.write([only], idempotency, reply);
      else reply(found);
    });
  }
  const results = new Array<OpResult>(ops.length);
  const queue = chains.map((places) => () => runChain(places));
  let repeated = true;
  let left = chains.length + (plain.length > 0 ? 1 : 0);
  const note = (at: number, found: ReplyBody): void => {
    if (found.type === 'Written') repeated &&= found.repeated;
    else repeated = false;
    results[at] = resultOf(found);
  };
  const settled = (): void => {
    queue.shift()?.();
    if (--left > 0) return;
    const { clock } = parts.context.clock;
    reply({ type: 'Written', results, clock, repeated });
  };
  const runChain = ([at, ...rest]: readonly number[]): void => {
    if (at === undefined) return settled();
    single(parts, ops[at] as WriteOp, nameOf(idempotency, at), (found) => {
      note(at, found);
      runChain(rest);
    });
  };
  const begin = (): void => {
    for (const chain of queue.splice(0, CHAINS_MAX)) chain();
  };
  const own = plain.map((at) => ops[at] as WriteOp);
  if (idempotency === null) {
    if (own.length > 0) {
      parts.write(own, null, (found) => {
        for (const [i, at] of plain.entries()) note(at, partOf(found, i));
        settled();
      });
    }
    return begin();
  }
  // First a row under the request's own name, beside its first key: cut in another way, for an index was defined or dropped meanwhile,
  // the request is refused and not done twice.
  const first = ops[0] as WriteOp;
  parts.write([nothing(first), ...own], partial(idempotency, plain), (found) => {
    if (found.type !== 'Written') return reply(found);
    for (const [i, at] of plain.entries()) note(at, partOf(found, i + 1));
    begin();
    if (own.length > 0) settled();
  });
}

/** A write that never does anything. */
function nothing({ ref }: WriteOp): WriteOp {
  return {
    type: 'delete',
    ref,
    condition: { type: 'revision', revision: Number.MAX_SAFE_INTEGER },
  };
}

/** The request's name, with a hash that says which of its operations are in it. */
function partial({ key, requestHash }: Idempotency, plain: readonly number[]): Idempotency {
  const hash = requestHash.map((byte) => byte ^ 0xff);
  for (const at of plain) hash[at % 32] = (hash[at % 32] as number) * 31 + at;
  return { key, requestHash: hash };
}

/** Places of the operations by key, where one of them needs claims; and all the others. */
function chainsOf(
  state: GroupState,
  { ops, idempotency }: WriteRequest,
): { plain: number[]; chains: number[][] } {
  const byKey = new Map<string, { places: number[]; isSingle: boolean }>();
  for (const [at, op] of ops.entries()) {
    const name = tripleOf(op.ref);
    const known = byKey.get(name) ?? { places: [], isSingle: false };
    byKey.set(name, known);
    known.places.push(at);
    known.isSingle ||= isSingle(state, op, idempotency !== null);
  }
  const plain: number[] = [];
  const chains: number[][] = [];
  for (const { places, isSingle: isChain } of byKey.values()) {
    if (isChain) chains.push(places);
    else plain.push(...places);
  }
  return { plain: plain.sort((a, b) => a - b), chains };
}

/** Each operation that is done by itself is remembered by itself. */
function nameOf(idempotency: Idempotency | null, at: number): Idempotency | null {
  if (idempotency === null) return null;
  return { key: `${idempotency.key}\0u${at}`, requestHash: idempotency.requestHash };
}

function single(
  { context, transact, write }: ClaimedWriteParts,
  op: WriteOp,
  idempotency: Idempotency | null,
  reply: Reply,
): void {
  if (op.type !== 'put') return write([op], idempotency, reply);
  const { ref, value, contentType, ttlMs, condition, attach = null } = op;
  const put: TxnOp = { type: 'put', ref, value, contentType, ttlMs, attach };
  const then: TxnOp[] =
    condition === null ? [put] : [{ type: 'expect', ref, condition, owed: null }, put];
  transact({ compares: [], then, otherwise: null }, idempotency, (found) => {
    if (found.type !== 'TxnDone') {
      const stale = staleLease(found);
      if (stale === null) return reply(found);
      return reply({
        type: 'Written',
        results: [stale],
        clock: context.clock.clock,
        repeated: false,
      });
    }
    const { outcome, clock, repeated } = found;
    const { refused } = outcome;
    const result = refused ? refusedResult(refused, then) : putResult(outcome);
    reply({
      type: 'Written',
      results: [result],
      clock: Math.max(clock, context.clock.clock),
      repeated,
    });
  });
}

function putResult({ results, revision }: TxnOutcome): OpResult {
  const put = results.find((result) => result.type === 'put');
  if (put?.type !== 'put') {
    return { type: 'failed', code: 'internal', message: 'a put was answered by something else' };
  }
  return { type: 'put', revision, createRevision: put.createRevision, version: put.version };
}

function refusedResult(refused: TxnRefusal, ops: readonly TxnOp[]): OpResult {
  if (refused.type === 'duplicate') return { type: 'duplicate', ...refused.duplicate };
  if (refused.type === 'leaseGone') return { type: 'lease_stale', revision: 0 };
  if (refused.type === 'object') {
    return { type: 'failed', code: 'internal', message: 'a put met an object' };
  }
  const { at, revision } = refused;
  if (ops[at]?.type === 'expect') return { type: 'precondition_failed', revision };
  return { type: 'failed', code: 'internal', message: 'a put was refused for itself' };
}

/** As apply tells it of a plain write: what attaches to a lease beyond its promise. */
function staleLease(found: ReplyBody): OpResult | null {
  if (found.type !== 'Rejected') return null;
  if (found.code !== 'conflict' || found.hint === 0) return null;
  return { type: 'lease_stale', revision: found.hint };
}

/** One operation's part of the reply to several. */
function partOf(found: ReplyBody, i: number): ReplyBody {
  return found.type === 'Written' ? { ...found, results: found.results.slice(i, i + 1) } : found;
}

/** A reply about one operation as its result among others, which were done whatever became of it. */
function resultOf(found: ReplyBody): OpResult {
  if (found.type === 'Written') {
    const [result] = (found as ReplyOf<'Written'>).results;
    // Nothing may be sent again as a whole: the others of the request are done.
    if (result?.type === 'lease_stale' && result.revision !== 0) {
      return { type: 'failed', code: 'conflict', message: 'a promise about a lease ran out' };
    }
    if (result !== undefined) return result;
  }
  if (found.type !== 'Rejected') {
    return { type: 'failed', code: 'internal', message: `unexpected reply ${found.type}` };
  }
  if (found.code === 'wrong_shard') return { type: 'wrong_shard', epoch: found.hint };
  const code = found.code === 'not_leader' ? 'unavailable' : found.code;
  return { type: 'failed', code, message: found.message };
}
