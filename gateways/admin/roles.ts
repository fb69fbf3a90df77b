import { Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { ACTIONS } from '../identity/decision.ts';
import { roleFrom } from '../identity/role.ts';
import type { Roles } from '../identity/roles.ts';

const PATH = '/admin/roles';
const True = Type.Literal(true);

const Resource = Type.Object(
  {
    keys: Type.Optional(Type.String({ description: 'Keys that begin so; "": all.' })),
    keysBase64: Type.Optional(Type.String({ description: 'The same, of bytes that are no text.' })),
    bucket: Type.Optional(Type.String({ description: 'A bucket, with all that is in it.' })),
    objects: Type.Optional(
      Type.String({ description: 'Of that bucket the objects that begin so.' }),
    ),
    buckets: Type.Optional(Type.String({ description: 'Buckets whose names begin so.' })),
    cluster: Type.Optional(True),
    everything: Type.Optional(True),
    tenant: Type.Optional(Type.String({ description: 'Only in this tenant.' })),
  },
  { description: 'One of keys, keysBase64, bucket, buckets, cluster and everything.' },
);
const Rule = Type.Object({
  effect: Type.String({
    description: 'allow or deny; a rule that denies goes before all that allow.',
  }),
  actions: Type.Array(Type.String(), {
    description: `${ACTIONS.join(', ')}; * is all of them, data:* all of a family.`,
  }),
  resources: Type.Array(Resource),
});
const Role = Type.Object({
  name: Type.String(),
  builtIn: Type.Boolean(),
  description: Type.String(),
  rules: Type.Array(Rule),
  changedAtMs: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Unix ms; null: it is built in.',
  }),
});
const WantedRole = Type.Object({
  description: Type.Optional(Type.String()),
  rules: Type.Array(Rule),
});
const AllRoles = Type.Object({ roles: Type.Array(Role) });
const Deleted = Type.Object({ name: Type.String(), deleted: Type.Boolean() });
const Name = Type.Object({ name: Type.String() });

/** `/admin/roles`: what keys and users may do. What is answered holds on every node. */
export function registerRoleRoutes(app: App, edge: Edge): void {
  const one = { tags: ['admin'], params: Name, querystring: schemas.NoQuery };
  app.get(PATH, {
    schema: {
      ...{
        tags: ['admin'],
        summary: 'The roles: those that are built in, and those that were made',
      },
      ...{ querystring: schemas.NoQuery, response: schemas.answers({ 200: AllRoles }) },
    },
    handler: async (request, reply) => {
      const roles = await rolesOf(edge).list(contextOf(request));
      return answer(request, reply, 200, null, () => ({ roles }));
    },
  });
  app.get(`${PATH}/:name`, {
    schema: {
      ...{ ...one, summary: 'A role and its rules', response: schemas.answers({ 200: Role }) },
    },
    handler: async (request, reply) => {
      const role = await rolesOf(edge).get(contextOf(request), request.params.name);
      return answer(request, reply, 200, null, () => role);
    },
  });
  app.put(`${PATH}/:name`, {
    config: { body: 'document' },
    schema: {
      ...{
        ...one,
        summary: 'Makes a role, or replaces its rules: whoever has it has the new ones',
      },
      ...{ body: WantedRole, response: schemas.answers({ 200: Role }) },
    },
    handler: async (request, reply) => {
      const wanted = roleFrom(request.body);
      const role = await rolesOf(edge).put(contextOf(request), request.params.name, wanted);
      return answer(request, reply, 200, null, () => role);
    },
  });
  app.delete(`${PATH}/:name`, {
    schema: {
      ...{ ...one, summary: 'Deletes a role: whoever has it may nothing any more' },
      response: schemas.answers({ 200: Deleted }),
    },
    handler: async (request, reply) => {
      const { name } = request.params;
      await rolesOf(edge).delete(contextOf(request), name);
      return answer(request, reply, 200, null, () => ({ name, deleted: true }));
    },
  });
}

function rolesOf({ roles }: Edge): Roles {
  if (roles !== null) return roles;
  throw new AppError(
    'not_implemented',
    'roles mean nothing here: this node asks nobody for credentials (auth), and has no users of S3',
  );
}
