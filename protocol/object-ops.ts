import { keyRefCodec, NAME_BYTES_MAX } from './keys.ts';
import { LIMITS } from './limits.ts';
import { notificationRuleCodec } from './notifications.ts';
import {
  checksumAlgorithmCodec,
  checksumCodec,
  checksumKindCodec,
  dataIdCodec,
  etagCodec,
  headersCodec,
  metadataCodec,
  objectHeadCodec,
  retentionCodec,
  tagsCodec,
} from './objects.ts';
import { SHORTAGES_MAX, shortageCodec } from './quotas.ts';
import * as s from './schema.ts';
import type { ReplicaId } from './types.ts';

/** What is asked of objects, as it travels and as it is logged, and what the groups know of buckets (ADR 0034). */

/** What apply must know of a bucket. Each change has a higher epoch; an id is never used again. */
export const bucketRuleCodec = s.record({
  tenant: s.str(NAME_BYTES_MAX),
  name: s.str(63),
  id: s.count,
  epoch: s.count,
  /** Never `off` again once it was something else. */
  versioning: s.oneOf('off', 'enabled', 'suspended'),
  /** Versions can be locked. Only with versioning `enabled`. */
  objectLock: s.bool,
  /** What a put gets that asks for no retention. */
  retention: s.nullable(s.record({ mode: s.oneOf('governance', 'compliance'), periodMs: s.count })),
  /** `deleting`: takes nothing new. `gone`: what is left of it may be removed. */
  state: s.oneOf('live', 'deleting', 'gone'),
  /** Of which changes whom to tell; null: none. */
  notifications: s.later(s.list(notificationRuleCodec, LIMITS.notificationRulesMax)),
});
export type BucketRule = s.Of<typeof bucketRuleCodec>;

/** Data that a command brings. */
export const newDataCodec = s.record({
  id: dataIdCodec,
  /** As stored. */
  bytes: s.count,
  /** Of each chunk but the last; 0 where it is inline. */
  chunkBytes: s.count,
  /** Replicas that have fsynced all of it; none where it is inline. */
  holders: s.list(s.str<ReplicaId>(64), 32),
  inline: s.nullable(s.bin(LIMITS.objectInlineBytesMax + 1024)),
});
export type NewData = s.Of<typeof newDataCodec>;

const etags = s.nullable(s.list(etagCodec, 64));

/** ETags of the current version, of which one must match (or none may); `*` is any. Null: no matter. */
export const objectConditionCodec = s.record({ match: etags, noneMatch: etags });
export type ObjectCondition = s.Of<typeof objectConditionCodec>;

export const NO_CONDITION: ObjectCondition = Object.freeze({ match: null, noneMatch: null });

/** A version id, 'null' for the version without one. */
export const versionIdTextCodec = s.str(16);
const versionId = s.nullable(versionIdTextCodec);
export const uploadIdCodec = s.str(64);
export const UPLOAD_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Changes of a version that leave its bytes alone. */
export const amendmentCodec = s.union({
  tags: [1, s.record({ tags: tagsCodec })],
  acl: [2, s.record({ acl: s.nullable(s.str(LIMITS.objectAclBytesMax)) })],
  /** Null takes it away. */
  retention: [3, s.record({ retention: s.nullable(retentionCodec) })],
  legalHold: [4, s.record({ legalHold: s.bool })],
  metadata: [
    5,
    s.record({
      contentType: s.nullable(s.str(LIMITS.contentTypeBytesMax)),
      headers: headersCodec,
      metadata: metadataCodec,
    }),
  ],
});
export type Amendment = s.Of<typeof amendmentCodec>;

