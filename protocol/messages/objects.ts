import { dataIdCodec } from '../blob.ts';
import { idempotencyCodec } from '../commands.ts';
import { keyRefCodec, NAME_BYTES_MAX } from '../keys.ts';
import { LIMITS } from '../limits.ts';
import { requesterCodec } from '../notifications.ts';
import { bucketRuleCodec, objectOpCodec, objectResultCodec, uploadIdCodec } from '../object-ops.ts';
import {
  checksumAlgorithmCodec,
  checksumCodec,
  checksumKindCodec,
  etagCodec,
  headersCodec,
  OWNER_ID_CHARS,
  objectHeadCodec,
  objectRecordCodec,
  pieceCodec,
} from '../objects.ts';
import { quotaOrderCodec, quotaScopeCodec, quotaShareCodec } from '../quotas.ts';
import * as s from '../schema.ts';
import { spaceUsageCodec, USAGE_PAGE_MAX, usageCodec } from '../usage.ts';

/** What nodes ask groups about objects and buckets (ADR 0034). Shapes are those of protocol/object-access.ts. */

const keyCodec = s.latin1Str(LIMITS.keyBytesMax);
/** Just behind a key, too. */
const startCodec = s.latin1Str(LIMITS.keyBytesMax + 1);
const versionIdCodec = s.str(16);

/** Data that is asked for at once. */
export const DATA_LOOK_MAX = 256;

/** Part of a page of a bucket. */
const queryFields = {
  tenant: s.str(NAME_BYTES_MAX),
  space: s.str(63),
  prefix: keyCodec,
  delimiter: s.nullable(keyCodec),
  start: startCodec,
  limit: s.count,
};

export const objectVersionCodec = s.record({
  record: objectRecordCodec,
  revision: s.count,
  expiresAtMs: s.nullable(s.count),
  isLatest: s.bool,
  inline: s.nullable(s.bin(LIMITS.objectInlineBytesMax + 1024)),
});

const listedVersionCodec = s.record({
  key: keyCodec,
  versionId: versionIdCodec,
  isLatest: s.bool,
  isMarker: s.bool,
  putAt: s.count,
  size: s.count,
  etag: etagCodec,
  checksum: s.nullable(checksumCodec),
  headers: headersCodec,
  owner: s.later(s.str(OWNER_ID_CHARS)),
});

const listedPrefixCodec = s.record({ prefix: keyCodec });

const uploadChecksumCodec = s.nullable(
  s.record({ algorithm: checksumAlgorithmCodec, kind: checksumKindCodec }),
);

const listedUploadCodec = s.record({
  key: keyCodec,
  upload: uploadIdCodec,
  at: s.count,
  head: objectHeadCodec,
  checksum: uploadChecksumCodec,
});

const listedPartCodec = s.record({
  number: s.count,
  at: s.count,
  etag: etagCodec,
  piece: pieceCodec,
});

export const objectRequests = {
  /** One operation, in the bucket of this id; one log entry. */
  ObjectWrite: [
    60,
    s.record({
      epoch: s.count,
      bucket: s.count,
      op: objectOpCodec,
      idempotency: s.nullable(idempotencyCodec),
      by: s.later(requesterCodec),
    }),
  ],
  /** `versionId` null: the current version, at `revision` unless that is null. */
  ObjectRead: [
    61,
    s.record({
      epoch: s.count,
      ref: keyRefCodec,
      versionId: s.nullable(s.str(64)),
      revision: s.nullable(s.count),
    }),
  ],
  /** Closes `revision`, then reads this group's part of a page of objects at it. */
  ObjectList: [62, s.record({ ...queryFields, revision: s.count })],
  /** Closes `revision`, which says what has expired, then reads a part of a page of versions. */
  VersionList: [63, s.record({ ...queryFields, below: s.count, revision: s.count })],
  UploadList: [64, s.record({ ...queryFields, bucket: s.count, after: s.str(64) })],
  PartList: [
    65,
    s.record({
      epoch: s.count,
      bucket: s.count,
      ref: keyRefCodec,
      upload: s.str(64),
      after: s.count,
      limit: s.count,
    }),
  ],
  /** Enters a rule in the group's log, unless it has one as new. Answered when it is applied. */
  BucketSet: [66, s.record({ rule: bucketRuleCodec })],
  /** Whether the group has any version of a bucket. */
  BucketLook: [67, s.record({ tenant: s.str(NAME_BYTES_MAX), name: s.str(63) })],
  /** Meta group: which of these rows are not as of these revisions (0: there is none). */
  MetaCheck: [
    68,
    s.record({ rows: s.list(s.record({ name: s.str(256), revision: s.count }), 256) }),
  ],
  /** Meta group: rows with this prefix and names above `after`, by name. */
  MetaList: [69, s.record({ prefix: s.str(256), after: s.str(256), limit: s.count })],
  /** Which of this data the group has a row of: for a node that has chunks, and no replica of the group. Any replica. */
  DataLook: [70, s.record({ ids: s.list(dataIdCodec, DATA_LOOK_MAX) })],
  /** What the group holds: in all, and of each space behind `after`, up to `limit` of them. */
  UsageLook: [
    71,
    s.record({
      after: s.nullable(s.record({ tenant: s.str(NAME_BYTES_MAX), space: s.str(NAME_BYTES_MAX) })),
      limit: s.count,
    }),
  ],
  /** The group's share of a quota. Linearizable. */
  QuotaLook: [72, s.record({ scope: quotaScopeCodec })],
  /** Enters an order to the group's share in its log, and answers with what the share is then. May be repeated. */
  QuotaOrder: [73, s.record({ scope: quotaScopeCodec, round: s.count, order: quotaOrderCodec })],
} as const;

