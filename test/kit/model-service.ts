import { AnswerBudget } from '../../protocol/answer-budget.ts';
import { bytesEqual } from '../../protocol/bytes.ts';
import type { Condition, OpResult, WriteOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { ChangeEvent, Item } from '../../protocol/messages/request.ts';
import { nextRevision, wallMsOfRevision } from '../../protocol/revision.ts';
import type {
  BatchOp,
  BatchResult,
  KvService,
  NodeStatus,
  ReadOptions,
  RequestContext,
  ScanOptions,
  ScanPage,
  TxnAnswer,
  WatchOptions,
  WriteResult,
} from '../../protocol/service.ts';
import { anchorOf, type TxnBody } from '../../protocol/txn.ts';
import { parseNodeId } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { ModelIdentities } from './model-identities.ts';
import { ModelIndexes } from './model-indexes.ts';
import { ModelLeases } from './model-leases.ts';
import { modelTxn } from './model-txn.ts';
import { ModelWatch } from './model-watch.ts';

interface Version {
  readonly revision: number;
  /** Null: deleted here. */
  readonly item: Item | null;
}

export interface ModelOptions {
  readonly wallMs?: () => number;
  readonly watcherBufferEventsMax?: number;
}

const keyOf = (ref: KeyRef): string => `${ref.tenant}\0${ref.space}\0${ref.key}`;

/**
 * KvService in one process and one Map: the semantics of API.md in their plainest form, for tests of
 * the edges. Everything happens at once, so nothing is ever indeterminate.
 */
export class ModelService implements KvService {
  readonly leases = new ModelLeases({
    enter: (ctx) => this.#enter(ctx),
    tick: () => this.#tick(),
    wallMs: () => this.#wallMs(),
    attached: (lease) => this.#attached(lease),
    remove: (ref) => void this.#apply({ type: 'delete', ref, condition: null }),
  });
  readonly #rows = new Map<string, Version[]>();
  readonly #events: ChangeEvent[] = [];
  readonly #watches = new Set<ModelWatch>();
  readonly #idempotency = new Map<string, { hash: Uint8Array; answer: unknown }>();
  readonly #wallMs: () => number;
  readonly #bufferMax: number;
  #clock = 0;
  #floor = 0;
  isReady = true;
  /** Whether reads of the latest are answered in the moment they are asked. */
  readsNow = true;
  /** The next call fails with this. */
  failure: Error | null = null;
  readonly contexts: RequestContext[] = [];
  readonly indexes = new ModelIndexes(this);
  readonly identities = new ModelIdentities();

  constructor(options: ModelOptions = {}) {
    this.#wallMs = options.wallMs ?? (() => Date.now());
    this.#bufferMax = options.watcherBufferEventsMax ?? LIMITS.watcherBufferEventsMax;
    this.#tick();
  }

  /** Forgets history below `floor`: older reads and resumes are refused. */
  compact(floor: number): void {
    this.#floor = floor;
    const kept = this.#events.filter((event) => event.revision > floor);
    this.#events.splice(0, this.#events.length, ...kept);
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  get clock(): number {
    return this.#clock;
  }

  async put(ctx: RequestContext, op: Extract<WriteOp, { type: 'put' }>): Promise<WriteResult> {
    return this.#write(ctx, op);
  }

  async delete(
    ctx: RequestContext,
    ref: KeyRef,
    condition: Condition | null,
  ): Promise<WriteResult> {
    return this.#write(ctx, { type: 'delete', ref, condition });
  }

  async get(
    ctx: RequestContext,
    ref: KeyRef,
    options: ReadOptions,
  ): Promise<{ item: Item | null; clock: number }> {
    this.#enter(ctx);
    const clock = this.#readAt(options.revision);
    return { item: this.#itemAt(ref, clock), clock };
  }

  getNow(ctx: RequestContext, ref: KeyRef): { item: Item | null; clock: number } | null {
    if (!this.readsNow || this.failure !== null) return null;
    this.#enter(ctx);
    const clock = this.#readAt(null);
    return { item: this.#itemAt(ref, clock), clock };
  }

  async batch(
    ctx: RequestContext,
    ops: readonly BatchOp[],
    budget = new AnswerBudget({}),
  ): Promise<{ results: BatchResult[]; clock: number }> {
    this.#enter(ctx);
    const [first] = ops;
    const named = first === undefined ? '' : first.kind === 'get' ? first.ref : first.op.ref;
    return this.#once(ctx, named === '' ? '' : named.tenant, () => {
      const results = ops.map((op): BatchResult => {
        if (op.kind === 'write') return { kind: 'write', result: this.#apply(op.op) };
        const item = this.#itemAt(op.ref, this.#tick());
        const refusal = budget.failure ?? (item === null ? null : budget.take(item));
        if (refusal === null) return { kind: 'get', item };
        const { code, definite, message } = refusal;
        return { kind: 'error', code, definite, message };
      });
      return { results, clock: this.#clock };
    }).answer;
  }

  async transact(ctx: RequestContext, body: TxnBody): Promise<TxnAnswer> {
    this.#enter(ctx);
    const { answer, repeated } = this.#once(ctx, anchorOf(body).tenant, () => {
      const revision = this.#tick();
      const outcome = modelTxn(body, revision, {
        itemAt: (ref) => this.#itemAt(ref, revision),
        items: () => this.#allItems(revision),
        lives: (lease, tenant) => this.leases.lives(lease, tenant),
        write: (op) => this.#applyAt(op, revision),
      });
      return { outcome, clock: this.#clock };
    });
    return { ...answer, repeated };
  }

  async scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage> {
    this.#enter(ctx);
    const revision = this.#readAt(options.revision);
    const found: Item[] = [];
    for (const versions of this.#rows.values()) {
      const ref = versions[0]?.item?.ref;
      if (ref === undefined || ref.tenant !== options.tenant || ref.space !== options.space)
        continue;
      if (ref.key < options.start || (options.end !== null && ref.key >= options.end)) continue;
      const item = this.#itemAt(ref, revision);
      if (item !== null) found.push(options.values ? item : { ...item, value: new Uint8Array() });
    }
    found.sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
    if (options.reverse) found.reverse();
    const items = found.slice(0, options.limit);
    const after = found[options.limit];
    const last = items[items.length - 1];
    // Reverse: the next page ends (exclusively) at the last key given.
    const next = after === undefined ? null : options.reverse ? last!.ref.key : after.ref.key;
    return { items, revision, next };
  }

  async watch(ctx: RequestContext, options: WatchOptions): Promise<ModelWatch> {
    this.#enter(ctx);
    const after = options.from === null ? this.#clock : this.#resumeAt(options.from);
    const watch = new ModelWatch(options, this.#bufferMax, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    if (after < this.#floor) {
      watch.end({ type: 'compacted', oldestRevision: this.#floor });
      return watch;
    }
    if (options.initial) {
      for (const item of this.#current(options)) watch.initial(item);
      watch.synced(this.#tick());
    } else {
      for (const event of this.#events) if (event.revision > after) watch.offer(event);
    }
    return watch;
  }

  status(): NodeStatus {
    const nodeId = parseNodeId('n1')!;
    const counts = { chunks: 0, missing: 0, lost: 0, waitingFor: [] };
    const copies = { state: 'whole', ...counts } as const;
    const group = { group: 1, leader: nodeId, local: null, vshardCount: 256, copies };
    return {
      ...{ nodeId, clusterId: '0123456789abcdef', cluster: 'model', version: '0.1.0' },
      ...{ ready: this.isReady, durability: 'memory', disk: 'ok', bus: 'connected', mapEpoch: 1 },
      copies: 'whole',
      groups: [group],
      notifications: [{ target: 'webhook:a', waiting: 1, waitingBytes: 100, sent: 2, dropped: 3 }],
      nodes: [{ nodeId, httpUrl: 'http://127.0.0.1', seenMsAgo: null, roles: ['replica'] }],
      ...{ uptimeMs: 1, clock: this.#clock },
    };
  }

  async transferLeader(): Promise<void> {}

  members(): null {
    return null;
  }

  /** Removes what has expired, with its events. */
  expire(): void {
    for (const versions of this.#rows.values()) {
      const item = versions[versions.length - 1]?.item;
      if (item?.expiresAtMs == null || item.expiresAtMs > this.#wallMs()) continue;
      const revision = this.#tick();
      versions.push({ revision, item: null });
      this.#publish({ kind: 'expire', ref: item.ref, revision, item: null, prev: item });
    }
  }

  progress(): void {
    for (const watch of this.#watches) watch.progress(this.#clock);
  }

  #enter(ctx: RequestContext): void {
    this.contexts.push(ctx);
    if (this.contexts.length > 64) this.contexts.shift();
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
  }

  #write(ctx: RequestContext, op: WriteOp): WriteResult {
    this.#enter(ctx);
    const { answer, repeated } = this.#once(ctx, op.ref.tenant, () => ({
      result: this.#apply(op),
      clock: this.#clock,
    }));
    return { ...answer, repeated };
  }

  /** Requests are remembered by the tenant of their first key. */
  #once<T>(ctx: RequestContext, tenant: string, run: () => T): { answer: T; repeated: boolean } {
    if (ctx.idempotency === null) return { answer: run(), repeated: false };
    const { requestHash } = ctx.idempotency;
    const key = `${tenant}\0${ctx.idempotency.key}`;
    const row = this.#idempotency.get(key);
    if (row === undefined) {
      const answer = run();
      this.#idempotency.set(key, { hash: requestHash, answer });
      return { answer, repeated: false };
    }
    if (!bytesEqual(row.hash, requestHash)) {
      throw new AppError('idempotency_mismatch', 'the key was used for another request');
    }
    return { answer: row.answer as T, repeated: true };
  }

  #allItems(revision: number): Item[] {
    const items: Item[] = [];
    for (const versions of this.#rows.values()) {
      const ref = versions[0]?.item?.ref;
      const item = ref === undefined ? null : this.#itemAt(ref, revision);
      if (item !== null) items.push(item);
    }
    return items.sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
  }

  #apply(op: WriteOp): OpResult {
    return this.#applyAt(op, this.#tick());
  }

  #applyAt(op: WriteOp, revision: number): OpResult {
    const prev = this.#itemAt(op.ref, revision);
    if (!holds(op.condition, prev)) {
      return { type: 'precondition_failed', revision: prev?.revision ?? 0 };
    }
    if (op.type === 'delete' && prev === null)
      return { type: 'deleted', deleted: false, revision: 0 };
    if (op.type === 'put' && op.attach && !this.leases.lives(op.attach.lease, op.ref.tenant)) {
      return { type: 'lease_stale', revision: 0 };
    }
    const item = op.type === 'put' ? itemOf(op, prev, revision) : null;
    const versions = this.#rows.get(keyOf(op.ref)) ?? [];
    this.#rows.set(keyOf(op.ref), versions);
    versions.push({ revision, item });
    this.#publish({ kind: op.type, ref: op.ref, revision, item, prev });
    if (item === null) return { type: 'deleted', deleted: true, revision };
    const { createRevision, version } = item;
    return { type: 'put', revision, createRevision, version };
  }

  #publish(change: Pick<ChangeEvent, 'kind' | 'ref' | 'revision' | 'item' | 'prev'>): void {
    const event: ChangeEvent = {
      ...change,
      vshard: vshardOf(change.ref),
      prevRevision: change.prev?.revision ?? 0,
      sequence: this.#events.length + 1,
    };
    this.#events.push(event);
    for (const watch of this.#watches) watch.offer(event);
  }

  #itemAt(ref: KeyRef, revision: number): Item | null {
    const versions = this.#rows.get(keyOf(ref)) ?? [];
    const item = versions.findLast((version) => version.revision <= revision)?.item ?? null;
    const isExpired = item?.expiresAtMs != null && item.expiresAtMs <= wallMsOfRevision(revision);
    return isExpired ? null : item;
  }

  #attached(lease: number): KeyRef[] {
    const now = this.#tick();
    const items = [...this.#rows.values()].map((versions) => {
      const ref = versions[0]?.item?.ref;
      return ref === undefined ? null : this.#itemAt(ref, now);
    });
    const refs = items.flatMap((item) => (item?.lease === lease ? [item.ref] : []));
    return refs.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #current(options: WatchOptions): Item[] {
    const now = this.#tick();
    const items: Item[] = [];
    for (const versions of this.#rows.values()) {
      const ref = versions[0]?.item?.ref;
      const item = ref === undefined ? null : this.#itemAt(ref, now);
      const isOf = ref?.tenant === options.tenant && ref.space === options.space;
      if (isOf && item?.ref.key.startsWith(options.prefix)) items.push(item);
    }
    return items.sort((a, b) => (a.ref.key < b.ref.key ? -1 : 1));
  }

  #readAt(revision: number | null): number {
    const now = this.#tick();
    if (revision === null) return now;
    if (revision > now) throw new AppError('invalid_argument', 'that revision is yet to come');
    if (revision < this.#floor) {
      throw new AppError('compacted', 'older than the retention window', {
        details: { oldestRevision: this.#floor },
      });
    }
    return revision;
  }

  #resumeAt(from: { revision: number } | { token: string }): number {
    if ('revision' in from) return from.revision;
    const match = /^m([0-9]+)$/.exec(from.token);
    if (match === null) throw new AppError('invalid_argument', 'this is no resume token');
    return Number(match[1]);
  }

  #tick(): number {
    this.#clock = nextRevision(this.#clock, this.#wallMs());
    return this.#clock;
  }
}

function holds(condition: Condition | null, prev: Item | null): boolean {
  if (condition === null) return true;
  if (condition.type === 'exists') return prev !== null;
  if (condition.type === 'absent') return prev === null;
  return (prev?.revision ?? 0) === condition.revision;
}

function itemOf(op: Extract<WriteOp, { type: 'put' }>, prev: Item | null, revision: number): Item {
  return {
    ref: op.ref,
    value: Uint8Array.from(op.value),
    revision,
    createRevision: prev?.createRevision ?? revision,
    version: (prev?.version ?? 0) + 1,
    contentType: op.contentType,
    expiresAtMs: op.ttlMs === null ? null : wallMsOfRevision(revision) + op.ttlMs,
    lease: op.attach?.lease ?? 0,
  };
}
