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
}

interface ShownS3Key {
  readonly accessKeyId: string;
  readonly user: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export interface CreateS3Flags {
  readonly role?: string;
  readonly expires?: string;
  readonly displayName?: string;
  readonly email?: string;
}

const JSON_BODY = { 'content-type': 'application/json' };

/** `minikv keys create <user> --s3`: makes the user where there is none, and prints a pair of keys, this once. */
export async function createS3Key(
  context: Context,
  name: string,
  flags: CreateS3Flags,
): Promise<void> {
  const { io, client, json } = context;
  const { expires } = flags;
  const seconds = expires === undefined ? null : countOf(expires, '--expires', 1, EXPIRES_SECS_MAX);
  const user = await userFor(context, name, flags);
  const made = await client.json<ShownS3Key & { readonly secretAccessKey: string }>({
    ...{ method: 'POST', path: '/admin/s3-keys', repeatable: false, headers: JSON_BODY },
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
  { role, displayName, email }: CreateS3Flags,
): Promise<ShownUser> {
  const { users } = await client.json<{ readonly users: readonly ShownUser[] }>({
    ...{ method: 'GET', path: '/admin/s3-users', repeatable: true },
  });
  const known = users.find((user) => user.name === name);
  const wanted = { role, display_name: displayName, email };
  if (known === undefined) {
    return client.json<ShownUser>({
      ...{ method: 'POST', path: '/admin/s3-users', repeatable: false, headers: JSON_BODY },
      body: JSON.stringify({ name, ...wanted }),
    });
  }
  if (Object.values(wanted).every((each) => each === undefined)) return known;
  throw new CommandFailed(
    `there is a user ${name} already: --role, --display-name and --email are of a new one`,
  );
}

export async function listS3Keys({ io, client, json }: Context): Promise<void> {
  const { keys } = await client.json<{ readonly keys: readonly ShownS3Key[] }>({
    ...{ method: 'GET', path: '/admin/s3-keys', repeatable: true },
  });
  for (const key of keys) {
    if (json) await printJson(io, key);
    else await io.out(`${lineOf(key)}\n`);
  }
}

export function isS3KeyId(id: string): boolean {
  return /^AKIA[A-Z2-7]{16}$/.test(id);
}

/** `show`, `revoke` and `delete` of one access key. */
export async function changeS3Key(
  { io, client, json }: Context,
  what: 'show' | 'revoke' | 'delete',
  id: string,
): Promise<void> {
  const path = `/admin/s3-keys/${id}`;
  const [method, where] = {
    show: ['GET', path] as const,
    revoke: ['POST', `${path}/revoke`] as const,
    delete: ['DELETE', path] as const,
  }[what];
  const key = await client.json<ShownS3Key>({
    ...{ method, path: where, repeatable: what !== 'delete' },
  });
  if (json) return printJson(io, key);
  await io.out(what === 'delete' ? `deleted ${id}\n` : `${lineOf(key)}\n`);
}

export async function listUsers({ io, client, json }: Context): Promise<void> {
  const { users } = await client.json<{ readonly users: readonly ShownUser[] }>({
    ...{ method: 'GET', path: '/admin/s3-users', repeatable: true },
  });
  for (const user of users) {
    const { name, id, role, email } = user;
    if (json) await printJson(io, user);
    else await io.out(`${name}  ${role}  ${id}${email === null ? '' : `  ${email}`}\n`);
  }
}

/** `minikv keys delete-user <name>`: ends all keys of that user; what they own stays. */
export async function deleteUser({ io, client, json }: Context, name: string): Promise<void> {
  const path = `/admin/s3-users/${encodeURIComponent(name)}`;
  const done = await client.json<object>({ ...{ method: 'DELETE', path, repeatable: false } });
  if (json) return printJson(io, done);
  await io.out(`deleted ${name}\n`);
}

function lineOf({ accessKeyId, user, expiresAtMs, revokedAtMs }: ShownS3Key): string {
  const until = expiresAtMs === null ? '' : `  expires ${new Date(expiresAtMs).toISOString()}`;
  const end = revokedAtMs === null ? until : `  revoked ${new Date(revokedAtMs).toISOString()}`;
  return `${accessKeyId}  ${user}${end}`;
}
