import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import type { Consistency } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { replyWith } from '../http/answer.ts';
import type { App, Edge } from '../http/app.ts';
import { rawBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { wantsMsgpack } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { itemAnswer, kvKeyOf, readDelete, readPut, writeAnswer } from './key-answers.ts';

/** One key: `/v1/kv/{key...}`. The seed's `/{key}` means the same and shares these handlers. */
export function registerKeyRoutes(app: App, edge: Edge): void {
  const url = '/v1/kv/:key';
  const tags = ['keys'];
  const refOf = (request: FastifyRequest): KeyRef => kvKeyOf(request.originalUrl, '/v1/kv/');
  app.put(url, {
    config: { body: 'raw' },
    schema: {
      ...{ tags, summary: 'Writes a key', consumes: ['application/octet-stream'] },
      ...{ params: schemas.KeyParams, headers: schemas.PutHeaders, body: schemas.Bytes },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.PutAnswer, 201: schemas.PutAnswer }),
    },
    handler: (request, reply) => putKey(request, reply, refOf(request)),
  });
  for (const method of ['GET', 'HEAD'] as const) {
    app.route<{ Querystring: ReadQuery }>({
      ...{ method, url, exposeHeadRoute: false },
      schema: {
        ...{ tags, summary: method === 'GET' ? 'Reads a key' : 'Reads what is known of a key' },
        ...{ params: schemas.KeyParams, headers: schemas.GetHeaders },
        querystring: schemas.GetQuery,
        response: schemas.answers({
          200: schemas.content('application/octet-stream', 'The value, with its content type.'),
          304: { description: 'Still at the revision of If-None-Match.' },
        }),
      },
      handler: (request, reply) => getKey(edge, request, reply, refOf(request), request.query),
    });
  }
  app.delete(url, {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ tags, summary: 'Deletes a key' },
      ...{ params: schemas.KeyParams, headers: schemas.DeleteHeaders },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: schemas.DeleteAnswer }),
    },
    handler: (request, reply) => deleteKey(request, reply, refOf(request)),
  });
}

export interface ReadQuery {
  readonly revision?: number;
  readonly consistency?: Consistency;
}

export async function putKey(
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
): Promise<FastifyReply> {
  const { traceparent } = request.edge;
  const { ctx, op } = readPut(request.headers, traceparent, ref, rawBody(request));
  const written = await request.edge.service.put(ctx, op);
  request.edge.revision = written.clock;
  return replyWith(reply, writeAnswer(ref.key, written, wantsMsgpack(request.headers)));
}

export async function deleteKey(
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
): Promise<FastifyReply> {
  const { ctx, condition } = readDelete(request.headers, request.edge.traceparent, ref);
  const written = await request.edge.service.delete(ctx, ref, condition);
  request.edge.revision = written.clock;
  return replyWith(reply, writeAnswer(ref.key, written, wantsMsgpack(request.headers)));
}

export async function getKey(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
  query: ReadQuery,
): Promise<FastifyReply> {
  const { item, clock } = await request.edge.service.get(contextOf(request), ref, {
    consistency: query.consistency ?? 'linearizable',
    revision: query.revision ?? null,
  });
  request.edge.revision = clock;
  const answer = itemAnswer(request.headers, item, edge.dates);
  if (answer instanceof AppError) throw answer;
  return replyWith(reply, answer);
}
