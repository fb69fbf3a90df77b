import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Consistency } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { App, Edge } from '../http/app.ts';
import { rawBody } from '../http/content.ts';
import { contextOf, wholeHeader } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { keyAfter } from '../http/url.ts';
import { eTagOf, readOutcome, writeCondition } from './conditions.ts';
import { isContentType, kvRef, ttlMsOf, writeResultToJson } from './shapes.ts';

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
    handler: (request, reply) => putKey(edge, request, reply, refOf(request)),
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
    handler: (request, reply) => deleteKey(edge, request, reply, refOf(request)),
  });
}

export interface ReadQuery {
  readonly revision?: number;
  readonly consistency?: Consistency;
}

/** The key of a URL path; one that is too long for any key is a URL that is too long. */
export function kvKeyOf(url: string, prefix: string): KeyRef {
  const key = keyAfter(url, prefix);
  if (key.length > LIMITS.keyBytesMax) {
    const details = { limit: 'keyBytesMax', max: LIMITS.keyBytesMax };
    const message = `the key is longer than keyBytesMax, ${LIMITS.keyBytesMax}`;
    throw new AppError('uri_too_long', message, { details });
  }
  return kvRef(key);
}

export async function putKey(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
): Promise<string | Buffer> {
  const { headers } = request;
  const contentType = headers['content-type'] ?? null;
  if (contentType !== null && !isContentType(contentType)) {
    throw new AppError('invalid_argument', 'Content-Type is not valid');
  }
  const ttlMs = ttlMsOf(wholeHeader(request, 'x-minikv-ttl', LIMITS.ttlSecondsMax));
  const condition = writeCondition(headers);
  const value = rawBody(request);
  const ctx = contextOf(request, () => [
    ...['put', ref.key, contentType ?? '', String(ttlMs), JSON.stringify(condition)],
    value,
  ]);
  const op = { type: 'put', ref, value, contentType, ttlMs, condition } as const;
  const { result, clock, repeated } = await edge.service.put(ctx, op);
  request.edge.revision = clock;
  const shape = writeResultToJson(ref.key, result);
  if (repeated) reply.header('idempotency-replayed', 'true');
  const isNew = result.type === 'put' && result.version === 1;
  if (result.type === 'put') reply.header('etag', eTagOf(result.revision));
  return answer(request, reply, isNew ? 201 : 200, clock, () => shape);
}

export async function deleteKey(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
): Promise<string | Buffer> {
  const condition = writeCondition(request.headers);
  const ctx = contextOf(request, () => ['delete', ref.key, JSON.stringify(condition)]);
  const { result, clock, repeated } = await edge.service.delete(ctx, ref, condition);
  request.edge.revision = clock;
  const shape = writeResultToJson(ref.key, result);
  if (repeated) reply.header('idempotency-replayed', 'true');
  return answer(request, reply, 200, clock, () => shape);
}

export async function getKey(
  edge: Edge,
  request: FastifyRequest,
  reply: FastifyReply,
  ref: KeyRef,
  query: ReadQuery,
): Promise<Buffer | FastifyReply> {
  const { item, clock } = await edge.service.get(contextOf(request), ref, {
    consistency: query.consistency ?? 'linearizable',
    revision: query.revision ?? null,
  });
  request.edge.revision = clock;
  if (item === null) {
    // RFC 9110: If-Match cannot hold for what is not there.
    if (request.headers['if-match'] === undefined) {
      throw new AppError('key_not_found', 'there is no such key');
    }
    throw new AppError('precondition_failed', 'there is no such key');
  }
  return showItem(request, reply, item);
}

function showItem(request: FastifyRequest, reply: FastifyReply, item: Item): Buffer | FastifyReply {
  const outcome = readOutcome(request.headers, item.revision);
  if (outcome === 'failed') {
    const details = { currentRevision: item.revision };
    throw new AppError('precondition_failed', 'the key is at another revision', { details });
  }
  reply.header('etag', eTagOf(item.revision));
  reply.header('last-modified', new Date(wallMsOfRevision(item.revision)).toUTCString());
  reply.header('cache-control', 'no-cache');
  if (item.expiresAtMs !== null) {
    reply.header('x-minikv-expires-at', new Date(item.expiresAtMs).toISOString());
  }
  if (outcome === 'not_modified') {
    return reply.code(304).send();
  }
  reply.header('content-type', item.contentType ?? 'application/octet-stream');
  // A stored page must not run as a page of this server.
  reply.header('content-security-policy', "default-src 'none'; sandbox");
  const { value } = item;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
