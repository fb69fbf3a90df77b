import { assert } from './assert.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every bound, with its unit in its name. Served at /v1/limits. Relations are asserted below. */
export const LIMITS = Object.freeze({
  /** Longest key; long enough for a path, short enough for a NATS control line. */
  keyBytesMax: 4096,
  /** Longest value of a key: an entry must fit one NATS payload with its envelope. */
  valueBytesMax: 768 * KIB,
  contentTypeBytesMax: 256,
  /** An Idempotency-Key: printable ASCII. */
  idempotencyKeyBytesMax: 128,
  /** How long an idempotency row is kept. */
  idempotencyWindowMs: 60 * 60 * 1000,
  /** Quotas of what is stored: every group has a share of each in memory. */
  quotasMax: 1_000,
  /** Limits of rates that somebody has: every node has all of them in memory. */
  rateLimitsMax: 10_000,
  /** API keys that are not deleted: every node has all of them in memory. */
  apiKeysMax: 10_000,
  /** Tenants beside the cluster's own: likewise. */
  tenantsMax: 1_000,
  /** Users of S3 that are not deleted, and likewise their access keys: every node has all of them in memory. */
  s3UsersMax: 10_000,
  s3AccessKeysMax: 10_000,
  /** Roles of one's own: every node has all of them in memory. Of one: rules, actions or resources of a rule, and bytes. */
  rolesMax: 1_000,
  roleRulesMax: 64,
  roleResourcesMax: 64,
  roleBytesMax: 16 * KIB,
  /** How far ahead a key may expire: ten years. */
  ttlSecondsMax: 10 * 365 * 24 * 3600,
  /** Operations in one POST /v1/batch. */
  batchOpsMax: 10_000,
  batchBytesMax: 16 * MIB,
  /** What its gets and ranges may bring, as it is sent; what is read beyond it is `too_large`. */
  batchAnswerBytesMax: 16 * MIB,
  /** Compares and operations of one transaction, each list and both branches together. */
  txnOpsMax: 1024,
  /** What unique indexes add to one branch of it: claims, and looks at keys that had the entries. */
  txnClaimsMax: 1024,
  /** Entries that one put may claim in unique indexes, and their bytes over a whole transaction. */
  uniqueClaimsPerKeyMax: 64,
  uniqueClaimBytesMax: 32 * KIB,
  /** Keys and values of one transaction. */
  txnBytesMax: 512 * KIB,
  /** What the reads of one transaction may give back. */
  txnResultBytesMax: 256 * KIB,
  /** Transactions over several groups that one group has prepared at once. */
  txnPreparedMax: 1024,
  /** Keys and ranges that those have locked in one group: what comes then is a conflict. */
  txnLockedKeysMax: 65_536,
  txnLockedRangesMax: 1024,
  /**
   * Ends of transactions that a participant is told of, and does, at once; and keys that those may write which
   * share one entry: what they replace becomes old versions in one batch.
   */
  txnEndsMax: 256,
  txnEndWritesMax: 24,
  /** How long a group remembers how a transaction ended; older ones are not prepared any more. */
  txnMemoryMs: 180_000,
  /** Keys that the range deletes of one transaction remove in one group, and the bytes of their names. */
  rangeDeleteKeysMax: 10_000,
  rangeDeleteBytesMax: 448 * KIB,
  /** Bytes of values that one transaction replaces or removes in one group: all become old versions at once. */
  txnReplacedBytesMax: 32 * MIB,
  /**
   * Parts of the objects whose data one transaction takes away in one group: each has rows of its own, and all change in
   * one batch.
   */
  txnObjectPartsMax: 20_000,
  /** Items of one page, also where more are asked for, and the default; a page tells a lower limit. */
  pageItemsMax: 1000,
  pageItemsDefault: 100,
  /** Bytes of values gathered for one page. */
  pageBytesMax: 512 * KIB,
  /** Bytes of one log entry's payload. */
  entryBytesMax: 832 * KIB,
  /** Entry bytes of one AppendEntries. */
  appendBytesMax: 896 * KIB,
  appendEntriesMax: 4096,
  /** AppendEntries a leader has in flight to one follower. */
  appendInflightMax: 32,
  appendInflightBytesMax: 8 * MIB,
  snapshotChunkBytes: 768 * KIB,
  /** One chunk of an object's data, but for the last one. */
  blobChunkBytes: 8 * MIB,
  /** One chunk of an object's data, at most; its file's header has a checksum for each block of it. */
  blobChunkBytesMax: 16 * MIB,
  /** Data of one message of a chunk's transfer. */
  blobPieceBytes: 512 * KIB,
  /** What one transfer may have on its way. */
  blobWindowBytes: 2 * MIB,
  /** What a node has on its way to another, of all transfers. */
  blobSendingBytesMax: 12 * MIB,
  /** Received pieces of all transfers that a node has not written yet; what comes beyond is dropped, and sent again. */
  blobReceivingBytesMax: 64 * MIB,
  /** Every chunk is read and verified once in this time. */
  scrubPeriodMsDefault: 14 * 24 * 3600 * 1000,
  /** Chunks that a node receives at once, and that it sends at once. */
  blobTransfersMax: 512,
  /** Bytes of one message on the bus; nats-server's default max_payload is 1 MiB. */
  busPayloadBytesMax: 1 * MIB,
  /** Room for the envelope's header and HMAC beside its messages. */
  envelopeOverheadBytesMax: 4 * KIB,
  inboxCommandsMax: 16_384,
  inboxBytesMax: 64 * MIB,
  /** Requests a node waits for at once, over all clients. */
  pendingRequestsMax: 32_768,
  requestDeadlineMsDefault: 5_000,
  requestDeadlineMsMax: 60_000,
  heartbeatMs: 80,
  electionTimeoutMsMin: 400,
  electionTimeoutMsMax: 800,
  tickMs: 20,
  leaseTtlSecondsMax: 24 * 3600,
  /** Leases of one group; one more is refused until some have ended. */
  leasesPerGroupMax: 16_384,
  /** Leases that one entry ends or one request sweeps. */
  leaseStepMax: 256,
  /** How long a promise about a lease can be used to attach keys to it. */
  leasePromiseMs: 2_000,
  /** A lock's name; it must fit a key with its prefix. */
  lockNameBytesMax: 1024,
  /** A peer clock further off than this is not trusted (see ARCHITECTURE section 2). */
  clockOffsetMsMax: 5_000,
  /** How far ahead a leader reserves revisions. */
  reserveAheadMs: 500,
  /** Old versions and the change feed stay readable this long by default. */
  retentionMsDefault: 60 * 60 * 1000,
  watchersPerNodeMax: 10_000,
  /** Events buffered for one watcher before it is told `lagged`. */
  watcherBufferEventsMax: 10_000,
  watcherBufferBytesMax: 4 * MIB,
  feedPageEventsMax: 1000,
  headerBytesMax: 16 * KIB,
  headerCountMax: 200,
  /** A URL with its query; the longest key fits with every byte percent-encoded. */
  urlBytesMax: 16 * KIB,
  jsonDepthMax: 64,
  groupsMax: 64,
  /** WAL: bytes of one segment file, and of WAL since the last checkpoint before a new one. */
  walSegmentBytes: 16 * MIB,
  walCheckpointBytes: 64 * MIB,
  /** Log kept in memory and in the WAL for slow followers after a checkpoint, per group. */
  logRetainBytes: 448 * KIB,
  /** Room that is kept on the disk: below it new writes are refused, below half of it also followers' entries. */
  diskReserveBytes: 64 * MIB,
  /** Bytes of applied state held in memory before writes wait for the engine. */
  memtableBytesMax: 32 * MIB,
  /** Log of a group that waits for that; beyond it writes are refused, and followers take no entries. */
  unappliedBytesMax: 16 * MIB,
  /** Secondary indexes: how many there are, and fields of one. */
  indexesMax: 32,
  indexFieldsMax: 6,
  /** Bytes by which an index tells strings apart; conditions on it are not longer. */
  indexValueBytesMax: 256,
  /** Bytes of an entry's fields: each byte of a string may be escaped. */
  indexEntryBytesMax: 4096,
  /**
   * Entries of one key in one index, and elements of a value's arrays that one of its fields looks at: what
   * comes behind them is not in the index.
   */
  indexEntriesPerKeyMax: 1000,
  /** Bytes of those entries together. */
  indexEntriesBytesMax: 256 * KIB,
  /** Bytes of values that one page of a query computes the entries of; the page ends behind them. */
  indexPageParsedBytesMax: 8 * MIB,
  /** Keys of one step of a backfill, and bytes of their values, about. */
  indexStepKeys: 128,
  indexStepBytes: 64 * KIB,
  /** Text indexes: values up to this are in them, larger ones are not found. */
  indexTextBytesMax: 64 * KIB,
  /** Shortest text to search for. */
  searchBytesMin: 3,
  searchBytesMax: 1024,
  /** Rows that one page of a query looks at. */
  indexRowsPerPageMax: 10_000,
  /** Data of an object, or of a part, up to this is kept beside its record; more is chunks. */
  objectInlineBytesMax: 64 * KIB,
  /** Parts of one multipart upload, and the least bytes of each but the last. */
  objectPartsMax: 10_000,
  objectPartBytesMin: 5 * MIB,
  /** Data is named by a record within this time of when its id was drawn, or not at all. */
  objectDataAgeMsMax: 24 * 3600 * 1000,
  /** Tags of one object. */
  objectTagsMax: 50,
  /** Pairs of user metadata of one object, and other headers kept with it. */
  objectHeadersMax: 256,
  /** Uploads of a bucket that is gone that one entry takes away. */
  objectSweepMax: 64,
  /** An ACL, as text. */
  objectAclBytesMax: 16 * KIB,
  /** Lines of access logs that a node holds until they are delivered, how long, and when an object is full. */
  accessLogBytesMax: 16 * MIB,
  accessLogObjectBytes: 1 * MIB,
  accessLogDelayMs: 60_000,
  /** Rules of notifications of one bucket, and what names a target. */
  notificationRulesMax: 100,
  notificationTargetBytesMax: 256,
  /**
   * Notifications that wait in one group: for one target, and for all together, in bytes of rows. What finds no room is
   * dropped, and counted; so is what has waited for notificationAgeMsMax.
   */
  notificationsWaitingMax: 100_000,
  notificationTargetWaitingBytesMax: 32 * MIB,
  notificationWaitingBytesMax: 256 * MIB,
  notificationAgeMsMax: 24 * 3600 * 1000,
  /** Notifications that are read, sent and taken away together. */
  notificationStep: 64,
  /** Targets of notifications that a status names. */
  notificationTargetsShown: 100,
  /** Until a target has answered. */
  notificationTimeoutMs: 10_000,
});

