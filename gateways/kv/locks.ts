import { prefixEnd } from '../../protocol/bytes.ts';
import { AppError, onlyRefusals } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { Revision } from '../../protocol/types.ts';
import type { KeyRef } from '../../protocol/vshard.ts';
import { leaseIdOf, type Shown } from './leases.ts';
import { readPage } from './listing.ts';
import {
  isConflict,
  joinLine,
  keyChanged,
  type LockPorts,
  leaveLine,
  lookAtLine,
  signAndHolder,
  takeTurn,
} from './lock-queue.ts';
import {
  bytesField,
  keyToJson,
  kvRef,
  type Shape,
  tooLarge,
  valueFromJson,
  valueToJson,
} from './shapes.ts';

/**
 * Locks and elections (ADR 0031). A lock is a key that is attached to its holder's lease; who makes it holds the
 * lock, until the key is removed by its release or with the lease.
 *
 *   N1  The key is made only where it is absent, so a lock has one holder at a time.
 *   N2  The token is the key's revision: later holders have higher tokens, and a compare of the key's revision
 *       with a token fails as soon as its holder has lost the lock, whatever that holder believes (B20).
 *   N3  Acquiring again with the same lease gives the same token: an answer that was lost can be asked for again.
 *   N4  Who has a place in line gets the lock before everybody who asks later, as long as its lease lives (Q1 to Q3).
 */
export const LOCK_PREFIX = '_locks/';

const LATEST = { consistency: 'linearizable', revision: null } as const;

export interface Acquire {
  readonly name: string;
  readonly lease: number;
  readonly value: Uint8Array;
  /** How long to wait while somebody else holds it. */
  readonly waitMs: number;
}

/** A name's key. Names are bytes, like keys. */
export function lockRef(name: string): KeyRef {
  if (name.length > LIMITS.lockNameBytesMax) {
    throw tooLarge('lockNameBytesMax', LIMITS.lockNameBytesMax);
  }
  if (name.length === 0) throw new AppError('invalid_argument', 'the name of the lock is empty');
  return kvRef(LOCK_PREFIX + name);
}

/** A lock's name in a document. */
export function lockNameOf(shape: Shape): string {
  const name = bytesField(shape, 'name');
  if (name === null) throw new AppError('invalid_argument', 'name or nameBase64 is missing');
  return name;
}

/** `body`: `{lease, value | base64, waitMs}`. */
export function acquireFromJson(name: string, body: Shape): Acquire {
  const { lease, value, base64, waitMs = 0 } = body;
  const isWait = typeof waitMs === 'number' && Number.isSafeInteger(waitMs) && waitMs >= 0;
  if (!isWait || waitMs > LIMITS.requestDeadlineMsMax) {
    const message = `waitMs must be a whole number up to ${LIMITS.requestDeadlineMsMax}`;
    throw new AppError('invalid_argument', message);
  }
  const isPlain = value === undefined && base64 === undefined;
  return {
    name,
    lease: leaseIdOf(lease),
    value: isPlain ? new Uint8Array(0) : valueFromJson(body),
    waitMs,
  };
}

/**
 * Waits in line (lock-queue.ts), for as long as somebody waits for the answer. Throws `lock_held` (with what its holder shows) when it stays held or others are
 * first, `lease_not_found` when the lease is gone.
 */
export async function acquireLock(
  ports: LockPorts,
  ctx: RequestContext,
  wanted: Acquire,
): Promise<Shown> {
  const { name, lease, value } = wanted;
  const ref = lockRef(name);
  // Repeating is harmless (N3), and a row of the first attempt would answer for all others.
  const plain: RequestContext = { ...ctx, idempotency: null };
  const { hasSign, holder, clock } = await signAndHolder(ports, plain, name, ref);
  if (holder?.lease === lease) return shown(name, lease, holder.value, holder.revision, clock);
  if (holder === null && !hasSign) {
    const { result, clock: at } = await ports.service.put(plain, lockPut(wanted));
    if (result.type === 'put') return shown(name, lease, value, result.revision, at);
    if (result.type === 'lease_stale') throw leaseGone();
  }
  if (holder !== null && wanted.waitMs === 0) throw held(name, holder);
  return waitInLine(ports, plain, wanted);
}

/** The key that makes its maker the holder, for as long as the lease lives. */
function lockPut({ name, lease, value }: Acquire) {
  return {
    ...{ type: 'put' as const, ref: lockRef(name), value, contentType: null, ttlMs: null },
    ...{ condition: { type: 'absent' as const }, attach: { lease, until: 0 } },
  };
}

async function waitInLine(ports: LockPorts, ctx: RequestContext, wanted: Acquire): Promise<Shown> {
  const { name, lease, waitMs } = wanted;
  const endMs = ports.clock.monotonicMs() + waitMs;
  const leftMs = (): number => endMs - ports.clock.monotonicMs();
  let place: Revision | null = await joinLine(ports, ctx, name, lease, waitMs);
  try {
    for (;;) {
      if (ports.gone?.aborted === true) throw nobodyWaits();
      const turn = await atTurn(ports, ctx, wanted);
      if (turn.type === 'held') {
        if (turn.isTaken) place = null;
        return turn.shown;
      }
      if (leftMs() <= 0) {
        const { item } = await ports.service.get(ctx, lockRef(name), LATEST);
        throw held(name, item);
      }
      if (turn.type === 'wait') await keyChanged(ports, ctx, turn.ref, turn.from, leftMs());
      else if (turn.type === 'lost') place = await joinLine(ports, ctx, name, lease, leftMs());
    }
  } finally {
    // A place that stays goes with the lease.
    if (place !== null) await leaveLine(ports, ctx, name, lease, place).catch(onlyRefusals);
  }
}

