import { AnswerBudget } from '../../protocol/answer-budget.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Condition, OpResult, PutOp, WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import type { Leases } from '../../protocol/lease.ts';
import type { GroupConfig } from '../../protocol/membership.ts';
import type { RequestBody } from '../../protocol/messages/request.ts';
import type { Random } from '../../protocol/random.ts';
import type {
  BatchOp,
  BatchResult,
  KvService,
  NodeStatus,
  ReadAnswer,
  ReadOptions,
  RequestContext,
  ScanOptions,
  ScanPage,
  TxnAnswer,
  Watch,
  WatchOptions,
  WriteResult,
} from '../../protocol/service.ts';
import { changesObjects, type TxnBody } from '../../protocol/txn.ts';
import type { GroupId, NodeId, Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT, type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { runBatch } from './batch.ts';
import { RoutedBuckets } from './buckets.ts';
import type { Calls } from './calls.ts';
import { RoutedIdentities } from './identities.ts';
import { type IndexHost, RoutedIndexes } from './indexes.ts';
import { attachesAny, LeasePromises, withPromise } from './lease-promises.ts';
import { RoutedLeases } from './leases.ts';
import { readOptions, writeOptions } from './options.ts';
import { scanPage } from './scan.ts';
import type { ShardMap } from './shard-map.ts';
import { Snapshots } from './snapshots.ts';
import { transact } from './transact.ts';
import { transactObjects } from './transact-objects.ts';

/** What the service needs of its node beside the calls. */
export interface ServiceHost extends IndexHost {
  readonly clock: Clock;
  readonly random: Random;
  /** Reads the shard map again from the meta group; resolves when it is at least `epoch`. */
  refreshMap(epoch: number, deadlineMs: number): Promise<void>;
  status(): NodeStatus;
  members(group: GroupId): GroupConfig | null;
  watch(ctx: RequestContext, options: WatchOptions): Promise<Watch>;
  /** A linearizable read that needs neither a message nor a turn; null where it does. */
  readNow(
    group: GroupId,
    ref: KeyRef,
    traceparent: string | null,
    mayBlock: boolean,
  ): ReadAnswer | null;
  /**
   * Brings the key's row into memory where readNow waits for nothing else; null where there is nothing to
   * bring. False: the disk did not answer within the time.
   */
  warm(group: GroupId, ref: KeyRef, deadlineMs: number): Promise<boolean> | null;
}

const MAP_RETRIES_MAX = 5;

/** KvService over calls to groups: routes by the shard map and follows it when it changes. */
export class RoutedKvService implements KvService {
  readonly indexes: RoutedIndexes;
  readonly leases: Leases;
  readonly identities: RoutedIdentities;
  readonly #calls: Calls;
  readonly #host: ServiceHost;
  readonly #promises: LeasePromises;
  readonly #buckets: RoutedBuckets;
  readonly snapshots: Snapshots;

  /** `life` names this life of this node. */
  constructor(calls: Calls, host: ServiceHost, life: string) {
    this.#calls = calls;
    this.#host = host;
    this.#promises = new LeasePromises(calls, host);
    this.#buckets = new RoutedBuckets(calls, host);
    this.leases = new RoutedLeases(
      { calls, source: host, promises: this.#promises, random: host.random },
      DEFAULT_TENANT,
    );
    this.snapshots = new Snapshots(calls, host.clock, () => host.map(), life);
    this.indexes = new RoutedIndexes(calls, host, this.snapshots);
    this.identities = new RoutedIdentities(calls, host.clock);
  }

  put(ctx: RequestContext, op: PutOp): Promise<WriteResult> {
    const { attach } = op;
    if (attach === null || attach === undefined) return this.#write(ctx, op);
    return this.#writeAttached(ctx, op);
  }

  async #writeAttached(ctx: RequestContext, op: PutOp): Promise<WriteResult> {
    const { written } = await this.#promises.write(ctx, [op], async (promises, deadlineMs) => {
      const written = await this.#write({ ...ctx, deadlineMs }, withPromise(op, promises));
      return { results: [written.result], written };
    });
    return written;
  }

  delete(ctx: RequestContext, ref: KeyRef, condition: Condition | null): Promise<WriteResult> {
    return this.#write(ctx, { type: 'delete', ref, condition });
  }

  /** The first try, without the frame of an async function: the map hardly ever changes. */
  #write(ctx: RequestContext, op: WriteOp): Promise<WriteResult> {
    const endMs = this.#host.clock.monotonicMs() + ctx.deadlineMs;
    const map = this.#host.map();
    const group = map.groups[vshardOf(op.ref)] as GroupId;
    const body = writeBody(map, op, ctx);
    const called = this.#calls.call(group, body, 'Written', writeOptions(ctx, ctx.deadlineMs));
    return called.then((reply) => {
      const result = reply.results[0] as OpResult;
      if (result.type === 'wrong_shard') return this.#writeAgain(ctx, op, endMs, result.epoch);
      return { result, clock: reply.clock, repeated: reply.repeated };
    });
  }

  async #writeAgain(
    ctx: RequestContext,
    op: WriteOp,
    endMs: number,
    wantedEpoch: number,
  ): Promise<WriteResult> {
    let epoch = wantedEpoch;
    for (let attempt = 1; attempt < MAP_RETRIES_MAX; attempt++) {
      await this.#host.refreshMap(epoch, endMs - this.#host.clock.monotonicMs());
      const map = this.#host.map();
      const group = map.groups[vshardOf(op.ref)] as GroupId;
      const body = writeBody(map, op, ctx);
      const leftMs = endMs - this.#host.clock.monotonicMs();
      const reply = await this.#calls.call(group, body, 'Written', writeOptions(ctx, leftMs));
      const result = reply.results[0] as OpResult;
      if (result.type !== 'wrong_shard') {
        return { result, clock: reply.clock, repeated: reply.repeated };
      }
      epoch = result.epoch;
    }
    throw new AppError('wrong_shard', 'the shard map keeps changing');
  }

  get(ctx: RequestContext, ref: KeyRef, options: ReadOptions): Promise<ReadAnswer> {
    if (options.consistency === 'linearizable' && options.revision === null) {
      const answer = this.getNow(ctx, ref);
      if (answer !== null) return Promise.resolve(answer);
      const group = this.#host.map().groups[vshardOf(ref)] as GroupId;
      const warm = this.#host.warm(group, ref, ctx.deadlineMs);
      if (warm !== null) return warm.then((isWarm) => this.#getWarm(ctx, ref, options, isWarm));
    }
    return this.#get(ctx, ref, options);
  }

  getNow(ctx: RequestContext, ref: KeyRef): ReadAnswer | null {
    const group = this.#host.map().groups[vshardOf(ref)] as GroupId;
    return this.#host.readNow(group, ref, ctx.traceparent, false);
  }

  /** Read after its row was brought, so as linearizable as without that. */
  #getWarm(
    ctx: RequestContext,
    ref: KeyRef,
    options: ReadOptions,
    isWarm: boolean,
  ): ReadAnswer | Promise<ReadAnswer> {
    if (!isWarm) throw new AppError('deadline_exceeded', 'the disk did not answer in time');
    const group = this.#host.map().groups[vshardOf(ref)] as GroupId;
    const answer = this.#host.readNow(group, ref, ctx.traceparent, true);
    return answer ?? this.#get(ctx, ref, options);
  }

  async #get(ctx: RequestContext, ref: KeyRef, options: ReadOptions): Promise<ReadAnswer> {
    const map = this.#host.map();
    const group = map.groups[vshardOf(ref)] as GroupId;
    const stale = options.consistency === 'stale';
    const reply = await this.#calls.call(
      group,
      { type: 'Read', epoch: map.epoch, keys: [ref], revision: options.revision, stale },
      'Items',
      readOptions(ctx, stale ? 'any' : 'leader'),
    );
    return { item: reply.items[0] ?? null, clock: reply.clock };
  }

  async batch(
    ctx: RequestContext,
    ops: readonly BatchOp[],
    budget = new AnswerBudget({}),
  ): Promise<{ results: BatchResult[]; clock: Revision }> {
    return runBatch(this.#calls, this.#host, ctx, ops, budget);
  }

  transact(ctx: RequestContext, body: TxnBody): Promise<TxnAnswer> {
    if (changesObjects(body)) {
      const send = (own: RequestContext, named: TxnBody) => this.#transact(own, named);
      return transactObjects(this.#buckets, this.#host, ctx, body, send);
    }
    return this.#transact(ctx, body);
  }

  #transact(ctx: RequestContext, body: TxnBody): Promise<TxnAnswer> {
    if (!attachesAny(body)) return transact(this.#calls, this.#host, ctx, body);
    return this.#promises.transact(ctx, body, (promised, deadlineMs) =>
      transact(this.#calls, this.#host, { ...ctx, deadlineMs }, promised),
    );
  }

  scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage> {
    const isLatest = options.revision === null && options.consistency === 'linearizable';
    if (isLatest) return this.snapshots.scan(ctx, options);
    return scanPage(this.#calls, this.#host.map(), ctx, options);
  }

  watch(ctx: RequestContext, options: WatchOptions): Promise<Watch> {
    return this.#host.watch(ctx, options);
  }

  status(): NodeStatus {
    return this.#host.status();
  }

  async transferLeader(ctx: RequestContext, group: number, to: NodeId | null): Promise<void> {
    await this.#calls.call(group as GroupId, { type: 'TransferLeader', to }, 'Done', {
      deadlineMs: ctx.deadlineMs,
      traceparent: ctx.traceparent,
      target: 'leader',
      repeatable: true,
    });
  }

  members(group: number): GroupConfig | null {
    return this.#host.members(group as GroupId);
  }
}

function writeBody(map: ShardMap, op: WriteOp, ctx: RequestContext): RequestBody {
  return { type: 'Write', epoch: map.epoch, ops: [op], idempotency: ctx.idempotency };
}
