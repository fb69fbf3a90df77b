import { bytesEqual } from '../../protocol/bytes.ts';
import type { Idempotency, OpResult } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { idempotencyAgeKey, idempotencyKey, idempotencyName } from '../../storage/kv/keyspace.ts';
import { decodeIdempotency, encodeIdempotency } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { GroupState } from './group-state.ts';
import { decodeOutcome } from './txn-outcome.ts';

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
 * null when the request is new and is to be applied. `count`: how many operations it has.
 */
export function recallRequest(
  state: GroupState,
  request: Idempotency,
  vshard: number,
  tenant: string,
  revision: Revision,
  count: number,
): Outcome | null {
  const name = idempotencyName(vshard, tenant, request.key);
  const bytes = state.row(idempotencyKey(state.prefix, name));
  if (bytes === null) return null;
  const row = decodeIdempotency(bytes);
  if (!isRemembered(row.revision, revision)) return null;
  const isSame = bytesEqual(row.requestHash, request.requestHash);
  const results = row.outcome === null ? row.results : resultsOfTxn(row.outcome);
  const isOther = row.outcome !== null && results.length !== count;
  if (!isSame || isOther) {
    return {
      results: [],
      repeated: false,
      rejection: 'idempotency_mismatch',
      events: [],
      txn: null,
    };
  }
  return { results, repeated: true, rejection: null, events: [], txn: null };
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

/** A put that was a transaction, because it began an entry of a unique index. */
function resultsOfTxn(encoded: Uint8Array): OpResult[] {
  const { revision, results, refused } = decodeOutcome(encoded);
  if (refused?.type === 'duplicate') return [{ type: 'duplicate', ...refused.duplicate }];
  if (refused?.type === 'leaseGone') return [{ type: 'lease_stale', revision: 0 }];
  // No plain write has operations on objects.
  if (refused?.type === 'object') return [];
  if (refused) return [{ type: 'precondition_failed', revision: refused.revision }];
  return results.flatMap((result) => {
    if (result.type !== 'put') return [];
    const { createRevision, version } = result;
    return [{ type: 'put', revision, createRevision, version } as const];
  });
}
