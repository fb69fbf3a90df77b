import { type Static, Type } from 'typebox';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import type { ShownTenant } from '../identity/tenants.ts';
import { checkFields } from './api-keys.ts';

const PATH = '/admin/tenants';

const Deletion = Type.Object({
  sinceMs: Type.Integer({ description: 'Unix ms.' }),
  credentials: Type.Integer({ description: 'API keys, S3 keys and users of S3 that are gone.' }),
  leases: Type.Integer(),
  indexes: Type.Integer(),
  keys: Type.Integer(),
  buckets: Type.Integer(),
  versions: Type.Integer({ description: 'Versions of objects, and delete markers.' }),
  waitsFor: Type.Union([Type.String(), Type.Null()]),
});
const Tenant = Type.Object({
  name: Type.String(),
  state: Type.String({ description: 'active, suspended or deleting.' }),
  createdAtMs: Type.Integer({ description: 'Unix ms.' }),
  suspendedAtMs: Type.Union([Type.Integer(), Type.Null()], { description: 'Unix ms, or null.' }),
  deletion: Type.Union([Deletion, Type.Null()]),
});
const Tenants = Type.Object({ tenants: Type.Array(Tenant) });
const Name = Type.Object({ name: Type.String() });
const FIELDS: ReadonlySet<string> = new Set(['name']);

/** `/admin/tenants`: of the administrators of the cluster. What is answered holds on every node. */
export function registerTenantRoutes(app: App, { tenants }: Edge): void {
  const tags = ['admin'];
  app.get(PATH, {
    schema: {
      ...{ tags, summary: 'The tenants by name, beside the one of the cluster itself' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Tenants }) },
    },
    handler: async (request, reply) => {
      const found = await tenants.list(contextOf(request));
      return answer(request, reply, 200, null, () => ({ tenants: found.map(shape) }));
    },
  });
  app.post(PATH, {
    config: { body: 'document' },
    schema: {
      ...{ tags, summary: 'Makes a tenant' },
      ...{ querystring: schemas.NoQuery, body: Name, response: schemas.answers({ 201: Tenant }) },
    },
    handler: async (request, reply) => {
      const body = objectBody(request);
      checkFields(body, FIELDS);
      const made = await tenants.create(contextOf(request), String(body['name'] ?? ''));
      return answer(request, reply, 201, null, () => shape(made));
    },
  });
  const one = { tags, params: Name, querystring: schemas.NoQuery };
  app.get(`${PATH}/:name`, {
    schema: {
      ...{ ...one, summary: 'A tenant, and how far its deletion is' },
      response: schemas.answers({ 200: Tenant }),
    },
    handler: async (request, reply) => {
      const found = await tenants.get(contextOf(request), request.params.name);
      return answer(request, reply, 200, null, () => shape(found));
    },
  });
  app.delete(`${PATH}/:name`, {
    schema: {
      ...{
        ...one,
        summary: 'Ends a tenant: none of its credentials is taken, what it has goes in steps',
      },
      response: schemas.answers({ 202: Tenant }),
    },
    handler: async (request, reply) => {
      const ended = await tenants.delete(contextOf(request), request.params.name);
      return answer(request, reply, 202, null, () => shape(ended));
    },
  });
  for (const [verb, summary] of [
    ['suspend', 'Refuses all requests of a tenant, until it is resumed'],
    ['resume', 'Takes them again'],
  ] as const) {
    app.post(`${PATH}/:name/${verb}`, {
      schema: { ...{ ...one, summary }, response: schemas.answers({ 200: Tenant }) },
      handler: async (request, reply) => {
        const changed = await tenants[verb](contextOf(request), request.params.name);
        return answer(request, reply, 200, null, () => shape(changed));
      },
    });
  }
}

function shape(tenant: ShownTenant): Static<typeof Tenant> {
  const { name, state, createdAtMs, suspendedAtMs, deletion } = tenant;
  return { name, state, createdAtMs, suspendedAtMs, deletion };
}
