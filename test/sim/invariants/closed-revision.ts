import { revisionCount } from '../../../protocol/commands.ts';
import { txnName } from '../../../protocol/txn.ts';
import type { GroupId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

/**
 * Once any replica has closed a revision, no entry at or below it is committed any more. (Entries
 * below it must have been committed before; a leader that closes too early is caught by the first
 * one that was not.)
 */
export function closedRevision(): Invariant {
  const highest = new Map<GroupId, { closed: number; by: string }>();
  const ended = new Set<string>();
  return {
    name: 'closed revisions stay closed',
    source: 'architecture 2: reserved bound and closed revision',
    onCommitted: (group, { entry, command }) => {
      const known = highest.get(group);
      if (command === null) return;
      let own = 'revision' in command && revisionCount(command) > 0 ? command.revision : 0;
      if ('fate' in command) {
        // A repeated end of a transaction does nothing.
        const name = `${group}/${txnName(command.id)}`;
        if (!ended.has(name)) own = command.fate.commitRevision;
        ended.add(name);
      }
      if (known !== undefined && own > 0 && own <= known.closed) {
        throw new SimViolation(
          'closed revisions stay closed',
          `group ${group} index ${entry.index} has revision ${own}, ` +
            `but ${known.by} had closed ${known.closed}`,
        );
      }
    },
    onChange: ({ group, replica, before, after }) => {
      if (after.closed === before?.closed) return;
      const known = highest.get(group)?.closed ?? 0;
      if (after.closed > known) highest.set(group, { closed: after.closed, by: replica });
    },
  };
}
