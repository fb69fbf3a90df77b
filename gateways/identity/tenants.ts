import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Identities, IdentityRow } from '../../protocol/identities.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT } from '../../protocol/vshard.ts';
import {
  encodeTenantRecord,
  isTenantName,
  nameOfTenantRow,
  parseTenantRow,
  standingOf,
  type TenantDeletion,
  type TenantRecord,
  tenantRow,
} from './tenant.ts';

export type ShownTenant = TenantRecord & { readonly name: string };

interface Parts {
  readonly identities: Identities;
  readonly clock: Pick<Clock, 'wallMs'>;
}

const ATTEMPTS_MAX = 16;

/** Makes, shows, suspends and ends tenants. What is answered holds on every node from then on. */
export class Tenants {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Rejects with `duplicate` where there is one, also one that is being deleted, and with `too_large`. */
  async create(ctx: RequestContext, name: string): Promise<ShownTenant> {
    const { identities, clock } = this.#parts;
    if (!isTenantName(name)) throw badName();
    const max = LIMITS.tenantsMax;
    if ((await this.list(ctx)).length >= max) {
      const details = { limit: 'tenantsMax', max };
      throw new AppError('too_large', `there are tenantsMax tenants, ${max}`, { details });
    }
    const before = identities.row(tenantRow(name));
    const record: TenantRecord = {
      ...{ state: 'active', createdAtMs: clock.wallMs(), suspendedAtMs: null, deletion: null },
    };
    const isFree = before === null || parseTenantRow(before) === null;
    const revision = before?.revision ?? 0;
    const row = { name: tenantRow(name), text: encodeTenantRecord(record), revision };
    if (!isFree || !(await identities.put(ctx, row))) {
      throw new AppError('duplicate', 'there is a tenant of this name');
    }
    return { name, ...record };
  }

  /** By name, without the cluster's own. */
  async list(ctx: RequestContext): Promise<readonly ShownTenant[]> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    return identities.rows(tenantRow('')).flatMap((row) => {
      const record = parseTenantRow(row);
      return record === null ? [] : [{ name: nameOfTenantRow(row.name), ...record }];
    });
  }

  async get(ctx: RequestContext, name: string): Promise<ShownTenant> {
    return { name, ...(await this.#read(ctx, name)).record };
  }

  /** Throws `not_found` unless there is one that keys may be made for: the cluster's own, or another, suspended or not. */
  async check(ctx: RequestContext, name: string): Promise<void> {
    if (name === DEFAULT_TENANT) return;
    if ((await this.get(ctx, name)).state === 'deleting') throw noTenant();
  }

  /** Whether what is theirs may be shown at present. Rejects with `unavailable` where this node cannot tell. */
  async isActive(ctx: RequestContext, name: string): Promise<boolean> {
    if (name === DEFAULT_TENANT) return true;
    const { identities } = this.#parts;
    await identities.current(ctx.deadlineMs);
    return standingOf(identities, name) === 'active';
  }

  /** Once this has resolved, every node refuses all of their requests. */
  suspend(ctx: RequestContext, name: string): Promise<ShownTenant> {
    const suspendedAtMs = this.#parts.clock.wallMs();
    return this.change(ctx, name, (before) => {
      if (before.state === 'deleting') throw isGoing();
      return before.state === 'suspended'
        ? before
        : { ...before, state: 'suspended', suspendedAtMs };
    });
  }

  resume(ctx: RequestContext, name: string): Promise<ShownTenant> {
    return this.change(ctx, name, (before) => {
      if (before.state === 'deleting') throw isGoing();
      return before.state === 'active'
        ? before
        : { ...before, state: 'active', suspendedAtMs: null };
    });
  }

  /** Once this has resolved, no node takes any of their credentials; what is theirs goes in steps (tenant-removal.ts). */
  delete(ctx: RequestContext, name: string): Promise<ShownTenant> {
    const sinceMs = this.#parts.clock.wallMs();
    return this.change(ctx, name, (before) => {
      if (before.state === 'deleting') return before;
      return { ...before, state: 'deleting', deletion: { ...NOTHING_GONE, sinceMs } };
    });
  }

  /** Rejects with `not_found`, and with `conflict` where others change it again and again. */
  async change(
    ctx: RequestContext,
    name: string,
    change: (before: TenantRecord) => TenantRecord,
  ): Promise<ShownTenant> {
    const { identities } = this.#parts;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const { row, record } = await this.#read(ctx, name);
      const next = change(record);
      if (next === record) {
        // Whoever changed it may not have waited yet.
        await identities.settled();
        return { name, ...next };
      }
      if (await identities.put(ctx, { ...row, text: encodeTenantRecord(next) })) {
        return { name, ...next };
      }
    }
    throw new AppError('conflict', 'others are changing this tenant');
  }

  /** Nothing of it is left: its name is free. */
  async forget(ctx: RequestContext, name: string): Promise<void> {
    const { row, record } = await this.#read(ctx, name);
    if (record.state !== 'deleting') throw new Error('a tenant is forgotten that was not deleted');
    await this.#parts.identities.put(ctx, { ...row, text: encodeTenantRecord(null) });
  }

  async #read(
    ctx: RequestContext,
    name: string,
  ): Promise<{ readonly row: IdentityRow; readonly record: TenantRecord }> {
    const { identities } = this.#parts;
    await identities.renewed(ctx.deadlineMs);
    const row = isTenantName(name) ? identities.row(tenantRow(name)) : null;
    const record = row === null ? null : parseTenantRow(row);
    if (row === null || record === null) throw noTenant();
    return { row, record };
  }
}

const NOTHING_GONE: Omit<TenantDeletion, 'sinceMs'> = {
  ...{ credentials: 0, leases: 0, indexes: 0, keys: 0, buckets: 0, versions: 0, waitsFor: null },
};

function noTenant(): AppError {
  return new AppError('not_found', 'there is no such tenant');
}

function isGoing(): AppError {
  return new AppError('precondition_failed', 'this tenant is being deleted, for good');
}

function badName(): AppError {
  const form = '1 to 32 small letters, digits and inner dashes, and not "default"';
  return new AppError('invalid_argument', `the name of a tenant is ${form}`);
}
