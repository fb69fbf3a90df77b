import { AppError } from '../protocol/errors.ts';
import type { KvService, NodeStatus } from '../protocol/service.ts';
import type { Config } from './config.ts';

/** A KvService that exists before its node: everything is refused, definitely, until it opens. */
export interface ServiceGate {
  readonly service: KvService;
  open(service: KvService): void;
}

/** Lets the listener answer health questions while the node still forms or recovers. */
export function serviceGate(config: Config, version: string): ServiceGate {
  let behind: KvService | null = null;
  const through = (): KvService => {
    if (behind === null) throw new AppError('unavailable', 'the node is still starting');
    return behind;
  };
  const service: KvService = {
    put: async (ctx, op) => through().put(ctx, op),
    delete: async (ctx, ref, condition) => through().delete(ctx, ref, condition),
    get: async (ctx, ref, options) => through().get(ctx, ref, options),
    batch: async (ctx, ops) => through().batch(ctx, ops),
    scan: async (ctx, options) => through().scan(ctx, options),
    watch: async (ctx, options) => through().watch(ctx, options),
    transferLeader: async (ctx, group, to) => through().transferLeader(ctx, group, to),
    members: (group) => behind?.members(group) ?? null,
    status: () => behind?.status() ?? startingStatus(config, version),
  };
  return {
    service,
    open: (real) => {
      behind = real;
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
    mapEpoch: 0,
    groups: [],
    nodes: [],
    uptimeMs: 0,
    clock: 0,
  };
}
