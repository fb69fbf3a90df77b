import type { AnswerBudget } from '../../protocol/answer-budget.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { OpResult, PutOp, WriteOp } from '../../protocol/commands.ts';
import { ERRORS, isErrorCode } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item, ReplyOf, RequestBody } from '../../protocol/messages/request.ts';
import type { BatchOp, BatchResult, RequestContext } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf, vshardOfMany } from '../../protocol/vshard.ts';
import type { Calls } from './calls.ts';
import type { MapSource } from './following-map.ts';
import { LeasePromises, withPromise } from './lease-promises.ts';
import { errorResult, readOptions, writeOptions } from './options.ts';
import type { ShardMap } from './shard-map.ts';

/** Ops of one call and where their results go. */
interface Part {
  readonly group: GroupId;
  /** Its place among the parts of the batch. */
  readonly number: number;
  readonly slots: number[];
  readonly ops: WriteOp[];
  bytes: number;
}

interface Reads {
  readonly slots: number[];
  readonly keys: KeyRef[];
}

/** Half an entry, so that keys, headers and results fit beside the values. */
const PART_BYTES_MAX = LIMITS.entryBytesMax >> 1;
const PART_OPS_MAX = 1024;
/** Counted for a delete: it is short, and takes away a value of any length. */
const DELETE_BYTES = 4 * 1024;
/** Keys of one read. */
const READ_BYTES_MAX = LIMITS.busPayloadBytesMax >> 1;

/** One pass over the operations, or over those that the last pass found at another group. */
interface Pass {
  readonly calls: Calls;
  readonly map: ShardMap;
  readonly promises: LeasePromises;
  readonly ctx: RequestContext;
  readonly clock: Clock;
  readonly endMs: number;
  readonly budget: AnswerBudget;
  readonly results: BatchResult[];
  /** Slots whose group does not own their keys any more, and the newest epoch that was told. */
  readonly moved: number[];
  epoch: number;
}

const PASSES_MAX = 5;

/**
 * Independent operations: grouped by group, cut to entry size, the groups in parallel, in each the writes
 * before the reads; a failure is told per item. What has moved to another group is done there, by a newer map: of a part that met an old
 * map nothing was written. With an idempotency key each part carries a key of its own (the request's key
 * and the part's number), so a repeated batch applies once. What the reads bring counts against `budget`.
 */
export async function runBatch(
  calls: Calls,
  source: MapSource,
  ctx: RequestContext,
  ops: readonly BatchOp[],
  budget: AnswerBudget,
): Promise<{ results: BatchResult[]; clock: Revision }> {
  const results = new Array<BatchResult>(ops.length);
  const endMs = source.clock.monotonicMs() + ctx.deadlineMs;
  let slots = ops.map((_, slot) => slot);
  let clock = 0;
  let partCount = 0;
  const promises = new LeasePromises(calls, source);
  for (let passes = 1; ; passes++) {
    const deadlineMs = endMs - source.clock.monotonicMs();
    const pass: Pass = {
      ...{ calls, map: source.map(), ctx: { ...ctx, deadlineMs }, results, moved: [], epoch: 0 },
      ...{ clock: source.clock, endMs, budget, promises },
    };
    const done = await runPass(pass, ops, slots, partCount);
    clock = Math.max(clock, done.clock);
    partCount = done.partCount;
    const leftMs = endMs - source.clock.monotonicMs();
    if (pass.moved.length === 0 || passes === PASSES_MAX || leftMs <= 0) return { results, clock };
    try {
      await source.refreshMap(pass.epoch, leftMs);
    } catch (error) {
      errorResult(error);
      return { results, clock };
    }
    slots = pass.moved.sort((a, b) => a - b);
  }
}

async function runPass(
  pass: Pass,
  ops: readonly BatchOp[],
  slots: readonly number[],
  firstPart: number,
): Promise<{ clock: Revision; partCount: number }> {
  const { map } = pass;
  const parts: Part[] = [];
  const open = new Map<GroupId, Part>();
  const reads = new Map<GroupId, Reads>();
  for (const slot of slots) {
    const item = ops[slot] as BatchOp;
    if (item.kind === 'write') addWrite(parts, firstPart, open, map, slot, item.op);
    else addRead(reads, map, slot, item.ref);
  }
  let clock = 0;
  const jobs: Promise<Revision>[] = [];
  for (const group of new Set([...open.keys(), ...reads.keys()])) {
    const own = parts.filter((part) => part.group === group);
    jobs.push(runGroup(pass, own, group, reads.get(group) ?? null));
  }
  for (const reached of await Promise.all(jobs)) clock = Math.max(clock, reached);
  return { clock, partCount: firstPart + parts.length };
}

