import { SimViolation } from '../violation.ts';
import type { Facts, Invariant } from './invariant.ts';

/** What was committed in a term is in the logs of the leaders of all higher terms. */
export function leaderCompleteness(facts: Facts): Invariant {
  return {
    name: 'leader completeness',
    source: 'Raft 5.4, figure 3',
    onChange: ({ group, replica, before, after, inspection }) => {
      if (after.role !== 'leader') return;
      if (before?.role === 'leader' && before.currentTerm === after.currentTerm) return;
      const log = facts.committed.of(group);
      let at = log.length;
      while (at > 0 && log[at - 1]!.committedInTerm >= after.currentTerm) at--;
      if (at === 0 || at <= after.baseIndex) return;
      // The last one suffices: log matching covers what is before it.
      const expected = log[at - 1]!.entry;
      const found = inspection.entry(expected.index);
      if (found?.term === expected.term) return;
      const has = found === null ? `ends at ${after.lastIndex}` : `has term ${found.term} there`;
      throw new SimViolation(
        'leader completeness',
        `${replica} leads group ${group} in term ${after.currentTerm} without committed entry ` +
          `${expected.index} of term ${expected.term}: its log ${has}`,
      );
    },
  };
}
