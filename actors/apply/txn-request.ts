import { assert } from '../../protocol/assert.ts';
import { bytesEqual } from '../../protocol/bytes.ts';
import type { Idempotency } from '../../protocol/commands.ts';
import type { TxnOutcome } from '../../protocol/messages/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { idempotencyAgeKey, idempotencyKey, idempotencyName } from '../../storage/kv/keyspace.ts';
import { decodeIdempotency, TXN_REQUEST } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { isRemembered } from './idempotency.ts';
import { decodeOutcome, encodeOutcome } from './txn-outcome.ts';

/** Requests that are transactions apply once too: rows of the same kind, beside the anchor's vshard. */

/** What a transaction answered, as a row; decodeIdempotency reads it. */
export function encodeTxnRequest(
  revision: Revision,
  requestHash: Uint8Array,
  outcome: Uint8Array,
): Uint8Array {
  assert(requestHash.length === 32, 'a request hash has 32 bytes');
  const out = Buffer.allocUnsafe(41 + outcome.length);
  out[0] = TXN_REQUEST;
  out.writeBigUInt64BE(BigInt(revision), 1);
  out.set(requestHash, 9);
  out.set(outcome, 41);
  return out;
}

/** What the same request was answered before; null when it is new. */
export function recallTxn(
  state: GroupState,
  request: Idempotency,
  anchor: KeyRef,
  at: Revision,
): TxnOutcome | 'mismatch' | null {
  const name = idempotencyName(vshardOf(anchor), anchor.tenant, request.key);
  const bytes = state.row(idempotencyKey(state.prefix, name));
  if (bytes === null) return null;
  const row = decodeIdempotency(bytes);
  if (!isRemembered(row.revision, at)) return null;
  if (row.outcome === null || !bytesEqual(row.requestHash, request.requestHash)) return 'mismatch';
  return decodeOutcome(row.outcome);
}

export function rememberTxn(
  state: GroupState,
  request: Idempotency,
  anchor: KeyRef,
  at: Revision,
  outcome: TxnOutcome | Uint8Array,
): void {
  const name = idempotencyName(vshardOf(anchor), anchor.tenant, request.key);
  const encoded = outcome instanceof Uint8Array ? outcome : encodeOutcome(outcome);
  const row = encodeTxnRequest(at, request.requestHash, encoded);
  state.stageRow(idempotencyKey(state.prefix, name), row);
  state.stage(idempotencyAgeKey(state.prefix, at, name), new Uint8Array(0));
}
