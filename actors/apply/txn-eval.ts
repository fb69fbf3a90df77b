import { assert, assertNever } from '../../protocol/assert.ts';
import { compareBytes } from '../../protocol/bytes.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { TxnResult } from '../../protocol/messages/txn.ts';
import type { ObjectResult } from '../../protocol/object-ops.ts';
import { decodeRecord, versionIdOf } from '../../protocol/objects.ts';
import {
  type Compare,
  hasRange,
  isKeyed,
  isObjectOp,
  type ObjectTxnOp,
  type Relation,
  refsOf,
  type TxnBody,
  type TxnOp,
} from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import { currentKey, tripleOf } from '../../storage/kv/keyspace.ts';
import {
  decodeCurrent,
  decodeHead,
  type VersionHead,
  type VersionRow,
} from '../../storage/kv/rows.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState } from './group-state.ts';
import { hasExpired, itemOf } from './item.ts';
import { comparePositions, positionOf } from './position.ts';
import {
  foreseeReservation,
  isReservation,
  performReservation,
  type ReservationOp,
} from './reservations.ts';
import { foreseeObject, ofRevision, performObject } from './txn-objects.ts';
import { putRow, readSlot, removeRow, type Slot } from './write.ts';

/** What a transaction is to see and to do in one group, at one revision. */

/** What is there at a revision, without its value; null when the key is absent or has expired. */
function presentHead(state: GroupState, ref: KeyRef, revision: Revision): VersionHead | null {
  const bytes = state.row(currentKey(state.prefix, tripleOf(ref)));
  if (bytes === null) return null;
  const head = decodeHead(bytes);
  return hasExpired(head, revision) ? null : head;
}

/** The same with its value. */
export function presentRow(state: GroupState, ref: KeyRef, revision: Revision): VersionRow | null {
  const bytes = state.row(currentKey(state.prefix, tripleOf(ref)));
  if (bytes === null) return null;
  const row = decodeCurrent(bytes);
  return hasExpired(row, revision) ? null : row;
}

/** The disk has the time until the entry is committed to read the rows of every key that is named. */
export function warmRows(state: GroupState, body: TxnBody): void {
  if (!state.isCold) return;
  for (const ref of refsOf(body)) state.warm(currentKey(state.prefix, tripleOf(ref)), null);
}

/** Index of the first compare that does not hold; null when all do. */
export function firstFailed(
  state: GroupState,
  compares: readonly Compare[],
  revision: Revision,
): number | null {
  for (let i = 0; i < compares.length; i++) {
    const compare = compares[i] as Compare;
    const { ref, relation, target } = compare;
    const isHeld =
      target.type === 'value'
        ? holdsValue(relation, target.value, presentRow(state, ref, revision))
        : target.type === 'etag' || target.type === 'versionId'
          ? holdsOfObject(relation, target, presentRow(state, ref, revision))
          : holds(relation, target, presentHead(state, ref, revision));
    if (!isHeld) return i;
  }
  return null;
}

/** An absent key has no value: it is unequal to all, and neither above nor below any. */
function holdsValue(relation: Relation, value: Uint8Array, row: VersionRow | null): boolean {
  return row === null ? relation === '!=' : relates(relation, compareBytes(row.value, value));
}

/** An object that is absent has neither ETag nor version: they are unequal to all. */
function holdsOfObject(
  relation: Relation,
  target: Extract<Compare['target'], { type: 'etag' | 'versionId' }>,
  row: VersionRow | null,
): boolean {
  const record = row === null ? null : decodeRecord(row.value);
  const isEqual =
    target.type === 'etag'
      ? record?.etag === target.etag
      : record !== null && versionIdOf(record) === target.versionId;
  return relates(relation, Number(isEqual) - 1);
}

type HeadTarget = Exclude<Compare['target'], { type: 'value' | 'etag' | 'versionId' }>;

function holds(relation: Relation, target: HeadTarget, row: VersionHead | null): boolean {
  switch (target.type) {
    case 'exists':
      return relates(relation, Number(row !== null) - Number(target.exists));
    case 'revision':
      return relates(relation, (row?.revision ?? 0) - target.revision);
    case 'version':
      return relates(relation, (row?.version ?? 0) - target.version);
    case 'lease':
      return relates(relation, (row?.lease ?? 0) - target.lease);
    default:
      return assertNever(target);
  }
}

function relates(relation: Relation, order: number): boolean {
  switch (relation) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '>':
      return order > 0;
    default:
      return assertNever(relation);
  }
}

/** What an item costs on the wire beside its key and value, at most. */
const ITEM_OVERHEAD_BYTES = 160;

