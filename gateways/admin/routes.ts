import { AppError } from '../../protocol/errors.ts';
import type { NodeStatus } from '../../protocol/service.ts';
import { objectBytesOf, type Usage } from '../../protocol/usage.ts';
import * as admin from '../http/admin-schemas.ts';
import type { App, Edge, ReplicaHash } from '../http/app.ts';
import { answer } from '../http/respond.ts';
import * as schemas from '../http/schemas.ts';
import { usageForStatus } from './usage.ts';

/** `/admin/status` (the seed's fields, in its spelling, and more) and `/admin/state-hashes`. */
export function registerAdminRoutes(app: App, edge: Edge): void {
  app.get('/admin/status', {
    schema: {
      ...{ tags: ['admin'], summary: 'This node and what it knows of its cluster' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: admin.Status }),
    },
    handler: async (request, reply) => {
      const usage = await usageForStatus(edge);
      const status = edge.service.status();
      return answer(request, reply, 200, status.clock, () => statusToJson(status, usage));
    },
  });
  // Reads all rows once: those who ask while it runs share its answer.
  let running: Promise<readonly ReplicaHash[]> | null = null;
  app.get('/admin/state-hashes', {
    schema: {
      ...{ tags: ['admin'], summary: 'A hash of the applied state of each replica of this node' },
      querystring: schemas.NoQuery,
      response: schemas.answers({ 200: admin.StateHashes }),
    },
    handler: async (request, reply) => {
      if (edge.stateHashes === null) {
        throw new AppError('not_implemented', 'this node tells no state hashes');
      }
      running ??= edge.stateHashes().finally(() => {
        running = null;
      });
      const replicas = await running;
      const { nodeId, clock } = edge.service.status();
      return answer(request, reply, 200, clock, () => ({ nodeId, replicas }));
    },
  });
}

/** A volume is a virtual shard that this node holds a copy of. */
function statusToJson(status: NodeStatus, usage: Usage | null) {
  const held = status.groups.filter((group) => group.local !== null);
  const leads = held.filter((group) => group.leader === status.nodeId).map(({ group }) => group);
  const isLeader = leads.length > 0;
  return {
    role: isLeader ? 'leader' : held.length > 0 ? 'follower' : 'gateway',
    is_leader: isLeader,
    nb_peers: status.nodes.filter((node) => node.nodeId !== status.nodeId).length,
    nb_volumes: held.reduce((sum, group) => sum + group.vshardCount, 0),
    volume_ids: held.flatMap((group) => group.vshards ?? []),
    nb_s3_objects: usage?.objects ?? null,
    s3_bytes: usage === null ? null : objectBytesOf(usage),
    nb_keys: usage?.keys ?? null,
    key_bytes: usage?.keyBytes ?? null,
    node_id: status.nodeId,
    cluster: status.cluster,
    cluster_id: status.clusterId,
    version: status.version,
    ready: status.ready,
    durability: status.durability,
    bus: status.bus,
    disk: status.disk,
    map_epoch: status.mapEpoch,
    copies: status.copies,
    uptime_ms: status.uptimeMs,
    clock: status.clock,
    leads,
    groups: status.groups,
    notifications: status.notifications.map(({ waitingBytes, ...one }) => ({
      ...one,
      waiting_bytes: waitingBytes,
    })),
    nodes: status.nodes,
  };
}
