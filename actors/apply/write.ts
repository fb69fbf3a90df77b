import { assertNever } from '../../protocol/assert.ts';
import { isPromiseOver } from '../../protocol/attachment.ts';
import type { Condition, OpResult, PutOp, WriteCommand, WriteOp } from '../../protocol/commands.ts';
import type { Shortage } from '../../protocol/quotas.ts';
import { wallMsOfRevision } from '../../protocol/revision.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf, vshardOfMany } from '../../protocol/vshard.ts';
import {
  attachedKey,
  currentKey,
  expiryKey,
  feedKey,
  historyKey,
  tripleOf,
} from '../../storage/kv/keyspace.ts';
import {
  decodeHead,
  encodeCount,
  encodeFeed,
  encodeTombstone,
  encodeVersion,
  type FeedKind,
  type VersionHead,
  type VersionRow,
} from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import { AppliedChange } from './change.ts';
import type { GroupState } from './group-state.ts';
import { recallRequest, rememberRequest } from './idempotency.ts';
import { changeEntries } from './index-rows.ts';
import { hasExpired } from './item.ts';
import { shortOfOps, shortOfPut } from './quota-growth.ts';
import { beginsEntry } from './reservations.ts';

/**
 * Writes. Op i of a command has revision `revision + i`; ops are independent and applied in order.
 *
 *   W1  Ownership comes first and is all or nothing: when one op's vshard is not owned as of the
 *       command's epoch, every result is wrong_shard and nothing is written, no idempotency row
 *       either, so the request can be cut anew and sent again.
 *   W2  A row that has expired at the op's revision is absent: conditions see revision 0, a put
 *       creates (version 1, createRevision = its own), a delete finds nothing and leaves the row to
 *       the leader's expire command.
 *   W3  One revision gives at most one event per key. A put over an expired row is therefore one
 *       `put` event, with prevRevision and prev of the expired version; version 1 tells that the
 *       key had gone. A second event at the same (revision, vshard, key) could not be told apart
 *       by a resume token. Hence per key each event's prevRevision is the revision of the
 *       event before it, or 0 when that one removed the key.
 *   W4  A put that attaches to a lease after the promise about the lease has run out is refused, and
 *       then, as with W1, every op is and nothing is remembered: the asker gets a new promise. One
 *       that names a lease which is not there is refused alone, and remembered like the others.
 *   W5  A key of a prepared transaction is not written by others: the whole command does nothing. Nor does one
 *       with a put that begins an entry of a unique index (U1 in reservations.ts).
 *   W6  A put that a share of a quota has no room for (S2 in quota-table.ts) is not done, nor anything of its command,
 *       and nothing is remembered: room can be made. Of a command that says that there is none to be made it is refused
 *       alone.
 */
export function applyWrite(state: GroupState, command: WriteCommand): Outcome {
  const ops = command.ops;
  const vshards = ops.length > VSHARDS.length ? new Uint8Array(ops.length) : VSHARDS;
  const isMany = ops.length > REMEMBERED_OPS_MAX;
  let owned = true;
  let isStale = false;
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as WriteOp;
    const vshard = isMany ? vshardOfMany(op.ref) : vshardOf(op.ref);
    vshards[i] = vshard;
    owned &&= state.isOwned(vshard, command.epoch);
    if (op.type === 'put' && isPromiseOver(op, command.revision + i)) isStale = true;
  }
  if (!owned) return refuseAll({ type: 'wrong_shard', epoch: state.epoch }, ops.length);
  const firstOp = ops[0];
  const request = firstOp === undefined ? null : command.idempotency;
  const tenant = firstOp === undefined ? '' : firstOp.ref.tenant;
  if (request !== null) {
    const vshard = vshards[0] as number;
    const recalled = recallRequest(state, request, vshard, tenant, command.revision, ops.length);
    if (recalled !== null) return recalled;
  }
  if (isStale) return refuseAll({ type: 'lease_stale', revision: command.revision }, ops.length);
  if (state.txns.size > 0 && isLocked(state, ops)) return LOCKED;
  if (state.indexes.unique.length > 0 && isUnclaimed(state, command)) return UNCLAIMED;
  const hasQuotas = state.quotas.size > 0;
  if (hasQuotas && command.isLast !== true && shortOfWrite(state, ops, command.revision) !== null) {
    return NO_ROOM;
  }
  const results = new Array<OpResult>(ops.length);
  const events: AppliedChange[] = [];
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as WriteOp;
    results[i] = applyOp(state, op, vshards[i] as number, command.revision + i, events);
  }
  if (request !== null && !results.every(hasNoRoom)) {
    rememberRequest(state, request, vshards[0] as number, tenant, command.revision, results);
  }
  return { results, repeated: false, rejection: null, events, txn: null };
}

