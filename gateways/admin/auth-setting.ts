import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import type { AuthSetting } from '../identity/auth-setting.ts';
import { checkFields } from './api-keys.ts';

const PATH = '/admin/auth';
const Setting = Type.Object({
  required: Type.Boolean({
    description: 'Whether a node that was started without auth serves nobody.',
  }),
});
const FIELDS: ReadonlySet<string> = new Set(['required']);

/** `/admin/auth`: whether the cluster asks for credentials on all its nodes. */
export function registerAuthSettingRoutes(app: App, edge: Edge): void {
  app.get(PATH, {
    schema: {
      ...{ tags: ['admin'], summary: 'Whether every node has to ask for credentials' },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: Setting }) },
    },
    handler: async (request, reply) => {
      const required = await settingOf(edge).isRequired(contextOf(request).deadlineMs);
      return answer(request, reply, 200, null, () => ({ required }));
    },
  });
  app.put(PATH, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Says so; a node that asks says so at each start' },
      ...{ querystring: schemas.NoQuery, body: Setting },
      response: schemas.answers({ 200: Setting }),
    },
    handler: async (request, reply) => {
      const body = objectBody(request);
      checkFields(body, FIELDS);
      const { required } = body;
      if (typeof required !== 'boolean') {
        throw new AppError('invalid_argument', 'required must be true or false');
      }
      await settingOf(edge).setRequired(contextOf(request), required);
      return answer(request, reply, 200, null, () => ({ required }));
    },
  });
}

/** Who reaches a node that asks nobody is nobody who may say what others ask for. */
function settingOf({ access, authSetting }: Edge): AuthSetting {
  if (access !== null && authSetting !== null) return authSetting;
  throw new AppError('not_implemented', 'this node asks nobody for credentials (auth)');
}
