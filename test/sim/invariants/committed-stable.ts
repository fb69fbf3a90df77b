import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

/**
 * A committed entry never changes: no replica commits another entry at that index, and no replica
 * takes back an entry it knows to be committed.
 */
export function committedStable(facts: Facts): Invariant {
  return {
    name: 'committed entries never change',
    source: 'Raft 5.4.3 (State Machine Safety), thesis 3.6.3',
    onChange: ({ group, replica, before, after, truncatedFrom, inspection }) => {
      if (before !== null && truncatedFrom <= before.commitIndex) {
        throw new SimViolation(
          'committed entries never change',
          `${replica} group ${group} cut its log from ${truncatedFrom}, ` +
            `committed up to ${before.commitIndex}`,
        );
      }
      const from = Math.max(before?.commitIndex ?? 0, after.baseIndex) + 1;
      const log = facts.committed.of(group);
      for (let index = from; index <= after.commitIndex; index++) {
        const term = inspection.termAt(index);
        const expected = log[index - 1]?.entry.term ?? null;
        if (term === expected) continue;
        throw new SimViolation(
          'committed entries never change',
          `${replica} group ${group} committed index ${index} with term ${term}, ` +
            `another replica with term ${expected}`,
        );
      }
    },
  };
}
