import {
  type NewData,
  NO_CONDITION,
  type ObjectCondition,
  type ObjectOp,
  type ObjectResult,
} from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import type { ReplicaId } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import type { ClusterPort } from './cluster-port.ts';

/** What clients of objects ask, and are told. */

/** What a client needs to know of the cluster to lie about who has data. */
export interface ObjectWorld extends ClusterPort {
  votersOf(ref: KeyRef): readonly ReplicaId[];
}

/** The bucket is made where there is none; the body is there at once. */
export const USUAL = { makes: true, bodyMs: 0 };

export type Told = ObjectResult | { readonly type: 'read'; readonly etag: string | null };

export function putOp(ref: KeyRef, data: NewData | null, condition: ObjectCondition, etag: string) {
  const fields = { size: data?.bytes ?? 0, etag, checksum: null, head: NO_HEAD };
  return { type: 'put', ref, ...fields, data, ttlMs: null, condition } as const satisfies ObjectOp;
}

/** `draw` in [0, 1); `etag` is the last one that was seen. */
export function conditionOf(draw: number, etag: string | undefined): ObjectCondition {
  if (draw < 0.3) return { match: null, noneMatch: ['*'] };
  if (draw < 0.7 && etag !== undefined) return { match: [etag], noneMatch: null };
  if (draw < 0.75) return { match: ['*'], noneMatch: null };
  return NO_CONDITION;
}
