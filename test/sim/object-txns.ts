import type { TxnResult } from '../../protocol/messages/txn.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import { decodeRecord } from '../../protocol/objects.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { KV_SPACE } from '../../protocol/vshard.ts';

/** An object, and a key that says which ETag it had when a transaction deleted it. No two puts have the same ETag. */

export interface PairSeen {
  readonly key: string;
  /** ETag that the key says was deleted. */
  readonly deleted: string | null;
  /** Of the object as it is. */
  readonly etag: string | null;
}

/** The object goes if it has this ETag, and the key says so: both or nothing. As a conditional deletion answers. */
export async function deletePair(
  service: KvService,
  ctx: RequestContext,
  ref: KeyRef,
  etag: string,
  unique: string,
): Promise<ObjectResult> {
  const value = Buffer.from(`${etag} ${unique}`);
  const { outcome } = await service.transact(ctx, {
    compares: [{ ref, relation: '=', target: { type: 'etag', etag } }],
    then: [
      { type: 'put', ref: keyOf(ref), value, contentType: null, ttlMs: null },
      { type: 'deleteObject', ref, bucket: 0, versionId: null },
    ],
    otherwise: [{ type: 'get', ref }],
  });
  const { revision, results } = outcome;
  if (outcome.succeeded) return { type: 'deleted', revision, versionId: null, marker: false };
  return { type: 'precondition_failed', etag: etagIn(results[0]) };
}

export async function readPair(
  service: KvService,
  ctx: RequestContext,
  ref: KeyRef,
): Promise<PairSeen> {
  const then = [{ type: 'get', ref: keyOf(ref) } as const, { type: 'get', ref } as const];
  const { outcome } = await service.transact(ctx, { compares: [], then, otherwise: null });
  const [key, object] = outcome.results;
  const said = key?.type === 'got' ? key.item : null;
  const deleted = said === null ? null : Buffer.from(said.value).toString().split(' ')[0];
  return { key: ref.key, deleted: deleted ?? null, etag: etagIn(object) };
}

function keyOf({ tenant, key }: KeyRef): KeyRef {
  return { tenant, space: KV_SPACE, key: `pair/${key}` };
}

function etagIn(result: TxnResult | undefined): string | null {
  const item = result?.type === 'got' ? result.item : null;
  return item === null ? null : decodeRecord(item.value).etag;
}
