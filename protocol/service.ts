import type { AnswerBudget } from './answer-budget.ts';
import type { CopiesState, GroupCopies } from './chunk-care.ts';
import type { Condition, OpResult, WriteOp } from './commands.ts';
import type { Identities } from './identities.ts';
import type { IndexService } from './index-access.ts';
import type { Leases } from './lease.ts';
import type { GroupConfig } from './membership.ts';
import type { ChangeEvent, Item, ReplicaStatus } from './messages/request.ts';
import type { TxnOutcome } from './messages/txn.ts';
import type { Requester } from './notifications.ts';
import type { TxnBody } from './txn.ts';
import type { NodeId, Revision } from './types.ts';
import type { KeyRef } from './vshard.ts';

/**
 * The store as the edges see it: implemented by actors/router.ts, used by every gateway. Failures are
 * AppErrors (protocol/errors.ts). Every node offers all of it.
 */
export interface RequestContext {
  /** Time left, ms; never above requestDeadlineMsMax. */
  readonly deadlineMs: number;
  /** W3C traceparent of the edge's span, or null. */
  readonly traceparent: string | null;
  /** Latin1 bytes of an Idempotency-Key and the hash of the request, or null. */
  readonly idempotency: { readonly key: string; readonly requestHash: Uint8Array } | null;
  /** Who asks, for those who are told of what comes of it. */
  readonly by?: Requester;
}

export type Consistency = 'linearizable' | 'stale';

export interface ReadOptions {
  readonly consistency: Consistency;
  /** Read this past revision; null reads the latest. Above the clock: invalid_argument. Below the floor: compacted. */
  readonly revision: Revision | null;
}

export interface ReadAnswer {
  /** Null when absent (or expired). */
  readonly item: Item | null;
  /** The revision the answer is true at. */
  readonly clock: Revision;
}

export interface ScanOptions extends ReadOptions {
  readonly tenant: string;
  readonly space: string;
  /** Half-open [start, end), latin1; end null is open. A prefix is start=prefix, end=prefixEnd(prefix). */
  readonly start: string;
  readonly end: string | null;
  readonly reverse: boolean;
  readonly limit: number;
  readonly values: boolean;
}

/** One page, in key order, all at one revision. `next`: where a further page starts (its `start`, or `end` when reverse). */
export interface ScanPage {
  readonly items: readonly Item[];
  readonly revision: Revision;
  readonly next: string | null;
}

export interface WatchOptions {
  readonly tenant: string;
  readonly space: string;
  /** Keys with this prefix, latin1; '' is all. */
  readonly prefix: string;
  /** Events after this; null is from now on. A token is exact also among events of one revision. */
  readonly from: { readonly revision: Revision } | { readonly token: string } | null;
  /** First every current item (as `put`), then `synced`, then changes. */
  readonly initial: boolean;
  readonly prev: boolean;
}

/**
 * What a watcher gets, in the one order. `token` resumes exactly after this message; it is '' for initial
 * items, which are no resume points (before `synced` a resume begins anew).
 */
export type WatchMessage =
  | {
      readonly type: 'event';
      readonly event: ChangeEvent;
      readonly token: string;
      readonly initial: boolean;
    }
  | { readonly type: 'synced'; readonly revision: Revision; readonly token: string }
  | { readonly type: 'progress'; readonly revision: Revision; readonly token: string }
  /** The resume point is older than the retention window; the watch ends. */
  | { readonly type: 'compacted'; readonly oldestRevision: Revision }
  /** This reader was too slow; the watch ends, `token` is where to resume. */
  | { readonly type: 'lagged'; readonly token: string };

/**
 * A bounded stream. `next` resolves with the messages that are ready (at least one), or null when the watch ended.
 * Only one `next` at a time. Readers of one selection may get the same array, which is never changed:
 * what is made of it can be shared by its identity. A reader that does not come back within the buffer's bounds is told `lagged`.
 */
export interface Watch {
  next(): Promise<readonly WatchMessage[] | null>;
  close(): void;
}

export interface WriteResult {
  readonly result: OpResult;
  /** At or above the write's revision. */
  readonly clock: Revision;
  /** True when an idempotency row answered. */
  readonly repeated: boolean;
}

