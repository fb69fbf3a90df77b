import { UsageError } from '../failures.ts';
import { type Context, countOf, printJson } from './context.ts';

export const EXPIRES_SECS_MAX = 10 * 365 * 24 * 3600;

/** A key as a node shows it. */
interface ShownKey {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly role: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export interface CreateFlags {
  readonly role?: string;
  readonly expires?: string;
  readonly tenant?: string;
}

/** `minikv keys create <name>`: prints the key, this once. */
export async function createKey(
  { io, client, json }: Context,
  name: string,
  { role = 'read_write', expires, tenant }: CreateFlags,
): Promise<void> {
  const seconds = expires === undefined ? null : countOf(expires, '--expires', 1, EXPIRES_SECS_MAX);
  const made = await client.json<ShownKey & { readonly key: string }>({
    ...{ method: 'POST', path: '/admin/keys', repeatable: false },
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, role, tenant, expires_in_secs: seconds }),
  });
  if (json) return printJson(io, made);
  await io.out(`${made.key}\n`);
  io.err(`key ${made.id} of ${made.role}: this is the only time that it is shown\n`);
}

export async function listKeys({ io, client, json }: Context): Promise<void> {
  const { keys } = await client.json<{ readonly keys: readonly ShownKey[] }>({
    ...{ method: 'GET', path: '/admin/keys', repeatable: true },
  });
  for (const key of keys) {
    if (json) await printJson(io, key);
    else await io.out(`${lineOf(key)}\n`);
  }
}

/** `show`, `revoke` and `delete` of one key. */
export async function changeKey(
  { io, client, json }: Context,
  what: 'show' | 'revoke' | 'delete',
  id: string,
): Promise<void> {
  if (!/^[a-z2-7]{16}$/.test(id)) throw new UsageError(`not the id of a key: ${id}`);
  const path = `/admin/keys/${id}`;
  const [method, where] = {
    show: ['GET', path] as const,
    revoke: ['POST', `${path}/revoke`] as const,
    delete: ['DELETE', path] as const,
  }[what];
  // Revoked twice is revoked once; of a key that was deleted nobody knows any more.
  const key = await client.json<ShownKey>({
    ...{ method, path: where, repeatable: what !== 'delete' },
  });
  if (json) return printJson(io, key);
  await io.out(what === 'delete' ? `deleted ${id}\n` : `${lineOf(key)}\n`);
}

function lineOf({ id, name, tenant, role, expiresAtMs, revokedAtMs }: ShownKey): string {
  const until = expiresAtMs === null ? '' : `  expires ${new Date(expiresAtMs).toISOString()}`;
  const end = revokedAtMs === null ? until : `  revoked ${new Date(revokedAtMs).toISOString()}`;
  const of = tenant === 'default' ? '' : `  of ${tenant}`;
  return `${id}  ${role}  ${name}${of}${end}`;
}