export function itemBytes(item: Item | null): number {
  if (item === null) return 8;
  const { ref, value, contentType } = item;
  return value.length + ref.key.length + (contentType?.length ?? 0) + ITEM_OVERHEAD_BYTES;
}

/** What the items of results take in an answer, about. */
export function gotBytes(results: readonly TxnResult[]): number {
  let bytes = 0;
  for (let i = 0; i < results.length; i++) {
    const result = results[i] as TxnResult;
    if (result.type === 'got') bytes += itemBytes(result.item);
    else if (result.type === 'page') for (const item of result.items) bytes += itemBytes(item);
  }
  return bytes;
}

/** The soonest expiry (Unix ms) of any key that was seen; infinity where none expires. */
export interface Seen {
  validUntilMs: number;
}

/**
 * What each operation will give at `revision`, before anything of it is done; ranges as empty pages, range
 * deletes as none. Null when the items, or the values that would be replaced, are more than the limit. The keys are
 * added to `seen`.
 */
export function foresee(
  state: GroupState,
  ops: readonly TxnOp[],
  revision: Revision,
  seen: Seen | null,
): TxnResult[] | null {
  const results = new Array<TxnResult>(ops.length);
  const trial = { pieces: 0 };
  let bytes = 0;
  let replaced = 0;
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    const row = isKeyed(op) ? presentRow(state, op.ref, revision) : null;
    if (seen !== null && row !== null) see(seen, row);
    const result = isObjectOp(op)
      ? foreseeObject(state, op, revision, trial)
      : foreseeOne(state, op, row);
    results[i] = result;
    if (result.type === 'got') bytes += itemBytes(result.item);
    else if (row !== null && op.type !== 'expect') replaced += row.value.length;
  }
  if (bytes > LIMITS.txnResultBytesMax || replaced > LIMITS.txnReplacedBytesMax) return null;
  return trial.pieces > LIMITS.txnObjectPartsMax ? null : results;
}

function foreseeOne(
  state: GroupState,
  op: Exclude<TxnOp, ObjectTxnOp>,
  row: VersionRow | null,
): TxnResult {
  switch (op.type) {
    case 'range':
      return { type: 'page', items: [], more: false };
    case 'deleteRange':
      return { type: 'deleted', count: 0 };
    case 'claim':
    case 'release':
    case 'expect':
      return foreseeReservation(state, op, row?.revision ?? 0);
    case 'get':
      return { type: 'got', item: row === null ? null : itemOf(op.ref, row) };
    case 'delete':
      return { type: 'deleted', count: row === null ? 0 : 1 };
    case 'put':
      return {
        type: 'put',
        createRevision: row?.createRevision ?? 0,
        version: (row?.version ?? 0) + 1,
      };
    default:
      return assertNever(op);
  }
}

/** Of the key that a transaction expects something of; 0 when absent, and for reservations. */
function presentRevision(state: GroupState, op: ReservationOp, revision: Revision): Revision {
  return op.type === 'expect' ? (presentHead(state, op.ref, revision)?.revision ?? 0) : 0;
}

/** What a branch gave; or the first of its operations that cannot be done, by place, and nothing is. */
export type BranchEnd =
  | { readonly type: 'done'; readonly results: TxnResult[]; readonly events: AppliedChange[] }
  | {
      readonly type: 'refused';
      readonly at: number;
      readonly revision: Revision;
      /** What an object says. */
      readonly object: ObjectResult | null;
    };

/**
 * foresee and perform at one revision, for operations on keys: each row is read once. Null, and nothing done, where
 * foresee says so or the items are more than is left of the limit beside `otherBytes`.
 */
