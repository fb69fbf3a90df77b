import type { ReplicaView } from '../probe.ts';
import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

const COUNTERS = ['currentTerm', 'commitIndex', 'appliedIndex', 'baseIndex', 'closed'] as const;

/** Within one life of a replica these never go down, and applied <= committed <= last. */
export function countersMonotone(): Invariant {
  const check = (where: string, before: ReplicaView, after: ReplicaView): void => {
    for (const counter of COUNTERS) {
      if (after[counter] >= before[counter]) continue;
      throw new SimViolation(
        'monotone counters',
        `${where}: ${counter} went from ${before[counter]} to ${after[counter]}`,
      );
    }
  };
  return {
    name: 'monotone counters',
    source: 'Raft figure 2: currentTerm, commitIndex and lastApplied increase monotonically',
    onChange: ({ group, replica, before, after }) => {
      const where = `${replica} group ${group}`;
      if (before !== null) check(where, before, after);
      const { appliedIndex, commitIndex, lastIndex } = after;
      if (appliedIndex > commitIndex || commitIndex > lastIndex) {
        throw new SimViolation(
          'monotone counters',
          `${where}: applied ${appliedIndex}, committed ${commitIndex}, last ${lastIndex}`,
        );
      }
    },
  };
}
