import { bytesEqual } from '../../protocol/bytes.ts';
import { encodeWith, unpackBytes } from '../../protocol/codec.ts';
import type { Idempotency } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type ObjectResult, objectResultCodec } from '../../protocol/object-ops.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { idempotencyAgeKey, idempotencyKey, idempotencyName } from '../../storage/kv/keyspace.ts';
import { decodeIdempotency } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { isRemembered } from './idempotency.ts';
import { encodeTxnRequest } from './txn-request.ts';

/** Operations on objects apply once too: rows as those of transactions, under names that no other request has. */

/** What the same request was answered before; null when it is new. */
export function recallObject(
  state: GroupState,
  request: Idempotency,
  ref: KeyRef,
  at: Revision,
): ObjectResult | 'mismatch' | null {
  const bytes = state.row(idempotencyKey(state.prefix, nameOf(request, ref)));
  if (bytes === null) return null;
  const row = decodeIdempotency(bytes);
  if (!isRemembered(row.revision, at)) return null;
  if (row.outcome === null || !bytesEqual(row.requestHash, request.requestHash)) return 'mismatch';
  return objectResultCodec.unpack(unpackBytes(row.outcome, BOUNDS));
}

const BOUNDS = { bytesMax: 64 * 1024, itemsMax: LIMITS.groupsMax, depthMax: 6 };

export function rememberObject(
  state: GroupState,
  request: Idempotency,
  ref: KeyRef,
  at: Revision,
  result: ObjectResult,
): void {
  const name = nameOf(request, ref);
  const row = encodeTxnRequest(at, request.requestHash, encodeWith(objectResultCodec, result));
  state.stageRow(idempotencyKey(state.prefix, name), row);
  state.stage(idempotencyAgeKey(state.prefix, at, name), new Uint8Array(0));
}

/** No tenant's name has a colon. */
function nameOf({ key }: Idempotency, ref: KeyRef): string {
  return idempotencyName(vshardOf(ref), `object:${ref.tenant}`, key);
}
