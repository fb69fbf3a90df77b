import { CommandFailed } from '../failures.ts';
import { EXPIRES_SECS_MAX } from './api-keys.ts';
import { type Context, countOf, printJson } from './context.ts';

/** Users of S3 and their access keys, as a node shows them. */
interface ShownUser {
  readonly name: string;
  readonly id: string;
  readonly arn: string;
  readonly displayName: string;
  readonly email: string | null;
  readonly role: string;
  readonly disabledAtMs: number | null;
}

interface ShownS3Key {
  readonly accessKeyId: string;
  readonly user: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly disabledAtMs: number | null;
}

export interface CreateS3Flags {
  readonly role?: string;
  readonly expires?: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly tenant?: string;
}

/** Of the tenant of whoever asks where none is named. */
function inTenant(path: string, tenant: string | undefined): string {
  return tenant === undefined ? path : `${path}?tenant=${encodeURIComponent(tenant)}`;
}

const JSON_BODY = { 'content-type': 'application/json' };

/** `minikv keys create <user> --s3`: makes the user where there is none, and prints a pair of keys, this once. */
export async function createS3Key(
  context: Context,
  name: string,
  flags: CreateS3Flags,
): Promise<void> {
  const { io, client, json } = context;
  const { expires, tenant } = flags;
  const seconds = expires === undefined ? null : countOf(expires, '--expires', 1, EXPIRES_SECS_MAX);
  const user = await userFor(context, name, flags);
  const made = await client.json<ShownS3Key & { readonly secretAccessKey: string }>({
    ...{ method: 'POST', path: inTenant('/admin/s3-keys', tenant), repeatable: false },
    headers: JSON_BODY,
    body: JSON.stringify({ user: name, expires_in_secs: seconds }),
  });
  if (json) return printJson(io, { ...made, userId: user.id, arn: user.arn, role: user.role });
  await io.out(`AWS_ACCESS_KEY_ID=${made.accessKeyId}\n`);
  await io.out(`AWS_SECRET_ACCESS_KEY=${made.secretAccessKey}\n`);
  io.err(`of ${user.arn}, canonical id ${user.id}, ${user.role}: `);
  io.err('this is the only time that the secret is shown\n');
}

async function userFor(
  { client }: Context,
  name: string,
  { role, displayName, email, tenant }: CreateS3Flags,
): Promise<ShownUser> {
  const { users } = await client.json<{ readonly users: readonly ShownUser[] }>({
    ...{ method: 'GET', path: inTenant('/admin/s3-users', tenant), repeatable: true },
  });
  const known = users.find((user) => user.name === name);
  const wanted = { role, display_name: displayName, email };
  if (known === undefined) {
    return client.json<ShownUser>({
      ...{ method: 'POST', path: inTenant('/admin/s3-users', tenant), repeatable: false },
      headers: JSON_BODY,
      body: JSON.stringify({ name, ...wanted }),
    });
  }
  if (Object.values(wanted).every((each) => each === undefined)) return known;
  throw new CommandFailed(
    `there is a user ${name} already: --role, --display-name and --email are of a new one`,
  );
}

export async function listS3Keys({ io, client, json }: Context, tenant?: string): Promise<void> {
  const { keys } = await client.json<{ readonly keys: readonly ShownS3Key[] }>({
    ...{ method: 'GET', path: inTenant('/admin/s3-keys', tenant), repeatable: true },
  });
  for (const key of keys) {
    if (json) await printJson(io, key);
    else await io.out(`${lineOf(key)}\n`);
  }
}

export function isS3KeyId(id: string): boolean {
  return /^AKIA[A-Z2-7]{16}$/.test(id);
}

export type S3State = 'disable' | 'enable';

/** `show`, `revoke`, `delete`, `disable` and `enable` of one access key. */
export async function changeS3Key(
  { io, client, json }: Context,
  what: 'show' | 'revoke' | 'delete' | S3State,
  id: string,
): Promise<void> {
  const path = `/admin/s3-keys/${id}`;
  const [method, where] = {
    show: ['GET', path] as const,
    revoke: ['POST', `${path}/revoke`] as const,
    delete: ['DELETE', path] as const,
    disable: ['POST', `${path}/disable`] as const,
    enable: ['POST', `${path}/enable`] as const,
  }[what];
  const key = await client.json<ShownS3Key>({
    ...{ method, path: where, repeatable: what !== 'delete' },
  });
  if (json) return printJson(io, key);
  await io.out(what === 'delete' ? `deleted ${id}\n` : `${lineOf(key)}\n`);
}

export async function listUsers({ io, client, json }: Context, tenant?: string): Promise<void> {
  const { users } = await client.json<{ readonly users: readonly ShownUser[] }>({
    ...{ method: 'GET', path: inTenant('/admin/s3-users', tenant), repeatable: true },
  });
  for (const user of users) await printUser({ io, json }, user);
}

/** `minikv keys disable|enable <user>`: of all their keys. */
export async function changeUserState(
  { io, client, json }: Context,
  what: S3State,
  name: string,
): Promise<void> {
  const path = `/admin/s3-users/${encodeURIComponent(name)}/${what}`;
  const user = await client.json<ShownUser>({ ...{ method: 'POST', path, repeatable: true } });
  await printUser({ io, json }, user);
}

/** `minikv keys change-user <name>`. */
export async function changeUser(
  { io, client, json }: Context,
  name: string,
  { role, displayName }: Pick<CreateS3Flags, 'role' | 'displayName'>,
): Promise<void> {
  const path = `/admin/s3-users/${encodeURIComponent(name)}`;
  const user = await client.json<ShownUser>({
    ...{ method: 'PATCH', path, repeatable: true, headers: JSON_BODY },
    body: JSON.stringify({ role, display_name: displayName }),
  });
  await printUser({ io, json }, user);
}

async function printUser({ io, json }: Pick<Context, 'io' | 'json'>, user: ShownUser) {
  if (json) return printJson(io, user);
  const { name, id, role, email, disabledAtMs } = user;
  const state = disabledAtMs === null ? '' : '  disabled';
  await io.out(`${name}  ${role}  ${id}${email === null ? '' : `  ${email}`}${state}\n`);
}

/** `minikv keys delete-user <name>`: ends all keys of that user; what they own stays. */
export async function deleteUser({ io, client, json }: Context, name: string): Promise<void> {
  const path = `/admin/s3-users/${encodeURIComponent(name)}`;
  const done = await client.json<object>({ ...{ method: 'DELETE', path, repeatable: false } });
  if (json) return printJson(io, done);
  await io.out(`deleted ${name}\n`);
}

function lineOf(key: ShownS3Key): string {
  const { accessKeyId, user, expiresAtMs, revokedAtMs, disabledAtMs } = key;
  const until = expiresAtMs === null ? '' : `  expires ${new Date(expiresAtMs).toISOString()}`;
  const end = revokedAtMs === null ? until : `  revoked ${new Date(revokedAtMs).toISOString()}`;
  const state = revokedAtMs === null && disabledAtMs !== null ? '  disabled' : '';
  return `${accessKeyId}  ${user}${end}${state}`;
}
