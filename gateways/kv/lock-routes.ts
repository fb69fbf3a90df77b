import type { FastifyReply, FastifyRequest } from 'fastify';
import type { KvService } from '../../protocol/service.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import * as lease from '../http/lease-schemas.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { keyAfter } from '../http/url.ts';
import type { Action } from '../identity/decision.ts';
import { type Ask, prefixRangeOf, resourceOf } from '../identity/guard.ts';
import { fieldsOf } from './leases.ts';
import {
  acquireFromJson,
  acquireLock,
  LOCK_PREFIX,
  listLocks,
  lockRef,
  releaseLock,
  showLock,
} from './locks.ts';
import { kvRef } from './shapes.ts';

const ACQUIRE_FIELDS = ['lease', 'value', 'base64', 'waitMs'];

/** Aborted when the connection is lost before the answer; after that nobody looks at it. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}

/** A lock is a key, under the name that it has there (ADR 0031). Throws `forbidden`. */
function checkLocks(request: FastifyRequest, action: Action, on: Ask['on']): void {
  request.edge.grant?.guard?.check({ action, on });
}

/** Places and signs are the store's own: what the sender needs a right to is the lock. */
function storeIn(request: FastifyRequest): KvService {
  return request.edge.store;
}

/** `/v1/locks/{name...}`. */
export function registerLockRoutes(app: App, edge: Edge): void {
  const url = '/v1/locks/:name';
  const nameOf = (request: FastifyRequest): string => keyAfter(request.originalUrl, '/v1/locks/');
  const one = { tags: ['locks'], params: lease.LockParams };
  app.get('/v1/locks', {
    schema: {
      ...{ tags: ['locks'], summary: 'Lists held locks by name', querystring: lease.LocksQuery },
      response: schemas.answers({ 200: lease.Locks }),
    },
    handler: async (request, reply) => {
      const { limit = null, cursor = null } = request.query;
      checkLocks(request, 'lease:read', prefixRangeOf(kvRef(LOCK_PREFIX), LOCK_PREFIX));
      const { body, clock } = await listLocks(storeIn(request), contextOf(request), limit, cursor);
      return answer(request, reply, 200, clock, () => body);
    },
  });
  app.post(url, {
    config: { body: 'document' },
    schema: {
      ...{ ...one, summary: 'Acquires a lock, or an office, for a lease' },
      ...{ consumes: ['application/json', 'application/msgpack'], body: lease.AcquireBody },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: lease.Lock }),
    },
    handler: async (request, reply) => {
      checkLocks(request, 'lease:write', resourceOf(lockRef(nameOf(request))));
      const wanted = acquireFromJson(nameOf(request), fieldsOf(request.body, ACQUIRE_FIELDS));
      const ports = { service: storeIn(request), clock: edge.clock, gone: goneSignal(reply) };
      const { body, clock } = await acquireLock(ports, contextOf(request), wanted);
      return answer(request, reply, 200, clock, () => body);
    },
  });
  app.get(url, {
    schema: {
      ...{ ...one, summary: 'Who holds a lock', querystring: schemas.NoQuery },
      response: schemas.answers({ 200: lease.Lock }),
    },
    handler: async (request, reply) => {
      checkLocks(request, 'lease:read', resourceOf(lockRef(nameOf(request))));
      const { body, clock } = await showLock(storeIn(request), contextOf(request), nameOf(request));
      return answer(request, reply, 200, clock, () => body);
    },
  });
  app.delete(url, {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ ...one, summary: 'Releases a lock', querystring: lease.ReleaseQuery },
      response: schemas.answers({ 200: lease.Released }),
    },
    handler: async (request, reply) => {
      checkLocks(request, 'lease:write', resourceOf(lockRef(nameOf(request))));
      const ctx = contextOf(request, () => [
        'release',
        nameOf(request),
        String(request.query.token),
      ]);
      const { body, clock } = await releaseLock(
        storeIn(request),
        ctx,
        nameOf(request),
        request.query.token,
      );
      return answer(request, reply, 200, clock, () => body);
    },
  });
}