type Turn =
  /** `isTaken`: just now, and the place went with it. */
  | { readonly type: 'held'; readonly shown: Shown; readonly isTaken: boolean }
  /** Until this key changes, there is nothing to be had. */
  | { readonly type: 'wait'; readonly ref: KeyRef; readonly from: number }
  /** It has no place any more. */
  | { readonly type: 'lost' }
  | { readonly type: 'again' };

/** Whoever is first takes the lock, if it is free; the others wait for whoever is before them. */
async function atTurn(ports: LockPorts, ctx: RequestContext, wanted: Acquire): Promise<Turn> {
  const { name, lease, value } = wanted;
  const line = await lookAtLine(ports, ctx, name, lease);
  const { own, before, revision } = line;
  if (own !== null && before !== null) {
    return { type: 'wait', ref: before.ref, from: revision };
  }
  const ref = lockRef(name);
  const { item, clock } = await ports.service.get(ctx, ref, LATEST);
  if (item?.lease === lease) {
    const same = shown(name, lease, item.value, item.revision, clock);
    return { type: 'held', shown: same, isTaken: false };
  }
  if (own === null) return { type: 'lost' };
  // Unchanged up to the line's revision. Its own may be older than what is kept of the past.
  if (item !== null) return { type: 'wait', ref, from: Math.max(item.revision, revision) };
  if (ports.gone?.aborted === true) return { type: 'again' };
  try {
    const put = lockPut(wanted);
    const taken = await takeTurn(ports, ctx, put, { ...line, own }, name);
    if (taken === null) return { type: 'again' };
    const { token, clock: at } = taken;
    return { type: 'held', shown: shown(name, lease, value, token, at), isTaken: true };
  } catch (error) {
    if (isConflict(error)) return { type: 'again' };
    throw error;
  }
}

/** The lock is released only when `token` is its holder's. False: that holder had lost it before. */
export async function releaseLock(
  service: KvService,
  ctx: RequestContext,
  name: string,
  token: unknown,
): Promise<Shown> {
  if (typeof token !== 'number' || !Number.isSafeInteger(token) || token < 1) {
    throw new AppError('invalid_argument', 'token must be the token of the holder');
  }
  const condition = { type: 'revision' as const, revision: token };
  const { result, clock } = await service.delete(ctx, lockRef(name), condition);
  const released = result.type === 'deleted' && result.deleted;
  return { body: { released, revision: released ? result.revision : 0 }, clock };
}

export async function showLock(
  service: KvService,
  ctx: RequestContext,
  name: string,
): Promise<Shown> {
  const options = { consistency: 'linearizable', revision: null } as const;
  const { item, clock } = await service.get(ctx, lockRef(name), options);
  const body =
    item === null ? { ...keyToJson(name, 'name'), held: false, token: 0 } : lockToJson(item);
  return { body, clock };
}

/** Held locks, by name, a page; further ones are at the revision of the first. */
export async function listLocks(
  service: KvService,
  ctx: RequestContext,
  limit: number | null,
  cursor: string | null,
): Promise<Shown> {
  const read = await readPage({ service }, ctx, {
    ...{ start: LOCK_PREFIX, end: prefixEnd(LOCK_PREFIX), reverse: false, limit, cursor },
    ...{ values: true, revision: null, consistency: 'linearizable' },
  });
  const locks = read.page.items.map(lockToJson);
  const more = read.cursor === null ? {} : { cursor: read.cursor };
  return { body: { locks, ...more, ...read.lowered }, clock: read.page.revision };
}

function shown(
  name: string,
  lease: number,
  value: Uint8Array,
  token: number,
  clock: number,
): Shown {
  const item = { ref: lockRef(name), value, revision: token, lease };
  return { body: lockToJson(item), clock };
}

function lockToJson(item: Pick<Item, 'ref' | 'value' | 'revision' | 'lease'>): Shape {
  const { ref, value, revision, lease } = item;
  return {
    ...keyToJson(ref.key.slice(LOCK_PREFIX.length), 'name'),
    held: true,
    ...keyToJson(ref.key),
    token: revision,
    ...(lease ? { lease } : {}),
    ...valueToJson(value),
  };
}

/** `holder` null: it is free, and for others who came first. */
function held(name: string, holder: Item | null): AppError {
  const { token, lease, value, base64 } = holder === null ? {} : lockToJson(holder);
  const details = {
    ...keyToJson(name, 'name'),
    holder: holder === null ? null : { token, lease, value, base64 },
  };
  const message = holder === null ? 'others wait for the lock' : 'somebody else holds the lock';
  return new AppError('lock_held', message, { details });
}

/** Nobody reads this. */
function nobodyWaits(): AppError {
  return new AppError('lock_held', 'whoever asked for the lock is gone');
}

function leaseGone(): AppError {
  return new AppError('lease_not_found', 'there is no such lease, or it has ended');
}
