import { NAME_BYTES_MAX } from './keys.ts';
import * as s from './schema.ts';
import type { RequestContext } from './service.ts';
import { objectBytesOf, type Usage } from './usage.ts';
import { DEFAULT_TENANT } from './vshard.ts';

/**
 * Quotas of what is stored (ADR 0043): bytes, keys and objects of a tenant, a bucket, or the keys of a tenant that begin
 * with a prefix. Bytes are those of usage: of keys their names and values, of objects all versions and parts.
 */

/** What is counted, in the order of every `Amounts`, which is for ever. */
export const QUOTA_KINDS = ['bytes', 'keys', 'objects'] as const;
export type QuotaKind = (typeof QUOTA_KINDS)[number];

/** How much a scope may hold; null: as much as it likes. */
export type Quota = { readonly [K in QuotaKind]: number | null };

/** Bytes, keys and objects. */
export type Amounts = readonly number[];
/** The same where a kind may be without a bound. */
export type Bounds = readonly (number | null)[];

export const NO_AMOUNTS: Amounts = Object.freeze([0, 0, 0]);

export const amountsCodec = s.list(s.count, QUOTA_KINDS.length);
export const boundsCodec = s.list(s.nullable(s.count), QUOTA_KINDS.length);

/** Of a prefix, in UTF-8. */
export const QUOTA_PREFIX_BYTES_MAX = 128;
const SCOPE_CHARS_MAX = 'prefix:/'.length + NAME_BYTES_MAX + QUOTA_PREFIX_BYTES_MAX;
/** A scope as people write it. */
export const quotaScopeCodec = s.str(SCOPE_CHARS_MAX);

export type QuotaScope =
  | { readonly kind: 'tenant'; readonly tenant: string }
  | { readonly kind: 'bucket'; readonly tenant: string; readonly bucket: string }
  /** `prefix`: the first bytes of keys, as a latin1 string. */
  | { readonly kind: 'prefix'; readonly tenant: string; readonly prefix: string };

const TENANT = /^tenant:([A-Za-z0-9_-]{1,63})$/;
const BUCKET = /^bucket:(?:([A-Za-z0-9_-]{1,63})\/)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$/;
const PREFIX = /^prefix:([A-Za-z0-9_-]{1,63})\/(.+)$/s;

/**
 * `tenant:<name>`; `bucket:<name>` of the default tenant, `bucket:<tenant>/<name>` of another;
 * `prefix:<tenant>/<key prefix>`, where what follows the first slash is the prefix. Null: it is no scope.
 */
export function parseQuotaScope(text: string): QuotaScope | null {
  const tenant = TENANT.exec(text);
  if (tenant !== null) return { kind: 'tenant', tenant: tenant[1] as string };
  const bucket = BUCKET.exec(text);
  if (bucket !== null) {
    return { kind: 'bucket', tenant: bucket[1] ?? DEFAULT_TENANT, bucket: bucket[2] as string };
  }
  const prefixed = PREFIX.exec(text);
  if (prefixed === null) return null;
  const prefix = prefixed[2] as string;
  const utf8 = Buffer.from(prefix, 'utf8');
  // Half of a surrogate pair is no text.
  if (utf8.length > QUOTA_PREFIX_BYTES_MAX || utf8.toString('utf8') !== prefix) return null;
  return { kind: 'prefix', tenant: prefixed[1] as string, prefix: utf8.toString('latin1') };
}

/** The one text of a scope: what was parsed may have been written with the default tenant or without it. */
export function quotaScopeText(scope: QuotaScope): string {
  const { kind, tenant } = scope;
  if (kind === 'tenant') return `tenant:${tenant}`;
  if (kind === 'prefix') {
    return `prefix:${tenant}/${Buffer.from(scope.prefix, 'latin1').toString('utf8')}`;
  }
  return tenant === DEFAULT_TENANT ? `bucket:${scope.bucket}` : `bucket:${tenant}/${scope.bucket}`;
}

export function boundsOf(quota: Quota): Bounds {
  return QUOTA_KINDS.map((kind) => quota[kind]);
}

export function amountsOf(usage: Usage): number[] {
  return [usage.keyBytes + objectBytesOf(usage), usage.keys, usage.objects + usage.versions];
}

export function addAmounts(a: Amounts, b: Amounts): number[] {
  return a.map((amount, i) => amount + (b[i] as number));
}

/** Growth that a scope's allowance in one group has no room for. */
export const shortageCodec = s.record({ scope: quotaScopeCodec, growth: amountsCodec });
export type Shortage = s.Of<typeof shortageCodec>;

/** Scopes that one operation can be short in. */
export const SHORTAGES_MAX = 64;

/** One group's share of a quota. */
export const quotaShareCodec = s.record({
  /** Of the last redistribution that this group has heard of: the revision of the quota's row. */
  round: s.count,
  /** What it may hold; null: nothing is in force yet. */
  allowed: s.nullable(boundsCodec),
  /** What it holds, with what prepared transactions will add, and whoever has just been given room. */
  used: amountsCodec,
  /** What was there before the quota is counted. */
  isCounted: s.bool,
});
export type QuotaShare = s.Of<typeof quotaShareCodec>;

/** What a group is told to do with its share. Each names the round that it belongs to. */
export const quotaOrderCodec = s.union({
  /**
   * Begins a share, or lowers its allowance to these, where it is counted. From then on the group obeys no earlier round.
   */
  lower: [1, s.record({ ceilings: boundsCodec })],
  /** Sets the allowance, if no other round has begun. */
  raise: [2, s.record({ allowed: boundsCodec })],
  /** There is no such quota any more. */
  remove: [3, s.record({})],
});
export type QuotaOrder = s.Of<typeof quotaOrderCodec>;

/** A quota as people see it. */
export interface QuotaState {
  readonly scope: string;
  readonly quota: Quota;
  /** What it is held against; null where no group has begun to count. */
  readonly usage: { readonly [K in QuotaKind]: number } | null;
  /** `counting`: what is there already is being counted, or not all groups have heard of the quota; nothing is refused for it. */
  readonly state: 'counting' | 'enforced';
}

/** Quotas as edges see them. */
export interface Quotas {
  /** By scope. Rejects with `unavailable`, as all of these do. */
  list(ctx: RequestContext): Promise<readonly QuotaState[]>;
  /** Rejects with `not_found` where the scope has none. */
  get(ctx: RequestContext, scope: string): Promise<QuotaState>;
  /**
   * Replaces the quota of a scope. When it resolves with `enforced`, no group admits growth beyond it. Rejects with
   * `invalid_argument`, `too_large` where there are quotasMax, `conflict` and `outcome_unknown`; may be repeated.
   */
  set(ctx: RequestContext, scope: string, quota: Quota): Promise<QuotaState>;
  /** Rejects with `not_found` where the scope has none. */
  delete(ctx: RequestContext, scope: string): Promise<void>;
}
