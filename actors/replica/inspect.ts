import { stateHash } from '../apply/state-hash.ts';
import type { ReplicaInspection } from '../node-port.ts';
import type { Replica } from './replica.ts';

/** One replica's inside, read-only: views, not copies. */
export function inspectReplica(replica: Replica): ReplicaInspection {
  const { raft, clock } = replica;
  return {
    group: replica.group,
    replica: replica.self,
    role: raft.role,
    currentTerm: raft.currentTerm,
    votedFor: raft.votedFor,
    leaderId: raft.leaderId,
    commitIndex: raft.commitIndex,
    appliedIndex: replica.state.appliedIndex,
    syncedIndex: raft.syncedIndex,
    baseIndex: raft.log.baseIndex,
    lastIndex: raft.log.lastIndex,
    clock: clock.clock,
    closed: clock.closed,
    floor: replica.state.floor,
    config: raft.log.config,
    entry: (index) => raft.log.entryAt(index) ?? null,
    stateHash: () => stateHash(replica.state),
  };
}
