import { revisionCount } from '../../../protocol/commands.ts';
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
  return {
    name: 'closed revisions stay closed',
    source: 'architecture 2: reserved bound and closed revision',
    onCommitted: (group, { entry, command }) => {
      const known = highest.get(group);
      if (known === undefined || command === null || !('revision' in command)) return;
      if (revisionCount(command) > 0 && command.revision <= known.closed) {
        throw new SimViolation(
          'closed revisions stay closed',
          `group ${group} index ${entry.index} has revision ${command.revision}, ` +
            `but ${known.by} had closed ${known.closed}`,
        );
      }
    },
    onChange: ({ group, replica, after }) => {
      const known = highest.get(group)?.closed ?? 0;
      if (after.closed > known) highest.set(group, { closed: after.closed, by: replica });
    },
  };
}
