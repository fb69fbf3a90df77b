import type { ReplicaStatus } from '../../protocol/messages/request.ts';
import type { RaftState } from '../raft/state.ts';
import type { ReplicaContext } from './context.ts';

/** What a replica is and how far it is. */
export function statusOf(context: ReplicaContext, raft: RaftState): ReplicaStatus {
  const { state, clock } = context;
  const matches: ReplicaStatus['matches'] = [];
  for (const [replica, progress] of raft.leader?.peers ?? []) {
    matches.push({
      replica,
      matchIndex: progress.matchIndex,
      active: progress.mode === 'replicate',
    });
  }
  return {
    replica: context.self,
    role: raft.role,
    leader: raft.leaderId,
    term: raft.currentTerm,
    commitIndex: raft.commitIndex,
    appliedIndex: state.appliedIndex,
    lastLogIndex: raft.log.lastIndex,
    firstLogIndex: raft.log.baseIndex + 1,
    clock: clock.clock,
    closed: clock.closed,
    floor: state.floor,
    keys: state.keyCount,
    config: raft.log.config,
    configIndex: raft.log.configIndex,
    matches,
  };
}
