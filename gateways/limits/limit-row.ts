import type { IdentityRow } from '../../protocol/identities.ts';

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
 * configured keys; `tenant:<name>` all of its keys together; `bucket:<name>` whoever asks; `default` each key, user and
 * issuer's subject that has no limit of its own; `anonymous` each address that shows no credentials.
 */
const FORMS = [
  /^key:[a-z2-7]{16}$/,
  /^s3-user:[A-Za-z0-9_-]{1,63}$/,
  /^tenant:[A-Za-z0-9_-]{1,63}$/,
  /^bucket:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  /^(?:s3-account|default|anonymous)$/,
];

export function isLimitScope(text: string): boolean {
  return FORMS.some((form) => form.test(text));
}

const PREFIX = 'limit/';

/** Names of rows have no dots and no colons; names of buckets have no `_`, and of dots they are full. */
export function limitRow(scope: string): string {
  const [kind = '', name] = scope.split(':');
  if (name === undefined) return PREFIX + kind;
  return `${PREFIX}${kind}/${kind === 'bucket' ? name.replaceAll('.', '_') : name}`;
}

export function scopeOfLimitRow(row: string): string {
  const [kind = '', name] = row.slice(PREFIX.length).split('/');
  if (name === undefined) return kind;
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
