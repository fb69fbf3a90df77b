import { UsageError } from '../failures.ts';
import { type Context, printJson } from './context.ts';

/** A tenant as a node shows it. */
interface ShownTenant {
  readonly name: string;
  readonly state: string;
  readonly createdAtMs: number;
  readonly suspendedAtMs: number | null;
  readonly deletion: Readonly<Record<string, number | string | null>> | null;
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const PATH = '/admin/tenants';

export async function createTenant({ io, client, json }: Context, name: string): Promise<void> {
  const made = await client.json<ShownTenant>({
    ...{ method: 'POST', path: PATH, repeatable: false },
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: checked(name) }),
  });
  if (json) return printJson(io, made);
  await io.out(`${lineOf(made)}\n`);
}

export async function listTenants({ io, client, json }: Context): Promise<void> {
  const { tenants } = await client.json<{ readonly tenants: readonly ShownTenant[] }>({
    ...{ method: 'GET', path: PATH, repeatable: true },
  });
  for (const tenant of tenants) {
    if (json) await printJson(io, tenant);
    else await io.out(`${lineOf(tenant)}\n`);
  }
}

/** All of them may be asked for again: a tenant that is suspended, or going, stays so. */
export async function changeTenant(
  { io, client, json }: Context,
  what: 'show' | 'suspend' | 'resume' | 'delete',
  name: string,
): Promise<void> {
  const path = `${PATH}/${checked(name)}`;
  const [method, where] = {
    show: ['GET', path] as const,
    suspend: ['POST', `${path}/suspend`] as const,
    resume: ['POST', `${path}/resume`] as const,
    delete: ['DELETE', path] as const,
  }[what];
  const tenant = await client.json<ShownTenant>({ method, path: where, repeatable: true });
  if (json) return printJson(io, tenant);
  await io.out(`${lineOf(tenant)}\n`);
}

function checked(name: string): string {
  if (NAME.test(name)) return name;
  throw new UsageError(`not the name of a tenant: ${name}`);
}

function lineOf({ name, state, deletion }: ShownTenant): string {
  if (deletion === null) return `${name}  ${state}`;
  const { sinceMs, waitsFor, ...gone } = deletion;
  const counts = Object.entries(gone).map(([what, count]) => `${what} ${count}`);
  const waits = waitsFor === null ? '' : `  waits: ${waitsFor}`;
  const since = new Date(sinceMs as number).toISOString();
  return `${name}  ${state} since ${since}  gone: ${counts.join(', ')}${waits}`;
}
