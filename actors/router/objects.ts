import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import type { ReplyOf } from '../../protocol/messages/request.ts';
import type {
  Bucket,
  ListedUpload,
  ListedVersion,
  ObjectData,
  ObjectQuery,
  ObjectRead,
  ObjectService,
  Page,
  UploadParts,
  VersionPosition,
} from '../../protocol/object-access.ts';
import type { BucketRule, ObjectOp, ObjectResult } from '../../protocol/object-ops.ts';
import { type Random, randomHex } from '../../protocol/random.ts';
import type { RequestContext } from '../../protocol/service.ts';
import type { GroupId, ReplicaId, Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { RoutedBuckets } from './buckets.ts';
import type { Calls } from './calls.ts';
import { followingMap } from './following-map.ts';
import { RoutedKeyRows } from './key-rows.ts';
import { mergedPage, UPLOAD_ORDER, VERSION_ORDER } from './object-pages.ts';
import { readOptions } from './options.ts';
import { dataGroups, readRevision } from './scan.ts';
import type { ShardMap } from './shard-map.ts';
import type { Snapshots } from './snapshots.ts';

export interface ObjectHost {
  readonly clock: Clock;
  readonly random: Random;
  map(): ShardMap;
  refreshMap(epoch: number, deadlineMs: number): Promise<void>;
}

type Applied = ReplyOf<'ObjectDone'>;

/** Attempts of one operation that each met something which had to be done first. */
const ATTEMPTS_MAX = 6;
const NO_HASH = new Uint8Array(32);

/** Objects over calls to groups: an operation goes to the leader of its key's group, a listing to all. */
export class RoutedObjects implements ObjectService {
  readonly buckets: RoutedBuckets;
  readonly data: ObjectData;
  readonly keyRows: RoutedKeyRows;
  readonly #calls: Calls;
  readonly #host: ObjectHost;
  readonly #snapshots: Snapshots;

  constructor(calls: Calls, host: ObjectHost, snapshots: Snapshots, data: ObjectData) {
    this.#calls = calls;
    this.#host = host;
    this.#snapshots = snapshots;
    this.data = data;
    this.keyRows = new RoutedKeyRows(calls);
    this.buckets = new RoutedBuckets(calls, host);
  }

  async apply(
    ctx: RequestContext,
    bucket: Bucket,
    wanted: ObjectOp,
  ): Promise<{ readonly result: ObjectResult; readonly clock: Revision }> {
    const endMs = this.#nowMs() + ctx.deadlineMs;
    const leftOf = (): RequestContext => ({ ...ctx, deadlineMs: endMs - this.#nowMs() });
    // Of its own, so that it may be asked again when nobody answers.
    const drawn = { key: `o.${randomHex(this.#host.random, 16)}`, requestHash: NO_HASH };
    const { key, requestHash } = ctx.idempotency ?? drawn;
    let { rule } = bucket;
    let op = wanted;
    let refusals = 0;
    let hasAnswer = false;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      try {
        const asked = refusals === 0 ? key : `${key}~${refusals}`;
        const idempotency = { key: asked, requestHash };
        const { result, clock } = await this.#write(leftOf(), rule.id, op, idempotency);
        hasAnswer = true;
        if (result.type === 'copies_missing') {
          op = await this.#withCopies(leftOf(), op, result.voters);
          continue;
        }
        if (result.type !== 'bucket_unknown' && result.type !== 'no_such_bucket') {
          return { result, clock };
        }
        // This one is remembered: what is asked when there is a bucket again is another request.
        if (result.type === 'no_such_bucket') refusals++;
        const isBehind = result.type === 'bucket_unknown' && result.epoch < rule.epoch;
        const now = isBehind ? rule : await this.#ruleNow(leftOf(), op.ref, rule.id);
        if (now === null) return { result: NO_BUCKET, clock };
        rule = now;
        await this.buckets.tell(this.#groupOf(op.ref), rule, endMs - this.#nowMs());
      } catch (error) {
        // The group does not remember what it was not ready for: a copy that is still on its way may find it ready.
        if (!hasAnswer || !(error instanceof AppError) || !error.definite) throw error;
        throw unknownOutcome(error);
      }
    }
    throw unknownOutcome(null);
  }

  /** The rule of the same bucket as it is now; null: there is none, or another one of its name. */
  async #ruleNow(ctx: RequestContext, ref: KeyRef, id: number): Promise<BucketRule | null> {
    const now = await this.buckets.settled(ctx, ref.tenant, ref.space);
    return now?.rule.id === id ? now.rule : null;
  }

  async #withCopies(
    ctx: RequestContext,
    op: ObjectOp,
    voters: readonly ReplicaId[],
  ): Promise<ObjectOp> {
    if (!('data' in op) || op.data === null) {
      throw new AppError('internal', 'copies of no data are missing');
    }
    return { ...op, data: await this.data.replicate(ctx, op.ref, op.data, voters) };
  }

  #write(
    ctx: RequestContext,
    bucket: number,
    op: ObjectOp,
    idempotency: RequestContext['idempotency'],
  ): Promise<Applied> {
    const vshard = vshardOf(op.ref);
    return followingMap(this.#host, ctx.deadlineMs, async (map, deadlineMs) => {
      const { epoch } = map;
      const by = ctx.by ?? null;
      const body = { type: 'ObjectWrite', epoch, bucket, op, idempotency, by } as const;
      const group = map.groups[vshard] as GroupId;
      const options = { ...readOptions(ctx, 'leader'), deadlineMs };
      const reply = await this.#calls.call(group, body, 'ObjectDone', options);
      if (reply.result.type !== 'wrong_shard') return reply;
      const details = { epoch: reply.result.epoch };
      throw new AppError('wrong_shard', 'the key has moved', { details });
    });
  }

  async read(
    ctx: RequestContext,
    ref: KeyRef,
    {
      versionId,
      revision,
    }: { readonly versionId: string | null; readonly revision: Revision | null },
  ): Promise<ObjectRead> {
    const { epoch } = this.#host.map();
    const body = { type: 'ObjectRead', epoch, ref, versionId, revision } as const;
    const group = this.#groupOf(ref);
    const reply = await this.#calls.call(group, body, 'ObjectFound', readOptions(ctx, 'leader'));
    const { version, marker, clock } = reply;
    return version === null ? { type: 'none', marker, clock } : { type: 'found', version, clock };
  }

  list(
    ctx: RequestContext,
    query: ObjectQuery & { readonly revision: Revision | null },
  ): Promise<Page<ListedVersion, string> & { readonly revision: Revision }> {
    return this.#at(ctx, query.revision, async (own, map, revision) => {
      const asked = { ...queryOf(query), revision };
      const page = await mergedPage<ListedVersion, VersionPosition>(
        dataGroups(map),
        query.limit,
        VERSION_ORDER,
        (group, limit, from) => {
          const start = from?.key ?? query.start;
          const body = { type: 'ObjectList', ...asked, start, limit } as const;
          return this.#calls.call(group, body, 'ObjectPage', readOptions(own, 'leader'));
        },
      );
      return { entries: page.entries, next: page.next?.key ?? null, revision };
    });
  }

  listVersions(
    ctx: RequestContext,
    query: ObjectQuery & { readonly below: Revision },
  ): Promise<Page<ListedVersion, VersionPosition>> {
    return this.#at(ctx, null, (own, map, revision) => {
      const asked = { ...queryOf(query), revision };
      const first = { key: query.start, below: query.below };
      return mergedPage<ListedVersion, VersionPosition>(
        dataGroups(map),
        query.limit,
        VERSION_ORDER,
        (group, limit, from) => {
          const { key: start, below } = from ?? first;
          const body = { type: 'VersionList', ...asked, start, below, limit } as const;
          return this.#calls.call(group, body, 'ObjectPage', readOptions(own, 'leader'));
        },
      );
    });
  }

  listUploads(
    ctx: RequestContext,
    bucket: Bucket,
    query: ObjectQuery & { readonly after: string },
  ): Promise<Page<ListedUpload, { readonly key: string; readonly after: string }>> {
    const asked = { ...queryOf(query), bucket: bucket.rule.id };
    const first = { key: query.start, after: query.after };
    const groups = dataGroups(this.#host.map());
    return mergedPage<ListedUpload, { key: string; after: string }>(
      groups,
      query.limit,
      UPLOAD_ORDER,
      (group, limit, from) => {
        const { key: start, after } = from ?? first;
        const body = { type: 'UploadList', ...asked, start, after, limit } as const;
        return this.#calls.call(group, body, 'UploadPage', readOptions(ctx, 'leader'));
      },
    );
  }

  async listParts(
    ctx: RequestContext,
    bucket: Bucket,
    ref: KeyRef,
    upload: string,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Promise<UploadParts | null> {
    const { epoch } = this.#host.map();
    const asked = { epoch, bucket: bucket.rule.id, ref, upload, after, limit };
    const reply = await this.#calls.call(
      this.#groupOf(ref),
      { type: 'PartList', ...asked },
      'PartPage',
      readOptions(ctx, 'leader'),
    );
    if (reply.upload === null) return null;
    return { ...reply.upload, parts: reply.parts, more: reply.more };
  }

  /** `look` at the revision that is asked for, or at a snapshot of the latest state, as a scan does. */
  async #at<T>(
    ctx: RequestContext,
    revision: Revision | null,
    look: (ctx: RequestContext, map: ShardMap, revision: Revision) => Promise<T>,
  ): Promise<T> {
    if (revision === null) return this.#snapshots.read(ctx, look);
    const map = this.#host.map();
    const at = { revision, consistency: 'linearizable' } as const;
    return look(ctx, map, await readRevision(this.#calls, map, ctx, at));
  }

  #groupOf(ref: KeyRef): GroupId {
    return this.#host.map().groups[vshardOf(ref)] as GroupId;
  }

  #nowMs(): number {
    return this.#host.clock.monotonicMs();
  }
}

function unknownOutcome(cause: AppError | null): AppError {
  const message = 'the bucket, or who has the data, changed while it was done';
  return new AppError('outcome_unknown', message, cause === null ? {} : { cause });
}

const NO_BUCKET: ObjectResult = Object.freeze({ type: 'no_such_bucket' });

function queryOf({ tenant, space, prefix, delimiter }: ObjectQuery) {
  return { tenant, space, prefix, delimiter };
}
