import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type TxnOutcome, type TxnRefusal, txnOutcomeCodec } from '../../protocol/messages/txn.ts';

/** What a transaction answered, as its idempotency row keeps it. */

const BOUNDS = {
  bytesMax: LIMITS.entryBytesMax,
  itemsMax: LIMITS.txnOpsMax * 4,
  depthMax: 12,
};

export function encodeOutcome(outcome: TxnOutcome): Uint8Array {
  return encodeWith(txnOutcomeCodec, outcome);
}

/** Throws DecodeError. */
export function decodeOutcome(bytes: Uint8Array): TxnOutcome {
  return txnOutcomeCodec.unpack(unpackBytes(bytes, BOUNDS));
}

/** Nothing was done, and why. */
export function refusedWith(refused: TxnRefusal): TxnOutcome {
  return { succeeded: false, failedCompare: null, revision: 0, results: [], refused };
}
