import type { FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { IndexQueryOptions } from '../../protocol/index-access.ts';
import type { App } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import * as shapes from '../http/index-schemas.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { decodeQueryCursor, encodeQueryCursor } from './index-cursor.ts';
import { hitsToJson, indexFromJson, indexToJson, textOfQuery } from './index-shapes.ts';
import { loweredLimit, pageLimit } from './paging.ts';

const tags = ['indexes'];

/** Secondary indexes: `/v1/indexes`. */
export function registerIndexRoutes(app: App): void {
  app.post('/v1/indexes', {
    config: { body: 'document' },
    schema: {
      ...{ tags, summary: 'Defines an index; what is there already is entered in the background' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: shapes.IndexBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 201: shapes.Index }),
    },
    handler: async (request, reply) => {
      const info = await request.edge.service.indexes.define(
        contextOf(request),
        indexFromJson(request.body),
      );
      return answer(request, reply, 201, null, () => indexToJson(info, null));
    },
  });
  app.get('/v1/indexes', {
    schema: {
      ...{ tags, summary: 'All indexes and their states' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: shapes.Indexes }),
    },
    handler: async (request, reply) => {
      const all = await request.edge.service.indexes.list(contextOf(request));
      return answer(request, reply, 200, null, () => ({
        indexes: all.map((info) => indexToJson(info, null)),
      }));
    },
  });
  app.get('/v1/indexes/:name', {
    schema: {
      ...{ tags, summary: 'An index, its state and how far it is built' },
      ...{ params: shapes.IndexParams, querystring: schemas.NoQuery },
      response: schemas.answers({ 200: shapes.Index }),
    },
    handler: async (request, reply) => {
      const { info, progress } = await request.edge.service.indexes.inspect(
        contextOf(request),
        nameOf(request),
      );
      return answer(request, reply, 200, null, () => indexToJson(info, progress));
    },
  });
  app.delete('/v1/indexes/:name', {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ tags, summary: 'Drops an index; its rows are removed in the background' },
      ...{ params: shapes.IndexParams, querystring: schemas.NoQuery },
      response: schemas.answers({ 200: shapes.IndexDropped }),
    },
    handler: async (request, reply) => {
      const dropped = await request.edge.service.indexes.drop(contextOf(request), nameOf(request));
      return answer(request, reply, 200, null, () => ({ dropped }));
    },
  });
  registerPausing(app);
  registerQuery(app);
}

function registerPausing(app: App): void {
  for (const [verb, paused] of [
    ['pause', true],
    ['resume', false],
  ] as const) {
    app.post(`/v1/indexes/:name/${verb}`, {
      config: { body: 'raw', bodyBytesMax: 0 },
      schema: {
        ...{ tags, summary: paused ? 'Halts a backfill' : 'Lets a backfill go on' },
        ...{ params: shapes.IndexParams, querystring: schemas.NoQuery },
        response: schemas.answers({ 200: shapes.Index }),
      },
      handler: async (request, reply) => {
        const { indexes } = request.edge.service;
        const info = await indexes.pause(contextOf(request), nameOf(request), paused);
        return answer(request, reply, 200, null, () => indexToJson(info, null));
      },
    });
  }
}

function registerQuery(app: App): void {
  app.get('/v1/indexes/:name/query', {
    schema: {
      ...{ tags, summary: 'Items by their fields, in index order, at one revision' },
      ...{ params: shapes.IndexParams, querystring: shapes.IndexQuery },
      response: schemas.answers({ 200: shapes.IndexPage }),
    },
    handler: async (request, reply) => {
      const { query } = request;
      const { options, identity } = optionsOf(nameOf(request), query);
      const ctx = contextOf(request);
      const page = await request.edge.service.indexes.query(ctx, nameOf(request), options);
      const { next: after, revision } = page;
      const cursor = after === null ? null : encodeQueryCursor({ revision, after }, identity);
      const { values } = options;
      const explain = query.explain ?? false;
      return answer(request, reply, 200, revision, (binary) => ({
        ...hitsToJson(page, cursor, { values, explain, binary }),
        ...loweredLimit(query.limit),
      }));
    },
  });
}

function nameOf(request: FastifyRequest): string {
  return (request.params as { name: string }).name;
}

/** What is asked for, and the text by which a cursor knows its query. */
function optionsOf(
  name: string,
  query: Static<typeof shapes.IndexQuery>,
): { options: IndexQueryOptions; identity: string } {
  const conditions = {
    eq: textOfQuery('eq', query.eq),
    gt: textOfQuery('gt', query.gt),
    gte: textOfQuery('gte', query.gte),
    lt: textOfQuery('lt', query.lt),
    lte: textOfQuery('lte', query.lte),
    prefix: textOfQuery('prefix', query.prefix),
  };
  const reverse = query.order === 'desc';
  const identity = JSON.stringify([name, conditions, reverse]);
  const at = query.cursor === undefined ? null : decodeQueryCursor(query.cursor, identity);
  if (at !== null && query.revision !== undefined && query.revision !== at.revision) {
    throw new AppError('invalid_argument', 'the cursor belongs to another revision');
  }
  const options = {
    ...conditions,
    ...{ reverse, values: query.values ?? true, after: at?.after ?? null },
    limit: pageLimit(query.limit),
    revision: at?.revision ?? query.revision ?? null,
  };
  return { options, identity };
}
