import type { FastifyReply, FastifyRequest } from 'fastify';
import { packBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { App, Edge } from '../http/app.ts';
import { listBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer, wantsMsgpack } from '../http/respond.ts';
import type { RouteTable } from '../http/route-table.ts';
import * as schemas from '../http/schemas.ts';
import { pathOf } from '../http/url.ts';
import { answerBudget, batchPorts, batchToJson, runBatch } from './batch.ts';
import { kvKeyOf } from './key-answers.ts';
import { deleteKey, getKey, putKey } from './key-routes.ts';
import { type Listing, readPage } from './listing.ts';
import { type EdgeOp, opFromJson, pageToJson, rangeOf, type Shape } from './shapes.ts';

/** The seed project's own paths, with the meaning they claim: `/{key}`, `/range` and `/batch`. */
export function registerSeedRoutes(app: App, edge: Edge, table: RouteTable): void {
  const tags = ['seed'];
  const url = '/:key';
  const writes = {
    config: { body: 'raw' },
    schema: {
      ...{ tags, summary: 'Writes a key of one segment', consumes: ['application/octet-stream'] },
      ...{ params: schemas.KeyParams, headers: schemas.PutHeaders, body: schemas.Bytes },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.PutAnswer, 201: schemas.PutAnswer }),
    },
    handler: (request: FastifyRequest, reply: FastifyReply) =>
      putKey(request, reply, refOf(request, table)),
  } as const;
  app.put(url, writes);
  app.post(url, writes);
  app.get(url, {
    schema: {
      ...{ tags, summary: 'Reads a key of one segment' },
      ...{ params: schemas.KeyParams, querystring: schemas.GetQuery },
      response: schemas.answers({
        200: schemas.content('application/octet-stream', 'The value, with its content type.'),
      }),
    },
    handler: (request, reply) => getKey(edge, request, reply, refOf(request, table), request.query),
  });
  app.delete(url, {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ tags, summary: 'Deletes a key of one segment' },
      ...{ params: schemas.KeyParams, querystring: schemas.NoQuery },
      response: schemas.answers({ 200: schemas.DeleteAnswer }),
    },
    handler: (request, reply) => deleteKey(request, reply, refOf(request, table)),
  });
  registerRange(app, tags);
  registerBatch(app, edge, tags);
}

/** A name that belongs to another path is no key here, whatever the method. */
function refOf(request: FastifyRequest, table: RouteTable): KeyRef {
  const path = pathOf(request.originalUrl);
  if (table.isReserved(path)) throw table.missing(request.method, path);
  return kvKeyOf(request.originalUrl, '/');
}

function registerRange(app: App, tags: string[]): void {
  app.get('/range', {
    schema: {
      ...{ tags, summary: 'Lists keys from start to end, both inclusive' },
      querystring: schemas.SeedRangeQuery,
      response: schemas.answers({ 200: schemas.Page }),
    },
    handler: async (request, reply) => {
      const { start, end, include_values: values = false, limit, cursor } = request.query;
      const listing: Listing = {
        // The least key above `end` is `end` and a NUL.
        ...rangeOf(null, start ?? null, null),
        end: end === undefined ? null : `${end}\0`,
        limit: limit ?? LIMITS.pageItemsMax,
        ...{ cursor: cursor ?? null, reverse: false, values },
        ...{ revision: null, consistency: 'linearizable' },
      };
      if ((end ?? '').length > LIMITS.keyBytesMax) {
        throw new AppError('invalid_argument', 'end is longer than any key');
      }
      const read = await readPage(request.edge, contextOf(request), emptyWhenReversed(listing));
      return answer(request, reply, 200, read.page.revision, (binary) =>
        pageToJson(read, { values, binary }),
      );
    },
  });
}

function emptyWhenReversed(listing: Listing): Listing {
  const { start, end } = listing;
  return end !== null && end < start ? { ...listing, end: start } : listing;
}

function registerBatch(app: App, edge: Edge, tags: string[]): void {
  app.post('/batch', {
    config: { body: 'document' },
    schema: {
      ...{ tags, summary: 'Independent operations' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: schemas.SeedBatchBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.SeedBatchAnswer }),
    },
    handler: async (request, reply) => {
      const list = listBody(request, 'ops', LIMITS.batchOpsMax);
      const read = list.map(seedOp);
      const ops = read.flatMap(({ op }) => (op === null ? [] : [op]));
      const ctx = contextOf(request, () => ['batch', packBytes(list)]);
      const budget = answerBudget(edge, request, reply);
      const binary = wantsMsgpack(request.headers);
      const outcome = await runBatch(batchPorts(edge, request), ctx, ops, { binary, budget });
      return answer(request, reply, 200, outcome.clock, () => {
        const shapes = batchToJson(ops, outcome, binary);
        let at = 0;
        return {
          results: read.map(({ op, refusal }) =>
            op === null ? refusal : seedResult(shapes[at++] ?? {}),
          ),
        };
      });
    },
  });
}

/** The seed answers each operation by itself, also one that cannot be read. */
function seedOp(raw: unknown): { op: EdgeOp | null; refusal: Shape | null } {
  try {
    const op = opFromJson(raw);
    if (op.kind !== 'range') return { op, refusal: null };
    throw new AppError('invalid_argument', 'op must be put, get or delete');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const key: unknown = typeof raw === 'object' && raw !== null ? Reflect.get(raw, 'key') : null;
    const named = typeof key === 'string' ? key : null;
    return { op: null, refusal: { ok: false, key: named, value: null, error: error.message } };
  }
}

function seedResult(shape: Shape): Shape {
  const { key = null, value = null, base64, keyBase64, code } = shape;
  return {
    ok: code === undefined,
    key,
    ...(keyBase64 === undefined ? {} : { keyBase64 }),
    value,
    ...(base64 === undefined ? {} : { base64 }),
    error: code ?? null,
  };
}