const metaRowCodec = s.record({ name: s.str(256), json: s.str(512 * 1024), revision: s.count });

export const objectReplies = {
  ObjectDone: [60, s.record({ result: objectResultCodec, clock: s.count, repeated: s.bool })],
  /** `version` null: there is none; `marker`: the version id of the delete marker that says so. */
  ObjectFound: [
    61,
    s.record({
      version: s.nullable(objectVersionCodec),
      marker: s.nullable(versionIdCodec),
      clock: s.count,
    }),
  ],
  /** `next`: where what was left out begins; null: there is nothing more. `below`, `after`: there, as asked for. */
  ObjectPage: [
    63,
    s.record({
      entries: s.list(
        s.union({ version: [1, listedVersionCodec], prefix: [2, listedPrefixCodec] }),
        LIMITS.pageItemsMax,
      ),
      next: s.nullable(s.record({ key: startCodec, below: s.count })),
      clock: s.count,
    }),
  ],
  UploadPage: [
    64,
    s.record({
      entries: s.list(
        s.union({ upload: [1, listedUploadCodec], prefix: [2, listedPrefixCodec] }),
        LIMITS.pageItemsMax,
      ),
      next: s.nullable(s.record({ key: startCodec, after: s.str(64) })),
      clock: s.count,
    }),
  ],
  /** `upload` null: there is none. */
  PartPage: [
    65,
    s.record({
      upload: s.nullable(
        s.record({ at: s.count, head: objectHeadCodec, checksum: uploadChecksumCodec }),
      ),
      parts: s.list(listedPartCodec, LIMITS.pageItemsMax),
      more: s.bool,
      clock: s.count,
    }),
  ],
  /** Of the rule that the group has of the bucket, 0 for none. */
  BucketState: [66, s.record({ epoch: s.count, isEmpty: s.bool, clock: s.count })],
  /**
   * Rows that have changed, as far as they fit; `unknown` were left out. What is in neither is as it was. A row that
   * is not there has the revision 0.
   */
  MetaChecked: [
    67,
    s.record({
      changed: s.list(metaRowCodec, 256),
      unknown: s.list(s.str(256), 256),
      clock: s.count,
    }),
  ],
  /** `more`: there are further rows. */
  MetaListed: [68, s.record({ rows: s.list(metaRowCodec, 1024), more: s.bool, clock: s.count })],
  /** All of one view of the group's state, as of the closed revision and the shard map's epoch of that view. */
  DataSeen: [
    69,
    s.record({
      named: s.list(dataIdCodec, DATA_LOOK_MAX),
      closed: s.count,
      epoch: s.count,
      clock: s.count,
    }),
  ],
  /** `more`: there are further spaces. */
  UsageFound: [
    70,
    s.record({
      whole: usageCodec,
      items: s.list(spaceUsageCodec, USAGE_PAGE_MAX),
      more: s.bool,
      clock: s.count,
    }),
  ],
  /** Null: the group has none. */
  QuotaFound: [71, s.record({ share: s.nullable(quotaShareCodec), clock: s.count })],
} as const;
