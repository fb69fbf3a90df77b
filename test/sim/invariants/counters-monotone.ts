import type { ReplicaView } from '../probe.ts';
import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

const NAME = 'monotone counters';
const COUNTERS = ['currentTerm', 'commitIndex', 'appliedIndex', 'baseIndex', 'closed'] as const;
/** From the moment a snapshot is the state until the log has learned of it. */
const INSTALL_MS_MAX = 2000;

/**
 * Within one life of a replica these never go down, and applied <= committed <= last. While a
 * snapshot is installed the state is ahead of the log for a moment; what it holds is committed.
 */
export function countersMonotone(facts: Facts): Invariant {
  const aheadSinceMs = new Map<string, number>();
  const isMonotone = (before: ReplicaView, after: ReplicaView): boolean =>
    after.currentTerm >= before.currentTerm &&
    after.commitIndex >= before.commitIndex &&
    after.appliedIndex >= before.appliedIndex &&
    after.baseIndex >= before.baseIndex &&
    after.closed >= before.closed;
  const describe = (before: ReplicaView, after: ReplicaView): string => {
    const fallen = COUNTERS.filter((counter) => after[counter] < before[counter]);
    return fallen
      .map((counter) => `${counter} went from ${before[counter]} to ${after[counter]}`)
      .join(', ');
  };
  return {
    name: NAME,
    source: 'Raft figure 2: currentTerm, commitIndex and lastApplied increase monotonically; 7',
    onChange: ({ group, replica, life, before, after }) => {
      if (before !== null && !isMonotone(before, after)) {
        throw new SimViolation(NAME, `${replica} group ${group}: ${describe(before, after)}`);
      }
      const { appliedIndex, commitIndex, lastIndex } = after;
      const isKnown = appliedIndex <= facts.committed.of(group).length;
      const isOrdered = appliedIndex <= commitIndex && commitIndex <= lastIndex;
      if (isOrdered && isKnown && aheadSinceMs.size === 0) return;
      const where = `${replica} group ${group}`;
      const key = `${where}/${life}`;
      if (appliedIndex <= commitIndex) aheadSinceMs.delete(key);
      else if (!aheadSinceMs.has(key)) aheadSinceMs.set(key, facts.nowMs());
      const aheadMs = facts.nowMs() - (aheadSinceMs.get(key) ?? facts.nowMs());
      if (aheadMs > INSTALL_MS_MAX || !isKnown || commitIndex > lastIndex) {
        const counters = `applied ${appliedIndex}, committed ${commitIndex}, last ${lastIndex}`;
        throw new SimViolation(NAME, `${where}: ${counters}`);
      }
    },
  };
}
