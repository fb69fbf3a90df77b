import type { WriteOp } from '../../protocol/commands.ts';
import {
  type Amounts,
  addAmounts,
  NO_AMOUNTS,
  SHORTAGES_MAX,
  type Shortage,
} from '../../protocol/quotas.ts';
import type { TxnBody, TxnOp } from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { currentKey, tripleOf } from '../../storage/kv/keyspace.ts';
import { decodeHead, type VersionHead, valueOffset } from '../../storage/kv/rows.ts';
import type { GroupState } from './group-state.ts';
import { hasExpired } from './item.ts';
import { type Hold, hasRoom, type Share } from './quota-table.ts';
import type { Prepared } from './txn-table.ts';

/** What operations would add to shares of quotas, before any of them is done (S2). Callers see to it that there are quotas. */

/** By share; what is taken away counts against what is added. */
type Growth = Map<Share, Amounts>;

function grow(growth: Growth, shares: readonly Share[], amounts: Amounts): void {
  for (const share of shares) {
    const before = growth.get(share);
    growth.set(share, before === undefined ? amounts : addAmounts(before, amounts));
  }
}

/** Null: there is room for all of it. */
function shortagesOf(growth: Growth): Shortage[] | null {
  const wanted: Growth = new Map();
  for (const [share, amounts] of growth) {
    if (!hasRoom(share, amounts, NO_AMOUNTS)) wanted.set(share, amounts);
  }
  return wanted.size === 0 ? null : shortagesFrom(wanted);
}

function shortagesFrom(wanted: Growth): Shortage[] {
  const short = [...wanted].slice(0, SHORTAGES_MAX);
  return short.map(([{ scope }, amounts]) => {
    return { scope, growth: amounts.map((amount) => Math.max(0, amount)) };
  });
}

interface KeyRow {
  readonly bytes: Uint8Array | null;
  readonly row: VersionHead | null;
}

function rowOf(state: GroupState, ref: KeyRef): KeyRow {
  const bytes = state.row(currentKey(state.prefix, tripleOf(ref)));
  return { bytes, row: bytes === null ? null : decodeHead(bytes) };
}

/** What a put of this many bytes adds, in the place of what is stored, expired or not. */
function growthOfPut(ref: KeyRef, valueBytes: number, { bytes }: KeyRow): Amounts {
  if (bytes === null) return [ref.key.length + valueBytes, 1, 0];
  return [valueBytes - (bytes.length - valueOffset(bytes)), 0, 0];
}

function growthOfDelete(ref: KeyRef, { bytes }: KeyRow): Amounts | null {
  return bytes === null ? null : [-(ref.key.length + bytes.length - valueOffset(bytes)), -1, 0];
}

/** Whether one put has room, as far as the batch has got. Null: it has. */
export function shortOfPut(state: GroupState, ref: KeyRef, valueBytes: number): Shortage[] | null {
  ensureHolds(state);
  const shares = state.quotas.of(ref.tenant, ref.space, ref.key);
  if (shares.length === 0) return null;
  const growth: Growth = new Map();
  grow(growth, shares, growthOfPut(ref, valueBytes, rowOf(state, ref)));
  return shortagesOf(growth);
}

/**
 * Shortages of independent operations, of which each finds what those before it have left; `revision` is the
 * first one's. Operations whose condition does not hold add nothing.
 */
export function shortOfOps(
  state: GroupState,
  ops: readonly WriteOp[],
  revision: Revision,
  holds: (op: WriteOp, presentRevision: Revision) => boolean,
): Shortage[] | null {
  ensureHolds(state);
  const done: Growth = new Map();
  const wanted: Growth = new Map();
  /** Of keys that an earlier operation has written: how many bytes their values have; null: they are gone. */
  const written = new Map<string, number | null>();
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as WriteOp;
    const { ref } = op;
    const shares = state.quotas.of(ref.tenant, ref.space, ref.key);
    if (shares.length === 0) continue;
    const triple = ops.length > 1 ? tripleOf(ref) : '';
    const earlier = written.get(triple);
    const stored = rowOf(state, ref);
    const { row } = stored;
    const present = row === null || hasExpired(row, revision + i) ? 0 : row.revision;
    // What an earlier one leaves has a revision that nobody could name.
    if (earlier === undefined && !holds(op, present)) continue;
    const amounts =
      earlier === undefined ? growthOf(op, stored, present) : growthAfter(op, earlier);
    if (amounts === null) continue;
    for (const share of shares) {
      const before = done.get(share) ?? NO_AMOUNTS;
      const after = addAmounts(before, amounts);
      // Where more is used than allowed, what others of the command take away is no room for it.
      if (!hasRoom(share, amounts, before)) want(wanted, share, amounts, after);
      done.set(share, after);
    }
    if (ops.length > 1) written.set(triple, op.type === 'put' ? op.value.length : null);
  }
  return wanted.size === 0 ? null : shortagesFrom(wanted);
}

