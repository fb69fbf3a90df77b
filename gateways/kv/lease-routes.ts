import type { App } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import * as lease from '../http/lease-schemas.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { grantLease, keepLease, leaseIdOf, listLeases, revokeLease, showLease } from './leases.ts';

/** `/v1/leases`. */
export function registerLeaseRoutes(app: App): void {
  const tags = ['leases'];
  app.post('/v1/leases', {
    config: { body: 'document' },
    schema: {
      ...{ tags, summary: 'Grants a lease', consumes: ['application/json', 'application/msgpack'] },
      ...{ body: lease.GrantBody, querystring: schemas.NoQuery },
      headers: schemas.DeleteHeaders,
      response: schemas.answers({ 201: lease.Lease }),
    },
    handler: async (request, reply) => {
      const ctx = contextOf(request, () => ['lease', JSON.stringify(request.body)]);
      const { body, clock } = await grantLease(request.edge.service, ctx, request.body);
      return answer(request, reply, 201, clock, () => body);
    },
  });
  app.get('/v1/leases', {
    schema: {
      ...{ tags, summary: 'Lists living leases by id', querystring: lease.LeasesQuery },
      response: schemas.answers({ 200: lease.Leases }),
    },
    handler: async (request, reply) => {
      const { limit, cursor } = request.query;
      const { body, clock } = await listLeases(
        request.edge.service,
        contextOf(request),
        limit,
        cursor,
      );
      return answer(request, reply, 200, clock, () => body);
    },
  });
  registerOneLease(app);
}

/** `/v1/leases/{id}`. */
function registerOneLease(app: App): void {
  const one = { tags: ['leases'], params: lease.LeaseParams };
  app.get('/v1/leases/:id', {
    schema: {
      ...{ ...one, summary: 'What is known of a lease', querystring: lease.LeaseQuery },
      response: schemas.answers({ 200: lease.Lease }),
    },
    handler: async (request, reply) => {
      const id = leaseIdOf(request.params.id);
      const keys = request.query.keys ?? false;
      const { body, clock } = await showLease(request.edge.service, contextOf(request), id, keys);
      return answer(request, reply, 200, clock, () => body);
    },
  });
  app.post('/v1/leases/:id/keepalive', {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ ...one, summary: "Begins a lease's time anew", querystring: schemas.NoQuery },
      response: schemas.answers({ 200: lease.Lease }),
    },
    handler: async (request, reply) => {
      const id = leaseIdOf(request.params.id);
      const { body, clock } = await keepLease(request.edge.service, contextOf(request), id);
      return answer(request, reply, 200, clock, () => body);
    },
  });
  app.delete('/v1/leases/:id', {
    config: { body: 'raw', bodyBytesMax: 0 },
    schema: {
      ...{ ...one, summary: 'Ends a lease and removes what is attached to it' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: lease.Revoked }),
    },
    handler: async (request, reply) => {
      const id = leaseIdOf(request.params.id);
      const { body, clock } = await revokeLease(request.edge.service, contextOf(request), id);
      return answer(request, reply, 200, clock, () => body);
    },
  });
}
