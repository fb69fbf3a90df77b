import { AppError } from '../../protocol/errors.ts';
import type { Lease, LeaseAnswer, Leases } from '../../protocol/lease.ts';
import type { RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef } from '../../protocol/vshard.ts';

interface Granted {
  readonly tenant: string;
  readonly ttlMs: number;
  readonly grantRevision: number;
  endMs: number;
}

/** What the model of leases needs of the model of the store. */
export interface ModelLeaseHost {
  enter(ctx: RequestContext): void;
  tick(): number;
  wallMs(): number;
  attached(lease: number): KeyRef[];
  remove(ref: KeyRef): void;
}

/** A tenant's leases in one Map of all; they end only when they are revoked. */
export class ModelLeases implements Leases {
  readonly #host: ModelLeaseHost;
  readonly #tenant: string;
  readonly #all: { readonly granted: Map<number, Granted>; lastId: number };

  constructor(
    host: ModelLeaseHost,
    tenant: string = DEFAULT_TENANT,
    all = { granted: new Map<number, Granted>(), lastId: 0 },
  ) {
    this.#host = host;
    this.#tenant = tenant;
    this.#all = all;
  }

  ofTenant(tenant: string): ModelLeases {
    return new ModelLeases(this.#host, tenant, this.#all);
  }

  lives(lease: number, tenant: string): boolean {
    return this.#all.granted.get(lease)?.tenant === tenant;
  }

  async grant(ctx: RequestContext, ttlMs: number): Promise<LeaseAnswer> {
    this.#host.enter(ctx);
    const lease = ++this.#all.lastId;
    const endMs = this.#host.wallMs() + ttlMs;
    const tenant = this.#tenant;
    this.#all.granted.set(lease, { tenant, ttlMs, grantRevision: this.#host.tick(), endMs });
    return this.#answer(lease);
  }

  async keepAlive(ctx: RequestContext, lease: number): Promise<LeaseAnswer> {
    this.#host.enter(ctx);
    const granted = this.#get(lease);
    granted.endMs = this.#host.wallMs() + granted.ttlMs;
    return this.#answer(lease);
  }

  async look(ctx: RequestContext, lease: number): Promise<LeaseAnswer> {
    this.#host.enter(ctx);
    return this.#answer(lease);
  }

  async revoke(ctx: RequestContext, lease: number) {
    this.#host.enter(ctx);
    this.#get(lease);
    this.#all.granted.delete(lease);
    const keys = this.#host.attached(lease);
    for (const ref of keys) this.#host.remove(ref);
    return { revision: this.#host.tick(), removed: keys.length, isSwept: true };
  }

  async list(ctx: RequestContext, after: number, limit: number) {
    this.#host.enter(ctx);
    const own = [...this.#all.granted.keys()].filter((id) => this.lives(id, this.#tenant));
    const ids = own.filter((id) => id > after).sort((a, b) => a - b);
    const leases = ids.slice(0, limit).map((id) => this.#show(id));
    const next = ids.length > limit ? (ids[limit - 1] as number) : null;
    return { leases, next, clock: this.#host.tick() };
  }

  async attached(ctx: RequestContext, lease: number, limit: number) {
    this.#host.enter(ctx);
    const keys = this.#host.attached(lease).filter(({ tenant }) => tenant === this.#tenant);
    return { keys: keys.slice(0, limit), more: keys.length > limit, clock: this.#host.tick() };
  }

  #answer(lease: number): LeaseAnswer {
    return { lease: this.#show(lease), clock: this.#host.tick() };
  }

  #show(lease: number): Lease {
    const { ttlMs, grantRevision, endMs } = this.#get(lease);
    const remainingMs = Math.max(0, endMs - this.#host.wallMs());
    return { lease, ttlMs, grantRevision, remainingMs };
  }

  #get(lease: number): Granted {
    const granted = this.#all.granted.get(lease);
    if (granted?.tenant !== this.#tenant)
      throw new AppError('lease_not_found', 'there is no such lease');
    return granted;
  }
}