/** More keys than this are not asked about again before others have taken their place. */
const REMEMBERED_OPS_MAX = 32;

/** Where one command's vshards are kept while it is applied. */
const VSHARDS = new Uint8Array(1024);

function refuseAll(result: OpResult, count: number): Outcome {
  const results = new Array<OpResult>(count).fill(result);
  return { results, repeated: false, rejection: null, events: [], txn: null };
}

/** Whether a prepared transaction has one of the keys: then none is written (W5). */
export function isLocked(state: GroupState, ops: readonly WriteOp[]): boolean {
  const { locks } = state.txns;
  for (let i = 0; i < ops.length; i++) {
    if (!locks.isFree(tripleOf((ops[i] as WriteOp).ref))) return true;
  }
  return false;
}

/** U1: before any of its ops is done, so that what they see is what the leader saw. */
function isUnclaimed(state: GroupState, { ops, revision }: WriteCommand): boolean {
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as WriteOp;
    if (op.type === 'put' && beginsEntry(state, op, revision + i)) return true;
  }
  return false;
}

const UNCLAIMED: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: 'unclaimed',
  events: [],
  txn: null,
});

const NO_ROOM: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: 'no_room',
  events: [],
  txn: null,
});

/** W6. Null: the shares have room for all of them. */
export function shortOfWrite(
  state: GroupState,
  ops: readonly WriteOp[],
  revision: Revision,
): Shortage[] | null {
  return shortOfOps(state, ops, revision, isHeld);
}

function isHeld({ condition }: WriteOp, presentRevision: Revision): boolean {
  return condition === null || holds(condition, presentRevision);
}

const NO_ROOM_FOR_IT: OpResult = Object.freeze({
  ...{ type: 'failed', code: 'quota_exceeded', message: 'a quota has no room for it' },
});

function hasNoRoom(result: OpResult): boolean {
  return result === NO_ROOM_FOR_IT;
}

const LOCKED: Outcome = Object.freeze({
  results: [],
  repeated: false,
  rejection: 'locked',
  events: [],
  txn: null,
});

function applyOp(
  state: GroupState,
  op: WriteOp,
  vshard: number,
  revision: Revision,
  events: AppliedChange[],
): OpResult {
  const slot = readSlot(state, op.ref, vshard);
  const { row } = slot;
  const present = row === null || hasExpired(row, revision) ? null : row;
  const presentRevision = present === null ? 0 : present.revision;
  if (op.condition !== null && !holds(op.condition, presentRevision)) {
    return { type: 'precondition_failed', revision: presentRevision };
  }
  if (op.type === 'put') {
    if (op.attach?.until === 0) return { type: 'lease_stale', revision: 0 };
    if (state.quotas.size > 0 && shortOfPut(state, op.ref, op.value.length) !== null) {
      return NO_ROOM_FOR_IT;
    }
    return putRow(state, op, slot, revision, events);
  }
  if (present === null) return { type: 'deleted', deleted: false, revision: 0 };
  events.push(removeRow(state, slot as FullSlot, revision, 'delete'));
  return { type: 'deleted', deleted: true, revision };
}

/** A key and its current row as stored: null when there is none, expired or not. */
export interface Slot {
  readonly ref: KeyRef;
  readonly triple: string;
  readonly vshard: number;
  readonly bytes: Uint8Array | null;
  readonly row: VersionHead | null;
}

export type FullSlot = Slot & { readonly bytes: Uint8Array; readonly row: VersionHead };

export function readSlot(state: GroupState, ref: KeyRef, vshard: number): Slot {
  const triple = tripleOf(ref);
  const bytes = state.row(currentKey(state.prefix, triple));
  return { ref, triple, vshard, bytes, row: bytes === null ? null : decodeHead(bytes) };
}