export function doBranch(
  state: GroupState,
  ops: readonly TxnOp[],
  revision: Revision,
  otherBytes: number,
): BranchEnd | null {
  const slots = new Array<Slot | null>(ops.length);
  const results = new Array<TxnResult>(ops.length);
  let bytes = otherBytes;
  let replaced = 0;
  const trial = { pieces: 0 };
  let refused: BranchEnd | null = null;
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    assert(isKeyed(op), 'a range in a transaction of one entry');
    if (op.type === 'get') {
      const row = presentRow(state, op.ref, revision);
      const item = row === null ? null : itemOf(op.ref, row);
      results[i] = { type: 'got', item };
      slots[i] = null;
      bytes += itemBytes(item);
    } else if (isReservation(op)) {
      const result = foreseeReservation(state, op, presentRevision(state, op, revision));
      results[i] = result;
      slots[i] = null;
      if (result.type === 'refused' && refused === null) {
        refused = { type: 'refused', at: i, revision: result.revision, object: null };
      }
    } else if (isObjectOp(op)) {
      const result = foreseeObject(state, op, revision, trial);
      results[i] = ofRevision(result, revision);
      slots[i] = null;
      replaced += state.row(currentKey(state.prefix, tripleOf(op.ref)))?.length ?? 0;
      if (result.type === 'objectRefused' && refused === null) {
        refused = { type: 'refused', at: i, revision: 0, object: result.result };
      }
    } else {
      const slot = readSlot(state, op.ref, vshardOf(op.ref));
      const { row } = slot;
      const isPresent = row !== null && !hasExpired(row, revision);
      if (isPresent) replaced += (slot.bytes as Uint8Array).length;
      if (op.type === 'delete') results[i] = { type: 'deleted', count: isPresent ? 1 : 0 };
      else {
        const createRevision = isPresent ? row.createRevision : revision;
        results[i] = { type: 'put', createRevision, version: isPresent ? row.version + 1 : 1 };
      }
      slots[i] = slot;
    }
  }
  if (bytes > LIMITS.txnResultBytesMax || trial.pieces > LIMITS.txnObjectPartsMax) return null;
  // Rows are larger than their values: nearly always that tells already.
  if (replaced > LIMITS.txnReplacedBytesMax && foresee(state, ops, revision, null) === null)
    return null;
  if (refused !== null) return refused;
  const events: AppliedChange[] = [];
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    const slot = slots[i] as Slot | null;
    if (slot === null) {
      if (isReservation(op)) performReservation(state, op);
      else if (isObjectOp(op)) performObject(state, op, revision, events);
    } else if (op.type === 'put') putRow(state, op, slot, revision, events);
    else removeSlot(state, slot, revision, events);
  }
  return { type: 'done', results, events: inOrder(events) };
}

/** Adds the keys that are compared. */
export function seeCompared(
  state: GroupState,
  compares: readonly Compare[],
  revision: Revision,
  seen: Seen,
): void {
  for (const { ref } of compares) {
    const head = presentHead(state, ref, revision);
    if (head !== null) see(seen, head);
  }
}

function see(seen: Seen, { expiresAtMs }: VersionHead): void {
  if (expiresAtMs !== null && expiresAtMs < seen.validUntilMs) seen.validUntilMs = expiresAtMs;
}

/** Does the writes of one branch, and removes what its range deletes found; all events at `revision`. */
export function perform(
  state: GroupState,
  ops: readonly TxnOp[],
  removed: readonly KeyRef[],
  revision: Revision,
): AppliedChange[] {
  const events: AppliedChange[] = [];
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    if (op.type === 'delete') remove(state, op.ref, revision, events);
    else if (op.type === 'put') {
      putRow(state, op, readSlot(state, op.ref, vshardOf(op.ref)), revision, events);
    } else if (isReservation(op)) performReservation(state, op);
    else if (isObjectOp(op)) performObject(state, op, revision, events);
  }
  for (let i = 0; i < removed.length; i++) remove(state, removed[i] as KeyRef, revision, events);
  return inOrder(events);
}

/** In (revision, vshard, key) order. */
export function inOrder(events: AppliedChange[]): AppliedChange[] {
  if (events.length < 2) return events;
  return events.sort((a, b) => comparePositions(positionOf(a), positionOf(b)));
}

function remove(state: GroupState, ref: KeyRef, revision: Revision, events: AppliedChange[]): void {
  removeSlot(state, readSlot(state, ref, vshardOf(ref)), revision, events);
}

function removeSlot(
  state: GroupState,
  slot: Slot,
  revision: Revision,
  events: AppliedChange[],
): void {
  if (slot.bytes === null || slot.row === null || hasExpired(slot.row, revision)) return;
  const { bytes, row } = slot;
  events.push(removeRow(state, { ...slot, bytes, row }, revision, 'delete'));
}

/** Whether every key that is named is owned. */
export function ownsKeys(state: GroupState, body: TxnBody, epoch: number): boolean {
  const { compares, then, otherwise } = body;
  for (let i = 0; i < compares.length; i++) {
    if (!state.isOwned(vshardOf((compares[i] as Compare).ref), epoch)) return false;
  }
  return ownsOps(state, then, epoch) && (otherwise === null || ownsOps(state, otherwise, epoch));
}

function ownsOps(state: GroupState, ops: readonly TxnOp[], epoch: number): boolean {
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    if (isKeyed(op) && !state.isOwned(vshardOf(op.ref), epoch)) return false;
  }
  return true;
}

/** The same, and everything where there are ranges. */
export function ownsAll(state: GroupState, body: TxnBody, epoch: number): boolean {
  if (hasRange(body) && epoch !== state.epoch) return false;
  return ownsKeys(state, body, epoch);
}

export function branchOf(body: TxnBody, succeeded: boolean): readonly TxnOp[] {
  return succeeded ? body.then : (body.otherwise ?? []);
}