/** One result of a batch, in order: writes and reads are independent of each other. */
export type BatchOp =
  | { readonly kind: 'write'; readonly op: WriteOp }
  | { readonly kind: 'get'; readonly ref: KeyRef };

export type BatchResult =
  | { readonly kind: 'write'; readonly result: OpResult }
  | { readonly kind: 'get'; readonly item: Item | null }
  | {
      readonly kind: 'error';
      readonly code: import('./errors.ts').ErrorCode;
      readonly definite: boolean;
      readonly message: string;
    };

export interface GroupStatus {
  readonly group: number;
  readonly leader: NodeId | null;
  /** From the local replica, or null on a gateway-only node. */
  readonly local: ReplicaStatus | null;
  readonly vshardCount: number;
  /** The copies of its data. */
  readonly copies: GroupCopies;
  /** The vshards themselves, where the map is known. */
  readonly vshards?: readonly number[];
}

/** Notifications of buckets for one target, of the groups that one node leads. */
export interface NotificationBacklog {
  /** As rules of buckets name it (protocol/notifications.ts). */
  readonly target: string;
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Ever: taken by the target, and dropped without room or after notificationAgeMsMax. */
  readonly sent: number;
  readonly dropped: number;
}

export interface NodeStatus {
  readonly nodeId: NodeId;
  readonly clusterId: string;
  readonly cluster: string;
  readonly version: string;
  /** Formed, recovered, and every group has a known leader. */
  readonly ready: boolean;
  readonly durability: 'quorum-fsync' | 'memory';
  readonly bus: 'connected' | 'disconnected' | 'closed';
  /** 'ok', or what troubles this node's disk. */
  readonly disk: 'ok' | 'full' | 'read-only' | 'no-handles' | 'slow' | 'stalled';
  readonly mapEpoch: number;
  /** The worst of all groups: while it is not `whole`, no other disk may be lost. */
  readonly copies: CopiesState;
  readonly groups: readonly GroupStatus[];
  /** Those with the largest backlog first, at most notificationTargetsShown. */
  readonly notifications: readonly NotificationBacklog[];
  readonly nodes: readonly {
    nodeId: NodeId;
    httpUrl: string;
    seenMsAgo: number | null;
    roles: readonly string[];
  }[];
  readonly uptimeMs: number;
  readonly clock: Revision;
}

export interface TxnAnswer {
  readonly outcome: TxnOutcome;
  /** At or above the outcome's revision. */
  readonly clock: Revision;
  /** True when an idempotency row answered. */
  readonly repeated: boolean;
}

export interface KvService {
  readonly indexes: IndexService;
  readonly leases: Leases;
  readonly identities: Identities;
  put(ctx: RequestContext, op: Extract<WriteOp, { type: 'put' }>): Promise<WriteResult>;
  delete(ctx: RequestContext, ref: KeyRef, condition: Condition | null): Promise<WriteResult>;
  get(ctx: RequestContext, ref: KeyRef, options: ReadOptions): Promise<ReadAnswer>;
  /** What a linearizable `get` of the latest answers, where this node can tell in this moment; else null. */
  getNow(ctx: RequestContext, ref: KeyRef): ReadAnswer | null;
  /** What the gets bring is bounded by `budget`, or where none is given by batchAnswerBytesMax. */
  batch(
    ctx: RequestContext,
    ops: readonly BatchOp[],
    budget?: AnswerBudget,
  ): Promise<{ results: BatchResult[]; clock: Revision }>;
  /**
   * All or nothing over any keys, strict serializable. A failed compare without another branch is an
   * outcome, not an error. Errors: `conflict` when others were in the way until the deadline, `too_large`.
   */
  transact(ctx: RequestContext, body: TxnBody): Promise<TxnAnswer>;
  scan(ctx: RequestContext, options: ScanOptions): Promise<ScanPage>;
  watch(ctx: RequestContext, options: WatchOptions): Promise<Watch>;
  status(): NodeStatus;
  /** Moves a group's leadership (null: to any caught-up voter). */
  transferLeader(ctx: RequestContext, group: number, to: NodeId | null): Promise<void>;
  members(group: number): GroupConfig | null;
}
