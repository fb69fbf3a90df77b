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
    leases: NO_LEASES,
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
  if (op.type === 'put') checkLease(op.attach ?? null);
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
    if (op.type === 'put') checkLease(op.attach ?? null);
    return { ...op, ref: of(op.ref) } as TxnOp;
  };
  return {
    compares: compares.map((compare) => ({ ...compare, ref: of(compare.ref) })),
    then: then.map(named),
    otherwise: otherwise === null ? null : otherwise.map(named),
  };
}

/** There are none but those of the cluster's own tenant: to others every id is that of no lease. */
function checkLease(attach: object | null): void {
  if (attach !== null) throw noLease();
}

const refuse = (): Promise<never> => Promise.reject(noLease());
const NO_LEASES: Leases = {
  grant: () =>
    Promise.reject(
      new AppError('not_implemented', 'leases and locks of tenants are not there yet'),
    ),
  keepAlive: refuse,
  look: refuse,
  revoke: refuse,
  list: async () => ({ leases: [], next: null, clock: 0 }),
  attached: async () => ({ keys: [], more: false, clock: 0 }),
};

function noLease(): AppError {
  return new AppError('lease_not_found', 'there is no such lease, or it has ended');
}

function notTheirs(): AppError {
  return new AppError('forbidden', "groups are the whole cluster's");
}
