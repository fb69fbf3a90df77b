import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import type { ApiKeys, ShownKey } from '../identity/api-keys.ts';

const PATH = '/admin/keys';
const NAME = /^[^\p{Cc}]{1,128}$/u;
const EXPIRES_SECS_MAX = LIMITS.ttlSecondsMax;

const NullableTime = Type.Union([Type.Integer(), Type.Null()], {
  description: 'Unix ms, or null.',
});
const Key = Type.Object({
  id: Type.String(),
  name: Type.String(),
  tenant: Type.String(),
  role: Type.String({ description: 'admin, read_write, read_only, or one that was made.' }),
  createdAtMs: Type.Integer(),
  expiresAtMs: NullableTime,
  revokedAtMs: NullableTime,
});
const Made = Type.Object({
  ...Key.properties,
  key: Type.String({ description: 'mkv_<id>_<secret>; it is shown this once.' }),
});
const Keys = Type.Object({ keys: Type.Array(Key) });
const Deleted = Type.Object({ id: Type.String(), deleted: Type.Boolean() });
const Id = Type.Object({ id: Type.String() });
const Wanted = Type.Object({
  name: Type.String(),
  tenant: Type.Optional(Type.String()),
  role: Type.String(),
  expires_in_secs: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
});

/** `/admin/keys`: the API keys. What is answered holds on every node. */
export function registerApiKeyRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'The API keys, by id; never their secrets' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Keys }) },
    },
    handler: async (request, reply) => {
      const keys = await keysOf(edge).list(contextOf(request), scopeOf(request));
      return answer(request, reply, 200, null, () => ({ keys: keys.map(shape) }));
    },
  });
  app.post(PATH, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Makes an API key, which is shown this once' },
      ...{ querystring: schemas.NoQuery, body: Wanted, response: schemas.answers({ 201: Made }) },
    },
    handler: async (request, reply) => {
      const keys = keysOf(edge);
      const wanted = wantedOf(objectBody(request), scopeOf(request));
      await edge.tenants.check(contextOf(request), wanted.tenant);
      const { key, shown } = await keys.create(contextOf(request), wanted);
      reply.header('cache-control', 'no-store');
      return answer(request, reply, 201, null, () => ({ ...shape(shown), key }));
    },
  });
  app.get(`${PATH}/:id`, {
    schema: {
      ...{ tags: ['admin'], summary: 'An API key, without its secret', params: Id },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Key }) },
    },
    handler: async (request, reply) => {
      const key = await keysOf(edge).get(contextOf(request), scopeOf(request), request.params.id);
      return answer(request, reply, 200, null, () => shape(key));
    },
  });
  app.delete(`${PATH}/:id`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Revokes a key and forgets it', params: Id },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Deleted }) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await keysOf(edge).delete(contextOf(request), scopeOf(request), id);
      return answer(request, reply, 200, null, () => ({ id, deleted: true }));
    },
  });
  app.post(`${PATH}/:id/revoke`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Revokes a key: answered, no node takes it', params: Id },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Key }) },
    },
    handler: async (request, reply) => {
      const key = await keysOf(edge).revoke(
        contextOf(request),
        scopeOf(request),
        request.params.id,
      );
      return answer(request, reply, 200, null, () => shape(key));
    },
  });
}

function keysOf({ apiKeys }: Edge): ApiKeys {
  if (apiKeys !== null) return apiKeys;
  throw new AppError(
    'not_implemented',
    'API keys mean nothing here: this node asks nobody for them (auth)',
  );
}

const FIELDS: ReadonlySet<string> = new Set(['name', 'tenant', 'role', 'expires_in_secs']);

/** Whose identities the sender may see and change: the administrators of the cluster those of all tenants. */
export function scopeOf({ edge }: FastifyRequest): string | null {
  const { grant } = edge;
  return grant === null || grant.tenant === DEFAULT_TENANT ? null : grant.tenant;
}

/** The tenant that is asked for, the sender's own where none is. Throws `forbidden` for another's, whether there is one or not. */
export function tenantWanted(tenant: unknown, scope: string | null): string {
  if (tenant === undefined) return scope ?? DEFAULT_TENANT;
  if (typeof tenant !== 'string') throw new AppError('invalid_argument', 'tenant must be text');
  if (scope === null || tenant === scope) return tenant;
  throw new AppError('forbidden', 'that is for the administrators of the cluster');
}

function wantedOf(body: Record<string, unknown>, scope: string | null) {
  checkFields(body, FIELDS);
  const { name, role, expires_in_secs: seconds = null } = body;
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new AppError('invalid_argument', 'name must have 1 to 128 printable characters');
  }
  if (typeof role !== 'string') {
    throw new AppError('invalid_argument', 'role must be the name of a role');
  }
  const tenant = tenantWanted(body['tenant'], scope);
  return { name, tenant, role, expiresInMs: expiresInMsOf(seconds) };
}

/** Null: it does not expire. Throws `invalid_argument`. */
export function expiresInMsOf(seconds: unknown): number | null {
  if (seconds === null) return null;
  if (Number.isInteger(seconds)) {
    const whole = seconds as number;
    if (whole >= 1 && whole <= EXPIRES_SECS_MAX) return whole * 1_000;
  }
  const details = { limit: 'ttlSecondsMax', max: EXPIRES_SECS_MAX };
  throw new AppError(
    'invalid_argument',
    `expires_in_secs must be a whole number from 1 to ttlSecondsMax, ${EXPIRES_SECS_MAX}`,
    { details },
  );
}

/** Throws `invalid_argument` where there is a field of another name. */
export function checkFields(body: Record<string, unknown>, known: ReadonlySet<string>): void {
  for (const field of Object.keys(body)) {
    if (!known.has(field)) throw new AppError('invalid_argument', `there is no field "${field}"`);
  }
}

function shape({ id, name, tenant, role, createdAtMs, expiresAtMs, revokedAtMs }: ShownKey) {
  return { id, name, tenant, role, createdAtMs, expiresAtMs, revokedAtMs };
}
