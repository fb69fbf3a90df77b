import { revisionCount } from '../../../protocol/commands.ts';
import type { GroupId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

/**
 * Revisions grow along a group's log, never repeat, and stay at or below their entry's clock bound;
 * no new revision is at or below a bound that an earlier term reserved.
 */
export function revisionOrder(): Invariant {
  const last = new Map<GroupId, { revision: number; index: number }>();
  const bounds = new Map<GroupId, { term: number; own: number; earlier: number }>();
  return {
    name: 'revisions grow',
    source: 'architecture 2: revisions and the reserved bound',
    onCommitted: (group, { entry, command }) => {
      const bound = bounds.get(group) ?? { term: entry.term, own: 0, earlier: 0 };
      if (entry.term > bound.term) {
        bound.earlier = Math.max(bound.earlier, bound.own);
        bound.term = entry.term;
      }
      bounds.set(group, bound);
      const count = command === null ? 0 : revisionCount(command);
      if (count > 0 && command !== null && 'revision' in command) {
        const known = last.get(group);
        const where = `group ${group} index ${entry.index} revision ${command.revision}`;
        if (known !== undefined && command.revision <= known.revision) {
          const other = `revision ${known.revision} is at index ${known.index}`;
          throw new SimViolation('revisions grow', `${where}: ${other}`);
        }
        if (command.revision <= bound.earlier) {
          const reserved = `an earlier term reserved ${bound.earlier}`;
          throw new SimViolation('revisions grow', `${where}: ${reserved}`);
        }
        const highest = command.revision + count - 1;
        if (entry.clockBound < highest) {
          throw new SimViolation('revisions grow', `${where}: clock bound ${entry.clockBound}`);
        }
        last.set(group, { revision: highest, index: entry.index });
      }
      bound.own = Math.max(bound.own, entry.clockBound);
    },
  };
}
