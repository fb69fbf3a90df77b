import { prefixEnd } from '../../protocol/bytes.ts';
import type { Clock } from '../../protocol/clock.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Item } from '../../protocol/messages/request.ts';
import type { KvService, RequestContext, WatchMessage } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { leaseIdOf, type Shown } from './leases.ts';
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
 */
export const LOCK_PREFIX = '_locks/';

const LOCK_PAUSE_MS = 100;

export interface Acquire {
  readonly name: string;
  readonly lease: number;
  readonly value: Uint8Array;
  /** How long to wait while somebody else holds it. */
  readonly waitMs: number;
}

type LockPorts = { readonly service: KvService; readonly clock: Clock };

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

/** Throws `lock_held` (with what its holder shows) when it stays held, `lease_not_found` when the lease is gone. */
export async function acquireLock(
  ports: LockPorts,
  ctx: RequestContext,
  wanted: Acquire,
): Promise<Shown> {
  const { service, clock } = ports;
  const ref = lockRef(wanted.name);
  const endMs = clock.monotonicMs() + wanted.waitMs;
  const put = {
    ...{ type: 'put' as const, ref, value: wanted.value, contentType: null, ttlMs: null },
    ...{ condition: { type: 'absent' as const }, attach: { lease: wanted.lease, until: 0 } },
  };
  // Repeating is harmless (N3), and a row of the first attempt would answer for all others.
  const plain: RequestContext = { ...ctx, idempotency: null };
  for (;;) {
    const { result, clock: at } = await service.put(plain, put);
    if (result.type === 'put')
      return shown(wanted.name, wanted.lease, wanted.value, result.revision, at);
    if (result.type === 'lease_stale') {
      throw new AppError('lease_not_found', 'there is no such lease, or it has ended');
    }
    const found = await service.get(plain, ref, { consistency: 'linearizable', revision: null });
    const { item } = found;
    if (item?.lease === wanted.lease) {
      return shown(wanted.name, wanted.lease, item.value, item.revision, found.clock);
    }
    const leftMs = endMs - clock.monotonicMs();
    if (item === null) {
      if (leftMs > -LIMITS.requestDeadlineMsDefault) continue;
      throw new AppError('conflict', 'the lock changes hands too fast');
    }
    if (leftMs <= 0) throw held(wanted.name, item);
    await changed(ports, plain, item, leftMs);
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

/** Held locks, by name. */
export async function listLocks(service: KvService, ctx: RequestContext): Promise<Shown> {
  const page = await service.scan(ctx, {
    ...{ tenant: DEFAULT_TENANT, space: KV_SPACE, values: true, reverse: false },
    ...{ start: LOCK_PREFIX, end: prefixEnd(LOCK_PREFIX), limit: LIMITS.pageItemsMax },
    ...{ consistency: 'linearizable', revision: null },
  });
  const body = { locks: page.items.map(lockToJson), more: page.next !== null };
  return { body, clock: page.revision };
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

function held(name: string, item: Item): AppError {
  const { token, lease, value, base64 } = lockToJson(item);
  const details = { ...keyToJson(name, 'name'), holder: { token, lease, value, base64 } };
  return new AppError('lock_held', 'somebody else holds the lock', { details });
}

/** Resolves when the holder's key has changed, or after a while. Who is first then is nobody's promise. */
async function changed(
  { service, clock }: LockPorts,
  ctx: RequestContext,
  item: Item,
  leftMs: number,
): Promise<void> {
  const { tenant, space, key } = item.ref;
  const options = { tenant, space, prefix: key, initial: false, prev: false };
  const watch = await service.watch(ctx, { ...options, from: { revision: item.revision } });
  const cancel = clock.after(leftMs, () => watch.close());
  const isIt = (message: WatchMessage): boolean =>
    message.type === 'event' && message.event.ref.key === key;
  try {
    for (;;) {
      const messages = await watch.next();
      if (messages === null || messages.some(isIt)) return;
      if (messages.every(({ type }) => type === 'progress' || type === 'event')) continue;
      // Held for longer than changes are kept: it is looked at again and again.
      await new Promise<void>((resolve) => clock.after(Math.min(LOCK_PAUSE_MS, leftMs), resolve));
      return;
    }
  } finally {
    cancel();
    watch.close();
  }
}
