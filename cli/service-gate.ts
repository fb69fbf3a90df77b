import { AppError } from '../protocol/errors.ts';
import type { Identities } from '../protocol/identities.ts';
import type { IndexService } from '../protocol/index-access.ts';
import type { Leases } from '../protocol/lease.ts';
import type { KvService, NodeStatus, Watch } from '../protocol/service.ts';
import type { Config } from './config.ts';

/** A KvService that exists before its node: everything is refused, definitely, until it opens, and once it is closed. */
export interface ServiceGate {
  readonly service: KvService;
  open(service: KvService): void;
  /** Throws the refusal where it is not open. */
  check(): void;
  /** For good: watches end, everything else is refused with `why`. */
  close(why: AppError): void;
}

/** Lets the listener answer health questions while the node still forms or recovers. */
export function serviceGate(config: Config, version: string): ServiceGate {
  let behind: KvService | null = null;
  let refusal = new AppError('unavailable', 'the node is still starting');
  const watches = new Set<Watch>();
  // Open, a call is one more function and no more promises than the service makes itself.
  const refused = (): Promise<never> => Promise.reject(refusal);
  const followed = (watch: Watch): Watch => {
    watches.add(watch);
    if (behind === null) watch.close();
    return {
      next: () => watch.next(),
      close: () => {
        watches.delete(watch);
        watch.close();
      },
    };
  };
  const leasesOf = (real: () => Leases | null): Leases => ({
    ofTenant: (tenant) => leasesOf(() => real()?.ofTenant(tenant) ?? null),
    grant: (ctx, ttlMs) => real()?.grant(ctx, ttlMs) ?? refused(),
    keepAlive: (ctx, lease) => real()?.keepAlive(ctx, lease) ?? refused(),
    look: (ctx, lease) => real()?.look(ctx, lease) ?? refused(),
    revoke: (ctx, lease) => real()?.revoke(ctx, lease) ?? refused(),
    list: (ctx, after, limit) => real()?.list(ctx, after, limit) ?? refused(),
    attached: (ctx, lease, limit) => real()?.attached(ctx, lease, limit) ?? refused(),
  });
  const identities: Identities = {
    isCurrent: () => behind?.identities.isCurrent() ?? false,
    revision: () => behind?.identities.revision() ?? 0,
    row: (name) => behind?.identities.row(name) ?? null,
    rows: (prefix) => behind?.identities.rows(prefix) ?? [],
    current: (deadlineMs) => behind?.identities.current(deadlineMs) ?? refused(),
    renewed: (deadlineMs) => behind?.identities.renewed(deadlineMs) ?? refused(),
    put: (ctx, row) => behind?.identities.put(ctx, row) ?? refused(),
    settled: () => behind?.identities.settled() ?? refused(),
    // Nobody has a watch before there is a node.
    onConfirmed: (run) => behind?.identities.onConfirmed(run) ?? (() => {}),
  };
  const indexesOf = (real: () => IndexService | null): IndexService => ({
    ofTenant: (tenant) => indexesOf(() => real()?.ofTenant(tenant) ?? null),
    define: (ctx, index) => real()?.define(ctx, index) ?? refused(),
    list: (ctx) => real()?.list(ctx) ?? refused(),
    inspect: (ctx, name) => real()?.inspect(ctx, name) ?? refused(),
    drop: (ctx, name) => real()?.drop(ctx, name) ?? refused(),
    pause: (ctx, name, paused) => real()?.pause(ctx, name, paused) ?? refused(),
    query: (ctx, name, options) => real()?.query(ctx, name, options) ?? refused(),
    search: (ctx, options) => real()?.search(ctx, options) ?? refused(),
  });
  const service: KvService = {
    identities,
    indexes: indexesOf(() => behind?.indexes ?? null),
    leases: leasesOf(() => behind?.leases ?? null),
    put: (ctx, op) => behind?.put(ctx, op) ?? refused(),
    delete: (ctx, ref, condition) => behind?.delete(ctx, ref, condition) ?? refused(),
    get: (ctx, ref, options) => behind?.get(ctx, ref, options) ?? refused(),
    getNow: (ctx, ref) => behind?.getNow(ctx, ref) ?? null,
    batch: (ctx, ops, budget) => behind?.batch(ctx, ops, budget) ?? refused(),
    transact: (ctx, body) => behind?.transact(ctx, body) ?? refused(),
    scan: (ctx, options) => behind?.scan(ctx, options) ?? refused(),
    watch: (ctx, options) => behind?.watch(ctx, options).then(followed) ?? refused(),
    transferLeader: (ctx, group, to) => behind?.transferLeader(ctx, group, to) ?? refused(),
    members: (group) => behind?.members(group) ?? null,
    status: () => behind?.status() ?? startingStatus(config, version),
  };
  return {
    service,
    open: (real) => {
      behind = real;
    },
    check: () => {
      if (behind === null) throw refusal;
    },
    close: (why) => {
      behind = null;
      refusal = why;
      for (const watch of watches) watch.close();
      watches.clear();
    },
  };
}

function startingStatus(config: Config, version: string): NodeStatus {
  return {
    nodeId: config.nodeId,
    clusterId: '',
    cluster: config.cluster,
    version,
    ready: false,
    durability: config.ephemeral ? 'memory' : 'quorum-fsync',
    bus: 'disconnected',
    disk: 'ok',
    copies: 'unknown',
    mapEpoch: 0,
    groups: [],
    notifications: [],
    nodes: [],
    uptimeMs: 0,
    clock: 0,
  };
}
