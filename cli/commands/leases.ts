import { LIMITS } from '../../protocol/limits.ts';
import { randomHex } from '../../protocol/random.ts';
import { query } from '../client.ts';
import { UsageError } from '../failures.ts';
import { type Context, countOf, printJson } from './context.ts';

/** A lease as a node shows it. */
interface ShownLease {
  readonly id: number;
  readonly ttl: number;
  readonly remainingMs: number;
  readonly keys?: readonly { readonly key?: string; readonly keyBase64?: string }[];
}

/** `minikv lease <what> [argument]`. */
export async function lease(
  context: Context,
  what: string,
  argument: string | undefined,
): Promise<void> {
  switch (what) {
    case 'grant':
      return grant(context, argument);
    case 'keep':
      return show(context, 'POST', `${pathOf(argument)}/keepalive`);
    case 'show':
      return show(context, 'GET', `${pathOf(argument)}?keys=true`);
    case 'revoke':
      return revoke(context, pathOf(argument));
    case 'list':
      return list(context);
    default:
      throw new UsageError(`minikv lease knows grant, keep, show, revoke and list, not "${what}"`);
  }
}

function pathOf(id: string | undefined): string {
  if (id === undefined) throw new UsageError('say which lease: give its id');
  return `/v1/leases/${countOf(id, 'the id', 1, Number.MAX_SAFE_INTEGER)}`;
}

async function grant({ io, client, json }: Context, seconds: string | undefined): Promise<void> {
  if (seconds === undefined) throw new UsageError('say how long it lasts: give its seconds');
  const ttlSeconds = countOf(seconds, 'the seconds', 1, LIMITS.leaseTtlSecondsMax);
  const granted = await client.json<ShownLease>({
    ...{ method: 'POST', path: '/v1/leases', body: JSON.stringify({ ttlSeconds }) },
    headers: { 'content-type': 'application/json', 'idempotency-key': randomHex(io.random, 16) },
    repeatable: true,
  });
  if (json) await printJson(io, granted);
  else await io.out(`${granted.id}\n`);
}

async function show(
  { io, client, json }: Context,
  method: 'GET' | 'POST',
  path: string,
): Promise<void> {
  const shown = await client.json<ShownLease>({ method, path, repeatable: true });
  if (json) return printJson(io, shown);
  await io.out(`${lineOf(shown)}\n`);
  for (const { key, keyBase64 } of shown.keys ?? [])
    await io.out(`  ${key ?? `base64:${keyBase64}`}\n`);
}

async function revoke({ io, client, json }: Context, path: string): Promise<void> {
  const revoked = await client.json<{ removed: number; complete: boolean }>({
    ...{ method: 'DELETE', path, repeatable: false },
  });
  if (json) return printJson(io, revoked);
  const rest = revoked.complete ? '' : '; others follow';
  await io.out(`revoked, ${revoked.removed} keys removed${rest}\n`);
}

async function list({ io, client, json }: Context): Promise<void> {
  let cursor: string | undefined;
  do {
    const path = `/v1/leases${query({ limit: '1000', cursor })}`;
    const page = await client.json<{ leases: ShownLease[]; cursor?: string }>({
      ...{ method: 'GET', path, repeatable: true },
    });
    for (const one of page.leases) {
      if (json) await printJson(io, one);
      else await io.out(`${lineOf(one)}\n`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

function lineOf({ id, ttl, remainingMs }: ShownLease): string {
  return `${id}  ${ttl} s  ${(remainingMs / 1000).toFixed(1)} s left`;
}

interface ShownLock {
  readonly name?: string;
  readonly nameBase64?: string;
  readonly held: boolean;
  readonly token: number;
  readonly lease?: number;
  readonly value?: string;
  readonly base64?: string;
}

/** `minikv lock [name]`: who holds it, or all that are held. */
export async function lock({ io, client, json }: Context, name: string | undefined): Promise<void> {
  const show = (one: ShownLock) => (json ? printJson(io, one) : io.out(`${lockLine(one)}\n`));
  if (name !== undefined) {
    const path = `/v1/locks/${encodeURIComponent(name)}`;
    return show(await client.json<ShownLock>({ method: 'GET', path, repeatable: true }));
  }
  for (let cursor = ''; ; ) {
    const path = `/v1/locks?limit=1000${cursor}`;
    const page = await client.json<{ locks: ShownLock[]; cursor?: string }>({
      ...{ method: 'GET', path, repeatable: true },
    });
    for (const one of page.locks) await show(one);
    if (page.cursor === undefined) return;
    cursor = `&cursor=${page.cursor}`;
  }
}

function lockLine({ name, nameBase64, held, token, lease, value, base64 }: ShownLock): string {
  const shown = name ?? `base64:${nameBase64}`;
  if (!held) return `${shown} is free`;
  const by = lease === undefined ? '' : ` by lease ${lease}`;
  const says = value ?? `base64:${base64}`;
  return `${shown} is held${by}, token ${token}${says === '' ? '' : `: ${says}`}`;
}
