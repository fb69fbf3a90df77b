import type { OpResult, WriteOp } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item, RequestBody } from '../../protocol/messages/request.ts';
import type { BatchOp, BatchResult, RequestContext } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import type { Calls } from './calls.ts';
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

/** Half an entry, so that keys, headers and results fit beside the values. */
const PART_BYTES_MAX = LIMITS.entryBytesMax >> 1;
const PART_OPS_MAX = 1024;

/**
 * Independent operations: grouped by group, cut to entry size, the groups in parallel; a failure is
 * told per item. With an idempotency key each part carries a key of its own (the request's key and the
 * part's number), so a repeated batch applies once.
 */
export async function runBatch(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  ops: readonly BatchOp[],
): Promise<{ results: BatchResult[]; clock: Revision }> {
  const results = new Array<BatchResult>(ops.length);
  const parts: Part[] = [];
  const open = new Map<GroupId, Part>();
  const reads = new Map<GroupId, { slots: number[]; keys: KeyRef[] }>();
  for (let i = 0; i < ops.length; i++) {
    const item = ops[i] as BatchOp;
    if (item.kind === 'write') addWrite(parts, open, map, i, item.op);
    else addRead(reads, map, i, item.ref);
  }
  let clock = 0;
  const jobs: Promise<Revision>[] = [];
  for (const group of new Set(parts.map((part) => part.group))) {
    const mine = parts.filter((part) => part.group === group);
    jobs.push(runParts(calls, map, ctx, mine, results));
  }
  for (const [group, read] of reads) jobs.push(runReads(calls, map, ctx, group, read, results));
  for (const reached of await Promise.all(jobs)) clock = Math.max(clock, reached);
  return { results, clock };
}

function addWrite(
  parts: Part[],
  open: Map<GroupId, Part>,
  map: ShardMap,
  slot: number,
  op: WriteOp,
): void {
  const group = map.groups[vshardOf(op.ref)] as GroupId;
  const bytes = op.ref.key.length + 64 + (op.type === 'put' ? op.value.length : 0);
  let part = open.get(group);
  if (
    part === undefined ||
    part.bytes + bytes > PART_BYTES_MAX ||
    part.ops.length >= PART_OPS_MAX
  ) {
    part = { group, number: parts.length, slots: [], ops: [], bytes: 0 };
    open.set(group, part);
    parts.push(part);
  }
  part.slots.push(slot);
  part.ops.push(op);
  part.bytes += bytes;
}

function addRead(
  reads: Map<GroupId, { slots: number[]; keys: KeyRef[] }>,
  map: ShardMap,
  slot: number,
  ref: KeyRef,
): void {
  const group = map.groups[vshardOf(ref)] as GroupId;
  const read = reads.get(group) ?? { slots: [], keys: [] };
  reads.set(group, read);
  read.slots.push(slot);
  read.keys.push(ref);
}

/** One after another: of two writes to one key the later one of the batch is the last. */
async function runParts(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  parts: readonly Part[],
  results: BatchResult[],
): Promise<Revision> {
  let clock = 0;
  for (const part of parts) {
    clock = Math.max(clock, await runPart(calls, map, ctx, part, results));
  }
  return clock;
}

async function runPart(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  part: Part,
  results: BatchResult[],
): Promise<Revision> {
  const idempotency =
    ctx.idempotency === null
      ? null
      : { key: `${ctx.idempotency.key}\0${part.number}`, requestHash: ctx.idempotency.requestHash };
  const body: RequestBody = { type: 'Write', epoch: map.epoch, ops: part.ops, idempotency };
  try {
    const reply = await calls.call(part.group, body, 'Written', writeOptions(ctx, ctx.deadlineMs));
    for (let i = 0; i < part.slots.length; i++) {
      const result = reply.results[i] as OpResult;
      results[part.slots[i] as number] =
        result.type === 'wrong_shard'
          ? { kind: 'error', code: 'wrong_shard', definite: true, message: 'the shard map changed' }
          : { kind: 'write', result };
    }
    return reply.clock;
  } catch (error) {
    const failed = errorResult(error);
    for (const slot of part.slots) results[slot] = failed;
    return 0;
  }
}

/** A reply may hold fewer items than asked for (they must fit one message): ask on for the rest. */
async function runReads(
  calls: Calls,
  map: ShardMap,
  ctx: RequestContext,
  group: GroupId,
  read: { slots: number[]; keys: KeyRef[] },
  results: BatchResult[],
): Promise<Revision> {
  let clock = 0;
  let at = 0;
  try {
    while (at < read.keys.length) {
      const keys = read.keys.slice(at);
      const body: RequestBody = {
        type: 'Read',
        epoch: map.epoch,
        keys,
        revision: null,
        stale: false,
      };
      const reply = await calls.call(group, body, 'Items', readOptions(ctx, 'leader'));
      for (const item of reply.items as (Item | null)[]) {
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
