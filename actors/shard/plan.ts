import type { GroupConfig } from '../../protocol/membership.ts';
import type { ReplicaStatus } from '../../protocol/messages/request.ts';
import { type GroupId, type NodeId, nodeOf, type ReplicaId } from '../../protocol/types.ts';

/** A node as its hellos show it. */
export interface ObservedNode {
  readonly nodeId: NodeId;
  /** Its replica id now: another incarnation than in a configuration means that its log was lost. */
  readonly replica: ReplicaId;
  readonly isReplica: boolean;
  /** Its disk is fit to lead with. */
  readonly isWell: boolean;
}

/** A group as its leader describes it. */
export interface ObservedGroup {
  readonly group: GroupId;
  readonly leader: ReplicaStatus;
}

export interface Observed {
  /** Nodes heard lately, by node id. */
  readonly nodes: readonly ObservedNode[];
  /** Every incarnation heard lately: two of one node when two processes run under its name. */
  readonly living: ReadonlySet<ReplicaId>;
  readonly groups: readonly ObservedGroup[];
  /** No leadership has changed for a while: only then may it be moved for the sake of balance. */
  readonly isSteady: boolean;
}

/** One step towards the wanted placement; the next follows from what is observed after it. */
export type Step =
  | {
      readonly type: 'ChangeMembers';
      readonly group: GroupId;
      /** The configuration it follows from. */
      readonly configIndex: number;
      readonly voters: readonly ReplicaId[];
      readonly learners: readonly ReplicaId[];
      readonly why: string;
    }
  | {
      readonly type: 'TransferLeader';
      readonly group: GroupId;
      readonly to: NodeId;
      readonly why: string;
    };

/** How far behind the commit index a learner may be and still count as caught up. */
const CAUGHT_UP_ENTRIES = 256;

/**
 * The steps to take now: at most one membership step per group, then at most one move of leadership.
 * A pure function of what is observed, so a new meta leader goes on where the last one stopped; the
 * groups' own configurations are the durable record of every step.
 *
 * P1 A configuration that is still joint is left alone.
 * P2 A voter that lost its log stays a voter (its vote is void) until its new incarnation has caught
 *    up as a learner; then both change places in one joint step. Quorums never shrink for a repair.
 *    A voter that is itself heard has not lost its log, whoever else uses its name: it is not replaced.
 * P3 A group has min(replicasWanted, replica nodes) voters.
 * P4 A seat is taken from nobody but a voter whose node is there under another incarnation: its copies of chunks are that
 *    node's, or lost. Whether the new voter has its chunks is told, not waited for (ADR 0039).
 */
export function planSteps(observed: Observed, replicasWanted: number): Step[] {
  const steps: Step[] = [];
  for (const group of observed.groups) {
    const step = planMembers(group, observed, replicasWanted);
    if (step !== null) steps.push(step);
  }
  if (steps.length === 0 && observed.isSteady) {
    const move = planLeaders(observed);
    if (move !== null) steps.push(move);
  }
  return steps;
}

function planMembers(
  { group, leader }: ObservedGroup,
  observed: Observed,
  replicasWanted: number,
): Step | null {
  const { config } = leader;
  if (config.votersOld !== null) return null;
  const change = (
    voters: readonly ReplicaId[],
    learners: readonly ReplicaId[],
    why: string,
  ): Step => ({
    type: 'ChangeMembers',
    group,
    configIndex: leader.configIndex,
    voters,
    learners,
    why,
  });
  const { voters, learners } = config;
  const isIntruder = (learner: ReplicaId): boolean =>
    voters.some((voter) => nodeOf(voter) === nodeOf(learner) && observed.living.has(voter));
  const stale = learners.find((learner) => isIntruder(learner) || isStale(learner, observed));
  if (stale !== undefined) {
    return change(voters, without(learners, stale), `${stale} is no more`);
  }
  const ready = learners.find((learner) => isCaughtUp(learner, leader));
  if (ready !== undefined) {
    const kept = voters.filter((voter) => nodeOf(voter) !== nodeOf(ready));
    return change([...kept, ready].sort(), without(learners, ready), `${ready} has caught up`);
  }
  const wanted = missing(config, observed, replicasWanted);
  // A learner on its way is waited for, unless its node is gone and another could take its place.
  const isWaitedFor = learners.some((learner) => isHere(learner, observed));
  if (wanted === null || isWaitedFor) return null;
  return change(voters, [wanted], `${wanted} is to join`);
}

/** The replica to add: a voter's new life first, then a node without one while there are too few. */
function missing(
  config: GroupConfig,
  observed: Observed,
  replicasWanted: number,
): ReplicaId | null {
  for (const voter of config.voters) {
    if (!isStale(voter, observed)) continue;
    const node = observed.nodes.find((candidate) => candidate.nodeId === nodeOf(voter));
    if (node?.isReplica) return node.replica;
  }
  if (config.voters.length >= replicasWanted) return null;
  const taken = new Set(config.voters.map(nodeOf));
  const free = observed.nodes.filter((node) => node.isReplica && !taken.has(node.nodeId));
  const load = (node: ObservedNode): number =>
    observed.groups.filter(({ leader }) => leader.config.voters.includes(node.replica)).length;
  free.sort((a, b) => load(a) - load(b) || (a.nodeId < b.nodeId ? -1 : 1));
  return free[0]?.replica ?? null;
}

/** Its node is there, in another incarnation, and it is not heard itself. */
function isStale(replica: ReplicaId, observed: Observed): boolean {
  if (observed.living.has(replica)) return false;
  const node = observed.nodes.find((candidate) => candidate.nodeId === nodeOf(replica));
  return node !== undefined && node.replica !== replica;
}

/** Its node was heard lately. */
function isHere(replica: ReplicaId, observed: Observed): boolean {
  return observed.nodes.some((node) => node.nodeId === nodeOf(replica));
}

function isCaughtUp(learner: ReplicaId, leader: ReplicaStatus): boolean {
  const match = leader.matches.find((candidate) => candidate.replica === learner);
  return (
    match?.active === true &&
    match.matchIndex + CAUGHT_UP_ENTRIES >= leader.commitIndex &&
    match.matchIndex > 0
  );
}

/** Moves one leadership from the node that leads most to one that leads at least two fewer. */
function planLeaders(observed: Observed): Step | null {
  const leads = new Map<NodeId, number>();
  for (const node of observed.nodes) if (node.isReplica) leads.set(node.nodeId, 0);
  for (const { leader } of observed.groups) {
    const node = nodeOf(leader.replica);
    leads.set(node, (leads.get(node) ?? 0) + 1);
  }
  for (const { group, leader } of observed.groups) {
    const here = leads.get(nodeOf(leader.replica)) ?? 0;
    const better = leader.matches.find((match) => {
      const node = nodeOf(match.replica);
      const count = leads.get(node);
      const isVoter = leader.config.voters.includes(match.replica);
      const isWell = observed.nodes.some(({ nodeId, isWell }) => nodeId === node && isWell);
      return isVoter && isWell && match.active && count !== undefined && count + 2 <= here;
    });
    if (better !== undefined) {
      const to = nodeOf(better.replica);
      return { type: 'TransferLeader', group, to, why: `leaders are spread` };
    }
  }
  return null;
}

function without(list: readonly ReplicaId[], one: ReplicaId): ReplicaId[] {
  return list.filter((item) => item !== one);
}
