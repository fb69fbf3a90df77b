import type { Command, LeaseEnd, OpResult } from '../../protocol/commands.ts';
import { homeOfLease, tenantOfLease } from '../../protocol/lease.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, vshardOf } from '../../protocol/vshard.ts';
import {
  attachedKey,
  currentKey,
  idempotencyKey,
  idempotencyName,
  leaseKey,
  leaseRangeEnd,
  parseAttachedKey,
  parseLeaseKey,
  refOfStoredTriple,
  tripleOf,
} from '../../storage/kv/keyspace.ts';
import { decodeLease, encodeLease, type LeaseRow } from '../../storage/kv/lease-row.ts';
import { decodeHead, decodeIdempotency } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState, GroupView } from './group-state.ts';
import { isRemembered, rememberRequest } from './idempotency.ts';
import { RemovalStep } from './removal-step.ts';
import { removeRow } from './write.ts';

/**
 * Leases (ADR 0030). A lease is a row of its home group, the one that owns its id's vshard. It lives
 * until an entry of that group ends it; time is the leader's affair and never apply's.
 *
 *   L1  A lease that has ended never lives again: its row stays until nothing is attached to it, and then a row as
 *       of an idempotent request, for the window, so that a grant which comes again finds that it is over.
 *   L2  A key knows its lease, and each current row that has one has an `a` row under it.
 *   L3  Removing what was attached is conditional on the key's revision: a key that was written
 *       since, attached anew or not, is left alone.
 */

type CommandOf<T extends Command['type']> = Extract<Command, { type: T }>;

/**
 * One result: `put` with the revision of the grant, `precondition_failed` for an id that is taken, or `lease_stale`
 * for a lease that was granted and has ended since.
 */
export function applyLeaseGrant(state: GroupState, command: CommandOf<'leaseGrant'>): Outcome {
  const { lease, ttlMs, revision, epoch } = command;
  if (!state.isOwned(homeOfLease(lease), epoch)) {
    return outcome([{ type: 'wrong_shard', epoch: state.epoch }]);
  }
  const before = readLease(state, lease);
  const tenant = tenantOfLease(command);
  if (before === null) {
    if (isBygone(state, lease, revision)) return outcome([ENDED]);
    const row = { tenant, ttlMs, grantRevision: revision, endRevision: 0, why: 'expired' } as const;
    state.stageRow(leaseKey(state.prefix, lease), encodeLease(row));
    return outcome([{ type: 'put', revision, createRevision: revision, version: 1 }]);
  }
  const { grantRevision } = before;
  // Ids are drawn so that no two tenants come by the same one.
  if (before.tenant !== tenant) {
    return outcome([{ type: 'precondition_failed', revision: grantRevision }]);
  }
  if (before.endRevision !== 0) return outcome([ENDED]);
  // The same request again: whoever repeats a grant has the lease that the first attempt made.
  if (before.ttlMs === ttlMs) {
    const at = { revision: grantRevision, createRevision: grantRevision };
    return outcome([{ type: 'put', ...at, version: 1 }]);
  }
  return outcome([{ type: 'precondition_failed', revision: grantRevision }]);
}

/** A result per lease: `deleted`, with the revision it ended at; false when it is not there or had ended. */
export function applyLeaseEnd(state: GroupState, command: CommandOf<'leaseEnd'>): Outcome {
  const results = command.leases.map(({ lease, why }): OpResult => {
    const row = state.ownedSince[homeOfLease(lease)] === 0 ? null : readLease(state, lease);
    if (row === null) return { type: 'deleted', deleted: false, revision: 0 };
    if (row.endRevision !== 0) {
      return { type: 'deleted', deleted: false, revision: row.endRevision };
    }
    const ended: LeaseRow = { ...row, endRevision: command.revision, why };
    state.stageRow(leaseKey(state.prefix, lease), encodeLease(ended));
    return { type: 'deleted', deleted: true, revision: command.revision };
  });
  return outcome(results);
}

export function applyLeaseForget(state: GroupState, command: CommandOf<'leaseForget'>): Outcome {
  for (const lease of command.leases) {
    const row = readLease(state, lease);
    if (row === null || row.endRevision === 0) continue;
    state.stageRow(leaseKey(state.prefix, lease), null);
    const request = { key: bygoneName(lease), requestHash: NO_HASH };
    rememberRequest(state, request, homeOfLease(lease), NO_TENANT, row.endRevision, []);
  }
  return outcome([]);
}

const ENDED: OpResult = Object.freeze({ type: 'lease_stale', revision: 0 });

/** Beside the requests of clients, whose tenants have names. */
const NO_TENANT = '';
const NO_HASH = new Uint8Array(32);

function bygoneName(lease: number): string {
  return `lease/${lease}`;
}

/** Whether a lease of this id has ended and been forgotten not long ago. */
function isBygone(state: GroupState, lease: number, revision: Revision): boolean {
  const name = idempotencyName(homeOfLease(lease), NO_TENANT, bygoneName(lease));
  const bytes = state.row(idempotencyKey(state.prefix, name));
  return bytes !== null && isRemembered(decodeIdempotency(bytes).revision, revision);
}

