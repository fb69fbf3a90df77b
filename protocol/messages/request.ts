import { idempotencyCodec, leaseEndCodec, opResultCodec, writeOpCodec } from '../commands.ts';
import { entryPositionCodec, groupIndexStatusCodec, indexDefinitionsCodec } from '../indexes.ts';
import { keyRefCodec, NAME_BYTES_MAX } from '../keys.ts';
import { LIMITS } from '../limits.ts';
import { configCodec } from '../membership.ts';
import * as s from '../schema.ts';
import { txnBodyCodec, txnEndCodec, txnFateCodec, txnIdCodec, txnPartCodec } from '../txn.ts';
import type { NodeId, ReplicaId } from '../types.ts';
import { objectReplies, objectRequests } from './objects.ts';
import { type Item, itemCodec, txnOutcomeCodec, txnVoteCodec } from './txn.ts';

/**
 * Requests from a node's router to a group's replica on another node (or its own), and replies.
 * All reads answer `clock`: the group's clock, at or above every revision visible in the answer.
 */

export type { Item };

/** Where an event stands in the one order: (revision, vshard, key triple). */
export const positionCodec = s.record({
  revision: s.count,
  vshard: s.count,
  /** tenant NUL space NUL key, latin1; '' sorts before every key. */
  triple: s.latin1Str(LIMITS.keyBytesMax + 2 * NAME_BYTES_MAX + 2),
});
export type Position = s.Of<typeof positionCodec>;

export const changeEventCodec = s.record({
  kind: s.oneOf('put', 'delete', 'expire'),
  ref: keyRefCodec,
  vshard: s.count,
  revision: s.count,
  prevRevision: s.count,
  /** Consecutive in its group, from 1. */
  sequence: s.count,
  /** The new version for a put, else null. */
  item: s.nullable(itemCodec),
  /** The version it replaced or removed; null when there was none or it was not asked for. */
  prev: s.nullable(itemCodec),
});
export type ChangeEvent = s.Of<typeof changeEventCodec>;

/** The tenant that asks about leases; none: `default`. */
const ownerCodec = s.later(s.str(NAME_BYTES_MAX));

