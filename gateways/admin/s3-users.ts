import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { AppError } from '../../protocol/errors.ts';
import type { App, Edge } from '../http/app.ts';
import { objectBody } from '../http/content.ts';
import { contextOf } from '../http/context.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import type { ShownS3Key, ShownS3User } from '../identity/s3-shown.ts';
import { fullUserName, isDisplayName, isEmail, isS3UserName } from '../identity/s3-user.ts';
import type { S3UserChange, S3Users, WantedS3User } from '../identity/s3-users.ts';
import { checkFields, expiresInMsOf, scopeOf, tenantWanted } from './api-keys.ts';

const USERS = '/admin/s3-users';
const KEYS = '/admin/s3-keys';

const NullableText = Type.Union([Type.String(), Type.Null()]);
const NullableTime = Type.Union([Type.Integer(), Type.Null()], {
  description: 'Unix ms, or null.',
});
const User = Type.Object({
  name: Type.String({ description: '1 to 63 letters, digits, _ and -.' }),
  id: Type.String({ description: 'Canonical id, 64 hex digits: what ACLs and owners name.' }),
  arn: Type.String({ description: 'What policies name: arn:aws:iam::minikv:user/NAME.' }),
  displayName: Type.String(),
  email: NullableText,
  role: Type.String({ description: 'admin, read_write, read_only, or one that was made.' }),
  createdAtMs: Type.Integer(),
  disabledAtMs: NullableTime,
});
const Key = Type.Object({
  accessKeyId: Type.String(),
  user: Type.String(),
  createdAtMs: Type.Integer(),
  expiresAtMs: NullableTime,
  revokedAtMs: NullableTime,
  disabledAtMs: NullableTime,
});
const MadeKey = Type.Object({
  ...Key.properties,
  secretAccessKey: Type.String({ description: 'It is shown this once.' }),
});
const WantedUser = Type.Object({
  name: Type.String(),
  display_name: Type.Optional(Type.String()),
  email: Type.Optional(NullableText),
  role: Type.Optional(Type.String()),
});
const ChangedUser = Type.Object({
  display_name: Type.Optional(Type.String()),
  role: Type.Optional(Type.String()),
});
const WantedKey = Type.Object({
  user: Type.String(),
  expires_in_secs: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
});
const AllUsers = Type.Object({ users: Type.Array(User) });
const AllKeys = Type.Object({ keys: Type.Array(Key) });
const DeletedUser = Type.Object({ name: Type.String(), deleted: Type.Boolean() });
const DeletedKey = Type.Object({ accessKeyId: Type.String(), deleted: Type.Boolean() });
const OfTenant = Type.Object(
  {
    tenant: Type.Optional(
      Type.String({ description: 'Of administrators of the cluster; else of whoever asks.' }),
    ),
  },
  { additionalProperties: false },
);
const Name = Type.Object({ name: Type.String() });
const Id = Type.Object({ id: Type.String() });

/** `/admin/s3-users` and `/admin/s3-keys`: who may sign requests of S3's. What is answered holds on every node. */
export function registerS3UserRoutes(app: App, edge: Edge): void {
  registerUsers(app, edge);
  registerUserChanges(app, edge);
  registerKeys(app, edge);
}

