import { prefixEnd } from '../../protocol/bytes.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { KvService, RequestContext, WatchMessage } from '../../protocol/service.ts';
import type { Compare, TxnOp } from '../../protocol/txn.ts';
import type { Revision } from '../../protocol/types.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';

/**
 * Who waits for a lock, in order of arrival (ADR 0031). A waiter's place is a key of its own, attached to its lease,
 * and its rank is the key's createRevision. One more key, the sign, stands while anybody may be waiting.
 *
 *   Q1  A place and the sign are put in one transaction, and the sign is removed only by the last waiter, in the
 *       transaction that takes its place away, on condition that nobody has come since it looked; or by itself,
 *       later than any place that was put with it. So who finds no sign passes over nobody who had a place by then.
 *   Q2  The lock is taken by whoever is first, in one transaction with its place: while it is still there.
 *   Q3  A place goes with its lease, with the request that made it, and by itself a little after the wait that
 *       it was made for; whoever waits next sees that. One that another request of the same lease has taken since
 *       is left to that one.
 */
export const WAIT_PREFIX = '_lockwaits/';

export interface LockPorts {
  readonly service: KvService;
  readonly clock: Clock;
  /** Aborted when nobody waits for the answer any more; null where that cannot be known. */
  readonly gone: AbortSignal | null;
}

/** What a place outlives the wait that made it, should nobody take it away. */
const PLACE_EXTRA_MS = 5_000;
/** Longer than any place, on whichever clocks. */
const SIGN_MS = LIMITS.requestDeadlineMsMax + 2 * PLACE_EXTRA_MS + 2 * LIMITS.clockOffsetMsMax;
const LOOK_AGAIN_MS = 100;
const LATEST = { consistency: 'linearizable', revision: null } as const;
const LEASE_HEX_DIGITS = 14;

/** Names differ in length or in these bytes, so no lock's places are under another's. */
function waitsOf(name: string): string {
  return `${WAIT_PREFIX}${name.length}/${name}/`;
}

function refTo(key: string): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}

/** The key that says that somebody may be waiting for the lock. */
export function signRef(name: string): KeyRef {
  return refTo(waitsOf(name));
}

function placeRef(name: string, lease: number): KeyRef {
  return refTo(waitsOf(name) + lease.toString(16).padStart(LEASE_HEX_DIGITS, '0'));
}

/** The queue of a lock as one waiter sees it, at one revision. */
export interface Line {
  readonly revision: Revision;
  /** The sign's revision; 0: there is none. */
  readonly sign: Revision;
  /** The waiter's own place; null when it has none any more. */
  readonly own: Item | null;
  /** The place just before it. */
  readonly before: Item | null;
  readonly isAlone: boolean;
}

/** Takes a place at the end of the line; who has one keeps it. The place's revision. Throws `lease_not_found`. */
export async function joinLine(
  { service }: LockPorts,
  ctx: RequestContext,
  name: string,
  lease: number,
  waitMs: number,
): Promise<Revision> {
  const rest = { value: new Uint8Array(0), contentType: null };
  const sign: TxnOp = { type: 'put', ref: signRef(name), ...rest, ttlMs: SIGN_MS };
  const ttlMs = Math.ceil(Math.max(0, waitMs)) + PLACE_EXTRA_MS;
  const attach = { lease, until: 0 };
  const place: TxnOp = { type: 'put', ref: placeRef(name, lease), ...rest, ttlMs, attach };
  const body = { compares: [], then: [sign, place], otherwise: null };
  return (await service.transact(ctx, body)).outcome.revision;
}

/** Gives a place up, if it is still the one that was taken at `revision`. */
export async function leaveLine(
  { service }: LockPorts,
  ctx: RequestContext,
  name: string,
  lease: number,
  revision: Revision,
): Promise<void> {
  await service.delete(ctx, placeRef(name, lease), { type: 'revision', revision });
}

