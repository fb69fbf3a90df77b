import { AnswerBudget } from '../../protocol/answer-budget.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { App, Edge } from '../http/app.ts';
import { listBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { type BatchPorts, batchPorts, batchToJson, runBatch } from '../kv/batch.ts';
import { operationsOf } from '../kv/collection-routes.ts';
import { NDJSON, streamListing } from '../kv/listing.ts';
import { bytesField, failureToJson, type Shape } from '../kv/shapes.ts';

/** `/admin/import` and `/admin/export`: what one writes the other reads. */
export function registerTransferRoutes(app: App, edge: Edge): void {
  app.post('/admin/import', {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Writes entries; each by itself' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: schemas.ImportBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.ImportAnswer }),
    },
    handler: async (request, reply) => {
      const entries = listBody(request, 'entries', LIMITS.batchOpsMax);
      const outcome = await importAll(batchPorts(edge, request), contextOf(request), entries);
      return answer(request, reply, 200, outcome.revision, () => outcome);
    },
  });
  app.get('/admin/export', {
    schema: {
      ...{ tags: ['admin'], summary: 'Every item as a line, from one snapshot' },
      querystring: schemas.NoQuery,
      response: schemas.answers({
        200: schemas.content(NDJSON, 'Items, then {"end":true,"revision":R}.'),
      }),
    },
    handler: (request, reply) =>
      streamListing(
        contextOf(request),
        {
          ...{ start: '', end: null, reverse: false, limit: null, cursor: null },
          ...{ values: true, revision: null, consistency: 'linearizable' },
        },
        reply,
      ),
  });
}

/**
 * An entry is what an export line is: an item. What only the store decides of it is left out; an expiry
 * becomes the time that is left. Null where nothing is left.
 */
function entryToOp(entry: unknown, nowMs: number): Shape | null {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw new AppError('invalid_argument', 'an entry must be an object');
  }
  const { revision, createRevision, version, lease, expiresAt, ...put } = entry as Shape;
  if (expiresAt === undefined) return { ...put, op: 'put' };
  const untilMs = typeof expiresAt === 'string' ? Date.parse(expiresAt) : Number.NaN;
  if (Number.isNaN(untilMs) || put['ttl'] !== undefined) {
    throw new AppError('invalid_argument', 'expiresAt must be a date, and without ttl');
  }
  const ttl = Math.ceil((untilMs - nowMs) / 1000);
  return ttl < 1 ? null : { ...put, op: 'put', ttl };
}

async function importAll(edge: BatchPorts, ctx: RequestContext, entries: readonly unknown[]) {
  const nowMs = edge.clock.wallMs();
  const read = entries.map((entry) => entryToOp(entry, nowMs));
  const ops = operationsOf(read.filter((op) => op !== null));
  const errors: Shape[] = [];
  for (const [i, op] of read.entries()) {
    if (op !== null) continue;
    const key = bytesField(entries[i] as Shape, 'key');
    errors.push(failureToJson(key, new AppError('invalid_argument', 'it has expired already')));
  }
  // All of them are writes.
  const options = { binary: false, budget: new AnswerBudget({}) };
  const outcome = await runBatch(edge, ctx, ops, options);
  for (const shape of batchToJson(ops, outcome, false)) {
    if (shape['code'] !== undefined) errors.push(shape);
  }
  const failed = errors.length;
  return { imported: entries.length - failed, failed, errors, revision: outcome.clock };
}
