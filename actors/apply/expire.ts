import type { Command } from '../../protocol/commands.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Revision } from '../../protocol/types.ts';
import { type KeyRef, KV_SPACE, vshardOf } from '../../protocol/vshard.ts';
import {
  currentKey,
  expiryStart,
  parseExpiryKey,
  refOfStoredTriple,
  tripleOf,
} from '../../storage/kv/keyspace.ts';
import { decodeCount, decodeHead } from '../../storage/kv/rows.ts';
import type { Outcome } from './apply.ts';
import { endExpired, ruleOf } from './buckets.ts';
import type { AppliedChange } from './change.ts';
import type { GroupState, GroupView } from './group-state.ts';
import { hasExpired } from './item.ts';
import { notifyOfExpiry } from './outbox.ts';
import { RemovalStep } from './removal-step.ts';
import { removeRow } from './write.ts';

export type ExpireCommand = Extract<Command, { type: 'expire' }>;

/**
 * Removes key i when it still has the revision that the leader saw, has expired at `revision + i`
 * and is in a vshard this group owns; otherwise it leaves it alone. An `expire` event per removal.
 */
export function applyExpire(state: GroupState, command: ExpireCommand): Outcome {
  const events: AppliedChange[] = [];
  for (let i = 0; i < command.keys.length; i++) {
    const { ref, revision: seen } = command.keys[i] as ExpireCommand['keys'][number];
    const revision = command.revision + i;
    const vshard = vshardOf(ref);
    const triple = tripleOf(ref);
    const bytes = state.row(currentKey(state.prefix, triple));
    if (bytes === null || state.ownedSince[vshard] === 0) continue;
    // A prepared transaction counts on it, or will replace it; it comes due again afterwards.
    if (state.txns.size > 0 && !state.txns.locks.isFree(triple)) continue;
    const row = decodeHead(bytes);
    if (row.revision !== seen || !hasExpired(row, revision)) continue;
    if (ref.space !== KV_SPACE) {
      endExpired(state, ref, bytes, revision);
      notifyOfExpiry(state, ruleOf(state, ref), ref, revision);
    }
    events.push(removeRow(state, { ref, triple, vshard, bytes, row }, revision, 'expire'));
  }
  return { results: [], repeated: false, rejection: null, events, txn: null };
}

/** Unix ms of the soonest expiry of any key; infinity when none expires. */
export async function soonestExpiryMs(view: GroupView): Promise<number> {
  const start = expiryStart(view.prefix, 0);
  const end = expiryStart(view.prefix, Number.MAX_SAFE_INTEGER);
  const cursor = view.cursor({ start, end, reverse: false });
  try {
    const [first] = await cursor.next(1);
    return first === undefined ? Number.POSITIVE_INFINITY : parseExpiryKey(first[0]).expiresAtMs;
  } finally {
    await cursor.close();
  }
}

/** What may be removed now. */
export interface Due {
  readonly keys: { readonly ref: KeyRef; readonly revision: Revision }[];
  /** Where the next look goes on: this one has seen many keys that are locked. Null: all was seen, or as much as fits. */
  readonly next: string | null;
}

/**
 * Owned keys whose expiry is at or before `wallMs` (Unix ms), soonest first, at most `limit` and
 * never more than one expire command takes: what the leader proposes to remove. Keys that a prepared transaction
 * has locked are passed over, so that they hold up no other. `from`: an earlier look's `next`.
 */
export async function nextExpiry(
  view: GroupView,
  limit: number,
  wallMs: number,
  isLocked: (triple: string) => boolean = () => false,
  from: string | null = null,
): Promise<Due> {
  const cursor = view.cursor({
    start: from ?? expiryStart(view.prefix, 0),
    end: expiryStart(view.prefix, Math.floor(wallMs) + 1),
    reverse: false,
  });
  const keys: Due['keys'] = [];
  let passed = 0;
  const step = new RemovalStep(Math.min(limit, LIMITS.feedPageEventsMax));
  try {
    for (;;) {
      const rows = await cursor.next(ROWS_AT_ONCE);
      if (rows.length === 0) return { keys, next: null };
      for (const [key, value] of rows) {
        const { triple } = parseExpiryKey(key);
        const ref = refOfStoredTriple(triple);
        if (view.ownedSince[vshardOf(ref)] === 0) continue;
        if (isLocked(triple)) {
          if (++passed >= PASSED_MAX) return { keys, next: `${key}\x00` };
          continue;
        }
        const row = view.get(currentKey(view.prefix, triple));
        if (!step.takes(triple, row === null ? 0 : row.length)) return { keys, next: null };
        keys.push({ ref, revision: decodeCount(value) });
      }
    }
  } finally {
    await cursor.close();
  }
}

const ROWS_AT_ONCE = 256;
/** Locked keys that one look passes over. */
const PASSED_MAX = 4_096;
