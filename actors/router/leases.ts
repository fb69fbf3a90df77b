import { onlyRefusals } from '../../protocol/errors.ts';
import { xxHash64 } from '../../protocol/hash.ts';
import type { Lease, LeaseAnswer, Leases } from '../../protocol/lease.ts';
import type { ReplyOf, RequestBody } from '../../protocol/messages/request.ts';
import type { Random } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { GroupId, Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { sweepGroup } from '../lease/sweep-group.ts';
import type { Calls } from './calls.ts';
import type { MapSource } from './following-map.ts';
import type { LeasePromises } from './lease-promises.ts';
import { readOptions } from './options.ts';
import { dataGroups } from './scan.ts';

/**
 * How long a revoke waits for transactions that have keys of the lease prepared, and how often it looks. What a
 * coordinator that died has left is known by then.
 */
const SWEEP_PATIENCE_MS = 2_000;
const SWEEP_AGAIN_MS = 10;

export interface LeaseParts {
  readonly calls: Calls;
  readonly source: MapSource;
  readonly promises: LeasePromises;
  readonly random: Random;
}

/** A tenant's leases over calls to their home groups, which is where it is looked at whose they are. */
export class RoutedLeases implements Leases {
  readonly #parts: LeaseParts;
  readonly #tenant: string;
  readonly #calls: Calls;
  readonly #source: MapSource;

  constructor(parts: LeaseParts, tenant: string) {
    this.#parts = parts;
    this.#tenant = tenant;
    this.#calls = parts.calls;
    this.#source = parts.source;
  }

  ofTenant(tenant: string): Leases {
    return new RoutedLeases(this.#parts, tenant);
  }

  /** Repeatable by its id: the same grant again finds the lease that the first one made. */
  grant(ctx: RequestContext, ttlMs: number): Promise<LeaseAnswer> {
    const lease = leaseIdOf(ctx, this.#parts.random);
    const body = (epoch: number) => {
      return { type: 'LeaseGrant' as const, epoch, lease, ttlMs, tenant: this.#tenant };
    };
    return this.#home(ctx, lease, body, 'Lease');
  }

  keepAlive(ctx: RequestContext, lease: number): Promise<LeaseAnswer> {
    return this.#check(ctx, lease, 'renew');
  }

  look(ctx: RequestContext, lease: number): Promise<LeaseAnswer> {
    return this.#check(ctx, lease, 'look');
  }

  async revoke(
    ctx: RequestContext,
    lease: number,
  ): Promise<{ revision: Revision; removed: number; isSwept: boolean }> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const body = (epoch: number) => {
      return { type: 'LeaseRevoke' as const, epoch, lease, tenant: this.#tenant };
    };
    const { revision } = await this.#home(ctx, lease, body, 'Done');
    const groups = dataGroups(this.#source.map());
    const swept = await Promise.all(groups.map((group) => this.#sweep(ctx, group, lease, endMs)));
    const removed = swept.reduce((sum, one) => sum + one.removed, 0);
    return { revision, removed, isSwept: swept.every(({ isAll }) => isAll) };
  }

  /** Waits for a while for what others are working on; the sweeper comes for what is left. */
  async #sweep(ctx: RequestContext, group: GroupId, lease: number, endMs: number) {
    const ended = [{ lease, why: 'revoked' as const }];
    const patienceMs = Math.min(endMs, this.#nowMs() + SWEEP_PATIENCE_MS);
    for (let removed = 0; ; ) {
      const deadlineMs = Math.max(1, endMs - this.#nowMs());
      const options = { ...readOptions(ctx, 'leader'), deadlineMs };
      try {
        const swept = await sweepGroup(this.#calls, group, ended, 0, options);
        removed += swept.removed;
        if (swept.isAll) return { removed, isAll: true };
      } catch (error) {
        onlyRefusals(error);
        return { removed, isAll: false };
      }
      if (this.#nowMs() >= patienceMs) return { removed, isAll: false };
      await new Promise<void>((resolve) => this.#source.clock.after(SWEEP_AGAIN_MS, resolve));
    }
  }

  async list(
    ctx: RequestContext,
    after: number,
    limit: number,
  ): Promise<{ leases: readonly Lease[]; next: number | null; clock: Revision }> {
    const body = { type: 'LeaseList' as const, after, limit, tenant: this.#tenant };
    const parts = await Promise.all(
      dataGroups(this.#source.map()).map((group) =>
        this.#calls.call(group, body, 'Leases', readOptions(ctx, 'leader')),
      ),
    );
    const all = parts.flatMap((part) => part.leases).sort((a, b) => a.lease - b.lease);
    const leases = all.slice(0, limit);
    const hasMore = all.length > limit || parts.some((part) => part.more);
    const next = hasMore ? (leases[leases.length - 1]?.lease ?? null) : null;
    return { leases, next, clock: clockOf(parts) };
  }

  async attached(
    ctx: RequestContext,
    lease: number,
    limit: number,
  ): Promise<{ keys: readonly KeyRef[]; more: boolean; clock: Revision }> {
    const body = { type: 'Attached' as const, lease, limit, tenant: this.#tenant };
    const parts = await Promise.all(
      dataGroups(this.#source.map()).map((group) =>
        this.#calls.call(group, body, 'AttachedKeys', readOptions(ctx, 'leader')),
      ),
    );
    const keys = parts.flatMap((part) => part.keys).sort((a, b) => (a.key < b.key ? -1 : 1));
    const more = keys.length > limit || parts.some((part) => part.more);
    return { keys: keys.slice(0, limit), more, clock: clockOf(parts) };
  }

  #check(ctx: RequestContext, lease: number, purpose: 'look' | 'renew'): Promise<LeaseAnswer> {
    const body = (epoch: number) => {
      return { type: 'LeaseCheck' as const, epoch, lease, purpose, tenant: this.#tenant };
    };
    return this.#home(ctx, lease, body, 'Lease');
  }

  #home<T extends 'Lease' | 'Done'>(
    ctx: RequestContext,
    lease: number,
    body: (epoch: number) => RequestBody,
    wanted: T,
  ): Promise<ReplyOf<T>> {
    return this.#parts.promises.home(ctx, lease, body, wanted);
  }

  #nowMs(): number {
    return this.#source.clock.monotonicMs();
  }
}

function clockOf(parts: readonly { readonly clock: Revision }[]): Revision {
  return parts.reduce((max, part) => Math.max(max, part.clock), 0);
}

const ID_BITS = 53;

/** Above 0. Of the request where it has an idempotency key, so that a repeat finds the same lease. */
function leaseIdOf({ idempotency }: RequestContext, random: Random): number {
  const bytes =
    idempotency === null
      ? random.bytes(16)
      : Buffer.concat([Buffer.from(`${idempotency.key}\0`, 'latin1'), idempotency.requestHash]);
  return Math.max(1, Number(BigInt.asUintN(ID_BITS, xxHash64(bytes))));
}
