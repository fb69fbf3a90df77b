import type { ReplicaId } from '../../protocol/types.ts';

/** Majority arithmetic over a configuration. A joint one needs a majority of both halves (§6). */

/** A configuration as a decider sees it. */
export interface ConfigView {
  readonly voters: readonly ReplicaId[];
  readonly votersOld: readonly ReplicaId[] | null;
  readonly learners: readonly ReplicaId[];
}

/** Its vote counts in at least one half. */
export function isVoter(config: ConfigView, id: ReplicaId): boolean {
  return config.voters.includes(id) || (config.votersOld?.includes(id) ?? false);
}

export function isMember(config: ConfigView, id: ReplicaId): boolean {
  return isVoter(config, id) || config.learners.includes(id);
}

/** This replica alone decides everything: no message is needed. */
export function isSoleVoter(config: ConfigView, id: ReplicaId): boolean {
  return config.voters.length === 1 && config.voters[0] === id && config.votersOld === null;
}

/** Whether those for whom `holds` is true form a quorum. An empty half never does. */
export function hasQuorum(config: ConfigView, holds: (id: ReplicaId) => boolean): boolean {
  if (!hasMajority(config.voters, holds)) return false;
  return config.votersOld === null || hasMajority(config.votersOld, holds);
}

/** The highest index that a quorum has stored (§5.3). O(voters log voters). */
export function quorumIndex(config: ConfigView, matchOf: (id: ReplicaId) => number): number {
  const index = majorityIndex(config.voters, matchOf);
  if (config.votersOld === null) return index;
  return Math.min(index, majorityIndex(config.votersOld, matchOf));
}

/** Calls back once for every voter, also one that is in both halves. */
export function forEachVoter(config: ConfigView, visit: (id: ReplicaId) => void): void {
  for (const id of config.voters) visit(id);
  for (const id of config.votersOld ?? []) if (!config.voters.includes(id)) visit(id);
}

function hasMajority(voters: readonly ReplicaId[], holds: (id: ReplicaId) => boolean): boolean {
  let count = 0;
  for (const id of voters) if (holds(id)) count++;
  return count * 2 > voters.length;
}

function majorityIndex(voters: readonly ReplicaId[], matchOf: (id: ReplicaId) => number): number {
  const matches = voters.map(matchOf).sort((a, b) => b - a);
  return matches[Math.floor(voters.length / 2)] ?? 0;
}
