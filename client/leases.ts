import { nowMs, sleep } from './ambient.ts';
import { queryOf } from './bytes.ts';
import { MinikvError } from './errors.ts';
import { keyOf } from './item.ts';
import { callOf, JSON_BODY } from './keys.ts';
import type { CallOptions, Transport } from './transport.ts';

export interface LeaseInfo {
  readonly id: number;
  /** What each renewal gives it. */
  readonly ttlSeconds: number;
  /** By the leader's clock; a new leader gives the whole time again. */
  readonly remainingMs: number;
  /** Of the grant. */
  readonly revision: number;
}

interface RawLease {
  readonly id: number;
  readonly ttl: number;
  readonly remainingMs: number;
  readonly revision: number;
  readonly keys?: readonly { readonly key?: string; readonly keyBase64?: string }[];
}

function infoOf({ id, ttl, remainingMs, revision }: RawLease): LeaseInfo {
  return { id, ttlSeconds: ttl, remainingMs, revision };
}

/** Leases: keys that are attached to one (`put` with `lease`) go when it ends. */
export class Leases {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async grant(ttlSeconds: number, options: CallOptions = {}): Promise<LeaseInfo> {
    const raw = await this.#transport.json<RawLease>({
      ...callOf(options),
      ...{ method: 'POST', path: '/v1/leases', headers: JSON_BODY, repeat: 'keyed' },
      body: JSON.stringify({ ttlSeconds }),
    });
    return infoOf(raw);
  }

  /** A lease that is kept alive until it is given back, or lost: `signal` says so. */
  async hold(ttlSeconds: number, options: CallOptions = {}): Promise<HeldLease> {
    const askedMs = nowMs();
    const { id } = await this.grant(ttlSeconds, options);
    return new HeldLease(this, id, ttlSeconds, askedMs);
  }

  async keepAlive(id: number, options: CallOptions = {}): Promise<LeaseInfo> {
    const raw = await this.#transport.json<RawLease>({
      ...{ ...callOf(options), method: 'POST', path: `/v1/leases/${id}/keepalive`, repeat: 'read' },
    });
    return infoOf(raw);
  }

  /** Ends it and removes what is attached; the answer is how many keys. */
  async revoke(id: number, options: CallOptions = {}): Promise<{ removed: number }> {
    const { removed } = await this.#transport.json<{ removed: number }>({
      ...{ ...callOf(options), method: 'DELETE', path: `/v1/leases/${id}`, repeat: 'keyed' },
    });
    return { removed };
  }

  /** Null when there is no such lease, or it has ended. */
  async get(id: number, options: CallOptions = {}): Promise<LeaseInfo | null> {
    const raw = await this.#look(id, false, options);
    return raw === null ? null : infoOf(raw);
  }

  /** Keys that are attached to it, at most 1,000. */
  async keys(id: number, options: CallOptions = {}): Promise<Uint8Array[]> {
    const raw = await this.#look(id, true, options);
    return (raw?.keys ?? []).map(keyOf);
  }

  /** Living leases, by id. */
  async *list(options: CallOptions = {}): AsyncGenerator<LeaseInfo, void, void> {
    let cursor: string | undefined;
    for (;;) {
      const page: { leases: RawLease[]; cursor?: string } = await this.#transport.json({
        ...{ ...callOf(options), method: 'GET', repeat: 'read' },
        path: `/v1/leases${queryOf({ limit: 1_000, cursor })}`,
      });
      yield* page.leases.map(infoOf);
      if (page.cursor === undefined) return;
      cursor = page.cursor;
    }
  }

  async #look(id: number, keys: boolean, options: CallOptions): Promise<RawLease | null> {
    const path = `/v1/leases/${id}${queryOf({ keys: keys ? true : undefined })}`;
    try {
      return await this.#transport.json<RawLease>({
        ...{ ...callOf(options), method: 'GET', path, repeat: 'read' },
      });
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }
}

/**
 * A lease and the loop that keeps it alive. `signal` is aborted as soon as nobody can say any more that the
 * lease lives: it has ended, was given back, or could not be renewed in its time, also because this process
 * was paused. What only its holder may do must still be fenced by the store: this process may learn of it late.
 */
export class HeldLease {
  readonly id: number;
  readonly ttlSeconds: number;
  readonly #leases: Leases;
  readonly #lost = new AbortController();

  constructor(leases: Leases, id: number, ttlSeconds: number, askedMs: number) {
    this.#leases = leases;
    this.id = id;
    this.ttlSeconds = ttlSeconds;
    void this.#keep(askedMs);
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Gives it back: what is attached to it goes. False: it had ended before. */
  async revoke(options: CallOptions = {}): Promise<boolean> {
    this.#lost.abort('given back');
    try {
      await this.#leases.revoke(this.id, options);
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  /** Three renewals fit its time; each counts from when it was asked for. */
  async #keep(askedMs: number): Promise<void> {
    const ttlMs = this.ttlSeconds * 1_000;
    const { signal } = this.#lost;
    let untilMs = askedMs + ttlMs;
    while (!signal.aborted) {
      await sleep(Math.min(ttlMs / 3, Math.max(0, untilMs - nowMs())), signal);
      const beganMs = nowMs();
      if (signal.aborted) return;
      if (beganMs >= untilMs) return this.#lost.abort('it could not be renewed in time');
      try {
        await this.#leases.keepAlive(this.id, { timeoutMs: untilMs - beganMs, signal });
        untilMs = beganMs + ttlMs;
      } catch (error) {
        if (isGone(error)) return this.#lost.abort('it has ended');
      }
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof MinikvError && error.code === 'lease_not_found';
}