export const requestBodyCodec = s.union({
  /** Independent ops for one group in one log entry. */
  Write: [
    1,
    s.record({
      epoch: s.count,
      ops: s.list(writeOpCodec, LIMITS.batchOpsMax),
      idempotency: s.nullable(idempotencyCodec),
    }),
  ],
  /** Point reads. `revision` null reads the latest. `stale` may be served by any replica. */
  Read: [
    2,
    s.record({
      epoch: s.count,
      keys: s.list(keyRefCodec, LIMITS.batchOpsMax),
      revision: s.nullable(s.count),
      stale: s.bool,
    }),
  ],
  /**
   * Phase 1 of a snapshot read: confirm leadership after arrival, answer the clock. With a `snapshot`
   * nothing is assigned a revision from then on, until its Close.
   */
  ReadClock: [3, s.record({ snapshot: s.nullable(s.str(96)) })],
  /** Phases 3 and 4: close `revision`, then read this group's part of one page at it. */
  Range: [
    4,
    s.record({
      epoch: s.count,
      tenant: s.str(NAME_BYTES_MAX),
      space: s.str(NAME_BYTES_MAX),
      revision: s.count,
      /** Half-open [start, end), latin1 bytes; end null is open. */
      start: s.latin1Str(LIMITS.keyBytesMax + 1),
      end: s.nullable(s.latin1Str(LIMITS.keyBytesMax + 1)),
      reverse: s.bool,
      limit: s.count,
      values: s.bool,
      stale: s.bool,
    }),
  ],
  /** Closes `revision`: afterwards this group yields no further event at or below it. */
  /** `gate`: opens it, if it is closed under that name. */
  Close: [5, s.record({ revision: s.count, gate: s.nullable(s.count) })],
  /** Events after `after`, closed, in order; waits up to waitMs when there is none. Any replica. */
  FeedRead: [6, s.record({ after: positionCodec, waitMs: s.count, limit: s.count, prev: s.bool })],
  /** Leader only: move leadership to `to` (null: any caught-up voter). */
  TransferLeader: [7, s.record({ to: s.nullable(s.str<NodeId>(32)) })],
  /** Leader only: make this the configuration (through joint consensus when voters change). */
  ChangeMembers: [
    8,
    s.record({
      /** The configuration it was planned on: a late or repeated order changes nothing. */
      configIndex: s.count,
      voters: s.list(s.str<ReplicaId>(64), 32),
      learners: s.list(s.str<ReplicaId>(64), 32),
    }),
  ],
  /** Meta group leader only: compare-and-set of one meta row. `ifRevision` null: unconditional. */
  MetaPut: [
    9,
    s.record({ name: s.str(256), json: s.str(512 * 1024), ifRevision: s.nullable(s.count) }),
  ],
  /** Linearizable read of meta rows by name prefix. */
  MetaRead: [10, s.record({ prefix: s.str(256), stale: s.bool })],
  /** What this replica is and how far it is; answered by any replica. */
  Status: [11, s.record({})],
  /** Leader only: the indexes the group keeps, as of a catalog epoch. Answered when it is applied. */
  IndexSet: [40, s.record({ epoch: s.count, indexes: indexDefinitionsCodec })],
  /** Leader only: takes one bounded step of an index's backfill. Answered when it is applied. */
  IndexStep: [41, s.record({ id: s.count })],
  /** How the group stands with its indexes; leader only. */
  IndexStatus: [42, s.record({})],
  /** Closes `revision`, then reads this group's part of a page of an index at it. */
  IndexQuery: [
    43,
    s.record({
      id: s.count,
      revision: s.count,
      /** Half-open [start, end) of encoded fields, latin1. */
      start: s.latin1Str(LIMITS.indexEntryBytesMax),
      end: s.latin1Str(LIMITS.indexEntryBytesMax),
      after: s.nullable(entryPositionCodec),
      reverse: s.bool,
      limit: s.count,
      values: s.bool,
    }),
  ],
  /** Closes `revision`, then searches this group's part of a text index at it. Answers IndexPage. */
  IndexSearch: [
    44,
    s.record({
      id: s.count,
      revision: s.count,
      /** Bytes to search for, latin1. */
      text: s.latin1Str(LIMITS.searchBytesMax),
      prefix: s.latin1Str(LIMITS.keyBytesMax),
      /** Keys after this one; '' is from the first. */
      after: s.latin1Str(LIMITS.keyBytesMax),
      limit: s.count,
      values: s.bool,
    }),
  ],
  /** Leases, at the leader of their home group (actors/lease/keeper.ts). To a tenant those of others are not there. */
  LeaseGrant: [
    24,
    s.record({ epoch: s.count, lease: s.count, ttlMs: s.count, tenant: ownerCodec }),
  ],
  LeaseRevoke: [25, s.record({ epoch: s.count, lease: s.count, tenant: ownerCodec })],
  /** `renew` begins its time anew; `attach` asks for a promise to attach keys under. */
  LeaseCheck: [
    26,
    s.record({
      ...{ epoch: s.count, lease: s.count, purpose: s.oneOf('look', 'renew', 'attach') },
      tenant: ownerCodec,
    }),
  ],
  /** Living leases of this group with ids above `after`, by id. */
  LeaseList: [27, s.record({ after: s.count, limit: s.count, tenant: ownerCodec })],
  /** Nothing is attached to them in any group: their rows can go. */
  LeaseForget: [28, s.record({ leases: s.list(s.count, LIMITS.leaseStepMax) })],
  /** To any group: removes what is attached to ended leases, when all up to `close` is there to be seen. */
  LeaseSweep: [
    29,
    s.record({
      leases: s.list(s.record({ lease: s.count, why: leaseEndCodec }), LIMITS.leaseStepMax),
      close: s.count,
    }),
  ],
  /** To any group: its keys that are attached to a lease. */
  Attached: [30, s.record({ lease: s.count, limit: s.count, tenant: ownerCodec })],
  /** A whole transaction, for the leader of its home group: applied as one entry, or coordinated. */
  Txn: [
    20,
    s.record({ epoch: s.count, body: txnBodyCodec, idempotency: s.nullable(idempotencyCodec) }),
  ],
  /** Coordinator to participant: lock and vote. Asking again gives the same vote. */
  TxnPrepare: [
    21,
    s.record({ epoch: s.count, id: txnIdCodec, part: txnPartCodec, indexEpoch: s.count }),
  ],
  /** Coordinator to participant: how they ended. Done means that all of it is applied. */
  TxnResolve: [22, s.record({ ends: s.list(txnEndCodec, LIMITS.txnEndsMax) })],
  /** Participant to home group: what became of it? One that is not known there is aborted first. */
  TxnInquire: [23, s.record({ id: txnIdCodec })],
  ...objectRequests,
});
export type RequestBody = s.Of<typeof requestBodyCodec>;
export type RequestOf<T extends RequestBody['type']> = Extract<RequestBody, { type: T }>;

export const replicaStatusCodec = s.record({
  replica: s.str<ReplicaId>(64),
  role: s.oneOf('follower', 'preCandidate', 'candidate', 'leader', 'learner'),
  leader: s.nullable(s.str<ReplicaId>(64)),
  term: s.count,
  commitIndex: s.count,
  appliedIndex: s.count,
  lastLogIndex: s.count,
  firstLogIndex: s.count,
  clock: s.count,
  closed: s.count,
  floor: s.count,
  keys: s.count,
  config: configCodec,
  /** Index of the entry that holds `config`; a change of members names the one it was planned on. */
  configIndex: s.count,
  /** Leaders: how far each member has stored. */
  matches: s.list(
    s.record({ replica: s.str<ReplicaId>(64), matchIndex: s.count, active: s.bool }),
    64,
  ),
});
export type ReplicaStatus = s.Of<typeof replicaStatusCodec>;

