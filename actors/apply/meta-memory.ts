import type { GroupState } from './group-state.ts';
import type { MetaRow } from './meta-state.ts';

/** What is asked for again and again is a row or a few. */
const ROWS_MAX = 64;
const PREFIXES_MAX = 16;

interface Known {
  readonly appliedIndex: number;
  readonly byPrefix: Map<string, readonly MetaRow[]>;
}

/**
 * Meta rows that were read, good until the next entry is applied. The actors of a node read a few of them several times a
 * second, and each read would have all rows of the node's memtables put in order, those of other groups too.
 */
const known = new WeakMap<GroupState, Known>();

/** All rows whose names begin so, by name; null where they have to be read. */
export function knownMetaRows(state: GroupState, prefix: string): MetaRow[] | null {
  const found = known.get(state);
  if (found === undefined || found.appliedIndex !== state.appliedIndex) return null;
  const rows = found.byPrefix.get(prefix);
  return rows === undefined ? null : [...rows];
}

/** All rows whose names begin so, as a view at `appliedIndex` showed them. */
export function keepMetaRows(
  state: GroupState,
  appliedIndex: number,
  prefix: string,
  rows: readonly MetaRow[],
): void {
  if (rows.length > ROWS_MAX || appliedIndex !== state.appliedIndex) return;
  let kept = known.get(state);
  if (kept?.appliedIndex !== appliedIndex || kept.byPrefix.size >= PREFIXES_MAX) {
    kept = { appliedIndex, byPrefix: new Map() };
    known.set(state, kept);
  }
  kept.byPrefix.set(prefix, [...rows]);
}
