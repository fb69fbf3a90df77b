import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { isKeyId, KeyRefusal, type NamedKeys } from '../encryption/named-keys.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';

const PATH = '/admin/encryption-keys';

const Key = Type.Object({
  id: Type.String(),
  state: Type.Union([Type.Literal('enabled'), Type.Literal('disabled')]),
  version: Type.Integer({ description: 'The one that encrypts; older ones still decrypt.' }),
  createdAtMs: Type.Integer(),
});
const Keys = Type.Object({ keys: Type.Array(Key) });
const Rewrapped = Type.Object({
  keys: Type.Integer(),
  rewrapped: Type.Integer({ description: 'Those that were under another root key.' }),
  s3AccessKeys: Type.Integer(),
  s3Rewrapped: Type.Integer({ description: 'The same of the secrets of S3 access keys.' }),
  tokenSecrets: Type.Integer(),
  tokensRewrapped: Type.Integer({ description: 'The same of the secrets that sign tokens.' }),
});
const Id = Type.Object({
  id: Type.String({ description: '1 to 128 of letters, digits, / (as %2F), _ and -.' }),
});

/** `/admin/encryption-keys`: the named keys of SSE-KMS and SSE-S3. No answer ever has a key in it. */
export function registerEncryptionKeyRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'The encryption keys, by name' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Keys }) },
    },
    handler: async (request, reply) => {
      const keys = await used(edge, (named, ctx) => named.list(ctx));
      return answer(request, reply, 200, null, () => ({ keys }));
    },
  });
  app.post(`${PATH}/rewrap`, {
    schema: {
      ...{
        tags: ['admin'],
        summary: 'Wraps every key, and every secret of S3 and of tokens, under the newest root key',
      },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Rewrapped }) },
    },
    handler: async (request, reply) => {
      const named = await used(edge, (keys, ctx) => keys.rewrap(ctx));
      const s3 = await edge.s3Users?.rewrap(contextOf(request));
      const tokens = await edge.tokens?.rewrap(contextOf(request));
      return answer(request, reply, 200, null, () => ({
        ...named,
        ...{ s3AccessKeys: s3?.keys ?? 0, s3Rewrapped: s3?.rewrapped ?? 0 },
        ...{ tokenSecrets: tokens?.secrets ?? 0, tokensRewrapped: tokens?.rewrapped ?? 0 },
      }));
    },
  });
  app.put(`${PATH}/:id`, {
    schema: keySchema('Makes a key, unless there is one of that name'),
    handler: async (request, reply) => {
      const { id } = request.params;
      if (!isKeyId(id)) throw new AppError('invalid_argument', 'no name of a key');
      const key = await used(edge, (named, ctx) => named.create(ctx, id));
      return answer(request, reply, 200, null, () => key);
    },
  });
  const acts = {
    rotate: ['Makes a new version, which encrypts from now on', (n, c, id) => n.rotate(c, id)],
    enable: ['Lets a key be used again', (n, c, id) => n.setState(c, id, 'enabled')],
    disable: ['Refuses all use of a key', (n, c, id) => n.setState(c, id, 'disabled')],
  } satisfies Record<
    string,
    readonly [string, (n: NamedKeys, c: RequestContext, id: string) => unknown]
  >;
  for (const [name, [summary, act]] of Object.entries(acts)) {
    app.post(`${PATH}/:id/${name}`, {
      schema: keySchema(summary),
      handler: async (request, reply) => {
        const { id } = request.params;
        if (!isKeyId(id)) throw new AppError('not_found', 'there is no such key');
        const key = await used(edge, (named, ctx) => act(named, ctx, id));
        return answer(request, reply, 200, null, () => key);
      },
    });
  }
}

function keySchema(summary: string) {
  return {
    ...{ tags: ['admin'], summary, params: Id, querystring: schemas.NoQuery },
    response: schemas.answers({ 200: Key }),
  };
}

async function used<T>(
  { keys }: Edge,
  use: (named: NamedKeys, ctx: RequestContext) => Promise<T>,
): Promise<T> {
  if (keys === null) throw new AppError('not_implemented', 'this node keeps no encryption keys');
  const deadlineMs = LIMITS.requestDeadlineMsDefault;
  try {
    return await use(keys, { deadlineMs, traceparent: null, idempotency: null });
  } catch (error) {
    if (error instanceof KeyRefusal) throw new AppError('not_implemented', error.message);
    throw error;
  }
}
