import { AppError } from '../../protocol/errors.ts';
import type { IndexService } from '../../protocol/index-access.ts';
import type { Leases } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { BatchOp, KvService, WatchOptions } from '../../protocol/service.ts';
import { isKeyed, type TxnBody, type TxnOp } from '../../protocol/txn.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';
import { type Ask, type Guard, prefixRangeOf, rangeOf, resourceOf } from './guard.ts';

/**
 * The store as one who may not everything sees it: each call is asked of the guard by what it names, before anything is
 * done. A range has to be allowed whole: nothing is left out of what is answered, so that a page, a count or a cursor
 * never tells of names that are not. Rejects with `forbidden`.
 *
 *   G1  A single key, each operation and compare of a transaction (of both branches), each operation of a batch: its name.
 *   G2  A scan, a range of them, a range delete, a search, a watch: every name of the range.
 *   G3  A query of an index: every name of the prefix that the index is defined for.
 *   G4  A lease is its tenant's and nobody's in it: whoever has rights to leases somewhere may grant one, see it and keep it alive. What is
 *       attached to it is asked for by name: to be shown, and to be removed with it.
 */
export function guarded(service: KvService, guard: Guard): KvService {
  return {
    identities: service.identities,
    indexes: guardedIndexes(service.indexes, guard),
    leases: guardedLeases(service.leases, guard),
    async put(ctx, op) {
      guard.check({ action: 'data:write', on: resourceOf(op.ref) });
      return service.put(ctx, op);
    },
    async delete(ctx, ref, condition) {
      guard.check({ action: 'data:write', on: resourceOf(ref) });
      return service.delete(ctx, ref, condition);
    },
    async get(ctx, ref, options) {
      guard.check({ action: 'data:read', on: resourceOf(ref) });
      return service.get(ctx, ref, options);
    },
    getNow(ctx, ref) {
      guard.check({ action: 'data:read', on: resourceOf(ref) });
      return service.getNow(ctx, ref);
    },
    async batch(ctx, ops, budget) {
      guard.check(...ops.map(askOfBatch));
      return service.batch(ctx, ops, budget);
    },
    async transact(ctx, body) {
      guard.check(...asksOfTxn(body));
      return service.transact(ctx, body);
    },
    async scan(ctx, options) {
      const { start, end } = options;
      guard.check({ action: 'data:read', on: rangeOf(options, start, end) });
      return service.scan(ctx, options);
    },
    async watch(ctx, options) {
      guard.check(...asksOfWatch(options));
      return service.watch(ctx, options);
    },
    status: () => service.status(),
    transferLeader: (ctx, group, to) => service.transferLeader(ctx, group, to),
    members: (group) => service.members(group),
  };
}

function askOfBatch(op: BatchOp): Ask {
  if (op.kind === 'get') return { action: 'data:read', on: resourceOf(op.ref) };
  return { action: 'data:write', on: resourceOf(op.op.ref) };
}

/** Both branches: which one is done says something of what is compared. */
function asksOfTxn({ compares, then, otherwise }: TxnBody): Ask[] {
  const compared = compares.map(({ ref }): Ask => ({ action: 'data:read', on: resourceOf(ref) }));
  return [...compared, ...then.map(askOfTxn), ...(otherwise ?? []).map(askOfTxn)];
}

function askOfTxn(op: TxnOp): Ask {
  if (isKeyed(op)) {
    return { action: op.type === 'get' ? 'data:read' : 'data:write', on: resourceOf(op.ref) };
  }
  const action = op.type === 'range' ? 'data:read' : 'data:write';
  return { action, on: rangeOf(op, op.start, op.end) };
}

/** What was there before, and what is there now, is read. */
export function asksOfWatch(options: WatchOptions): Ask[] {
  const on = prefixRangeOf(options, options.prefix);
  const watched: Ask = { action: 'data:watch', on };
  return options.initial || options.prev ? [watched, { action: 'data:read', on }] : [watched];
}

/** Of the keys that begin so, of whoever asks. */
function ownKeys(guard: Guard, prefix: string) {
  return prefixRangeOf({ tenant: guard.tenant, space: KV_SPACE }, prefix);
}

function guardedIndexes(indexes: IndexService, guard: Guard): IndexService {
  return {
    ofTenant: (tenant) => guardedIndexes(indexes.ofTenant(tenant), guard),
    define: (ctx, index) => indexes.define(ctx, index),
    list: (ctx) => indexes.list(ctx),
    inspect: (ctx, name) => indexes.inspect(ctx, name),
    drop: (ctx, name) => indexes.drop(ctx, name),
    pause: (ctx, name, paused) => indexes.pause(ctx, name, paused),
    async query(ctx, name, options) {
      const index = (await indexes.list(ctx)).find((one) => one.name === name);
      // Whoever may not read all that an index could have been about is not told that there is none.
      const prefix = index?.prefix ?? '';
      guard.check({ action: 'data:read', on: ownKeys(guard, prefix) });
      const found = await indexes.query(ctx, name, options);
      // Another one may have its name by now.
      const isAnother = found.hits.some(({ item }) => !item.ref.key.startsWith(prefix));
      if (isAnother) throw new AppError('conflict', 'the index is being replaced');
      return found;
    },
    async search(ctx, options) {
      guard.check({ action: 'data:read', on: ownKeys(guard, options.prefix) });
      return indexes.search(ctx, options);
    },
  };
}

function guardedLeases(leases: Leases, guard: Guard): Leases {
  return {
    ofTenant: (tenant) => guardedLeases(leases.ofTenant(tenant), guard),
    grant: (ctx, ttlMs) => leases.grant(ctx, ttlMs),
    keepAlive: (ctx, lease) => leases.keepAlive(ctx, lease),
    look: (ctx, lease) => leases.look(ctx, lease),
    async revoke(ctx, lease) {
      const { keys, more } = await leases.attached(ctx, lease, LIMITS.pageItemsMax);
      guard.check(...keys.map((ref): Ask => ({ action: 'lease:write', on: resourceOf(ref) })));
      // Of more than can be asked for, all have to be.
      if (more) guard.check({ action: 'lease:write', on: ownKeys(guard, '') });
      return leases.revoke(ctx, lease);
    },
    async list(ctx, after, limit) {
      guard.check({ action: 'lease:read', on: ownKeys(guard, '') });
      return leases.list(ctx, after, limit);
    },
    async attached(ctx, lease, limit) {
      const found = await leases.attached(ctx, lease, limit);
      const keys = found.keys.filter((ref) =>
        guard.allows({ action: 'lease:read', on: resourceOf(ref) }),
      );
      return { ...found, keys };
    },
  };
}
