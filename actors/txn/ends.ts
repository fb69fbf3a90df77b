import { LIMITS } from '../../protocol/limits.ts';
import { changesObjects, type TxnFate } from '../../protocol/txn.ts';
import { branchOf } from '../apply/txn-eval.ts';
import type { Prepared } from '../apply/txn-table.ts';
import type { Reply } from '../replica/context.ts';

/** How ends of transactions that were told at once become entries, and one answer. Pure. */

/** How what is prepared here has ended. */
export interface Ending {
  readonly prepared: Prepared;
  readonly fate: TxnFate;
}

/**
 * The endings in pieces of one entry each. Which values they replace is not looked at: so many writes together replace
 * no more than one transaction alone may, whatever they find.
 */
export function piecesOf(endings: readonly Ending[]): Ending[][] {
  const pieces: Ending[][] = [];
  let piece: Ending[] = [];
  let writes = 0;
  for (const ending of endings) {
    const isCommit = ending.fate.commitRevision > 0;
    const own = isCommit ? weightOf(ending.prepared) : 0;
    if (piece.length === 0 || writes + own > LIMITS.txnEndWritesMax) {
      piece = [];
      pieces.push(piece);
      writes = 0;
    }
    piece.push(ending);
    writes += own;
  }
  return pieces;
}

/** One that takes objects away may change as much alone as an entry may. */
function weightOf({ part, footprint }: Prepared): number {
  return changesObjects(part.body) ? LIMITS.txnEndWritesMax : footprint.writes.length;
}

/** Whether the keys that it removes have to be looked for first. */
export function removesRanges({ prepared, fate }: Ending): boolean {
  if (fate.commitRevision === 0 || prepared.footprint.ranges.length === 0) return false;
  return branchOf(prepared.part.body, fate.succeeded).some((op) => op.type === 'deleteRange');
}

/** One answer for so many parts: when all are done, or the first refusal. */
export function together(count: number, reply: Reply): Reply {
  let left = count;
  return (body) => {
    if (left === 0) return;
    left = body.type === 'Done' ? left - 1 : 0;
    if (left === 0) reply(body);
  };
}
