import { type TSchema, Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { LIMIT_BOUNDS, NO_LIMIT, type RateLimit } from '../limits/limit-row.ts';
import type { RateLimitRows } from '../limits/rate-limit-rows.ts';
import { checkFields } from './api-keys.ts';

const PATH = '/admin/limits';

function amount(name: keyof RateLimit, description: string): TSchema {
  const [minimum, maximum] = LIMIT_BOUNDS[name];
  return Type.Union([Type.Integer({ minimum, maximum }), Type.Null()], { description });
}

const AMOUNTS = {
  requestsPerSecond: amount('requestsPerSecond', 'Requests per second; null: no limit.'),
  burst: amount('burst', 'Requests at once after a pause; null: those of one second.'),
  bytesInPerSecond: amount('bytesInPerSecond', 'Bytes of bodies per second.'),
  bytesOutPerSecond: amount('bytesOutPerSecond', 'Bytes of answers per second.'),
  watchers: amount('watchers', 'Watches that are open at one time.'),
};
const Limit = Type.Object({
  scope: Type.String({
    description:
      'key:<id>, s3-user:<name>, s3-account, tenant:<name>, bucket:<name>, prefix:<tenant>/<key prefix>, default or anonymous.',
  }),
  ...AMOUNTS,
});
const Limits = Type.Object({ limits: Type.Array(Limit) });
const Wanted = Type.Partial(Type.Object(AMOUNTS));
const Deleted = Type.Object({ scope: Type.String(), deleted: Type.Boolean() });
const Scope = Type.Object({ scope: Type.String() });

/** `/admin/limits`: how much somebody may ask of the cluster. */
export function registerRateLimitRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'All limits of rates, by scope' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Limits }) },
    },
    handler: async (request, reply) => {
      const limits = await rowsOf(edge).list(contextOf(request));
      return answer(request, reply, 200, null, () => ({ limits }));
    },
  });
  app.get(`${PATH}/:scope`, {
    schema: {
      ...{ tags: ['admin'], summary: 'The limit of one scope', params: Scope },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Limit }) },
    },
    handler: async (request, reply) => {
      const limit = await rowsOf(edge).get(contextOf(request), request.params.scope);
      return answer(request, reply, 200, null, () => limit);
    },
  });
  app.put(`${PATH}/:scope`, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Sets the whole limit of one scope', params: Scope },
      ...{ querystring: schemas.NoQuery, body: Wanted, response: schemas.answers({ 200: Limit }) },
    },
    handler: async (request, reply) => {
      const wanted = limitOf(objectBody(request));
      const limit = await rowsOf(edge).set(contextOf(request), request.params.scope, wanted);
      return answer(request, reply, 200, null, () => limit);
    },
  });
  app.delete(`${PATH}/:scope`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Takes a limit away', params: Scope },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Deleted }) },
    },
    handler: async (request, reply) => {
      const { scope } = request.params;
      await rowsOf(edge).delete(contextOf(request), scope);
      return answer(request, reply, 200, null, () => ({ scope, deleted: true }));
    },
  });
}

function rowsOf({ rateLimitRows }: Edge): RateLimitRows {
  if (rateLimitRows !== null) return rateLimitRows;
  throw new AppError('not_implemented', 'this node keeps no limits of rates');
}

const FIELDS: ReadonlySet<string> = new Set(Object.keys(AMOUNTS));

/** What is not named is not limited. Throws `invalid_argument`. */
function limitOf(body: Record<string, unknown>): RateLimit {
  checkFields(body, FIELDS);
  const limit: Record<string, number | null> = { ...NO_LIMIT };
  for (const [name, [least, most]] of Object.entries(LIMIT_BOUNDS)) {
    const value = Object.hasOwn(body, name) ? body[name] : null;
    if (value !== null && !(Number.isInteger(value) && isWithin(value as number, least, most))) {
      throw new AppError('invalid_argument', `${name} must be null or from ${least} to ${most}`);
    }
    limit[name] = value as number | null;
  }
  if (limit['burst'] !== null && limit['requestsPerSecond'] === null) {
    throw new AppError('invalid_argument', 'burst means nothing without requestsPerSecond');
  }
  return limit as unknown as RateLimit;
}

function isWithin(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}
