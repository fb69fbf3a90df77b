import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { App, Edge } from '../http/app.ts';
import { listBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer, answerPacked, answerText, wantsMsgpack, weightOf } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { answerBudget, batchPorts, batchToJson, packBatch, runBatch } from './batch.ts';
import { type Listing, NDJSON, readPage, streamListing } from './listing.ts';
import { pageText } from './page-text.ts';
import { type EdgeOp, opFromJson, pageToJson, rangeOf } from './shapes.ts';

/** Many keys: listing `/v1/kv`, and `/v1/batch`. */
export function registerCollectionRoutes(app: App, edge: Edge): void {
  app.get('/v1/kv', {
    schema: {
      ...{ tags: ['keys'], summary: 'Lists keys in order, a page or (NDJSON) all of them' },
      querystring: schemas.ListQuery,
      response: schemas.answers({ 200: schemas.Page }),
    },
    handler: async (request, reply) => {
      const listing = listingOf(request.query);
      const ctx = contextOf(request);
      if (wantsLines(request)) return streamListing(ctx, listing, reply);
      const read = await readPage(request.edge, ctx, listing);
      const { revision } = read.page;
      if (!wantsMsgpack(request.headers)) {
        return answerText(request, reply, 200, revision, pageText(read, listing.values));
      }
      const { values } = listing;
      return answer(request, reply, 200, revision, (binary) =>
        pageToJson(read, { values, binary }),
      );
    },
  });
  app.post('/v1/batch', {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['keys'], summary: 'Independent operations, a result for each in order' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: schemas.BatchBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.BatchAnswer }),
    },
    handler: async (request, reply) => {
      const ops = operationsOf(listBody(request, 'ops', LIMITS.batchOpsMax));
      const ctx = contextOf(request, () => ['batch', packBytes(ops)]);
      const budget = answerBudget(edge, request, reply);
      const binary = wantsMsgpack(request.headers);
      const outcome = await runBatch(batchPorts(edge, request), ctx, ops, { binary, budget });
      const { clock } = outcome;
      if (binary) return answerPacked(request, reply, 200, clock, packBatch(ops, outcome));
      return answer(request, reply, 200, clock, () => ({
        results: batchToJson(ops, outcome, false),
        revision: clock,
      }));
    },
  });
}

/** Every operation is read before any is run; the first that is not valid is named. */
export function operationsOf(list: readonly unknown[]): EdgeOp[] {
  return list.map((raw, at) => {
    try {
      return opFromJson(raw);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const { details } = error;
      throw new AppError(error.code, `ops[${at}]: ${error.message}`, {
        details: { ...details, at },
      });
    }
  });
}

function wantsLines(request: FastifyRequest): boolean {
  const { accept } = request.headers;
  return weightOf(accept, (type) => type === NDJSON || type === 'application/ndjson') > 0;
}

export function listingOf(query: Static<typeof schemas.ListQuery>): Listing {
  const { prefix, start, end, limit, cursor, reverse, values, revision, consistency } = query;
  return {
    ...rangeOf(prefix ?? null, start ?? null, end ?? null),
    limit: limit ?? null,
    cursor: cursor ?? null,
    reverse: reverse ?? false,
    values: values ?? true,
    revision: revision ?? null,
    consistency: consistency ?? 'linearizable',
  };
}