function addWrite(
  parts: Part[],
  firstPart: number,
  open: Map<GroupId, Part>,
  map: ShardMap,
  slot: number,
  op: WriteOp,
): void {
  const group = map.groups[vshardOfMany(op.ref)] as GroupId;
  const bytes = op.ref.key.length + 64 + (op.type === 'put' ? op.value.length : DELETE_BYTES);
  let part = open.get(group);
  if (
    part === undefined ||
    part.bytes + bytes > PART_BYTES_MAX ||
    part.ops.length >= PART_OPS_MAX
  ) {
    part = { group, number: firstPart + parts.length, slots: [], ops: [], bytes: 0 };
    open.set(group, part);
    parts.push(part);
  }
  part.slots.push(slot);
  part.ops.push(op);
  part.bytes += bytes;
}

function addRead(reads: Map<GroupId, Reads>, map: ShardMap, slot: number, ref: KeyRef): void {
  const group = map.groups[vshardOf(ref)] as GroupId;
  const read = reads.get(group) ?? { slots: [], keys: [] };
  reads.set(group, read);
  read.slots.push(slot);
  read.keys.push(ref);
}

/**
 * Writes one after another: of two to one key the later one of the batch is the last. Then reads: whoever puts
 * and gets a key in one batch finds what was put, whichever came first in it.
 */
async function runGroup(
  pass: Pass,
  parts: readonly Part[],
  group: GroupId,
  read: Reads | null,
): Promise<Revision> {
  let clock = 0;
  for (const part of parts) clock = Math.max(clock, await runPart(pass, part));
  return read === null ? clock : Math.max(clock, await runReads(pass, group, read));
}

async function runPart(pass: Pass, part: Part): Promise<Revision> {
  const { calls, map, ctx, results, clock: time, endMs, promises } = pass;
  const idempotency =
    ctx.idempotency === null
      ? null
      : { key: `${ctx.idempotency.key}\0${part.number}`, requestHash: ctx.idempotency.requestHash };
  const send = (ops: WriteOp[], deadlineMs: number): Promise<ReplyOf<'Written'>> => {
    const body: RequestBody = { type: 'Write', epoch: map.epoch, ops, idempotency };
    return calls.call(part.group, body, 'Written', writeOptions(ctx, deadlineMs));
  };
  const attached = part.ops.filter(isAttached);
  try {
    const deadlineMs = endMs - time.monotonicMs();
    const reply =
      attached.length === 0
        ? await send(part.ops, deadlineMs)
        : await promises.write({ ...ctx, deadlineMs }, attached, (known, leftMs) => {
            const ops = part.ops.map((op) => (op.type === 'put' ? withPromise(op, known) : op));
            return send(ops, leftMs);
          });
    for (let i = 0; i < part.slots.length; i++) {
      const result = reply.results[i] as OpResult;
      const slot = part.slots[i] as number;
      if (result.type === 'wrong_shard') {
        pass.moved.push(slot);
        pass.epoch = Math.max(pass.epoch, result.epoch);
        results[slot] = MOVED;
      } else if (result.type === 'failed') {
        const { code, message } = result;
        const known = isErrorCode(code) ? code : 'internal';
        results[slot] = { kind: 'error', code: known, definite: ERRORS[known].definite, message };
      } else results[slot] = { kind: 'write', result };
    }
    return reply.clock;
  } catch (error) {
    const failed = errorResult(error);
    for (const slot of part.slots) results[slot] = failed;
    return 0;
  }
}

function isAttached(op: WriteOp): op is PutOp {
  return op.type === 'put' && op.attach !== null && op.attach !== undefined;
}

const MOVED: BatchResult = {
  ...{ kind: 'error', code: 'wrong_shard', definite: true, message: 'the shard map changed' },
};

/**
 * A reply may hold fewer items than asked for (they must fit one message): ask on for the rest, until the
 * budget of the answer is used up.
 */
async function runReads(
  { calls, map, ctx, results, clock: time, endMs, budget }: Pass,
  group: GroupId,
  read: Reads,
): Promise<Revision> {
  let clock = 0;
  let at = 0;
  try {
    while (at < read.keys.length) {
      if (budget.failure !== null) throw budget.failure;
      const keys = read.keys.slice(at, endOfMessage(read.keys, at));
      const body: RequestBody = {
        type: 'Read',
        epoch: map.epoch,
        keys,
        revision: null,
        stale: false,
      };
      const deadlineMs = endMs - time.monotonicMs();
      const options = { ...readOptions(ctx, 'leader'), deadlineMs };
      const reply = await calls.call(group, body, 'Items', options);
      for (const item of reply.items as (Item | null)[]) {
        const refusal = item === null ? null : budget.take(item);
        if (refusal !== null) throw refusal;
        results[read.slots[at] as number] = { kind: 'get', item };
        at++;
      }
      clock = Math.max(clock, reply.clock);
    }
  } catch (error) {
    const failed = errorResult(error);
    for (const slot of read.slots.slice(at)) results[slot] = failed;
  }
  return clock;
}

/** Where the keys that fit one message end. */
function endOfMessage(keys: readonly KeyRef[], start: number): number {
  let bytes = 0;
  let end = start;
  while (end < keys.length) {
    const { tenant, space, key } = keys[end] as KeyRef;
    bytes += tenant.length + space.length + key.length + 32;
    if (bytes > READ_BYTES_MAX && end > start) break;
    end++;
  }
  return end;
}
