import type { GroupId, ReplicaId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

/**
 * A leader commits only what a quorum has synced. A replica that died is counted with what it had
 * synced when last seen: that is on its disk.
 */
export function commitSynced(facts: Facts): Invariant {
  const syncedCount = (group: GroupId, voters: readonly ReplicaId[], index: number): number => {
    let count = 0;
    for (const voter of voters) {
      if ((facts.probe.track(voter, group)?.view.syncedIndex ?? 0) >= index) count++;
    }
    return count;
  };
  return {
    name: 'commit index is synced on a quorum',
    source: 'Raft 5.3 and 5.4.2; thesis 10.2.1 (the leader writes in parallel)',
    onChange: ({ group, replica, before, after }) => {
      if (after.role !== 'leader' || before === null) return;
      if (after.commitIndex <= before.commitIndex) return;
      // The configuration before the step decided, unless the step itself brought a new one.
      const configs = [before.config, after.config];
      const holds = configs.some((config) =>
        [config.voters, config.votersOld ?? config.voters].every((voters) => {
          const quorum = Math.floor(voters.length / 2) + 1;
          return syncedCount(group, voters, after.commitIndex) >= quorum;
        }),
      );
      if (holds) return;
      const seen = after.config.voters.map((v) => {
        return `${v}=${facts.probe.track(v, group)?.view.syncedIndex ?? 0}`;
      });
      throw new SimViolation(
        'commit index is synced on a quorum',
        `${replica} group ${group} committed ${after.commitIndex}; synced: ${seen.join(' ')}`,
      );
    },
  };
}
