import type { FastifyRequest } from 'fastify';
import { type TSchema, Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import {
  parseQuotaScope,
  QUOTA_KINDS,
  type Quota,
  type QuotaState,
  type Quotas,
} from '../../protocol/quotas.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { checkFields, scopeOf } from './api-keys.ts';

const PATH = '/admin/quotas';

function amount(description: string): TSchema {
  const maximum = Number.MAX_SAFE_INTEGER;
  return Type.Union([Type.Integer({ minimum: 0, maximum }), Type.Null()], { description });
}

const AMOUNTS = {
  bytes: amount('Names and values of keys, all versions and parts of objects; null: no limit.'),
  keys: amount('Keys.'),
  objects: amount('Versions of objects, without delete markers.'),
};
const Usage = Type.Object({
  bytes: Type.Integer(),
  keys: Type.Integer(),
  objects: Type.Integer(),
});
const Shown = Type.Object({
  scope: Type.String({
    description:
      'tenant:<name>, bucket:<name>, bucket:<tenant>/<name> or prefix:<tenant>/<key prefix>.',
  }),
  ...AMOUNTS,
  usage: Type.Union([Usage, Type.Null()], { description: 'Null: it is being counted.' }),
  state: Type.Union([Type.Literal('counting'), Type.Literal('enforced')], {
    description: 'While it is counting, nothing is refused for it.',
  }),
});
const List = Type.Object({ quotas: Type.Array(Shown) });
const Wanted = Type.Partial(Type.Object(AMOUNTS));
const Deleted = Type.Object({ scope: Type.String(), deleted: Type.Boolean() });
const Scope = Type.Object({ scope: Type.String() });

/** `/admin/quotas`: how much may be stored under a name (ADR 0043). A tenant's administrators see those of their tenant. */
export function registerQuotaRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'All quotas, with what is stored, by scope' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: List }) },
    },
    handler: async (request, reply) => {
      const tenant = scopeOf(request);
      const all = await quotasOf(edge).list(contextOf(request));
      const quotas = all.filter(({ scope }) => isOf(scope, tenant)).map(shape);
      return answer(request, reply, 200, null, () => ({ quotas }));
    },
  });
  app.get(`${PATH}/:scope`, {
    schema: {
      ...{ tags: ['admin'], summary: 'The quota of one scope', params: Scope },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Shown }) },
    },
    handler: async (request, reply) => {
      const { scope } = request.params;
      checkTenant(request, scope);
      const quota = await quotasOf(edge).get(contextOf(request), scope);
      return answer(request, reply, 200, null, () => shape(quota));
    },
  });
  app.put(`${PATH}/:scope`, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Sets the whole quota of one scope', params: Scope },
      ...{ querystring: schemas.NoQuery, body: Wanted, response: schemas.answers({ 200: Shown }) },
    },
    handler: async (request, reply) => {
      const { scope } = request.params;
      const wanted = quotaOf(objectBody(request));
      const context = contextOf(request);
      const parsed = parseQuotaScope(scope);
      if (parsed !== null) await edge.tenants.check(context, parsed.tenant);
      const quota = await quotasOf(edge).set(context, scope, wanted);
      return answer(request, reply, 200, null, () => shape(quota));
    },
  });
  app.delete(`${PATH}/:scope`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Takes a quota away', params: Scope },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Deleted }) },
    },
    handler: async (request, reply) => {
      const { scope } = request.params;
      await quotasOf(edge).delete(contextOf(request), scope);
      return answer(request, reply, 200, null, () => ({ scope, deleted: true }));
    },
  });
}

function quotasOf({ quotas }: Edge): Quotas {
  if (quotas !== null) return quotas();
  throw new AppError('not_implemented', 'this node keeps no quotas');
}

/** `tenant` null: of all. */
function isOf(scope: string, tenant: string | null): boolean {
  return tenant === null || parseQuotaScope(scope)?.tenant === tenant;
}

/** Of another tenant there is none, whether there is or not. */
function checkTenant(request: FastifyRequest, scope: string): void {
  if (isOf(scope, scopeOf(request))) return;
  throw new AppError('not_found', `${scope} has no quota`);
}

function shape({ scope, quota, usage, state }: QuotaState) {
  return { scope, ...quota, usage, state };
}

const FIELDS: ReadonlySet<string> = new Set(QUOTA_KINDS);

/** What is not named is not limited. Throws `invalid_argument`. */
function quotaOf(body: Record<string, unknown>): Quota {
  checkFields(body, FIELDS);
  const amounts = QUOTA_KINDS.map((kind): [string, number | null] => {
    const value = Object.hasOwn(body, kind) ? body[kind] : null;
    if (value === null) return [kind, null];
    if (Number.isSafeInteger(value) && (value as number) >= 0) return [kind, value as number];
    throw new AppError('invalid_argument', `${kind} must be null or a whole number from 0 on`);
  });
  if (amounts.every(([, value]) => value === null)) {
    throw new AppError('invalid_argument', 'a quota is of bytes, keys or objects');
  }
  return Object.fromEntries(amounts) as unknown as Quota;
}
