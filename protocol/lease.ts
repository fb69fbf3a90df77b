import { LIMITS } from './limits.ts';
import { REVISIONS_PER_MS } from './revision.ts';
import type { RequestContext } from './service.ts';
import type { Revision, VshardId } from './types.ts';
import { DEFAULT_TENANT, type KeyRef, vshardOf } from './vshard.ts';

/** The space in which lease ids have their places; no key of a client is ever in it. */
const LEASE_SPACE = 'lease';

/** The virtual shard whose group is a lease's home. Fixed for ever. */
export function homeOfLease(lease: number): VshardId {
  return vshardOf({ tenant: DEFAULT_TENANT, space: LEASE_SPACE, key: String(lease) });
}

/** Up to where a promise given at `revision` reaches; of a lease that ended there, none reaches further. */
export function promiseEnd(revision: Revision): Revision {
  return revision + LIMITS.leasePromiseMs * REVISIONS_PER_MS;
}

/** Whose a lease is. Rows, entries and messages of those of `default` need not say it. */
export function tenantOfLease({ tenant }: { readonly tenant?: string | null }): string {
  return tenant ?? DEFAULT_TENANT;
}

/** Ids are whole numbers above 0 of at most 53 bits. */
export function isLeaseId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

export interface Lease {
  readonly lease: number;
  readonly ttlMs: number;
  /** By the leader's clock; a new leader gives the whole time again. */
  readonly remainingMs: number;
  readonly grantRevision: Revision;
}

export interface LeaseAnswer {
  readonly lease: Lease;
  readonly clock: Revision;
}

/**
 * Leases of one tenant, as the edges see them. What is not there, or has ended, is `lease_not_found`. A put attaches its
 * key with `attach: { lease, until: 0 }`; the service gets the promise itself, about a lease of the key's tenant.
 */
export interface Leases {
  /** Those of a tenant. What another tenant has is `lease_not_found`, as what nobody has. */
  ofTenant(tenant: string): Leases;
  /** With an idempotency key the same request gets the same lease, and `lease_not_found` once that has ended. */
  grant(ctx: RequestContext, ttlMs: number): Promise<LeaseAnswer>;
  /** Begins the lease's time anew, from when it was asked for. */
  keepAlive(ctx: RequestContext, lease: number): Promise<LeaseAnswer>;
  look(ctx: RequestContext, lease: number): Promise<LeaseAnswer>;
  /**
   * Ends the lease, then removes what is attached. `isSwept`: what was attached under an answer that came before the
   * revoke was asked for is gone. False: that goes on behind the answer, because a group has not answered, or a
   * transaction that writes or attaches such keys has been prepared for longer than a revoke waits.
   */
  revoke(
    ctx: RequestContext,
    lease: number,
  ): Promise<{ revision: Revision; removed: number; isSwept: boolean }>;
  /** Living leases with ids above `after`, by id; `next` is the `after` of the next page, or null. */
  list(
    ctx: RequestContext,
    after: number,
    limit: number,
  ): Promise<{ leases: readonly Lease[]; next: number | null; clock: Revision }>;
  /** Keys attached to a lease, in order; `more`: beyond `limit`. */
  attached(
    ctx: RequestContext,
    lease: number,
    limit: number,
  ): Promise<{ keys: readonly KeyRef[]; more: boolean; clock: Revision }>;
}
