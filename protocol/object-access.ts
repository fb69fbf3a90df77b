import type { DataId } from './blob.ts';
import type { KeyRows } from './key-rows.ts';
import type { NotificationRule } from './notifications.ts';
import type { BucketRule, NewData, ObjectOp, ObjectResult } from './object-ops.ts';
import type { Checksum, ObjectHead, ObjectRecord, Piece } from './objects.ts';
import type { RequestContext } from './service.ts';
import type { ReplicaId, Revision } from './types.ts';
import type { KeyRef } from './vshard.ts';

/**
 * Buckets and objects as the edges see them (ADR 0034). Keys, prefixes and delimiters are latin1, as in the
 * engine; edges turn text into it. Failures are AppErrors; what S3 counts as an answer is a result. Every node
 * offers all of it.
 */
export interface ObjectService {
  readonly buckets: Buckets;
  readonly data: ObjectData;
  readonly keyRows: KeyRows;

  /**
   * One operation, done once however often the context's idempotency key is sent; linearizable. `bucket` is what
   * Buckets gave: where the group knows a newer rule, that one counts. `bucket_unknown`, `wrong_shard` and
   * `copies_missing` are dealt with here and are never the result.
   */
  apply(
    ctx: RequestContext,
    bucket: Bucket,
    op: ObjectOp,
  ): Promise<{ readonly result: ObjectResult; readonly clock: Revision }>;

  /** Linearizable. `versionId` null: the current version, at `revision` where one is given. */
  read(
    ctx: RequestContext,
    ref: KeyRef,
    options: { readonly versionId: string | null; readonly revision: Revision | null },
  ): Promise<ObjectRead>;

  /** Objects and common prefixes in order, all pages at one revision when the first one's is given again. */
  list(
    ctx: RequestContext,
    query: ObjectQuery & { readonly revision: Revision | null },
  ): Promise<Page<ListedVersion, string> & { readonly revision: Revision }>;

  /** By key, newest first, as they are when each group is read. */
  listVersions(
    ctx: RequestContext,
    query: ObjectQuery & { readonly below: Revision },
  ): Promise<Page<ListedVersion, VersionPosition>>;

  /** By key and upload id. `after`: of the key `start` only uploads above it, '' for all. */
  listUploads(
    ctx: RequestContext,
    bucket: Bucket,
    query: ObjectQuery & { readonly after: string },
  ): Promise<Page<ListedUpload, { readonly key: string; readonly after: string }>>;

  /** Parts with numbers above `after`; null: there is no such upload of this bucket. */
  listParts(
    ctx: RequestContext,
    bucket: Bucket,
    ref: KeyRef,
    upload: string,
    options: { readonly after: number; readonly limit: number },
  ): Promise<UploadParts | null>;
}

export interface Bucket {
  readonly rule: BucketRule;
  /** Unix ms. */
  readonly createdAtMs: number;
  /** Who made it, as an access identity. */
  readonly owner: string;
  /** Configurations that only edges act on, by sub-resource ('cors', 'tagging'), as the edge wrote them. */
  readonly documents: Readonly<Record<string, string>>;
}

/** Null takes a document away; what is not named stays. */
export interface BucketChange {
  readonly versioning?: 'enabled' | 'suspended';
  readonly objectLock?: true;
  readonly retention?: BucketRule['retention'];
  /** All of them; none: nobody is told of anything. */
  readonly notifications?: readonly NotificationRule[];
  readonly documents?: Readonly<Record<string, string | null>>;
}

export interface BucketQuery {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
  /** Canonical id; null: no matter. */
  readonly owner: string | null;
}

export interface Buckets {
  /** Those that are live, by name; `prefix`, `after` and `owner` narrow them (null: whoever's). */
  list(ctx: RequestContext, tenant: string, options: BucketQuery): Promise<readonly Bucket[]>;
  /** Linearizable: what was changed before is seen. Null: there is none, or it is being deleted. */
  get(ctx: RequestContext, tenant: string, name: string): Promise<Bucket | null>;
  /** `exists`: with what is there. */
  create(
    ctx: RequestContext,
    wanted: {
      readonly tenant: string;
      readonly name: string;
      readonly owner: string;
      readonly objectLock: boolean;
      readonly documents: Readonly<Record<string, string>>;
    },
  ): Promise<{ readonly type: 'created' | 'exists'; readonly bucket: Bucket }>;
  /**
   * Acknowledged when every group has the new rule. `refused`: versioning of a bucket with object lock cannot be
   * suspended, object lock needs versioning.
   */
  change(
    ctx: RequestContext,
    tenant: string,
    name: string,
    change: BucketChange,
  ): Promise<
    | { readonly type: 'changed'; readonly bucket: Bucket }
    | { readonly type: 'no_such_bucket' | 'refused' }
  >;
  /** Uploads that are under way do not keep it. */
  delete(
    ctx: RequestContext,
    tenant: string,
    name: string,
  ): Promise<'deleted' | 'not_empty' | 'no_such_bucket'>;
}

