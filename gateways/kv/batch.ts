import { AppError } from '../../protocol/errors.ts';
import type { BatchOp, BatchResult, RequestContext } from '../../protocol/service.ts';
import type { Edge } from '../http/app.ts';
import { type Listing, readPage } from './listing.ts';
import {
  appErrorOf,
  type EdgeOp,
  failureToJson,
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

/** What a batch needs of the edge; the NATS gateway has no listener. */
export type BatchEdge = Pick<Edge, 'service'>;

/**
 * Independent operations, a result for each in order. Writes and reads go to the service as one batch,
 * ranges as scans beside it, a few at a time.
 */
export async function runBatch(
  edge: BatchEdge,
  ctx: RequestContext,
  ops: readonly EdgeOp[],
  binary: boolean,
): Promise<BatchOutcome> {
  const results = new Array<EdgeResult>(ops.length);
  const direct: { op: BatchOp; at: number }[] = [];
  let clock = 0;
  for (const [at, op] of ops.entries()) if (op.kind !== 'range') direct.push({ op, at });
  if (direct.length > 0) {
    const answer = await edge.service.batch(
      ctx,
      direct.map(({ op }) => op),
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
    const ranged = await runRange(edge, ctx, op, binary);
    results[at] = ranged.result;
    clock = Math.max(clock, ranged.clock);
  }
  // Nothing was reached: the node's own clock is what can be said.
  return { results, clock: clock > 0 ? clock : edge.service.status().clock };
}

async function runRange(
  edge: BatchEdge,
  ctx: RequestContext,
  op: RangeOp,
  binary: boolean,
): Promise<{ result: EdgeResult; clock: number }> {
  const { start, end, reverse, limit, values } = op;
  const listing: Listing = {
    ...{ start, end, reverse, limit, values },
    ...{ cursor: null, revision: null, consistency: 'linearizable' },
  };
  try {
    const { page, cursor } = await readPage(edge, ctx, listing);
    const shape = pageToJson(page, cursor, { values, binary });
    return { result: { kind: 'page', shape }, clock: page.revision };
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
  return outcome.results.map((result, i) => {
    if (result.kind === 'page') return result.shape;
    const op = ops[i];
    const key = op === undefined ? null : keyOfOp(op);
    if (key !== null) return resultToJson(key, result, { values: true, binary });
    if (result.kind !== 'error') throw new AppError('internal', 'a range has another result');
    return failureToJson(null, new AppError(result.code, result.message, result));
  });
}
