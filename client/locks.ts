import {
  fitsPath,
  type Key,
  percentEncode,
  queryOf,
  toText,
  type Value,
  valueFields,
} from './bytes.ts';
import { invalid, MinikvError } from './errors.ts';
import { keyOf } from './item.ts';
import { callOf, JSON_BODY } from './keys.ts';
import type { HeldLease, Leases } from './leases.ts';
import { bytesOf } from './operations.ts';
import type { CallOptions, Transport } from './transport.ts';

export interface LockOptions extends CallOptions {
  /** How long the lock outlives a holder that is gone. Default 15. */
  readonly ttlSeconds?: number | undefined;
  /** How long to wait while it is held; at most 60,000. Default 0. */
  readonly waitMs?: number | undefined;
  /** What the holder says of itself: an elected leader's address. */
  readonly value?: Value | undefined;
}

/** Who holds a lock. */
export interface LockInfo {
  readonly held: boolean;
  /** The revision it was acquired at; 0: it is free. */
  readonly token: number;
  readonly lease: number | null;
  readonly value: Uint8Array;
}

/** A lock in a list. */
export interface NamedLock extends LockInfo {
  /** As text; `nameBytes` is exact where the bytes are no UTF-8. */
  readonly name: string;
  readonly nameBytes: Uint8Array;
}

interface RawLock {
  readonly name?: string;
  readonly nameBase64?: string;
  readonly held: boolean;
  readonly key?: string;
  readonly keyBase64?: string;
  readonly token: number;
  readonly lease?: number;
  readonly value?: string;
  readonly base64?: string;
}

const TTL_SECONDS = 15;
const WAIT_MS_MAX = 60_000;
/** The node answers by itself when its wait is over. */
const ANSWER_MS = 5_000;

/** Locks and elections with fencing tokens. */
export class Locks {
  readonly #transport: Transport;
  readonly #leases: Leases;

  constructor(transport: Transport, leases: Leases) {
    this.#transport = transport;
    this.#leases = leases;
  }

  /** Throws MinikvError `lock_held` when somebody else keeps holding it. */
  async acquire(name: Key, options: LockOptions = {}): Promise<HeldLock> {
    const { ttlSeconds = TTL_SECONDS, waitMs = 0, value = '' } = options;
    const path = pathOf(name);
    const lease = await this.#leases.hold(ttlSeconds, callOf(options));
    const wait = Math.min(waitMs, WAIT_MS_MAX);
    const body = { lease: lease.id, waitMs: wait, ...valueFields(value) };
    try {
      const raw = await this.#transport.json<RawLock>({
        ...{ method: 'POST', path, headers: JSON_BODY, body: JSON.stringify(body) },
        // With the same lease it is the same lock: asking again is harmless.
        ...{ repeat: 'read', attemptMs: wait + ANSWER_MS, timeoutMs: wait + 2 * ANSWER_MS },
        signal: options.signal,
      });
      return new HeldLock(this, lease, name, raw);
    } catch (error) {
      // Also a lock that it was given without our knowledge goes with the lease.
      await giveBack(lease);
      throw error;
    }
  }

  /**
   * Runs `work` while holding the lock, and releases it. `work` is told when the lock is lost. What comes of it is what
   * comes of `work`: a lock that could not be released goes with its lease.
   */
  async with<T>(
    name: Key,
    work: (lock: HeldLock) => Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    const lock = await this.acquire(name, options);
    try {
      return await work(lock);
    } finally {
      await lock.release().catch(ignoreOwn);
    }
  }

  async get(name: Key, options: CallOptions = {}): Promise<LockInfo> {
    const raw = await this.#transport.json<RawLock>({
      ...{ ...callOf(options), method: 'GET', path: pathOf(name), repeat: 'read' },
    });
    return infoOf(raw);
  }

  /** Held locks, by name. */
  async *list(options: CallOptions = {}): AsyncGenerator<NamedLock, void, void> {
    let cursor: string | undefined;
    for (;;) {
      const page: { locks: RawLock[]; cursor?: string } = await this.#transport.json({
        ...{ ...callOf(options), method: 'GET', repeat: 'read' },
        path: `/v1/locks${queryOf({ limit: 1_000, cursor })}`,
      });
      for (const raw of page.locks) {
        const nameBytes = keyOf({ key: raw.name, keyBase64: raw.nameBase64 });
        yield { ...infoOf(raw), name: toText(nameBytes), nameBytes };
      }
      if (page.cursor === undefined) return;
      cursor = page.cursor;
    }
  }

  /** False: whoever had the token has lost the lock before. */
  async release(name: Key, token: number, options: CallOptions = {}): Promise<boolean> {
    const { released } = await this.#transport.json<{ released: boolean }>({
      ...{ ...callOf(options), method: 'DELETE', repeat: 'keyed' },
      path: pathOf(name) + queryOf({ token }),
    });
    return released;
  }
}

function infoOf(raw: RawLock): LockInfo {
  const value = raw.held ? bytesOf(raw) : new Uint8Array(0);
  return { held: raw.held, token: raw.token, lease: raw.lease ?? null, value };
}

/** A lock that this program holds, as far as it knows. */
export class HeldLock {
  readonly name: Key;
  /** The key that stands for the lock: watch it to follow an election. */
  readonly key: Key;
  /** Rises with every holder. */
  readonly token: number;
  readonly lease: HeldLease;
  readonly #locks: Locks;

  constructor(locks: Locks, lease: HeldLease, name: Key, raw: RawLock) {
    this.#locks = locks;
    this.lease = lease;
    this.name = name;
    this.key = raw.key ?? keyOf(raw);
    this.token = raw.token;
  }

  /** Aborted when the lock may be lost. */
  get signal(): AbortSignal {
    return this.lease.signal;
  }

  /**
   * What a write must compare to happen only while the lock is held: put it into a transaction's `compare`. It
   * fails as soon as another holder can be there, whatever this process believes.
   */
  get fence(): { readonly key: Key; readonly revision: number } {
    return { key: this.key, revision: this.token };
  }

  /**
   * Releases the lock and gives its lease back. False: it was lost before. When this fails, the lease is kept alive
   * no longer, and the lock goes with it.
   */
  async release(options: CallOptions = {}): Promise<boolean> {
    try {
      return await this.#locks.release(this.name, this.token, options);
    } finally {
      await giveBack(this.lease, options);
    }
  }
}

/** One that cannot be revoked now ends by itself. */
async function giveBack(lease: HeldLease, options?: CallOptions): Promise<void> {
  await lease.revoke(options).catch(ignoreOwn);
}

function ignoreOwn(error: unknown): void {
  if (!(error instanceof MinikvError)) throw error;
}

function pathOf(name: Key): string {
  if (!fitsPath(name)) throw invalid('a lock cannot have this name');
  return `/v1/locks/${percentEncode(name)}`;
}