/** Bytes of objects: what is at or under objectInlineBytesMax goes with its record, more goes as chunks. */
export interface ObjectData {
  /**
   * Takes a stream and makes it durable on a quorum of the voters of the group of `ref`. Null: there were no bytes.
   * Memory is bounded, and `source` is asked for no more than disks and links take. When `source` throws, this
   * rejects with that error and nothing is left behind. One write gives what one operation may name. `id`: drawn
   * just now (protocol/blob.ts) by a caller who has to know it before the bytes; else it is drawn here.
   */
  write(
    ctx: RequestContext,
    ref: KeyRef,
    source: AsyncIterable<Uint8Array>,
    id?: DataId,
  ): Promise<NewData | null>;
  /** Has the same bytes at these voters, after `copies_missing`. */
  replicate(
    ctx: RequestContext,
    ref: KeyRef,
    data: NewData,
    voters: readonly ReplicaId[],
  ): Promise<NewData>;
  /** For what was written and will not be named: takes it away soon, and does not wait. */
  discard(data: NewData): void;
  /**
   * Stored bytes [start, end) of a piece that is chunks, checksums verified before they are given. From this node's copy,
   * else from another's, also when one fails in between. Throws `unavailable` when no copy can be read.
   */
  read(
    ctx: RequestContext,
    ref: KeyRef,
    piece: Piece,
    range: { readonly start: number; readonly end: number },
  ): AsyncIterable<Uint8Array>;
}

export interface ObjectVersion {
  readonly record: ObjectRecord;
  /** Of its row: of the put, or of the last change. */
  readonly revision: Revision;
  /** Unix ms. */
  readonly expiresAtMs: number | null;
  readonly isLatest: boolean;
  /** Stored bytes of the piece that is inline: there is one at most. */
  readonly inline: Uint8Array | null;
}

export type ObjectRead =
  /** `record.isMarker`: it was asked for by its id. */
  | { readonly type: 'found'; readonly version: ObjectVersion; readonly clock: Revision }
  /** `marker`: the version id of the delete marker that is on top, where there is one. */
  | { readonly type: 'none'; readonly marker: string | null; readonly clock: Revision };

export interface ObjectQuery {
  readonly tenant: string;
  /** The bucket's name. */
  readonly space: string;
  readonly prefix: string;
  /** Null or '': nothing is rolled up. */
  readonly delimiter: string | null;
  /** No key below this; '' is the first. */
  readonly start: string;
  /** Of entries and common prefixes together. */
  readonly limit: number;
}

export interface Page<E, Next> {
  readonly entries: readonly (E | ListedPrefix)[];
  /** Where the next page starts; null: there is none. */
  readonly next: Next | null;
}

export interface ListedPrefix {
  readonly type: 'prefix';
  /** Up to the delimiter and with it. */
  readonly prefix: string;
}

export interface ListedVersion {
  readonly type: 'version';
  readonly key: string;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
  /** Its modification time, as a revision. */
  readonly putAt: Revision;
  readonly size: number;
  readonly etag: string;
  readonly checksum: Checksum | null;
  /** Headers that are kept with it: the storage class is one. */
  readonly headers: ObjectHead['headers'];
  /** As in its head. */
  readonly owner?: ObjectHead['owner'];
}

/** A key, and there what was put before `below` (0: from its newest). */
export interface VersionPosition {
  readonly key: string;
  readonly below: Revision;
}

export interface ListedUpload {
  readonly type: 'upload';
  readonly key: string;
  readonly upload: string;
  /** The revision at which it was begun. */
  readonly at: Revision;
  readonly head: ObjectHead;
  readonly checksum: Pick<Checksum, 'algorithm' | 'kind'> | null;
}

export interface ListedPart {
  readonly number: number;
  readonly at: Revision;
  readonly etag: string;
  readonly piece: Piece;
}

export interface UploadParts {
  readonly at: Revision;
  readonly head: ObjectHead;
  readonly checksum: Pick<Checksum, 'algorithm' | 'kind'> | null;
  readonly parts: readonly ListedPart[];
  readonly more: boolean;
}
