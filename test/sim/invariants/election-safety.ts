import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

/** At most one leader is elected in a term of a group. */
export function electionSafety(): Invariant {
  const leaders = new Map<string, string>();
  return {
    name: 'election safety',
    source: 'Raft 5.2, figure 3',
    onChange: ({ group, replica, before, after }) => {
      if (after.role !== 'leader') return;
      // It was noted when it became the leader.
      if (before?.role === 'leader' && before.currentTerm === after.currentTerm) return;
      const key = `${group}/${after.currentTerm}`;
      const known = leaders.get(key);
      if (known === undefined) leaders.set(key, replica);
      else if (known !== replica) {
        throw new SimViolation(
          'election safety',
          `group ${group} term ${after.currentTerm} has leaders ${known} and ${replica}`,
        );
      }
    },
  };
}
