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
  const check = (where: string, before: ReplicaView, after: ReplicaView): void => {
    for (const counter of COUNTERS) {
      if (after[counter] >= before[counter]) continue;
      const step = `${counter} went from ${before[counter]} to ${after[counter]}`;
      throw new SimViolation(NAME, `${where}: ${step}`);
    }
  };
  return {
    name: NAME,
    source: 'Raft figure 2: currentTerm, commitIndex and lastApplied increase monotonically; 7',
    onChange: ({ group, replica, life, before, after }) => {
      const where = `${replica} group ${group}`;
      if (before !== null) check(where, before, after);
      const { appliedIndex, commitIndex, lastIndex } = after;
      const key = `${where}/${life}`;
      if (appliedIndex <= commitIndex) aheadSinceMs.delete(key);
      else if (!aheadSinceMs.has(key)) aheadSinceMs.set(key, facts.nowMs());
      const aheadMs = facts.nowMs() - (aheadSinceMs.get(key) ?? facts.nowMs());
      const isKnown = appliedIndex <= facts.committed.of(group).length;
      if (aheadMs > INSTALL_MS_MAX || !isKnown || commitIndex > lastIndex) {
        const counters = `applied ${appliedIndex}, committed ${commitIndex}, last ${lastIndex}`;
        throw new SimViolation(NAME, `${where}: ${counters}`);
      }
    },
  };
}
