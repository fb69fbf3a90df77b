import { stateHash } from '../apply/state-hash.ts';
import type { ReplicaInspection } from '../node-port.ts';
import type { Replica } from './replica.ts';

/** One replica's inside, read-only and always of this moment: a view, made once. */
export function inspectReplica(replica: Replica): ReplicaInspection {
  const { raft, clock } = replica;
  return {
    group: replica.group,
    replica: replica.self,
    get role() {
      return raft.role;
    },
    get currentTerm() {
      return raft.currentTerm;
    },
    get votedFor() {
      return raft.votedFor;
    },
    get leaderId() {
      return raft.leaderId;
    },
    get commitIndex() {
      return raft.commitIndex;
    },
    get appliedIndex() {
      return replica.state.appliedIndex;
    },
    get syncedIndex() {
      return raft.syncedIndex;
    },
    get baseIndex() {
      return raft.log.baseIndex;
    },
    get lastIndex() {
      return raft.log.lastIndex;
    },
    get clock() {
      return clock.clock;
    },
    get closed() {
      return clock.closed;
    },
    get floor() {
      return replica.state.floor;
    },
    get config() {
      return raft.log.config;
    },
    entry: (index) => raft.log.entryAt(index) ?? null,
    stateHash: () => stateHash(replica.state),
  };
}
