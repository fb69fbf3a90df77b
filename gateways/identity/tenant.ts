import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';

/** Tenants as the meta group keeps them: a row each. The one of the cluster itself has none, and is always there. */
export interface TenantRecord {
  readonly state: TenantState;
  /** Unix ms. */
  readonly createdAtMs: number;
  /** Unix ms; null: it is not. */
  readonly suspendedAtMs: number | null;
  readonly deletion: TenantDeletion | null;
}

/** `suspended`: all that is theirs stays, and every request is refused. `deleting`: to requests it is not there any more. */
export type TenantState = 'active' | 'suspended' | 'deleting';

/** How far a deletion is. */
export interface TenantDeletion {
  /** Unix ms. */
  readonly sinceMs: number;
  /** What has gone so far. */
  readonly credentials: number;
  readonly leases: number;
  readonly indexes: number;
  readonly keys: number;
  readonly buckets: number;
  readonly versions: number;
  /** Why it does not go on: text for people; null: it does. */
  readonly waitsFor: string | null;
}

const PREFIX = 'tenant/';
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

/** 1 to 32 of small letters, digits and inner dashes, so that it is one token of a subject and of a row's name. */
export function isTenantName(text: string): boolean {
  return NAME.test(text) && text !== DEFAULT_TENANT;
}

export function tenantRow(name: string): string {
  return PREFIX + name;
}

export function nameOfTenantRow(row: string): string {
  return row.slice(PREFIX.length);
}

/** Null: there is none any more; its row stays, without content. */
export function encodeTenantRecord(record: TenantRecord | null): string {
  return JSON.stringify(record === null ? { v: 1 } : { v: 1, record });
}

const read = new WeakMap<IdentityRow, { readonly record: TenantRecord | null }>();

/** Null: there is none any more. Throws where it is no such row: only this program writes them. */
export function parseTenantRow(row: IdentityRow): TenantRecord | null {
  const known = read.get(row);
  if (known !== undefined) return known.record;
  const { v, record = null } = JSON.parse(row.text) as { v: number; record?: TenantRecord };
  if (v !== 1) throw new Error(`a tenant's row of version ${v}`);
  const whole = record === null ? null : { ...record, deletion: deletionOf(record) };
  read.set(row, { record: whole });
  return whole;
}

/** Deletions that began before tenants had leases have counted none. */
function deletionOf({ deletion }: TenantRecord): TenantDeletion | null {
  return deletion === null ? null : { ...deletion, leases: deletion.leases ?? 0 };
}

/**
 * Whether those of this tenant may do anything at present; `none`: there is no such tenant, or it is being deleted. Counts only
 * while the view is current, but for the cluster's own.
 */
export function standingOf(
  identities: Pick<Identities, 'row'>,
  tenant: string,
): 'active' | 'suspended' | 'none' {
  if (tenant === DEFAULT_TENANT) return 'active';
  const row = identities.row(tenantRow(tenant));
  const state = row === null ? 'deleting' : (parseTenantRow(row)?.state ?? 'deleting');
  return state === 'deleting' ? 'none' : state;
}
