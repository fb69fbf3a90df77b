import type { GroupStatus, NodeStatus } from '../protocol/service.ts';
import { type GroupId, META_GROUP, type NodeId } from '../protocol/types.ts';
import { copiesOf, type Said, worstOf } from './blob/copies.ts';
import type { RoutingParts } from './node-routing.ts';
import { statusOf } from './replica/status.ts';
import { type ShardMap, vshardsOf } from './router/shard-map.ts';

/** What a node that began at `startMs` says of itself, of all groups, and of the nodes it hears. */
export function statusOfNode(
  { config, ports, formation, replicas, presence, peers }: RoutingParts,
  map: ShardMap,
  leaderOf: (group: GroupId) => NodeId | null,
  notifications: NodeStatus['notifications'],
  startMs: number,
): NodeStatus {
  const nowMs = ports.clock.monotonicMs();
  const groups: GroupStatus[] = [];
  const said = saidOf(presence, peers, nowMs);
  let ready = true;
  let clock = 0;
  for (let id = META_GROUP as number; id <= formation.groupCount; id++) {
    const group = id as GroupId;
    const replica = replicas.get(group);
    const leader = leaderOf(group);
    if (leader === null) ready = false;
    if (replica?.isLeader() && group !== META_GROUP && replica.state.epoch === 0) ready = false;
    if (replica !== null) clock = Math.max(clock, replica.clock.clock);
    const local = replica === null ? null : statusOf(replica, replica.raft);
    const vshards = vshardsOf(map, group);
    const copies = copiesOf(said.filter(({ held }) => held.group === group));
    groups.push({ group, leader, local, copies, vshardCount: vshards.length, vshards });
  }
  return {
    nodeId: config.nodeId,
    clusterId: formation.clusterId,
    cluster: config.cluster,
    version: config.version,
    ready,
    durability: config.durability,
    bus: ports.bus.state(),
    disk: ports.storage.health.trouble() ?? 'ok',
    mapEpoch: map.epoch,
    copies: worstOf(groups.map(({ copies }) => copies.state)),
    groups,
    notifications,
    nodes: presence.list(nowMs).map((seen) => ({
      nodeId: seen.nodeId,
      httpUrl: seen.httpUrl,
      seenMsAgo: nowMs - seen.seenAtMs,
      roles: seen.roles,
    })),
    uptimeMs: nowMs - startMs,
    clock,
  };
}

/** A node says hello each second: what it said longer ago it may not say any more. */
const SAID_MS = 3_000;

function saidOf(
  presence: RoutingParts['presence'],
  peers: RoutingParts['peers'],
  nowMs: number,
): Said[] {
  return presence
    .list(nowMs)
    .filter(({ nodeId, seenAtMs }) => nowMs - seenAtMs <= SAID_MS && !peers.isAbsent(nodeId))
    .flatMap(({ replica, chunks }) => chunks.map((held) => ({ replica, held })));
}
