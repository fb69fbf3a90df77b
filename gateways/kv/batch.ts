import type { FastifyReply, FastifyRequest } from 'fastify';
import { AnswerBudget } from '../../protocol/answer-budget.ts';
import type { OpResult } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { MessageWriter } from '../../protocol/message-writer.ts';
import type { BatchOp, BatchResult, KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import type { Edge } from '../http/app.ts';
import { appErrorOf } from '../http/problem.ts';
import { wantsMsgpack } from '../http/respond.ts';
import { type Ask, type Guard, rangeOf } from '../identity/guard.ts';
import { type Listing, readPage } from './listing.ts';
import {
  type EdgeOp,
  failureToJson,
  isAscii,
  keyOfOp,
  pageToJson,
  type RangeOp,
  resultToJson,
  type Shape,
} from './shapes.ts';

/** One operation's result: the service's, a page, or why it failed. */
export type EdgeResult = BatchResult | { readonly kind: 'page'; readonly shape: Shape };

export interface BatchOutcome {
  readonly results: readonly EdgeResult[];
  readonly clock: number;
}

/** The budget of a request's answer: what it holds is given back when the connection has taken it. */
export function answerBudget(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
): AnswerBudget {
  const isText = !wantsMsgpack(request.headers);
  const budget = new AnswerBudget({ shared: edge.answers, isText });
  const { release } = request.edge;
  request.edge.release = () => {
    release?.();
    budget.release();
  };
  // Its end was told already.
  if (reply.raw.destroyed) budget.release();
  return budget;
}

export interface BatchPorts extends Pick<Edge, 'clock'> {
  /** The store as the request's sender may use it. */
  readonly service: KvService;
  /** Null: they may all that the batch asks for. */
  readonly guard: Guard | null;
}

export function batchPorts({ clock }: Edge, { edge }: FastifyRequest): BatchPorts {
  return { clock, service: edge.service, guard: edge.grant?.guard ?? null };
}

/**
 * Independent operations, a result for each in order. Writes and reads go to the service as one batch,
 * then one range after another; all share one deadline and one budget. Throws `forbidden` where one of them is not
 * allowed, before any is done.
 */
export async function runBatch(
  edge: BatchPorts,
  ctx: RequestContext,
  ops: readonly EdgeOp[],
  options: { readonly binary: boolean; readonly budget: AnswerBudget },
): Promise<BatchOutcome> {
  const { budget } = options;
  if (!ops.some(isRange)) return runDirect(edge, ctx, ops as readonly BatchOp[], budget);
  const ranges = ops.filter(isRange);
  edge.guard?.check(...ranges.map(({ start, end }) => askOfRange(start, end)));
  const endMs = edge.clock.monotonicMs() + ctx.deadlineMs;
  const results = new Array<EdgeResult>(ops.length);
  const direct: { op: BatchOp; at: number }[] = [];
  let clock = 0;
  for (const [at, op] of ops.entries()) if (op.kind !== 'range') direct.push({ op, at });
  if (direct.length > 0) {
    const answer = await edge.service.batch(
      ctx,
      direct.map(({ op }) => op),
      budget,
    );
    clock = answer.clock;
    for (const [i, { at }] of direct.entries()) {
      const result = answer.results[i];
      if (result === undefined) throw new AppError('internal', 'a result is missing');
      results[at] = result;
    }
  }
  for (const [at, op] of ops.entries()) {
    if (op.kind !== 'range') continue;
    const deadlineMs = endMs - edge.clock.monotonicMs();
    const ranged = await runRange(edge, { ...ctx, deadlineMs }, op, options);
    results[at] = ranged.result;
    clock = Math.max(clock, ranged.clock);
  }
  // Nothing was reached: the node's own clock is what can be said.
  return { results, clock: clock > 0 ? clock : edge.service.status().clock };
}

/** Without ranges all of it is the service's. */
async function runDirect(
  { service }: BatchPorts,
  ctx: RequestContext,
  ops: readonly BatchOp[],
  budget: AnswerBudget,
): Promise<BatchOutcome> {
  const { results, clock } =
    ops.length > 0 ? await service.batch(ctx, ops, budget) : { results: [], clock: 0 };
  if (results.length !== ops.length) throw new AppError('internal', 'a result is missing');
  return { results, clock: clock > 0 ? clock : service.status().clock };
}

function isRange(op: EdgeOp): op is RangeOp {
  return op.kind === 'range';
}

function askOfRange(start: string, end: string | null): Ask {
  return {
    action: 'data:read',
    on: rangeOf({ tenant: DEFAULT_TENANT, space: KV_SPACE }, start, end),
  };
}

async function runRange(
  edge: Pick<BatchPorts, 'service'>,
  ctx: RequestContext,
  op: RangeOp,
  { binary, budget }: { readonly binary: boolean; readonly budget: AnswerBudget },
): Promise<{ result: EdgeResult; clock: number }> {
  const { start, end, reverse, limit, values } = op;
  const listing: Listing = {
    ...{ start, end, reverse, limit, values },
    ...{ cursor: null, revision: null, consistency: 'linearizable' },
  };
  try {
    if (budget.failure !== null) throw budget.failure;
    if (ctx.deadlineMs <= 0) throw new AppError('deadline_exceeded', 'no time was left for it');
    const read = await readPage(edge, ctx, listing);
    for (const item of read.page.items) {
      const refusal = budget.take(item);
      if (refusal !== null) throw refusal;
    }
    const shape = pageToJson(read, { values, binary });
    return { result: { kind: 'page', shape }, clock: read.page.revision };
  } catch (error) {
    const { code, definite, message } = appErrorOf(error);
    return { result: { kind: 'error', code, definite, message }, clock: 0 };
  }
}

/** The results as they are sent. */
export function batchToJson(
  ops: readonly EdgeOp[],
  outcome: BatchOutcome,
  binary: boolean,
): Shape[] {
  return outcome.results.map((result, i) => shapeOf(ops[i], result, binary));
}

function shapeOf(op: EdgeOp | undefined, result: EdgeResult, binary: boolean): Shape {
  if (result.kind === 'page') return result.shape;
  const key = op === undefined ? null : keyOfOp(op);
  if (key !== null) return resultToJson(key, result, { values: true, binary });
  if (result.kind !== 'error') throw new AppError('internal', 'a range has another result');
  return failureToJson(null, new AppError(result.code, result.message, result));
}

const writer = new MessageWriter();

/** The whole answer as MessagePack: `{results, revision}`. Written puts, the commonest, without their shapes. */
export function packBatch(ops: readonly EdgeOp[], outcome: BatchOutcome): Uint8Array {
  const { results, clock } = outcome;
  writer.begin();
  writer.beginMap(2);
  writer.text('results');
  writer.beginList(results.length);
  for (let i = 0; i < results.length; i++) {
    const op = ops[i] as EdgeOp;
    const result = results[i] as EdgeResult;
    const put = result.kind === 'write' && result.result.type === 'put' ? result.result : null;
    const key = put === null ? null : keyOfOp(op);
    if (put !== null && key !== null && isAscii(key)) packPut(key, put);
    else writer.value(shapeOf(op, result, true));
  }
  writer.endList();
  writer.text('revision');
  writer.number(clock);
  writer.endMap();
  return writer.end();
}

/** writeResultToJson of it, field by field. */
function packPut(key: string, put: Extract<OpResult, { type: 'put' }>): void {
  writer.beginMap(4);
  writer.text('key');
  writer.text(key);
  writer.text('revision');
  writer.number(put.revision);
  writer.text('createRevision');
  writer.number(put.createRevision);
  writer.text('version');
  writer.number(put.version);
  writer.endMap();
}
