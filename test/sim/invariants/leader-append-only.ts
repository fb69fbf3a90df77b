import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

/** A leader never overwrites or deletes entries of its own log; it only appends. */
export function leaderAppendOnly(): Invariant {
  return {
    name: 'leader append-only',
    source: 'Raft 5.3, figure 3',
    onChange: ({ group, replica, before, after, truncatedFrom }) => {
      if (before?.role !== 'leader' || after.role !== 'leader') return;
      if (before.currentTerm !== after.currentTerm) return;
      if (truncatedFrom <= before.lastIndex) {
        throw new SimViolation(
          'leader append-only',
          `leader ${replica} of group ${group} replaced its log from ${truncatedFrom}`,
        );
      }
    },
  };
}
