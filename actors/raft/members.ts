import type { ReplicaId } from '../../protocol/types.ts';
import type { ConfigView } from './quorum.ts';
import type { RaftView } from './state.ts';

/**
 * Whom a leader replicates to: the members of the configuration in force and, until that one is
 * committed, of the one before, so that those who leave learn that they have left. Without itself.
 */
export function membersAt(s: RaftView): Set<ReplicaId> {
  const members = new Set<ReplicaId>();
  addMembers(members, s.log.config);
  const { configIndex } = s.log;
  if (configIndex > s.commitIndex && configIndex > s.log.baseIndex) {
    addMembers(members, s.log.pointAt(configIndex - 1).config);
  }
  members.delete(s.self);
  return members;
}

function addMembers(members: Set<ReplicaId>, config: ConfigView): void {
  for (const id of config.voters) members.add(id);
  for (const id of config.votersOld ?? []) members.add(id);
  for (const id of config.learners) members.add(id);
}
