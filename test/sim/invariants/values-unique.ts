import { wallMsOfRevision } from '../../../protocol/revision.ts';
import type { Change } from '../../check/truth.ts';
import { type Enforced, uniqueValues } from '../model-unique.ts';
import { SimViolation } from '../violation.ts';
import type { FinalCheck } from './final-check.ts';

const NAME = 'no two live keys have a value of a unique index';

/** At every revision from when an index is live until it is dropped. */
export const valuesUnique: FinalCheck = {
  name: NAME,
  source: 'ADR 0033; U1 in actors/apply/reservations.ts',
  run: ({ model }) => {
    for (const enforced of model.unique.enforced) {
      const flaw = duplicateIn(model.changes, enforced);
      if (flaw !== null) throw new SimViolation(NAME, flaw);
    }
  },
};

interface Live {
  readonly values: readonly string[];
  readonly expiresAtMs: number | null;
}

/** The first revision at which two keys have one value, in words; null when there is none. */
export function duplicateIn(
  changes: readonly Change[],
  { id, prefix, fromRevision, toRevision }: Enforced,
): string | null {
  const own = changes
    .filter(({ ref }) => ref.key.startsWith(prefix))
    .sort((a, b) => a.revision - b.revision);
  const live = new Map<string, Live>();
  /** What is there from one change to the next: at its beginning, later only less is there. */
  const look = (sinceRevision: number, untilRevision: number): string | null => {
    const at = Math.max(sinceRevision, fromRevision);
    if (at > Math.min(untilRevision, toRevision)) return null;
    const clash = clashIn(live, at);
    return clash === null ? null : `index ${id} at ${at}: ${clash}`;
  };
  for (let i = 0; i < own.length; i++) {
    const { ref, value, expiresAtMs, revision } = own[i] as Change;
    const before = own[i - 1];
    // All changes of one revision are there at once.
    if (before !== undefined && before.revision < revision) {
      const found = look(before.revision, revision - 1);
      if (found !== null) return found;
    }
    if (value === null) live.delete(ref.key);
    else live.set(ref.key, { values: uniqueValues(value), expiresAtMs });
  }
  const last = own[own.length - 1];
  return last === undefined ? null : look(last.revision, Number.POSITIVE_INFINITY);
}

function clashIn(live: ReadonlyMap<string, Live>, revision: number): string | null {
  const holders = new Map<string, string>();
  for (const [key, { values, expiresAtMs }] of live) {
    if (expiresAtMs !== null && expiresAtMs <= wallMsOfRevision(revision)) continue;
    for (const value of values) {
      const other = holders.get(value);
      if (other !== undefined) return `${other} and ${key} have ${value}`;
      holders.set(value, key);
    }
  }
  return null;
}
