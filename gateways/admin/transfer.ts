import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { App, Edge } from '../http/app.ts';
import { listBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { batchToJson, runBatch } from '../kv/batch.ts';
import { operationsOf } from '../kv/collection-routes.ts';
import { NDJSON, streamListing } from '../kv/listing.ts';
import type { EdgeOp, Shape } from '../kv/shapes.ts';

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
      const ops = operationsOf(entries.map(entryToOp));
      const outcome = await importAll(edge, contextOf(request), ops);
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
        edge,
        contextOf(request),
        {
          ...{ start: '', end: null, reverse: false, limit: null, cursor: null },
          ...{ values: true, revision: null, consistency: 'linearizable' },
        },
        reply,
      ),
  });
}

/** An entry is what an export line is: an item. What only the store decides of it is left out. */
function entryToOp(entry: unknown): unknown {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw new AppError('invalid_argument', 'an entry must be an object');
  }
  const { revision, createRevision, version, expiresAt, ...put } = entry as Shape;
  if (expiresAt !== undefined) {
    throw new AppError('invalid_argument', 'an entry that expires is written with ttl, in seconds');
  }
  return { ...put, op: 'put' };
}

async function importAll(edge: Edge, ctx: RequestContext, ops: readonly EdgeOp[]) {
  const outcome = await runBatch(edge, ctx, ops, false);
  const shapes = batchToJson(ops, outcome, false);
  const errors = shapes.filter((shape) => shape['code'] !== undefined);
  return {
    imported: shapes.length - errors.length,
    failed: errors.length,
    errors,
    revision: outcome.clock,
  };
}
