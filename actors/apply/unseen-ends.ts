import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { currentKey } from '../../storage/kv/keyspace.ts';
import { decodeHead } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { hasExpired } from './item.ts';
import { type Footprint, touchedBy } from './txn-locks.ts';
import type { Prepared, TxnTable } from './txn-table.ts';

/**
 * The end of a key is a change that no entry makes: the key is alive below its expiry and gone from there on. A
 * transaction that was prepared before it has read the key alive, holds a lock on it, and commits before the end,
 * perhaps much later in time. Until that is over no other transaction is shown the end: it would be
 * ordered before the one that is still to come, and what was done after it would not be.
 */

/** Whether a part may be judged at `revision`: its locks can be had, and no end is shown that nobody may see yet. */
export function isAdmitted(state: GroupState, footprint: Footprint, revision: Revision): boolean {
  return state.txns.locks.admits(footprint) && !showsUnseenEnd(state, footprint, revision);
}

/** What is written is not locked by others, so what is read decides; ranges show their ends when they are read. */
function showsUnseenEnd(state: GroupState, { reads }: Footprint, revision: Revision): boolean {
  const { locks } = state.txns;
  if (locks.isEmpty) return false;
  for (const triple of reads) {
    if (locks.isFree(triple)) continue;
    const bytes = state.row(currentKey(state.prefix, triple));
    if (bytes === null) continue;
    const head = decodeHead(bytes);
    if (hasExpired(head, revision) && !hasExpired(head, state.txns.lowest)) return true;
  }
  return false;
}

/** Of the keys of a prepared transaction's ranges: whether an end may not be seen yet, as of now. */
export function unseenEnds(
  txns: TxnTable,
  prepared: Prepared,
): (triple: string, expiresAtMs: number) => boolean {
  const earlier: Prepared[] = [];
  for (const other of txns.all()) if (other.revision < prepared.revision) earlier.push(other);
  let touched: ((triple: string) => boolean)[] | null = null;
  return (triple, expiresAtMs) => {
    // Most ranges hold nothing that ends.
    touched ??= earlier.map(({ footprint }) => touchedBy(footprint));
    const { length } = touched;
    for (let i = 0; i < length; i++) {
      const { revision } = earlier[i] as Prepared;
      if (wallMsOfRevision(revision) < expiresAtMs && touched[i]?.(triple) === true) return true;
    }
    return false;
  };
}
