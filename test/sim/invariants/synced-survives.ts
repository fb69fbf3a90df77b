import type { GroupId, ReplicaId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

/**
 * What a replica had synced is in its log after a restart, whatever ended its former life. A machine
 * that lost its data comes back as another replica, so nothing is excused here.
 */
export function syncedSurvives(facts: Facts): Invariant {
  const synced = new Map<string, { readonly index: number; readonly term: number }>();
  const termAt = (replica: ReplicaId, group: GroupId, index: number): number | undefined => {
    const track = facts.probe.track(replica, group);
    return track?.terms[index - track.termsBase - 1];
  };
  return {
    name: 'synced entries survive',
    source: 'Raft 5.2 and figure 2 (the log is persistent); architecture 6: WAL',
    onChange: ({ group, replica, before, after }) => {
      const key = `${group}/${replica}`;
      const known = synced.get(key);
      if (before === null && known !== undefined && known.index > after.baseIndex) {
        const term = termAt(replica, group, known.index);
        if (term !== known.term) {
          throw new SimViolation(
            'synced entries survive',
            `${replica} group ${group} had synced index ${known.index} of term ${known.term}; ` +
              `after its restart there is ${term === undefined ? 'nothing' : `term ${term}`}`,
          );
        }
      }
      const term = termAt(replica, group, after.syncedIndex);
      if (term !== undefined) synced.set(key, { index: after.syncedIndex, term });
    },
  };
}
