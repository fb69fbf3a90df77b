import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';

const Token = Type.Object({
  access_token: Type.String({ description: 'A JWT; to be sent as Authorization: Bearer.' }),
  token_type: Type.Literal('Bearer'),
  expires_in: Type.Integer({ description: 'Seconds.' }),
});

/** `POST /v1/auth/token`: a short token for the API key that asks. */
export function registerTokenRoute(app: App, edge: Edge): void {
  app.post('/v1/auth/token', {
    schema: {
      ...{ tags: ['admin'], summary: 'Exchanges an API key for a short JWT' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Token }) },
    },
    handler: async (request, reply) => {
      const { tokens } = edge;
      const { grant } = request.edge;
      if (tokens === null || grant === null) {
        throw new AppError('not_implemented', 'this node asks nobody for credentials (auth)');
      }
      if (grant.by !== 'key') {
        throw new AppError('invalid_argument', 'only an API key is exchanged for a token');
      }
      const { keyId, expiresAtMs } = grant;
      const issued = await tokens.issue(contextOf(request), keyId, expiresAtMs);
      reply.header('cache-control', 'no-store');
      return answer(request, reply, 200, null, () => ({
        access_token: issued.token,
        token_type: 'Bearer',
        expires_in: issued.expiresInSecs,
      }));
    },
  });
}
