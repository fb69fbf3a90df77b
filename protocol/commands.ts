import { type Attachment, attachmentCodec } from './attachment.ts';
import { decodeWith, encodeWith } from './codec.ts';
import { conditionCodec } from './conditions.ts';
import { duplicateCodec, indexDefinitionsCodec } from './indexes.ts';
import { keyRefCodec, NAME_BYTES_MAX, putFields } from './keys.ts';
import { LIMITS } from './limits.ts';
import { notificationTargetCodec, outboxPositionFields, requesterCodec } from './notifications.ts';
import { bucketRuleCodec, objectOpCodec, uploadIdCodec } from './object-ops.ts';
import { amountsCodec, quotaOrderCodec, quotaScopeCodec } from './quotas.ts';
import * as s from './schema.ts';
import { type TxnFate, txnBodyCodec, txnFateCodec, txnIdCodec, txnPartCodec } from './txn.ts';
import type { ReplicaId } from './types.ts';

/**
 * Replicated commands: the payload of a `command` entry. Everything apply needs is in here or in
 * the group's own state; apply reads no clock, draws nothing and looks into no other group.
 */

const writeOpShapes = s.union({
  put: [
    1,
    s.record({
      ...putFields,
      condition: s.nullable(conditionCodec),
      attach: s.nullable(attachmentCodec),
    }),
  ],
  delete: [2, s.record({ ref: keyRefCodec, condition: s.nullable(conditionCodec) })],
});
type WriteOpShape = s.Of<typeof writeOpShapes>;
type PutShape = Extract<WriteOpShape, { type: 'put' }>;

export type { Condition } from './conditions.ts';

/**
 * One write. `ttlMs` counts from the wall time of the operation's own revision. One that is later than the
 * promise about its lease is refused as `lease_stale`, and all of its command with it; one without a
 * promise, for a lease that is not there, is refused alone.
 */
export type WriteOp =
  | (Omit<PutShape, 'attach'> & { readonly attach?: Attachment | null })
  | Extract<WriteOpShape, { type: 'delete' }>;
export type PutOp = Extract<WriteOp, { type: 'put' }>;
export const writeOpCodec = writeOpShapes as s.Codec<WriteOp>;

/** The number of a batch's part, and of an operation in it that is a transaction by itself. */
export const IDEMPOTENCY_SUFFIX_BYTES_MAX = 16;

/** Applies once within the window: same key and hash give the stored results again. */
export const idempotencyCodec = s.record({
  /** The client's key, and the part's number when a batch was cut (see router/batch.ts). */
  key: s.latin1Str(LIMITS.idempotencyKeyBytesMax + IDEMPOTENCY_SUFFIX_BYTES_MAX),
  /** SHA-256 over the request, 32 bytes: the same key with another hash is refused. */
  requestHash: s.bin(32),
});
export type Idempotency = s.Of<typeof idempotencyCodec>;

/**
 * The outcome of one write op. `revision` is the op's own revision when it changed something;
 * for a refused op and for a delete of an absent key it is the key's current revision (0 = absent).
 */
export const opResultCodec = s.union({
  put: [1, s.record({ revision: s.count, createRevision: s.count, version: s.count })],
  deleted: [2, s.record({ deleted: s.bool, revision: s.count })],
  precondition_failed: [3, s.record({ revision: s.count })],
  wrong_shard: [4, s.record({ epoch: s.count })],
  /** The promise about the lease does not reach to `revision`; 0: there is no such lease. */
  lease_stale: [5, s.record({ revision: s.count })],
  /** Another key has a value of it in a unique index. */
  duplicate: [6, duplicateCodec],
  /** Refused, or unknown, where others of the same command may have been done. */
  failed: [7, s.record({ code: s.str(64), message: s.str(1024) })],
});
export type OpResult = s.Of<typeof opResultCodec>;

/** Why a lease ended, and with it the keys that were attached to it. */
export const leaseEndCodec = s.oneOf('expired', 'revoked');
export type LeaseEnd = s.Of<typeof leaseEndCodec>;