/** Removes what was attached to an ended lease: an `expire` event each, or `delete` when it was revoked. */
export function applyDetach(state: GroupState, command: CommandOf<'detach'>): Outcome {
  const events: AppliedChange[] = [];
  for (let i = 0; i < command.keys.length; i++) {
    const { ref, revision: seen, why } = command.keys[i] as CommandOf<'detach'>['keys'][number];
    const vshard = vshardOf(ref);
    const triple = tripleOf(ref);
    const bytes = state.row(currentKey(state.prefix, triple));
    if (bytes === null || state.ownedSince[vshard] === 0) continue;
    const row = decodeHead(bytes);
    if (row.revision !== seen) continue;
    // A prepared transaction counts on it, or will replace it: the sweep comes again.
    if (state.txns.size > 0 && !state.txns.locks.isFree(triple)) continue;
    const kind = why === 'revoked' ? 'delete' : 'expire';
    const slot = { ref, triple, vshard, bytes, row };
    events.push(removeRow(state, slot, command.revision + i, kind));
  }
  return { results: [], repeated: false, rejection: null, events, txn: null };
}

/** Whether something is prepared that will attach keys to one of these leases, should it commit. */
export function isAwaited(
  { txns }: GroupState,
  leases: readonly { readonly lease: number }[],
): boolean {
  if (txns.size === 0) return false;
  const wanted = new Set(leases.map(({ lease }) => lease));
  for (const { part, revision } of txns.all()) {
    const { then, otherwise } = part.body;
    for (const op of otherwise === null ? then : [...then, ...otherwise]) {
      const attach = op.type === 'put' ? (op.attach ?? null) : null;
      // Beyond its promise it cannot commit (T5).
      if (attach !== null && wanted.has(attach.lease) && revision <= attach.until) return true;
    }
  }
  return false;
}

function outcome(results: OpResult[]): Outcome {
  return { results, repeated: false, rejection: null, events: [], txn: null };
}

/** A lease as applied so far, ended or not; null when there is none. */
export function readLease(state: GroupState, lease: number): LeaseRow | null {
  const bytes = state.row(leaseKey(state.prefix, lease));
  return bytes === null ? null : decodeLease(bytes);
}

export type StoredLease = LeaseRow & { readonly lease: number };

/** Leases with ids above `after`, ended ones too, by id, at most `limit`. */
export async function readLeases(
  view: GroupView,
  after: number,
  limit: number,
): Promise<StoredLease[]> {
  const start = leaseKey(view.prefix, after + 1);
  const cursor = view.cursor({ start, end: leaseRangeEnd(view.prefix), reverse: false });
  const found: StoredLease[] = [];
  try {
    while (found.length < limit) {
      const rows = await cursor.next(Math.min(256, limit - found.length));
      if (rows.length === 0) break;
      for (const [key, value] of rows) {
        found.push({ lease: parseLeaseKey(key), ...decodeLease(value) });
      }
    }
  } finally {
    await cursor.close();
  }
  return found;
}

/**
 * Owned keys attached to a lease, by key: at most `limit`, and no more than fit a message. To other tenants than its
 * own there is nothing attached to it: all its keys are of one tenant.
 */
export async function readAttached(
  view: GroupView,
  lease: number,
  limit: number,
  tenant: string,
): Promise<{ keys: KeyRef[]; isAll: boolean }> {
  const keys: KeyRef[] = [];
  const step = new RemovalStep(limit);
  let isForeign = false;
  const isAll = await eachAttached(view, lease, (triple, ref) => {
    // Their rows need not be looked at (L2), and may be large.
    const isTaken = ref.tenant === tenant && step.takes(triple, 0);
    if (isTaken) keys.push(ref);
    else isForeign = ref.tenant !== tenant;
    return isTaken;
  });
  return { keys, isAll: isAll || isForeign };
}

/** In order, until `use` says no; resolves with whether that was never. */
async function eachAttached(
  view: GroupView,
  lease: number,
  use: (triple: string, ref: KeyRef) => boolean,
): Promise<boolean> {
  const start = attachedKey(view.prefix, lease, '');
  const end = attachedKey(view.prefix, lease + 1, '');
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    for (;;) {
      const rows = await cursor.next(64);
      if (rows.length === 0) return true;
      for (const [key] of rows) {
        const triple = parseAttachedKey(key);
        const ref = refOfStoredTriple(triple);
        if (view.ownedSince[vshardOf(ref)] !== 0 && !use(triple, ref)) return false;
      }
    }
  } finally {
    await cursor.close();
  }
}

/** The keys to remove for ended leases, at most one entry's worth, and whether that is all of them. */
export async function nextDetach(
  view: GroupView,
  leases: readonly { readonly lease: number; readonly why: LeaseEnd }[],
): Promise<{ keys: CommandOf<'detach'>['keys']; isAll: boolean }> {
  const keys: CommandOf<'detach'>['keys'][number][] = [];
  for (const { lease, why } of leases) {
    const step = new RemovalStep(LIMITS.feedPageEventsMax);
    const isAllOfIt = await eachAttached(view, lease, (triple, ref) => {
      const row = view.get(currentKey(view.prefix, triple));
      if (row === null) return true;
      if (!step.takes(triple, row.length)) return false;
      keys.push({ ref, revision: decodeHead(row).revision, why });
      return true;
    });
    // The leases behind this one come with the next step.
    const isAll = isAllOfIt && lease === leases[leases.length - 1]?.lease;
    if (keys.length > 0) return { keys, isAll };
  }
  return { keys, isAll: true };
}