function registerUsers(app: App, edge: Edge): void {
  app.get(USERS, {
    schema: {
      ...{ tags: ['admin'], summary: 'The users of S3, by name' },
      ...{ querystring: OfTenant, response: schemas.answers({ 200: AllUsers }) },
    },
    handler: async (request, reply) => {
      const users = await (await usersOf(edge, request)).listUsers(contextOf(request));
      return answer(request, reply, 200, null, () => ({
        users: users.map((user) => shownUser(user, tenantOf(request))),
      }));
    },
  });
  app.post(USERS, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Makes a user of S3, without keys', body: WantedUser },
      ...{ querystring: OfTenant, response: schemas.answers({ 201: User }) },
    },
    handler: async (request, reply) => {
      const wanted = wantedUser(objectBody(request));
      const made = await (await usersOf(edge, request)).createUser(contextOf(request), wanted);
      return answer(request, reply, 201, null, () => shownUser(made, tenantOf(request)));
    },
  });
  app.get(`${USERS}/:name`, {
    schema: {
      ...{ tags: ['admin'], summary: 'A user of S3', params: Name },
      ...{ querystring: OfTenant, response: schemas.answers({ 200: User }) },
    },
    handler: async (request, reply) => {
      const user = await (await usersOf(edge, request)).getUser(
        contextOf(request),
        request.params.name,
      );
      return answer(request, reply, 200, null, () => shownUser(user, tenantOf(request)));
    },
  });
  app.delete(`${USERS}/:name`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Ends a user of S3 and all its access keys', params: Name },
      ...{ querystring: OfTenant, response: schemas.answers({ 200: DeletedUser }) },
    },
    handler: async (request, reply) => {
      const { name } = request.params;
      await (await usersOf(edge, request)).deleteUser(contextOf(request), name);
      return answer(request, reply, 200, null, () => ({ name, deleted: true }));
    },
  });
}

function registerUserChanges(app: App, edge: Edge): void {
  const shape = { params: Name, querystring: OfTenant };
  app.patch(`${USERS}/:name`, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Changes how a user is shown, or their role' },
      ...{ ...shape, body: ChangedUser, response: schemas.answers({ 200: User }) },
    },
    handler: async (request, reply) => {
      const change = changedUser(objectBody(request));
      const { name } = request.params;
      const user = await (await usersOf(edge, request)).changeUser(
        contextOf(request),
        name,
        change,
      );
      return answer(request, reply, 200, null, () => shownUser(user, tenantOf(request)));
    },
  });
  for (const [what, state, summary] of STATES) {
    app.post(`${USERS}/:name/${what}`, {
      schema: {
        ...{ tags: ['admin'], summary: `${summary} all keys of a user` },
        ...{ ...shape, response: schemas.answers({ 200: User }) },
      },
      handler: async (request, reply) => {
        const { name } = request.params;
        const user = await (await usersOf(edge, request)).setUserState(
          contextOf(request),
          name,
          state,
        );
        return answer(request, reply, 200, null, () => shownUser(user, tenantOf(request)));
      },
    });
    app.post(`${KEYS}/:id/${what}`, {
      schema: keySchema(`${summary} an access key`),
      handler: async (request, reply) => {
        const { id } = request.params;
        const key = await (await usersOf(edge, request)).setKeyState(contextOf(request), id, state);
        return answer(request, reply, 200, null, (): ShownS3Key => key);
      },
    });
  }
}

const STATES = [
  ['disable', 'disabled', 'Refuses, until it is enabled again,'],
  ['enable', 'enabled', 'Takes again'],
] as const;