export const commandCodec = s.union({
  /**
   * Independent operations of one request: op i has revision `revision + i`. Results in order.
   * `epoch` is the shard-map epoch it was routed by.
   */
  write: [
    1,
    s.record({
      revision: s.count,
      epoch: s.count,
      ops: s.list(writeOpCodec, LIMITS.batchOpsMax),
      idempotency: s.nullable(idempotencyCodec),
      traceparent: s.nullable(s.str(64)),
      /**
       * A put that has no room in a quota is refused alone. Otherwise none of them is done, so that room can be made.
       */
      isLast: s.later(s.bool),
    }),
  ],
  /** Raises the reserved bound (also the entry's clockBound); changes nothing else. */
  reserve: [2, s.record({ bound: s.count })],
  /** Removes each key that still has this revision and has expired at `revision + i`. */
  expire: [
    3,
    s.record({
      revision: s.count,
      keys: s.list(s.record({ ref: keyRefCodec, revision: s.count }), LIMITS.feedPageEventsMax),
    }),
  ],
  /** Raises the floor: revisions below it can no longer be read, nor events at or below it resumed from. */
  compact: [4, s.record({ floor: s.count })],
  /** Sets the vshards this group owns (data groups) as of a map epoch. */
  own: [5, s.record({ epoch: s.count, vshards: s.list(s.count, 256) })],
  /**
   * Meta group only: replaces one row of the meta state (JSON text), e.g. `shard-map`, `node/n1`. With
   * `ifRevision` only while the row has that revision (0 = absent), compared when it is applied: two
   * compare-and-sets in one pipeline cannot both win.
   */
  metaPut: [
    6,
    s.record({
      revision: s.count,
      name: s.str(256),
      json: s.str(512 * 1024),
      ifRevision: s.nullable(s.count),
    }),
  ],
  /**
   * The secondary indexes this group keeps from here on, as of a catalog epoch: new ones begin to be
   * kept and want a backfill, those that are missing are dropped.
   */
  indexes: [30, s.record({ epoch: s.count, indexes: indexDefinitionsCodec })],
  /**
   * One step of a backfill: enters these keys as they are when it is applied, provided the backfill stands
   * at `from`. It then stands at `next`; null: there is nothing left.
   */
  indexFill: [
    31,
    s.record({
      id: s.count,
      from: s.latin1Str(LIMITS.keyBytesMax + 1),
      next: s.nullable(s.latin1Str(LIMITS.keyBytesMax + 1)),
      keys: s.list(s.latin1Str(LIMITS.keyBytesMax), LIMITS.indexStepKeys),
    }),
  ],
  /** A new lease, in the group that owns its id's vshard; an id that is there, or was lately, is refused. */
  leaseGrant: [
    16,
    s.record({
      ...{ revision: s.count, epoch: s.count, lease: s.count, ttlMs: s.count },
      tenant: s.later(s.str(NAME_BYTES_MAX)),
    }),
  ],
  /** Ends each lease that has not ended, all at `revision`. What is attached to it goes later. */
  leaseEnd: [
    17,
    s.record({
      revision: s.count,
      leases: s.list(s.record({ lease: s.count, why: leaseEndCodec }), LIMITS.leaseStepMax),
    }),
  ],
  /** Nothing is attached to these ended leases any more, nor can be: their rows go. */
  leaseForget: [18, s.record({ leases: s.list(s.count, LIMITS.leaseStepMax) })],
  /** Removes each key that still has this revision, at which it was attached, at `revision + i`. */
  detach: [
    19,
    s.record({
      revision: s.count,
      keys: s.list(
        s.record({ ref: keyRefCodec, revision: s.count, why: leaseEndCodec }),
        LIMITS.feedPageEventsMax,
      ),
    }),
  ],
  /** A transaction whose keys are all in this group: all of it at `revision`. */
  txn: [
    20,
    s.record({
      revision: s.count,
      epoch: s.count,
      body: txnBodyCodec,
      idempotency: s.nullable(idempotencyCodec),
      traceparent: s.nullable(s.str(64)),
    }),
  ],
  /** A participant's part of a transaction over several groups: locks its keys, or is refused. */
  txnPrepare: [
    21,
    s.record({
      revision: s.count,
      epoch: s.count,
      id: txnIdCodec,
      part: txnPartCodec,
      /** Of the catalog by which its puts were given claims; 0 when no index was unique. */
      indexEpoch: s.count,
    }),
  ],
  /** The end of a transaction, in the log of its home group: the first one that is applied counts. */
  txnDecide: [
    22,
    s.record({
      id: txnIdCodec,
      fate: txnFateCodec,
      /** The other groups that prepared. */
      participants: s.list(s.count, LIMITS.groupsMax),
      /** Under which key, and beside which vshard, its outcome is remembered. */
      request: s.nullable(
        s.record({
          idempotency: idempotencyCodec,
          anchor: keyRefCodec,
          /** Encoded as `txnOutcomeCodec` says. */
          outcome: s.bin(LIMITS.entryBytesMax),
        }),
      ),
      /** Keys of the home group that fall to its range deletes. */
      removed: s.list(keyRefCodec, LIMITS.rangeDeleteKeysMax),
    }),
  ],
  /** A participant learns how transactions ended, and does its part of each. */
  txnResolve: [
    23,
    s.record({
      ends: s.list(
        s.record({
          id: txnIdCodec,
          fate: txnFateCodec,
          /** Keys of this group that fall to its range deletes: one with any stands alone. */
          removed: s.list(keyRefCodec, LIMITS.rangeDeleteKeysMax),
        }),
        LIMITS.txnEndsMax,
      ),
    }),
  ],
  /**
   * The end of a transaction whose home group has prepared nothing: its own part is judged and done at `revision`,
   * which is above what the others prepared at. With anything in its way it is aborted.
   */
  txnCommit: [
    25,
    s.record({
      revision: s.count,
      epoch: s.count,
      id: txnIdCodec,
      part: txnPartCodec,
      /** The groups that prepared. */
      participants: s.list(s.count, LIMITS.groupsMax),
      /** The first compare that does not hold in those. */
      failedCompare: s.nullable(s.count),
      /** What their reads take in the answer, about, of either branch. */
      thenBytes: s.count,
      otherwiseBytes: s.count,
    }),
  ],
  /** Every participant knows how these ended. */
  txnForget: [24, s.record({ ids: s.list(txnIdCodec, LIMITS.txnPreparedMax) })],
  /** One operation on one object, in the bucket of this id. */
  object: [
    40,
    s.record({
      revision: s.count,
      epoch: s.count,
      bucket: s.count,
      /**
       * The group's voters as it was founded: they hold data while no configuration has been applied. Null: the
       * operation brings no chunks.
       */
      founders: s.nullable(s.list(s.str<ReplicaId>(64), 32)),
      op: objectOpCodec,
      idempotency: s.nullable(idempotencyCodec),
      traceparent: s.nullable(s.str(64)),
      /** For those who are told of it. */
      by: s.later(requesterCodec),
    }),
  ],
  /** What this group knows of a bucket from here on, unless it knows something of a later epoch. */
  bucket: [41, s.record({ rule: bucketRuleCodec })],
  /**
   * Takes these uploads of buckets of this name that are gone away. None: there were no more while the rule had
   * this epoch.
   */
  bucketSweep: [
    42,
    s.record({
      revision: s.count,
      tenant: s.str(NAME_BYTES_MAX),
      name: s.str(63),
      ruleEpoch: s.count,
      uploads: s.list(
        s.record({ key: s.latin1Str(LIMITS.keyBytesMax), upload: uploadIdCodec }),
        LIMITS.objectSweepMax,
      ),
    }),
  ],
  /** Takes notifications of one target out of the outbox that it has taken, or that have waited too long. */
  outboxTrim: [
    43,
    s.record({
      target: notificationTargetCodec,
      rows: s.list(
        s.record({ ...outboxPositionFields, isDropped: s.bool }),
        LIMITS.notificationStep,
      ),
    }),
  ],
  /** What becomes of this group's share of a quota, if it has heard of no later round. */
  quotaOrder: [50, s.record({ scope: quotaScopeCodec, round: s.count, order: quotaOrderCodec })],
  /** What was there when the share of the round `since` began. */
  quotaCounted: [51, s.record({ scope: quotaScopeCodec, since: s.count, base: amountsCodec })],
});
export type Command = s.Of<typeof commandCodec>;
export type WriteCommand = Extract<Command, { type: 'write' }>;