/** Writes a key's next version: the row, what it replaces into history, its expiry, one event. */
export function putRow(
  state: GroupState,
  op: Pick<PutOp, 'value' | 'contentType' | 'ttlMs' | 'attach'>,
  slot: Slot,
  revision: Revision,
  events: AppliedChange[],
): OpResult {
  const { attach } = op;
  const lease = attach === null || attach === undefined ? 0 : attach.lease;
  const { triple, row } = slot;
  const present = row === null || hasExpired(row, revision) ? null : row;
  const next: VersionRow = {
    revision,
    createRevision: present === null ? revision : present.createRevision,
    version: present === null ? 1 : present.version + 1,
    expiresAtMs: op.ttlMs === null ? null : expiryOf(revision, op.ttlMs),
    contentType: op.contentType,
    value: op.value,
    lease,
  };
  if (row !== null) supersede(state, triple, row, slot.bytes as Uint8Array);
  else state.keyCount++;
  const stored = encodeVersion(next, state.slab);
  state.stageRow(currentKey(state.prefix, triple), stored);
  if (state.indexes.list.length > 0) {
    changeEntries(state, slot.ref, slot.bytes, op.value, revision);
  }
  if (next.expiresAtMs !== null) {
    state.stage(expiryKey(state.prefix, next.expiresAtMs, triple), encodeCount(revision));
    state.expiryFromMs = Math.min(state.expiryFromMs, next.expiresAtMs);
  }
  if (lease !== 0) state.stage(attachedKey(state.prefix, lease, triple), NOTHING);
  events.push(recordEvent(state, 'put', slot, revision, stored));
  return {
    type: 'put',
    revision,
    createRevision: next.createRevision,
    version: next.version,
  };
}

const NOTHING = new Uint8Array(0);

/** Takes a key away: its row into history, a tombstone at `revision`, one event. */
export function removeRow(
  state: GroupState,
  slot: FullSlot,
  revision: Revision,
  kind: 'delete' | 'expire',
): AppliedChange {
  supersede(state, slot.triple, slot.row, slot.bytes);
  state.keyCount--;
  state.stageRow(currentKey(state.prefix, slot.triple), null);
  state.stage(historyKey(state.prefix, slot.triple, revision), encodeTombstone());
  if (state.indexes.list.length > 0) changeEntries(state, slot.ref, slot.bytes, null, revision);
  return recordEvent(state, kind, slot, revision, null);
}

/** The current row becomes history, byte for byte, and its expiry and lease rows go. */
function supersede(state: GroupState, triple: string, row: VersionHead, bytes: Uint8Array): void {
  state.stage(historyKey(state.prefix, triple, row.revision), bytes);
  if (row.expiresAtMs !== null) {
    state.stage(expiryKey(state.prefix, row.expiresAtMs, triple), null);
  }
  const lease = row.lease ?? 0;
  if (lease !== 0) state.stage(attachedKey(state.prefix, lease, triple), null);
}

function recordEvent(
  state: GroupState,
  kind: FeedKind,
  slot: Slot,
  revision: Revision,
  stored: Uint8Array | null,
): AppliedChange {
  const prevRevision = slot.row === null ? 0 : slot.row.revision;
  state.sequence++;
  state.stage(
    feedKey(state.prefix, revision, slot.vshard, slot.triple),
    encodeFeed(kind, state.sequence, prevRevision),
  );
  return new AppliedChange(
    kind,
    slot.ref,
    slot.vshard,
    revision,
    prevRevision,
    state.sequence,
    stored,
    slot.bytes,
  );
}

function holds(condition: Condition, presentRevision: Revision): boolean {
  switch (condition.type) {
    case 'revision':
      return condition.revision === presentRevision;
    case 'exists':
      return presentRevision !== 0;
    case 'absent':
      return presentRevision === 0;
    default:
      return assertNever(condition);
  }
}

/** Unix ms; a ttl beyond the range of a count never comes due. */
function expiryOf(revision: Revision, ttlMs: number): number {
  return Math.min(wallMsOfRevision(revision) + ttlMs, Number.MAX_SAFE_INTEGER);
}
