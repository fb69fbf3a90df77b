import type { RequestOf } from '../../protocol/messages/request.ts';
import type { TxnId, TxnPart } from '../../protocol/txn.ts';
import type { GroupId } from '../../protocol/types.ts';
import type { Reply } from '../replica/context.ts';
import type { Attempt } from './attempt.ts';
import type { Takeovers } from './claims.ts';

/** One transaction of a client, over as many attempts as its deadline allows. */
export interface Running {
  readonly request: RequestOf<'Txn'>;
  readonly traceparent: string | null;
  readonly endMs: number;
  readonly reply: Reply;
  conflicts: number;
  /** Reservations that it found to be nobody's any more. */
  takeovers: Takeovers;
}

export interface Live {
  readonly id: TxnId;
  readonly running: Running;
  readonly parts: ReadonlyMap<GroupId, TxnPart>;
  /** All groups but the home group. */
  readonly others: GroupId[];
  readonly epoch: number;
  /** Of the indexes by which it was given its claims; 0 when none of them was unique. */
  readonly indexEpoch: number;
  attempt: Attempt;
}