const BOUNDS = { bytesMax: LIMITS.entryBytesMax, itemsMax: LIMITS.batchOpsMax * 2, depthMax: 12 };

export function encodeCommand(command: Command): Uint8Array {
  return encodeWith(commandCodec, command);
}

/** Throws DecodeError. */
export function decodeCommand(bytes: Uint8Array): Command {
  return decodeWith(commandCodec, bytes, BOUNDS);
}

/** How many revisions a command takes, from its `revision` on; 0 when it takes none. */
export function revisionCount(command: Command): number {
  switch (command.type) {
    case 'write':
      return command.ops.length;
    case 'expire':
      return command.keys.length;
    case 'detach':
      return command.keys.length;
    case 'metaPut':
    case 'leaseGrant':
    case 'leaseEnd':
    case 'txn':
    case 'txnPrepare':
    case 'txnCommit':
    case 'object':
    case 'bucketSweep':
      return 1;
    default:
      return 0;
  }
}

/** The highest revision a command brings, its own or a transaction's; 0 when it brings none. */
export function lastRevision(command: Command | null): number {
  if (command === null) return 0;
  // Whose `start` the clock of its home group passes with it, also where it aborts (T6 in apply/txn.ts).
  if (command.type === 'txnDecide') return Math.max(command.fate.commitRevision, command.id.start);
  if (command.type === 'txnResolve') return lastEnd(command.ends);
  if (!('revision' in command)) return 0;
  const count = revisionCount(command);
  return count === 0 ? 0 : command.revision + count - 1;
}

/** The highest revision at which any of them was committed; 0 when none was. */
export function lastEnd(ends: readonly { readonly fate: TxnFate }[]): number {
  let last = 0;
  for (let i = 0; i < ends.length; i++) last = Math.max(last, ends[i]!.fate.commitRevision);
  return last;
}
