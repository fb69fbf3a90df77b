import { UsageError } from '../failures.ts';
import { type Context, countOf, printJson } from './context.ts';

const PATH = '/admin/limits';

/** A limit as a node shows it. */
interface ShownLimit {
  readonly scope: string;
  readonly requestsPerSecond: number | null;
  readonly burst: number | null;
  readonly bytesInPerSecond: number | null;
  readonly bytesOutPerSecond: number | null;
  readonly watchers: number | null;
}

/** By option: what it sets, and its bounds. */
const AMOUNTS = {
  requests: ['requestsPerSecond', 1, 10_000_000],
  burst: ['burst', 1, 10_000_000],
  bytesIn: ['bytesInPerSecond', 1_024, 1_000_000_000_000],
  bytesOut: ['bytesOutPerSecond', 1_024, 1_000_000_000_000],
  watchers: ['watchers', 0, 1_000_000],
} as const;
const OPTIONS = {
  requests: '--requests',
  burst: '--burst',
  bytesIn: '--bytes-in',
  bytesOut: '--bytes-out',
  watchers: '--watchers',
} as const;

export type LimitFlags = { readonly [K in keyof typeof AMOUNTS]?: string };

export async function listLimits({ io, client, json }: Context): Promise<void> {
  const { limits } = await client.json<{ readonly limits: readonly ShownLimit[] }>({
    ...{ method: 'GET', path: PATH, repeatable: true },
  });
  for (const limit of limits) {
    if (json) await printJson(io, limit);
    else await io.out(`${lineOf(limit)}\n`);
  }
}

export async function showLimit({ io, client, json }: Context, scope: string): Promise<void> {
  const limit = await client.json<ShownLimit>({
    ...{ method: 'GET', path: pathOf(scope), repeatable: true },
  });
  if (json) return printJson(io, limit);
  await io.out(`${lineOf(limit)}\n`);
}

/** `minikv limits set <scope>`: what is not named is not limited. */
export async function setLimit(
  { io, client, json }: Context,
  scope: string,
  flags: LimitFlags,
): Promise<void> {
  const wanted: Record<string, number> = {};
  for (const [flag, [name, least, most]] of Object.entries(AMOUNTS)) {
    const text = flags[flag as keyof LimitFlags];
    if (text === undefined) continue;
    wanted[name] = countOf(text, OPTIONS[flag as keyof LimitFlags], least, most);
  }
  if (Object.keys(wanted).length === 0) {
    throw new UsageError('say what is limited: --requests, --bytes-in, --bytes-out, --watchers');
  }
  const limit = await client.json<ShownLimit>({
    ...{ method: 'PUT', path: pathOf(scope), repeatable: true },
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  });
  if (json) return printJson(io, limit);
  await io.out(`${lineOf(limit)}\n`);
}

export async function deleteLimit({ io, client, json }: Context, scope: string): Promise<void> {
  const done = await client.json<{ readonly scope: string }>({
    ...{ method: 'DELETE', path: pathOf(scope), repeatable: false },
  });
  if (json) return printJson(io, done);
  await io.out(`deleted the limit of ${scope}\n`);
}

function pathOf(scope: string): string {
  return `${PATH}/${encodeURIComponent(scope)}`;
}

function lineOf(limit: ShownLimit): string {
  const { requestsPerSecond, burst, bytesInPerSecond, bytesOutPerSecond, watchers } = limit;
  const parts = [
    requestsPerSecond === null ? [] : [`${requestsPerSecond} requests/s`],
    burst === null ? [] : [`${burst} at once`],
    bytesInPerSecond === null ? [] : [`${bytesInPerSecond} bytes/s in`],
    bytesOutPerSecond === null ? [] : [`${bytesOutPerSecond} bytes/s out`],
    watchers === null ? [] : [`${watchers} watches`],
  ];
  return `${limit.scope}  ${parts.flat().join(', ')}`;
}
