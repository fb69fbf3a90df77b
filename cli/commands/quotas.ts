import { UsageError } from '../failures.ts';
import { type Context, countOf, printJson } from './context.ts';

const PATH = '/admin/quotas';
const KINDS = ['bytes', 'keys', 'objects'] as const;
type Kind = (typeof KINDS)[number];

/** A quota as a node shows it. */
type ShownQuota = {
  readonly scope: string;
  readonly usage: { readonly [K in Kind]: number } | null;
  readonly state: 'counting' | 'enforced';
} & { readonly [K in Kind]: number | null };

export type QuotaFlags = { readonly [K in Kind]?: string };

export async function listQuotas({ io, client, json }: Context): Promise<void> {
  const { quotas } = await client.json<{ readonly quotas: readonly ShownQuota[] }>({
    ...{ method: 'GET', path: PATH, repeatable: true },
  });
  for (const quota of quotas) {
    if (json) await printJson(io, quota);
    else await io.out(`${lineOf(quota)}\n`);
  }
}

export async function showQuota({ io, client, json }: Context, scope: string): Promise<void> {
  const quota = await client.json<ShownQuota>({
    ...{ method: 'GET', path: pathOf(scope), repeatable: true },
  });
  if (json) return printJson(io, quota);
  await io.out(`${lineOf(quota)}\n`);
}

/** `minikv quotas set <scope>`: what is not named is not limited. */
export async function setQuota(
  { io, client, json }: Context,
  scope: string,
  flags: QuotaFlags,
): Promise<void> {
  const wanted: { [K in Kind]?: number } = {};
  for (const kind of KINDS) {
    const text = flags[kind];
    if (text !== undefined) wanted[kind] = countOf(text, `--${kind}`, 0, Number.MAX_SAFE_INTEGER);
  }
  if (Object.keys(wanted).length === 0) {
    throw new UsageError('say how much: --bytes, --keys, --objects');
  }
  const quota = await client.json<ShownQuota>({
    ...{ method: 'PUT', path: pathOf(scope), repeatable: true },
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  });
  if (json) return printJson(io, quota);
  await io.out(`${lineOf(quota)}\n`);
}

export async function deleteQuota({ io, client, json }: Context, scope: string): Promise<void> {
  const done = await client.json<{ readonly scope: string }>({
    ...{ method: 'DELETE', path: pathOf(scope), repeatable: false },
  });
  if (json) return printJson(io, done);
  await io.out(`deleted the quota of ${scope}\n`);
}

function pathOf(scope: string): string {
  return `${PATH}/${encodeURIComponent(scope)}`;
}

/** `bucket:photos  10 of 100 bytes, 2 of 5 objects`; usage is unknown while it is counted. */
function lineOf(quota: ShownQuota): string {
  const parts = KINDS.flatMap((kind) => {
    const bound = quota[kind];
    return bound === null ? [] : [`${quota.usage?.[kind] ?? '?'} of ${bound} ${kind}`];
  });
  const note = quota.state === 'counting' ? '  (counting: not in force yet)' : '';
  return `${quota.scope}  ${parts.join(', ')}${note}`;
}