export async function lookAtLine(
  { service }: LockPorts,
  ctx: RequestContext,
  name: string,
  lease: number,
): Promise<Line> {
  const prefix = waitsOf(name);
  const own = placeRef(name, lease).key;
  const found: Item[] = [];
  let revision: Revision | null = null;
  for (let start: string | null = prefix; start !== null; ) {
    const page = await service.scan(ctx, {
      ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, values: false, reverse: false },
      ...{ start, end: prefixEnd(prefix), limit: LIMITS.pageItemsMax },
      ...{ consistency: 'linearizable', revision },
    });
    found.push(...page.items);
    revision = page.revision;
    start = page.next;
  }
  const sign = found.find((item) => item.ref.key === prefix)?.revision ?? 0;
  const places = found.filter((item) => item.ref.key !== prefix).sort(byArrival);
  const at = places.findIndex((item) => item.ref.key === own);
  return {
    ...{ revision: revision ?? 0, sign, own: places[at] ?? null },
    before: places[at - 1] ?? null,
    isAlone: places.length === 1 && at === 0,
  };
}

function byArrival(a: Item, b: Item): number {
  if (a.createRevision !== b.createRevision) return a.createRevision - b.createRevision;
  return a.ref.key < b.ref.key ? -1 : 1;
}

/**
 * Takes the lock for whoever is first in line (Q2). The token, or null when the lock is held, or the line is
 * not as it was seen.
 */
export async function takeTurn(
  { service }: LockPorts,
  ctx: RequestContext,
  lock: Extract<TxnOp, { type: 'put' }>,
  line: Line & { readonly own: Item },
  name: string,
): Promise<{ readonly token: Revision; readonly clock: Revision } | null> {
  const free: Compare = {
    ...{ ref: lock.ref, relation: '=', target: { type: 'exists', exists: false } },
  };
  const compares = [free, isAt(line.own.ref, line.own.revision)];
  const then: TxnOp[] = [lock, { type: 'delete', ref: line.own.ref }];
  if (line.isAlone) {
    compares.push(isAt(signRef(name), line.sign));
    then.push({ type: 'delete', ref: signRef(name) });
  }
  const { outcome, clock } = await service.transact(ctx, { compares, then, otherwise: null });
  return outcome.succeeded ? { token: outcome.revision, clock } : null;
}

function isAt(ref: KeyRef, revision: Revision): Compare {
  return { ref, relation: '=', target: { type: 'revision', revision } };
}

/** Resolves when a key has changed since a revision, when nobody waits any more, or after a while. */
export async function keyChanged(
  { service, clock, gone }: LockPorts,
  ctx: RequestContext,
  { tenant, space, key }: KeyRef,
  from: Revision,
  leftMs: number,
): Promise<void> {
  const options = { tenant, space, prefix: key, initial: false, prev: false };
  const watch = await service.watch(ctx, { ...options, from: { revision: from } });
  const end = (): void => watch.close();
  const cancel = clock.after(leftMs, end);
  gone?.addEventListener('abort', end);
  if (gone?.aborted === true) end();
  const isIt = (message: WatchMessage): boolean =>
    message.type === 'event' && message.event.ref.key === key;
  try {
    for (;;) {
      const messages = await watch.next();
      if (messages === null || messages.some(isIt)) return;
      if (messages.every(({ type }) => type === 'progress' || type === 'event')) continue;
      // Unchanged for longer than changes are kept: it is looked at again and again.
      await new Promise<void>((resolve) => clock.after(Math.min(LOOK_AGAIN_MS, leftMs), resolve));
      return;
    }
  } finally {
    cancel();
    gone?.removeEventListener('abort', end);
    watch.close();
  }
}

/** Whether a sign says that somebody may be waiting, and who holds the lock. */
export async function signAndHolder(
  { service }: LockPorts,
  ctx: RequestContext,
  name: string,
  lock: KeyRef,
): Promise<{ readonly hasSign: boolean; readonly holder: Item | null; readonly clock: Revision }> {
  const [sign, holder] = await Promise.all([
    service.get(ctx, signRef(name), LATEST),
    service.get(ctx, lock, LATEST),
  ]);
  return { hasSign: sign.item !== null, holder: holder.item, clock: holder.clock };
}

/** Somebody was in the way of a transaction that did nothing. */
export function isConflict(error: unknown): boolean {
  return error instanceof AppError && error.code === 'conflict' && error.definite;
}