function registerKeys(app: App, edge: Edge): void {
  app.get(KEYS, {
    schema: {
      ...{ tags: ['admin'], summary: 'The access keys of S3, by id; never their secrets' },
      ...{ querystring: OfTenant, response: schemas.answers({ 200: AllKeys }) },
    },
    handler: async (request, reply) => {
      const keys = await (await usersOf(edge, request)).listKeys(contextOf(request));
      return answer(request, reply, 200, null, () => ({ keys: [...keys] }));
    },
  });
  app.post(KEYS, {
    config: { body: 'document' },
    schema: {
      ...{ tags: ['admin'], summary: 'Makes an access key, whose secret is shown this once' },
      ...{ querystring: OfTenant, body: WantedKey },
      response: schemas.answers({ 201: MadeKey }),
    },
    handler: async (request, reply) => {
      const wanted = wantedKey(objectBody(request));
      const made = await (await usersOf(edge, request)).createKey(contextOf(request), wanted);
      const { shown, secretAccessKey } = made;
      reply.header('cache-control', 'no-store');
      return answer(request, reply, 201, null, () => ({ ...shown, secretAccessKey }));
    },
  });
  app.get(`${KEYS}/:id`, {
    schema: keySchema('An access key of S3, without its secret'),
    handler: async (request, reply) => {
      const key = await (await usersOf(edge, request)).getKey(
        contextOf(request),
        request.params.id,
      );
      return answer(request, reply, 200, null, (): ShownS3Key => key);
    },
  });
  app.delete(`${KEYS}/:id`, {
    schema: {
      ...{ tags: ['admin'], summary: 'Revokes an access key and forgets it', params: Id },
      ...{ querystring: OfTenant, response: schemas.answers({ 200: DeletedKey }) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await (await usersOf(edge, request)).deleteKey(contextOf(request), id);
      return answer(request, reply, 200, null, () => ({ accessKeyId: id, deleted: true }));
    },
  });
  app.post(`${KEYS}/:id/revoke`, {
    schema: keySchema('Revokes an access key: answered, no node takes it'),
    handler: async (request, reply) => {
      const key = await (await usersOf(edge, request)).revokeKey(
        contextOf(request),
        request.params.id,
      );
      return answer(request, reply, 200, null, (): ShownS3Key => key);
    },
  });
}

function keySchema(summary: string) {
  return {
    ...{ tags: ['admin'], summary, params: Id },
    ...{ querystring: OfTenant, response: schemas.answers({ 200: Key }) },
  };
}

/** Those of the sender's own tenant, also where that is the cluster's, or of the one that its administrators ask for. */
async function usersOf({ s3Users, tenants }: Edge, request: FastifyRequest): Promise<S3Users> {
  const tenant = tenantOf(request);
  await tenants.check(contextOf(request), tenant);
  if (s3Users !== null) return s3Users.ofTenant(tenant);
  throw new AppError('not_implemented', 'this node has no S3 endpoint, and so no users of it');
}

const USER_FIELDS: ReadonlySet<string> = new Set(['name', 'display_name', 'email', 'role']);
const CHANGED_FIELDS: ReadonlySet<string> = new Set(['display_name', 'role']);
const KEY_FIELDS: ReadonlySet<string> = new Set(['user', 'expires_in_secs']);

function wantedUser(body: Record<string, unknown>): WantedS3User {
  checkFields(body, USER_FIELDS);
  const { name, display_name: displayName = name, email = null, role = 'read_write' } = body;
  if (typeof name !== 'string' || !isS3UserName(name)) {
    throw new AppError('invalid_argument', 'name must have 1 to 63 letters, digits, _ and -');
  }
  checkDisplayName(displayName);
  if (email !== null && (typeof email !== 'string' || !isEmail(email))) {
    throw new AppError('invalid_argument', 'email must be an address, such as name@example.org');
  }
  checkRole(role);
  return { name, displayName, email, role };
}

function changedUser(body: Record<string, unknown>): S3UserChange {
  checkFields(body, CHANGED_FIELDS);
  const { display_name: displayName, role } = body;
  let change: S3UserChange = {};
  if (displayName !== undefined) {
    checkDisplayName(displayName);
    change = { ...change, displayName };
  }
  if (role !== undefined) {
    checkRole(role);
    change = { ...change, role };
  }
  return change;
}

function checkDisplayName(text: unknown): asserts text is string {
  if (typeof text === 'string' && isDisplayName(text)) return;
  throw new AppError('invalid_argument', 'display_name must have 1 to 128 printable characters');
}

function checkRole(role: unknown): asserts role is string {
  if (typeof role === 'string') return;
  throw new AppError('invalid_argument', 'role must be the name of a role');
}

function wantedKey(body: Record<string, unknown>) {
  checkFields(body, KEY_FIELDS);
  const { user, expires_in_secs: seconds = null } = body;
  if (typeof user !== 'string') throw new AppError('invalid_argument', 'user must be a name');
  return { user, expiresInMs: expiresInMsOf(seconds) };
}

/** Throws `forbidden` for another's than one's own, but of administrators of the cluster. */
function tenantOf(request: FastifyRequest): string {
  const { tenant } = request.query as Static<typeof OfTenant>;
  return tenantWanted(tenant, scopeOf(request));
}

function shownUser({ name, ...user }: ShownS3User, tenant: string) {
  return { name, arn: `arn:aws:iam::minikv:user/${fullUserName(tenant, name)}`, ...user };
}
