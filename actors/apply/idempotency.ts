import { bytesEqual } from '../../protocol/bytes.ts';
import type { Idempotency, OpResult } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { idempotencyAgeKey, idempotencyKey, idempotencyName } from '../../storage/kv/keyspace.ts';
import { decodeIdempotency, encodeIdempotency } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState } from './group-state.ts';

/**
 * Requests apply once (ARCHITECTURE section 4, FAULTS B9). A row lives in the vshard of the
 * request's first key, under that key's tenant, so tenants cannot see each other's idempotency
 * keys. It counts for the window after its own revision's wall time and is then as good as absent,
 * whether or not this replica has removed it yet.
 */
export function isRemembered(rowRevision: Revision, atRevision: Revision): boolean {
  const ageMs = wallMsOfRevision(atRevision) - wallMsOfRevision(rowRevision);
  return ageMs < LIMITS.idempotencyWindowMs;
}

/**
 * The stored outcome of the same request, or the rejection when the key was used for another one;
 * null when the request is new and is to be applied.
 */
export function recallRequest(
  state: GroupState,
  request: Idempotency,
  vshard: number,
  tenant: string,
  revision: Revision,
): Outcome | null {
  const name = idempotencyName(vshard, tenant, request.key);
  const bytes = state.row(idempotencyKey(state.prefix, name));
  if (bytes === null) return null;
  const row = decodeIdempotency(bytes);
  if (!isRemembered(row.revision, revision)) return null;
  if (row.outcome !== null || !bytesEqual(row.requestHash, request.requestHash)) {
    return {
      results: [],
      repeated: false,
      rejection: 'idempotency_mismatch',
      events: [],
      txn: null,
    };
  }
  return { results: row.results, repeated: true, rejection: null, events: [], txn: null };
}

/** Keeps what the request answered, refused ops included: a retry hears the same. */
export function rememberRequest(
  state: GroupState,
  request: Idempotency,
  vshard: number,
  tenant: string,
  revision: Revision,
  results: readonly OpResult[],
): void {
  const name = idempotencyName(vshard, tenant, request.key);
  const row = encodeIdempotency({ revision, requestHash: request.requestHash, results });
  state.stageRow(idempotencyKey(state.prefix, name), row);
  state.stage(idempotencyAgeKey(state.prefix, revision, name), new Uint8Array(0));
}
