import { duplicateCodec } from '../indexes.ts';
import { keyRefCodec } from '../keys.ts';
import { LIMITS } from '../limits.ts';
import { objectResultCodec, versionIdTextCodec } from '../object-ops.ts';
import { quotaScopeCodec } from '../quotas.ts';
import * as s from '../schema.ts';
import { TXN_BRANCH_MAX } from '../txn.ts';

/** Items, and what transactions answer: to clients, and from participants to coordinators. */

/** A current or past version of a key. */
const itemShape = s.record({
  ref: keyRefCodec,
  value: s.bin(LIMITS.valueBytesMax),
  revision: s.count,
  createRevision: s.count,
  version: s.count,
  contentType: s.nullable(s.str(LIMITS.contentTypeBytesMax)),
  /** Unix ms. */
  expiresAtMs: s.nullable(s.count),
  /** The lease it is attached to; 0 or nothing: none. */
  lease: s.nullable(s.count),
});
type ItemShape = s.Of<typeof itemShape>;
export type Item = Omit<ItemShape, 'lease'> & { readonly lease?: number | null };
export const itemCodec = itemShape as s.Codec<Item>;

/** What one operation of a transaction gave. */
export const txnResultCodec = s.union({
  put: [1, s.record({ createRevision: s.count, version: s.count })],
  /** How many keys were there and are gone. */
  deleted: [2, s.record({ count: s.count })],
  got: [3, s.record({ item: s.nullable(itemCodec) })],
  page: [4, s.record({ items: s.list(itemCodec, LIMITS.pageItemsMax), more: s.bool })],
  /** A claim, a release or an expectation that can be met. */
  held: [5, s.record({})],
  /**
   * It cannot, and nothing of the branch is done. Of an expectation: the key's revision; of a claim: who has
   * the entry.
   */
  refused: [
    6,
    s.record({ revision: s.count, holder: s.nullable(s.latin1Str(LIMITS.keyBytesMax)) }),
  ],
  /**
   * `gone`: a version or marker was there, or a marker is. `versionId` of what was removed or of the marker, null
   * where the bucket has never had versions; '' in a vote: that of the transaction's revision.
   */
  objectDeleted: [
    7,
    s.record({ gone: s.bool, versionId: s.nullable(versionIdTextCodec), marker: s.bool }),
  ],
  objectTagged: [8, s.record({ versionId: s.nullable(versionIdTextCodec) })],
  /** It cannot be done to the object, and nothing of the branch is. */
  objectRefused: [9, s.record({ result: objectResultCodec })],
});
export type TxnResult = s.Of<typeof txnResultCodec>;

/** Why nothing of a transaction was done, where it was not a compare. */
export const txnRefusalCodec = s.union({
  duplicate: [1, s.record({ key: s.latin1Str(LIMITS.keyBytesMax), duplicate: duplicateCodec })],
  /** The operation at this place of the branch; `revision` is that of its result. */
  operation: [2, s.record({ at: s.count, revision: s.count })],
  /** A put attaches to a lease that is not there. */
  leaseGone: [3, s.record({})],
  /** What the object says to the operation at this place of the branch. */
  object: [4, s.record({ at: s.count, result: objectResultCodec })],
});
export type TxnRefusal = s.Of<typeof txnRefusalCodec>;

/** What a transaction came to, as its client hears it. */
const txnOutcomeShape = s.record({
  /** All compares held and `then` was done; else `otherwise` was, if there is one. */
  succeeded: s.bool,
  /** The first compare that did not hold. */
  failedCompare: s.nullable(s.count),
  /** Of its writes; of a transaction without any, one at which its reads are true. */
  revision: s.count,
  /** Of the branch that was done, in order. */
  results: s.list(txnResultCodec, TXN_BRANCH_MAX),
  /** Nothing was done, and the rest says nothing; nothing or null: it was not refused. */
  refused: s.nullable(txnRefusalCodec),
});
type TxnOutcomeShape = s.Of<typeof txnOutcomeShape>;
export type TxnOutcome = Omit<TxnOutcomeShape, 'refused'> & {
  readonly refused?: TxnRefusal | null;
};
export const txnOutcomeCodec = txnOutcomeShape as s.Codec<TxnOutcome>;

/** A participant's word about its part. A put of a key that is absent has createRevision 0. */
export const txnVoteCodec = s.union({
  /** Locked: whatever comes, it can do its part and nobody sees or changes these keys before the decision. */
  yes: [
    1,
    s.record({
      /** The transaction cannot have a lower revision than this. */
      revision: s.count,
      failedCompare: s.nullable(s.count),
      /** Unix ms: at a revision from this wall time on, a key that the vote counts on has expired. */
      validUntilMs: s.nullable(s.count),
      then: s.list(txnResultCodec, TXN_BRANCH_MAX),
      otherwise: s.list(txnResultCodec, TXN_BRANCH_MAX),
    }),
  ],
  /** A compare failed and there is no other branch; nothing is locked. */
  compareFailed: [2, s.record({ at: s.count, revision: s.count })],
  /** Another transaction is in the way; nothing is locked. */
  conflict: [3, s.record({})],
  /** Not with this map; nothing is locked. */
  wrongShard: [4, s.record({ epoch: s.count })],
  /** It has ended, or is too old; nothing is locked. */
  over: [5, s.record({})],
  /** Its reads or its range deletes are larger than a limit; locked until it is resolved. */
  tooLarge: [6, s.record({})],
  /** The quota of this scope has no room for its part. Nothing is locked. */
  noRoom: [7, s.record({ scope: quotaScopeCodec })],
});
export type TxnVote = s.Of<typeof txnVoteCodec>;
export type YesVote = Extract<TxnVote, { type: 'yes' }>;