function want(wanted: Growth, share: Share, own: Amounts, all: Amounts): void {
  const before = wanted.get(share) ?? NO_AMOUNTS;
  wanted.set(
    share,
    before.map((amount, kind) => Math.max(amount, own[kind] as number, all[kind] as number)),
  );
}

function growthOf(op: WriteOp, stored: KeyRow, present: Revision): Amounts | null {
  if (op.type === 'put') return growthOfPut(op.ref, op.value.length, stored);
  return present === 0 ? null : growthOfDelete(op.ref, stored);
}

function growthAfter(op: WriteOp, earlier: number | null): Amounts | null {
  const { length } = op.ref.key;
  if (op.type === 'put') {
    return earlier === null ? [length + op.value.length, 1, 0] : [op.value.length - earlier, 0, 0];
  }
  return earlier === null ? null : [-(length + earlier), -1, 0];
}

/**
 * Of a branch that is done at `revision`, as a whole. What it does to objects takes away or changes no size, and
 * counts as nothing.
 */
export function shortOfBranch(
  state: GroupState,
  ops: readonly TxnOp[],
  revision: Revision,
): Shortage[] | null {
  ensureHolds(state);
  return shortagesOf(growthOfBranch(state, ops, revision));
}

/**
 * `revision` null: it is not known at which one it will be done, only that the rows are as they are until then; so
 * nothing is counted on that may expire.
 */
function growthOfBranch(
  state: GroupState,
  ops: readonly TxnOp[],
  revision: Revision | null,
): Growth {
  const growth: Growth = new Map();
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i] as TxnOp;
    if (op.type !== 'put' && op.type !== 'delete') continue;
    const { ref } = op;
    const shares = state.quotas.of(ref.tenant, ref.space, ref.key);
    if (shares.length === 0) continue;
    const stored = rowOf(state, ref);
    if (op.type === 'put') {
      grow(growth, shares, growthOfPut(ref, op.value.length, stored));
      continue;
    }
    const { row } = stored;
    if (row === null) continue;
    const isThere = revision === null ? row.expiresAtMs === null : !hasExpired(row, revision);
    const amounts = isThere ? growthOfDelete(ref, stored) : null;
    if (amounts !== null) grow(growth, shares, amounts);
  }
  return growth;
}

/** What a part holds until its end: the larger of its branches, kind by kind. */
function growthOfPart(state: GroupState, body: TxnBody): Growth {
  const held: Growth = new Map();
  for (const ops of [body.then, body.otherwise ?? []]) {
    for (const [share, amounts] of growthOfBranch(state, ops, null)) {
      const before = held.get(share);
      held.set(
        share,
        amounts.map((amount, kind) => Math.max(0, amount, before?.[kind] ?? 0)),
      );
    }
  }
  return held;
}

/** Of a part that is to be prepared: the larger of its branches has to fit. */
export function shortOfPart(state: GroupState, body: TxnBody): Shortage[] | null {
  ensureHolds(state);
  return shortagesOf(growthOfPart(state, body));
}

/** A transaction is prepared: its keys are locked, so what it adds is the same until its end. */
export function holdRoom(state: GroupState, prepared: Prepared): void {
  const holds: Hold[] = [];
  for (const [share, amounts] of growthOfPart(state, prepared.part.body)) {
    holds.push({ share, amounts });
  }
  state.quotas.hold(prepared, holds);
}

/** After a start, or with another quota, what is prepared is looked at anew. */
export function ensureHolds(state: GroupState): void {
  const { quotas, txns } = state;
  if (quotas.knowsHolds) return;
  quotas.forgetHolds();
  if (txns.size === 0) return;
  for (const prepared of txns.all()) holdRoom(state, prepared);
}

/** A new version, or a part, of an object. */
export function shortOfObject(
  state: GroupState,
  ref: KeyRef,
  bytes: number,
  objects: number,
): Shortage[] | null {
  ensureHolds(state);
  const growth: Growth = new Map();
  grow(growth, state.quotas.of(ref.tenant, ref.space, ref.key), [bytes, 0, objects]);
  return shortagesOf(growth);
}
