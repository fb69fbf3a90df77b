import type { ReadAnswer } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { tripleOf } from '../../storage/kv/keyspace.ts';
import { currentKeyOf, readLatest } from '../apply/read.ts';
import { isSoleVoter } from '../raft/read-index.ts';
import type { RaftView } from '../raft/state.ts';
import type { ReplicaContext } from './context.ts';
import { thisMoment } from './reads.ts';

/**
 * The linearizable read of a key in the very moment it is asked for; null where a round, an apply, a
 * reservation or a prepared transaction's end has to come first, or, unless it may block, the disk would
 * have to be waited for. Needs no turn, so it does not wait for a sync that is under way. Why
 * this is true is argued in docs/protocol/reads-and-revisions.md, "The sole voter".
 */
export function readNow(
  context: ReplicaContext,
  raft: RaftView,
  ref: KeyRef,
  mayBlock: boolean,
): ReadAnswer | null {
  const { leader, commitIndex } = raft;
  if (leader === null || commitIndex < leader.noopIndex || !isSoleVoter(raft)) return null;
  const { txns } = context.state;
  if (context.state.appliedIndex < commitIndex) return null;
  if (!mayBlock && !context.state.isWarm(currentKeyOf(context.state, ref))) return null;
  if (txns.size > 0 && !txns.locks.isReadable(tripleOf(ref))) return null;
  const item = readLatest(context.state, ref, null);
  if (item === null || item.expiresAtMs === null) return { item, clock: context.clock.clock };
  // A key that can expire is read at this moment's revision, if that is under the bound already.
  if (context.clock.isHeld) return null;
  const now = thisMoment(context);
  if (!context.clockTrusted() || now > context.clock.committedBound) return null;
  const alive = readLatest(context.state, ref, now);
  // Its end waits for transactions that are prepared, or about to be, and may have read it.
  if (alive === null) return null;
  context.clock.raise(now);
  return { item: alive, clock: context.clock.clock };
}
