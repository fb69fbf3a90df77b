import { crc32 } from '@node-rs/crc32';
import type { GroupId } from '../../../protocol/types.ts';
import { SimViolation } from '../violation.ts';
import type { Invariant } from './invariant.ts';

interface Known {
  readonly term: number;
  readonly crc: number;
  /** Term of the entry before it; -1 while nobody could tell. */
  prevTerm: number;
}

/**
 * Entries with equal index and term are equal, in all logs and for ever, and so are the entries
 * before them (by induction over each entry's predecessor).
 */
export function logMatching(): Invariant {
  const groups = new Map<GroupId, Map<number, Known[]>>();
  return {
    name: 'log matching',
    source: 'Raft 5.3, figure 3',
    onChange: ({ group, replica, appended, track }) => {
      if (appended.length === 0) return;
      const seen = groups.get(group) ?? new Map<number, Known[]>();
      groups.set(group, seen);
      for (const entry of appended) {
        const crc = crc32(entry.bytes);
        const prevTerm = track.terms[entry.index - track.termsBase - 2] ?? -1;
        const atIndex = seen.get(entry.index) ?? [];
        seen.set(entry.index, atIndex);
        const known = atIndex.find((k) => k.term === entry.term);
        if (known === undefined) {
          atIndex.push({ term: entry.term, crc, prevTerm });
          continue;
        }
        const where = () => `${replica} group ${group} index ${entry.index} term ${entry.term}`;
        if (known.crc !== crc) {
          throw new SimViolation('log matching', `${where()}: not the entry another log has there`);
        }
        if (prevTerm < 0) continue;
        if (known.prevTerm < 0) known.prevTerm = prevTerm;
        if (known.prevTerm !== prevTerm) {
          const terms = `term ${prevTerm} here, ${known.prevTerm} elsewhere`;
          throw new SimViolation('log matching', `${where()}: the entry before it has ${terms}`);
        }
      }
    },
  };
}
