import type { ReplicaInspection } from '../../actors/node-port.ts';
import { type GroupId, nodeOf, type ReplicaId } from '../../protocol/types.ts';
import type { World } from './world.ts';

const POLL_MS = 50;

/** Resolves when every node is up and every group has a leader that all its members follow. */
export async function awaitLeaders(world: World): Promise<void> {
  while (!world.groups().every((group) => hasLeader(world, group))) await world.sleep(POLL_MS);
}

/**
 * Resolves when, besides, every member of every group has applied everything its leader has
 * committed. What then still differs is a bug, not lag.
 */
export async function awaitConvergence(world: World): Promise<void> {
  for (;;) {
    const isDone = world
      .groups()
      .every((group) => hasLeader(world, group) && isLevel(world, group));
    if (isDone) return;
    await world.sleep(POLL_MS);
  }
}

function replicasOf(world: World, group: GroupId): ReplicaInspection[] {
  const found: ReplicaInspection[] = [];
  for (const { node } of world.nodes) {
    for (const replica of node?.inspect() ?? []) if (replica.group === group) found.push(replica);
  }
  return found;
}

function hasLeader(world: World, group: GroupId): boolean {
  if (world.nodes.some(({ node }) => node === null)) return false;
  const replicas = replicasOf(world, group);
  const leaders = replicas.filter((replica) => replica.role === 'leader');
  const leader = leaders[0];
  if (leaders.length !== 1 || leader === undefined || leader.commitIndex === 0) return false;
  const present = new Map(replicas.map((replica) => [replica.replica, replica]));
  return leader.config.voters.every(
    (voter) =>
      present.get(voter)?.currentTerm === leader.currentTerm || isLostForEver(world, voter),
  );
}

/** The former identity of a machine that lost its data never comes back (F11, F13). */
function isLostForEver(world: World, voter: ReplicaId): boolean {
  const node = world.node(nodeOf(voter));
  return node !== undefined && world.damage.nodes.includes(node.index);
}

/** For the report when a cluster does not converge: what each replica is. */
export function describeReplicas(world: World): string {
  const lines: string[] = [];
  for (const group of world.groups()) {
    for (const replica of replicasOf(world, group)) {
      const { role, currentTerm, commitIndex, appliedIndex, lastIndex, config } = replica;
      lines.push(
        `group ${group} ${replica.replica}: ${role} term ${currentTerm}, applied ${appliedIndex}, ` +
          `committed ${commitIndex}, last ${lastIndex}, voters ${config.voters.join(' ')}` +
          `${config.votersOld === null ? '' : ' (joint)'}, learners ${config.learners.join(' ')}`,
      );
    }
  }
  return lines.join('\n    ');
}

function isLevel(world: World, group: GroupId): boolean {
  const replicas = replicasOf(world, group);
  const leader = replicas.find((replica) => replica.role === 'leader');
  if (leader === undefined) return false;
  const members = new Set([...leader.config.voters, ...leader.config.learners]);
  return replicas
    .filter((replica) => members.has(replica.replica))
    .every((replica) => replica.appliedIndex === leader.commitIndex);
}
