import type { ReplicaTrack } from '../probe.ts';
import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

/**
 * What a replica had synced is in its log after a restart, whatever ended its former life. A machine
 * that lost its data comes back as another replica, so nothing is excused here.
 */
export function syncedSurvives(): Invariant {
  const synced = new Map<ReplicaTrack, { index: number; term: number }>();
  const termAt = (track: ReplicaTrack, index: number): number | undefined =>
    track.terms[index - track.termsBase - 1];
  return {
    name: 'synced entries survive',
    source: 'Raft 5.2 and figure 2 (the log is persistent); architecture 6: WAL',
    onChange: ({ group, replica, before, after, track }) => {
      const known = synced.get(track);
      if (before === null && known !== undefined && known.index > after.baseIndex) {
        const term = termAt(track, known.index);
        if (term !== known.term) {
          throw new SimViolation(
            'synced entries survive',
            `${replica} group ${group} had synced index ${known.index} of term ${known.term}; ` +
              `after its restart there is ${term === undefined ? 'nothing' : `term ${term}`}`,
          );
        }
      }
      const term = termAt(track, after.syncedIndex);
      if (term === undefined) return;
      if (known === undefined) synced.set(track, { index: after.syncedIndex, term });
      else {
        known.index = after.syncedIndex;
        known.term = term;
      }
    },
  };
}
