import type { IdentityRow } from '../../protocol/identities.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import { PrefixTable } from './prefix-table.ts';

/** What one scope may use in the whole cluster; null: as much as it likes. */
export interface RateLimit {
  readonly requestsPerSecond: number | null;
  /** Requests that may come at once after a pause; null: those of one second. */
  readonly burst: number | null;
  /** Of bodies that come in, and of those that go out. */
  readonly bytesInPerSecond: number | null;
  readonly bytesOutPerSecond: number | null;
  /** Open at one time. */
  readonly watchers: number | null;
}

/** By name: least and most. */
export const LIMIT_BOUNDS = {
  requestsPerSecond: [1, 10_000_000],
  burst: [1, 10_000_000],
  bytesInPerSecond: [1_024, 1_000_000_000_000],
  bytesOutPerSecond: [1_024, 1_000_000_000_000],
  watchers: [0, 1_000_000],
} as const satisfies Record<keyof RateLimit, readonly [number, number]>;

export const NO_LIMIT: RateLimit = {
  ...{ requestsPerSecond: null, burst: null, bytesInPerSecond: null, bytesOutPerSecond: null },
  watchers: null,
};

/**
 * Whose limit it is, as people write it:
 * `key:<id>` an API key with its tokens; `s3-user:<name>` with all its access keys; `s3-account` whoever signs with the
 * configured keys; `tenant:<name>` all of its keys together; `bucket:<name>` whoever asks; `prefix:<tenant>/<prefix>` whoever
 * asks for keys of the tenant that begin so, and what follows the first slash is the prefix; `default` each key, user and
 * issuer's subject that has no limit of its own; `anonymous` each address that shows no credentials. Users and buckets
 * of other tenants than the cluster's own are `s3-user:<tenant>/<name>` and `bucket:<tenant>/<name>`.
 */
const TENANT = '[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?';
const FORMS = [
  /^key:[a-z2-7]{16}$/,
  new RegExp(`^s3-user:(?:${TENANT}/)?[A-Za-z0-9_-]{1,63}$`),
  /^tenant:[A-Za-z0-9_-]{1,63}$/,
  new RegExp(`^bucket:(?:${TENANT}/)?[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`),
  /^(?:s3-account|default|anonymous)$/,
];
const OF_PREFIX = new RegExp(`^prefix:(${TENANT})/(.+)$`, 's');
const OF_DEFAULT = new RegExp(`^(s3-user|bucket):${DEFAULT_TENANT}/`);
/** In UTF-8. */
const PREFIX_BYTES_MAX = 128;

/** The one text of a scope, whichever way it was written; null: it is none. */
export function limitScope(text: string): string | null {
  const scope = text.replace(OF_DEFAULT, '$1:');
  if (FORMS.some((form) => form.test(scope))) return scope;
  return prefixOfScope(scope) === null ? null : scope;
}

/** Of a scope of a prefix; `prefix` is latin1, as keys are. */
export function prefixOfScope(
  scope: string,
): { readonly tenant: string; readonly prefix: string } | null {
  const [, tenant, text] = OF_PREFIX.exec(scope) ?? [];
  if (tenant === undefined || text === undefined) return null;
  const bytes = Buffer.from(text, 'utf8');
  // Half of a surrogate pair is no text.
  if (bytes.length > PREFIX_BYTES_MAX || bytes.toString('utf8') !== text) return null;
  return { tenant, prefix: bytes.toString('latin1') };
}

const PREFIX = 'limit/';

/** Names of rows have no dots and no colons; names of buckets have no `_`, and of dots they are full. A prefix may have anything. */
export function limitRow(scope: string): string {
  const colon = scope.indexOf(':');
  if (colon < 0) return PREFIX + scope;
  const [kind, name] = [scope.slice(0, colon), scope.slice(colon + 1)];
  if (kind === 'bucket') return `${PREFIX}${kind}/${name.replaceAll('.', '_')}`;
  if (kind !== 'prefix') return `${PREFIX}${kind}/${name}`;
  const slash = name.indexOf('/');
  const prefix = Buffer.from(name.slice(slash + 1), 'utf8').toString('base64url');
  return `${PREFIX}${kind}/${name.slice(0, slash)}/${prefix}`;
}

export function scopeOfLimitRow(row: string): string {
  const [kind = '', ...names] = row.slice(PREFIX.length).split('/');
  if (names.length === 0) return kind;
  if (kind === 'prefix') {
    return `${kind}:${names[0]}/${Buffer.from(names[1] ?? '', 'base64url').toString('utf8')}`;
  }
  const name = names.join('/');
  return `${kind}:${kind === 'bucket' ? name.replaceAll('_', '.') : name}`;
}

/** Of all rows of limits. */
export const LIMIT_ROWS = PREFIX;

/** Null: it was taken away; its row stays, without content. */
export function encodeLimit(limit: RateLimit | null): string {
  return JSON.stringify(limit === null ? { v: 1 } : { v: 1, limit });
}

/** Null: there is none any more. Throws where it is no such row: only this program writes them. */
export function parseLimit(text: string): RateLimit | null {
  const { v, limit } = JSON.parse(text) as { v: number; limit?: RateLimit };
  if (v !== 1) throw new Error(`a limit's row of version ${v}`);
  return limit ?? null;
}

/** By scope, those that are there. */
export function limitsOf(rows: readonly IdentityRow[]): ReadonlyMap<string, RateLimit> {
  const found = new Map<string, RateLimit>();
  for (const { name, text } of rows) {
    const limit = parseLimit(text);
    if (limit !== null) found.set(scopeOfLimitRow(name), limit);
  }
  return found;
}

/** By tenant, those that have limits of prefixes. */
export function prefixTables(
  limits: ReadonlyMap<string, RateLimit>,
): ReadonlyMap<string, PrefixTable> {
  const scopes = new Map<string, Map<string, string>>();
  for (const scope of limits.keys()) {
    const found = prefixOfScope(scope);
    if (found === null) continue;
    const own = scopes.get(found.tenant) ?? new Map<string, string>();
    own.set(found.prefix, scope);
    scopes.set(found.tenant, own);
  }
  return new Map([...scopes].map(([tenant, own]) => [tenant, new PrefixTable(own)]));
}
