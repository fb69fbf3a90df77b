import type { Formation } from '../../protocol/messages/node.ts';
import type { GroupId, NodeId, ReplicaId, VshardId } from '../../protocol/types.ts';
import { replicaId } from '../../protocol/types.ts';
import { type KeyRef, VSHARD_COUNT, vshardOf } from '../../protocol/vshard.ts';

/** Which group owns each vshard, as of an epoch. Lives in the meta group as the row `shard-map`. */
export interface ShardMap {
  readonly epoch: number;
  /** Index is the vshard; 256 entries. */
  readonly groups: readonly GroupId[];
}

/** The map every founder starts from: vshard v belongs to group 1 + v mod groupCount. Epoch 1. */
export function initialShardMap(groupCount: number): ShardMap {
  const groups: GroupId[] = [];
  for (let v = 0; v < VSHARD_COUNT; v++) groups.push((1 + (v % groupCount)) as GroupId);
  return { epoch: 1, groups };
}

/** The vshards a group owns. */
export function vshardsOf(map: ShardMap, group: GroupId): number[] {
  const owned: number[] = [];
  for (let v = 0; v < map.groups.length; v++) if (map.groups[v] === group) owned.push(v);
  return owned;
}

export function groupOf(map: ShardMap, ref: KeyRef): GroupId {
  return map.groups[vshardOf(ref) as VshardId] as GroupId;
}

export function encodeShardMap(map: ShardMap): string {
  return JSON.stringify({ epoch: map.epoch, groups: map.groups });
}

/** Null when the text is not a shard map. */
export function parseShardMap(text: string): ShardMap | null {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof raw !== 'object' || raw === null) return null;
  const { epoch, groups } = raw as { epoch?: unknown; groups?: unknown };
  if (!Number.isSafeInteger(epoch) || !Array.isArray(groups)) return null;
  if (groups.length !== VSHARD_COUNT || !groups.every((g) => Number.isSafeInteger(g) && g > 0)) {
    return null;
  }
  return { epoch: epoch as number, groups: groups as GroupId[] };
}

/** Replicas a group is formed with: up to `REPLICAS` founders, spread round-robin by group. */
export const REPLICAS = 3;

export function foundingReplicas(formation: Formation, group: GroupId): ReplicaId[] {
  const members = [...formation.members].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  const chosen: ReplicaId[] = [];
  for (let i = 0; i < Math.min(REPLICAS, members.length); i++) {
    const member = members[(group + i) % members.length];
    if (member !== undefined) chosen.push(replicaId(member.nodeId, member.incarnation));
  }
  return chosen.sort();
}

/** Nodes that may know a group when no replica of it is here: its founders. */
export function foundingNodes(formation: Formation): NodeId[] {
  return formation.members.map((m) => m.nodeId).sort();
}