const leaseCodec = s.record({
  lease: s.count,
  ttlMs: s.count,
  /** By the leader's clock; a new leader gives the whole time again. */
  remainingMs: s.count,
  grantRevision: s.count,
});

export const replyBodyCodec = s.union({
  /** A refusal. `leader` is where to go on not_leader; `epoch` the newer map's on wrong_shard. */
  Rejected: [
    1,
    s.record({
      code: s.str(64),
      definite: s.bool,
      message: s.str(1024),
      leader: s.nullable(s.str<NodeId>(32)),
      /**
       * compacted: the oldest revision still readable. wrong_shard: the newer epoch. conflict: where promises
       * about leases have run out, the revision they did not reach. Else 0.
       */
      hint: s.count,
    }),
  ],
  /**
   * It waited, for locks or votes, as long as it was given; nothing was done. Asking again is worth while: else it
   * fails with this.
   */
  Waited: [11, s.record({ code: s.str(64), message: s.str(1024) })],
  Written: [
    2,
    s.record({
      results: s.list(opResultCodec, LIMITS.batchOpsMax),
      clock: s.count,
      repeated: s.bool,
    }),
  ],
  Items: [
    3,
    s.record({ items: s.list(s.nullable(itemCodec), LIMITS.batchOpsMax), clock: s.count }),
  ],
  /** `gate`: nothing is assigned for the snapshot's sake; the name of this one closing of this leader. */
  Clock: [4, s.record({ clock: s.count, gate: s.nullable(s.count) })],
  /** `more`: the range holds further items after the last one given. */
  Page: [
    5,
    s.record({ items: s.list(itemCodec, LIMITS.pageItemsMax + 1), more: s.bool, clock: s.count }),
  ],
  /** `wasClosed`: nobody has assigned anything since the snapshot's clock was read, another leader neither. */
  Closed: [6, s.record({ closed: s.count, wasClosed: s.bool })],
  Feed: [
    7,
    s.record({
      events: s.list(changeEventCodec, LIMITS.feedPageEventsMax),
      closed: s.count,
      floor: s.count,
    }),
  ],
  Done: [8, s.record({ revision: s.count })],
  MetaRows: [
    9,
    s.record({
      rows: s.list(
        s.record({ name: s.str(256), json: s.str(512 * 1024), revision: s.count }),
        4096,
      ),
      clock: s.count,
    }),
  ],
  Status: [10, s.record({ status: replicaStatusCodec })],
  Indexes: [
    40,
    s.record({ epoch: s.count, indexes: s.list(groupIndexStatusCodec, 64), keys: s.count }),
  ],
  /** `reached` not null: there may be more after it. */
  IndexPage: [
    41,
    s.record({
      hits: s.list(
        s.record({ encoded: s.latin1Str(LIMITS.indexEntryBytesMax), item: itemCodec }),
        LIMITS.pageItemsMax,
      ),
      reached: s.nullable(entryPositionCodec),
      rows: s.count,
      clock: s.count,
    }),
  ],
  /** `until` only for `attach`. */
  Lease: [24, s.record({ lease: leaseCodec, until: s.count, clock: s.count })],
  Leases: [
    25,
    s.record({
      leases: s.list(leaseCodec, LIMITS.pageItemsMax),
      more: s.bool,
      clock: s.count,
    }),
  ],
  /** `isAll`: nothing was left to remove. */
  Swept: [26, s.record({ removed: s.count, isAll: s.bool, clock: s.count })],
  AttachedKeys: [
    27,
    s.record({ keys: s.list(keyRefCodec, LIMITS.pageItemsMax), more: s.bool, clock: s.count }),
  ],
  TxnDone: [20, s.record({ outcome: txnOutcomeCodec, clock: s.count, repeated: s.bool })],
  TxnVoted: [21, s.record({ vote: txnVoteCodec, clock: s.count })],
  /** Null: it is not decided yet. */
  TxnEnded: [22, s.record({ fate: s.nullable(txnFateCodec), clock: s.count })],
  ...objectReplies,
});
export type ReplyBody = s.Of<typeof replyBodyCodec>;
export type ReplyOf<T extends ReplyBody['type']> = Extract<ReplyBody, { type: T }>;

export const requestMessages = {
  Request: [
    32,
    s.record({
      requestId: s.count,
      /** The life of the node it is meant for: a copy that arrives after a restart is refused. */
      life: s.count,
      /** The asking node's clock: what it has seen comes before what this request does. */
      clock: s.count,
      /** Time left when it was sent. */
      deadlineMs: s.count,
      traceparent: s.nullable(s.str(64)),
      body: requestBodyCodec,
    }),
  ],
  Reply: [33, s.record({ requestId: s.count, body: replyBodyCodec })],
  /** Leader to followers: no event at or below `revision` will come after log index `index`. */
  ClosedRevision: [34, s.record({ revision: s.count, index: s.count })],
} as const;
