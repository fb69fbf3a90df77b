import { createHash } from 'node:crypto';
import type { WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Leases } from '../../protocol/lease.ts';
import type { BatchOp, KvService } from '../../protocol/service.ts';
import { isKeyed, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef } from '../../protocol/vshard.ts';

/** The store as the one who asks may see it: everything of their tenant, and nothing else. */
export type StoreOf = (tenant: string) => KvService;

/** Nobody's: whoever was not admitted reaches no data. */
export const NO_STORE: KvService = new Proxy({} as KvService, {
  get() {
    throw new AppError('internal', 'nobody was admitted to the data');
  },
});

/**
 * The store of each tenant. Whatever a caller names, its keys are the tenant's: here, and nowhere else, is the tenant
 * written into a request, so that no route can forget it (ADR 0046). For the tenant of the cluster it is the service
 * itself, which costs nothing.
 */
export function storesOf(service: KvService): StoreOf {
  const stores = new Map<string, KvService>([[DEFAULT_TENANT, service]]);
  return (tenant) => {
    const known = stores.get(tenant);
    if (known !== undefined) return known;
    const made = storeOf(service, tenant);
    stores.set(tenant, made);
    return made;
  };
}

function storeOf(service: KvService, tenant: string): KvService {
  const of = (ref: KeyRef): KeyRef => ({ ...ref, tenant });
  return {
    indexes: service.indexes.ofTenant(tenant),
    leases: leasesOf(service.leases.ofTenant(tenant), tenant),
    identities: service.identities,
    put: async (ctx, op) => service.put(ctx, writeOf(op, of)),
    delete: (ctx, ref, condition) => service.delete(ctx, of(ref), condition),
    get: (ctx, ref, options) => service.get(ctx, of(ref), options),
    getNow: (ctx, ref) => service.getNow(ctx, of(ref)),
    batch: async (ctx, ops, budget) =>
      service.batch(
        ctx,
        ops.map((op) => batchOpOf(op, of)),
        budget,
      ),
    transact: async (ctx, body) => {
      // Without any key there is none under whose tenant the request could be remembered; it changes nothing either.
      const isEmpty = body.compares.length === 0 && opsOf(body).length === 0;
      const own = isEmpty ? { ...ctx, idempotency: null } : ctx;
      return service.transact(own, bodyOf(body, tenant, of));
    },
    scan: (ctx, options) => service.scan(ctx, { ...options, tenant }),
    watch: (ctx, options) => service.watch(ctx, { ...options, tenant }),
    // Of the nodes, not of anybody's data.
    status: () => service.status(),
    transferLeader: () => Promise.reject(notTheirs()),
    members: () => null,
  };
}

type Naming = (ref: KeyRef) => KeyRef;

function writeOf<T extends WriteOp>(op: T, of: Naming): T {
  return { ...op, ref: of(op.ref) };
}

function batchOpOf(op: BatchOp, of: Naming): BatchOp {
  if (op.kind === 'get') return { kind: 'get', ref: of(op.ref) };
  return { kind: 'write', op: writeOf(op.op, of) };
}

function opsOf({ then, otherwise }: TxnBody): readonly TxnOp[] {
  return otherwise === null ? then : [...then, ...otherwise];
}

function bodyOf({ compares, then, otherwise }: TxnBody, tenant: string, of: Naming): TxnBody {
  const named = (op: TxnOp): TxnOp => {
    if (!isKeyed(op)) return { ...op, tenant };
    return { ...op, ref: of(op.ref) } as TxnOp;
  };
  return {
    compares: compares.map((compare) => ({ ...compare, ref: of(compare.ref) })),
    then: then.map(named),
    otherwise: otherwise === null ? null : otherwise.map(named),
  };
}

/**
 * An id is drawn from a grant's idempotency key, so that a repeat finds its lease: from the tenant's name with it, and by
 * a hash that nobody can aim, so that no tenant's key leads to another's lease.
 */
function leasesOf(leases: Leases, tenant: string): Leases {
  return {
    ofTenant: (name) => leasesOf(leases.ofTenant(name), name),
    async grant(ctx, ttlMs) {
      const { idempotency } = ctx;
      if (idempotency === null) return leases.grant(ctx, ttlMs);
      const { requestHash } = idempotency;
      const drawn = createHash('sha256').update(`${tenant}\0${idempotency.key}\0`, 'latin1');
      const key = drawn.update(requestHash).digest('hex');
      return leases.grant({ ...ctx, idempotency: { key, requestHash } }, ttlMs);
    },
    keepAlive: (ctx, lease) => leases.keepAlive(ctx, lease),
    look: (ctx, lease) => leases.look(ctx, lease),
    revoke: (ctx, lease) => leases.revoke(ctx, lease),
    list: (ctx, after, limit) => leases.list(ctx, after, limit),
    attached: (ctx, lease, limit) => leases.attached(ctx, lease, limit),
  };
}

function notTheirs(): AppError {
  return new AppError('forbidden', "groups are the whole cluster's");
}