export const objectOpCodec = s.union({
  put: [
    1,
    s.record({
      ref: keyRefCodec,
      size: s.count,
      etag: etagCodec,
      checksum: s.nullable(checksumCodec),
      head: objectHeadCodec,
      /** Null: no bytes. */
      data: s.nullable(newDataCodec),
      /** From the wall time of the operation's revision; null never expires. */
      ttlMs: s.nullable(s.count),
      condition: objectConditionCodec,
    }),
  ],
  /** `bypass`: governance retention does not count. */
  delete: [
    2,
    s.record({ ref: keyRefCodec, versionId, condition: objectConditionCodec, bypass: s.bool }),
  ],
  amend: [
    3,
    s.record({
      ref: keyRefCodec,
      versionId,
      change: amendmentCodec,
      condition: objectConditionCodec,
      bypass: s.bool,
    }),
  ],
  uploadCreate: [
    4,
    s.record({
      ref: keyRefCodec,
      upload: uploadIdCodec,
      head: objectHeadCodec,
      /** What parts and object are checked by; null: nothing. */
      checksum: s.nullable(
        s.record({
          algorithm: checksumAlgorithmCodec,
          kind: checksumKindCodec,
        }),
      ),
    }),
  ],
  uploadPart: [
    5,
    s.record({
      ref: keyRefCodec,
      upload: uploadIdCodec,
      number: s.count,
      size: s.count,
      etag: etagCodec,
      checksum: s.nullable(s.bin(32)),
      data: s.nullable(newDataCodec),
    }),
  ],
  /** `etag` and `checksum` are the gateway's, of the parts that are named: those are compared. */
  uploadComplete: [
    6,
    s.record({
      ref: keyRefCodec,
      upload: uploadIdCodec,
      parts: s.list(
        s.record({ number: s.count, etag: etagCodec, checksum: s.nullable(s.bin(32)) }),
        LIMITS.objectPartsMax,
      ),
      etag: etagCodec,
      checksum: s.nullable(checksumCodec),
      ttlMs: s.nullable(s.count),
      condition: objectConditionCodec,
    }),
  ],
  uploadAbort: [7, s.record({ ref: keyRefCodec, upload: uploadIdCodec })],
  /**
   * What a lifecycle rule takes away, if it is still what the rule was held against, and no lock holds it: else
   * `precondition_failed`, `object_locked`.
   */
  expire: [
    8,
    s.record({
      ref: keyRefCodec,
      versionId: s.str(16),
      /** Revision of the version's row: nothing was said of it since. */
      seen: s.count,
      /** When the next newer version was put; 0: it is the newest one. A marker that is goes only if it is alone. */
      newer: s.count,
      /** Newer versions that are not current there must be, at least. */
      newerNoncurrent: s.count,
      /** Unix ms, by the wall time of the entry's revision: not before. */
      dueMs: s.count,
    }),
  ],
});
export type ObjectOp = s.Of<typeof objectOpCodec>;
export type ObjectOpOf<T extends ObjectOp['type']> = Extract<ObjectOp, { type: T }>;

/**
 * What an operation came to. `versionId` is null where the bucket has never had versions. All but `put`, `deleted`,
 * `amended`, `uploaded` and `aborted` are refusals: nothing was done.
 */
export const objectResultCodec = s.union({
  put: [
    1,
    s.record({
      revision: s.count,
      versionId,
      etag: etagCodec,
      size: s.count,
      /** Unix ms. */
      expiresAtMs: s.nullable(s.count),
    }),
  ],
  /** `revision` 0: nothing was there. `marker`: a delete marker was made, or removed. */
  deleted: [2, s.record({ revision: s.count, versionId, marker: s.bool })],
  amended: [3, s.record({ revision: s.count, versionId })],
  /** An upload was begun, or a part taken. */
  uploaded: [4, s.record({ revision: s.count, etag: etagCodec })],
  aborted: [5, s.record({ revision: s.count })],
  wrong_shard: [6, s.record({ epoch: s.count })],
  /** The group has no bucket of this id; `epoch` is that of the rule it has under the name, 0 for none. */
  bucket_unknown: [7, s.record({ epoch: s.count })],
  /** It is being deleted, or gone. */
  no_such_bucket: [8, s.record({})],
  /** `etag` of the current version; null: there is none. */
  precondition_failed: [9, s.record({ etag: s.nullable(etagCodec) })],
  no_such_key: [10, s.record({ marker: s.bool })],
  no_such_version: [11, s.record({})],
  /** A delete marker has nothing to amend. */
  method_not_allowed: [12, s.record({})],
  /** Held by a retention or a legal hold. */
  object_locked: [13, s.record({ retention: s.nullable(retentionCodec), legalHold: s.bool })],
  /** The bucket has no object lock, or the retention ends before it begins. */
  lock_refused: [14, s.record({ why: s.oneOf('no_object_lock', 'in_the_past') })],
  /** A version that may be kept cannot expire. */
  ttl_refused: [15, s.record({})],
  no_such_upload: [16, s.record({})],
  invalid_part: [17, s.record({ number: s.count })],
  invalid_part_order: [18, s.record({})],
  entity_too_small: [19, s.record({ number: s.count, size: s.count })],
  /** The replicas that hold the data are no quorum of these. */
  copies_missing: [20, s.record({ voters: s.list(s.str<ReplicaId>(64), 64) })],
  /** The data's id was drawn too long ago, or ahead of this time. */
  data_stale: [21, s.record({})],
  /** A version or a part has this data already: an earlier attempt of the same was done. */
  data_taken: [22, s.record({})],
  too_large: [23, s.record({})],
  malformed: [24, s.record({})],
  /** Shares of quotas have no room for it. */
  no_room: [25, s.record({ short: s.list(shortageCodec, SHORTAGES_MAX) })],
});
export type ObjectResult = s.Of<typeof objectResultCodec>;