export type Limits = typeof LIMITS;

assert(
  LIMITS.keyBytesMax * 2 + LIMITS.valueBytesMax + 8 * KIB <= LIMITS.entryBytesMax,
  'a put fits an entry',
);
assert(
  LIMITS.txnBytesMax + LIMITS.uniqueClaimBytesMax + LIMITS.txnOpsMax * 160 + 8 * KIB <=
    LIMITS.entryBytesMax,
  'a transaction fits an entry',
);
assert(
  LIMITS.keyBytesMax * 2 + LIMITS.valueBytesMax + LIMITS.uniqueClaimBytesMax + 8 * KIB <=
    LIMITS.entryBytesMax,
  'a put with its claims fits an entry',
);
assert(
  LIMITS.rangeDeleteBytesMax + LIMITS.txnResultBytesMax + 8 * KIB <= LIMITS.entryBytesMax,
  'a decision fits an entry',
);
assert(
  LIMITS.txnOpsMax <= LIMITS.txnLockedRangesMax && LIMITS.txnOpsMax * 2 <= LIMITS.txnLockedKeysMax,
  'the locks of one transaction have room',
);
assert(
  LIMITS.objectPartsMax * 72 + 32 * KIB <= LIMITS.valueBytesMax,
  'the record of an object of many parts fits a value',
);
assert(
  LIMITS.objectPartsMax * 76 + LIMITS.keyBytesMax + 8 * KIB <= LIMITS.entryBytesMax,
  'the list of parts that completes an upload fits an entry',
);
assert(
  LIMITS.objectPartsMax <= LIMITS.txnObjectPartsMax,
  'a transaction can delete an object of any size',
);
assert(LIMITS.requestDeadlineMsMax * 2 < LIMITS.txnMemoryMs, 'no attempt outlives its memory');
assert(LIMITS.entryBytesMax + 4 * KIB <= LIMITS.appendBytesMax, 'an entry fits an append');
assert(
  LIMITS.appendBytesMax + LIMITS.envelopeOverheadBytesMax * 4 <= LIMITS.busPayloadBytesMax,
  'an append fits the bus',
);
assert(
  LIMITS.snapshotChunkBytes + LIMITS.envelopeOverheadBytesMax * 16 <= LIMITS.busPayloadBytesMax,
  'a snapshot chunk fits the bus',
);
assert(
  LIMITS.blobPieceBytes + LIMITS.envelopeOverheadBytesMax * 16 <= LIMITS.busPayloadBytesMax,
  'a piece of a chunk fits the bus',
);
assert(
  LIMITS.blobChunkBytes <= LIMITS.blobChunkBytesMax &&
    LIMITS.blobChunkBytes % LIMITS.blobPieceBytes === 0 &&
    LIMITS.blobPieceBytes > LIMITS.objectInlineBytesMax,
  'a chunk is made of whole pieces, and a piece is more than goes inline',
);
assert(LIMITS.blobPieceBytes * 2 <= LIMITS.blobWindowBytes, 'two pieces fit a window');
assert(
  LIMITS.blobWindowBytes <= LIMITS.blobReceivingBytesMax,
  'a window fits what may be received at once',
);
// A page ends before the item that would pass pageBytesMax, except that its first item always fits.
assert(
  Math.max(LIMITS.pageBytesMax, LIMITS.entryBytesMax) + 64 * KIB <= LIMITS.busPayloadBytesMax,
  'a page fits the bus',
);
assert(
  LIMITS.heartbeatMs * 3 < LIMITS.electionTimeoutMsMin,
  'three heartbeats fit an election timeout',
);
assert(LIMITS.electionTimeoutMsMin * 2 <= LIMITS.electionTimeoutMsMax, 'election timeouts spread');
assert(LIMITS.tickMs * 2 <= LIMITS.heartbeatMs, 'ticks are finer than heartbeats');
assert(LIMITS.reserveAheadMs < LIMITS.clockOffsetMsMax, 'a reservation is no clock error');
assert(LIMITS.appendBytesMax < LIMITS.appendInflightBytesMax, 'one append fits the window');
assert(LIMITS.walSegmentBytes * 2 <= LIMITS.walCheckpointBytes, 'a checkpoint spans segments');
assert(
  LIMITS.walSegmentBytes + LIMITS.memtableBytesMax / 2 <= LIMITS.diskReserveBytes / 2,
  'what is kept free takes one more segment and what the engine has not got yet',
);
assert(LIMITS.batchBytesMax <= LIMITS.unappliedBytesMax, 'a batch fits what may wait');
assert(
  LIMITS.txnReplacedBytesMax <= LIMITS.memtableBytesMax,
  'what a transaction replaces is no more than a batch of entries may',
);
assert(
  LIMITS.txnEndWritesMax * (LIMITS.valueBytesMax + LIMITS.txnBytesMax) <=
    LIMITS.txnReplacedBytesMax,
  'what transactions that end together write and replace is no more than one alone may',
);
assert(
  LIMITS.indexFieldsMax * (LIMITS.indexValueBytesMax * 2 + 3) <= LIMITS.indexEntryBytesMax,
  'an entry fits its bound',
);
assert(
  LIMITS.indexStepKeys * (LIMITS.keyBytesMax + 8) + KIB <= LIMITS.entryBytesMax,
  'the keys of a backfill step fit an entry',
);
assert(
  (LIMITS.groupsMax + 1) * LIMITS.logRetainBytes <= LIMITS.walCheckpointBytes / 2,
  'a checkpoint rewrites less than half of what it drops',
);
