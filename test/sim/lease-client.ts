import type { PutOp } from '../../protocol/commands.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History } from './history.ts';

const DEADLINE_MS = 1_500;
const PATIENCE_MS = 500;
const PAUSE_MS_MAX = 10_000;
const LOCKS = ['_locks/a', '_locks/b'];
const LATEST = { consistency: 'linearizable', revision: null } as const;

function refTo(key: string): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}

/**
 * A client that lives by leases: it takes one, attaches keys to it, takes locks with it, keeps it alive, and
 * then forgets it, gives it back, or is away for longer than it lasts and goes on as if nothing had been.
 */
export class LeaseClient {
  readonly #name: string;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  #number = 0;
  #node = 0;
  #stopped = false;

  constructor(name: string, cluster: ClusterPort, history: History, random: Random) {
    this.#name = name;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#pause(300);
      const ttlMs = randomInt(this.#random, 1, 4) * 1_000;
      const lease = await this.#grant(ttlMs);
      if (lease !== null) await this.#live(lease, ttlMs);
    }
  }

  /** One lease, from its grant to its end or to where this client lets go of it. */
  async #live(lease: number, ttlMs: number): Promise<void> {
    let token: { lock: string; token: number } | null = null;
    const steps = randomInt(this.#random, 1, 12);
    for (let step = 0; step < steps && !this.#stopped; step++) {
      const draw = this.#random.next();
      if (draw < 0.3) await this.#attach(lease, `l/${randomInt(this.#random, 0, 7)}`);
      else if (draw < 0.5) token = (await this.#acquire(lease)) ?? token;
      else if (draw < 0.65 && token !== null) await this.#validate(token);
      else if (draw < 0.7 && token !== null) await this.#release(token);
      else if (!(await this.#keepAlive(lease))) return;
      // Away for a while, and now and then for too long: it believes in its lease all the same.
      const away = this.#random.next() < 0.08;
      await this.#pause(away ? ttlMs * 2 : ttlMs / 6);
    }
    if (this.#random.next() < 0.5) {
      // Keys that are being attached while the lease ends.
      const keys = [0, 1, 2, 3].map((i) => this.#attach(lease, `late/${i}`));
      await this.#pause(5);
      await Promise.all([this.#revoke(lease), ...keys]);
    }
    if (token !== null) await this.#validate(token);
  }

  async #grant(ttlMs: number): Promise<number | null> {
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.leases.grant(ctx, ttlMs));
    if (outcome.kind !== 'ok') return null;
    const { lease } = outcome.value.lease;
    this.#saw(lease, 'alive', callMs);
    return lease;
  }

  /** False when the lease is gone. */
  async #keepAlive(lease: number): Promise<boolean> {
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.leases.keepAlive(ctx, lease));
    if (outcome.kind === 'ok') this.#saw(lease, 'alive', callMs);
    return !this.#isGone(outcome, lease, callMs);
  }

  async #revoke(lease: number): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.leases.revoke(ctx, lease));
    if (outcome.kind === 'ok') this.#saw(lease, 'gone', callMs);
    else this.#isGone(outcome, lease, callMs);
  }

  async #attach(lease: number, key: string): Promise<void> {
    await this.#put(lease, key, null);
  }

  /** A lock is a key that is made where there is none. */
  async #acquire(lease: number): Promise<{ lock: string; token: number } | null> {
    const lock = LOCKS[randomInt(this.#random, 0, LOCKS.length - 1)] as string;
    const callMs = this.#cluster.nowMs();
    const token = await this.#put(lease, lock, { type: 'absent' });
    if (token === null) return null;
    this.#history.locks.push({
      ...{ lock, token, kind: 'acquired', callMs, atMs: this.#cluster.nowMs() },
    });
    return { lock, token };
  }

  /** The revision of an acknowledged put; null otherwise. */
  async #put(lease: number, key: string, condition: PutOp['condition']): Promise<number | null> {
    const value = `${this.#name}-${this.#number++}`;
    const op: PutOp = {
      ...{ type: 'put', ref: refTo(key), value: Buffer.from(value), contentType: null },
      ...{ ttlMs: null, condition, attach: { lease, until: 0 } },
    };
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.put(ctx, op));
    if (outcome.kind === 'ok') {
      const { result } = outcome.value;
      if (result.type !== 'put') {
        this.#history.refuse(key, value, result.type);
        return null;
      }
      this.#history.acknowledge(key, value, result.revision, this.#cluster.nowMs());
      this.#saw(lease, 'attached', callMs);
      return result.revision;
    }
    if (outcome.kind === 'refused') this.#history.refuse(key, value, outcome.code);
    this.#isGone(outcome, lease, callMs);
    return null;
  }

  /** What a fenced write compares: whether the lock is still at this token. */
  async #validate({ lock, token }: { lock: string; token: number }): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.get(ctx, refTo(lock), LATEST));
    if (outcome.kind !== 'ok' || outcome.value.item?.revision !== token) return;
    this.#history.locks.push({
      ...{ lock, token, kind: 'valid', callMs, atMs: this.#cluster.nowMs() },
    });
  }

  async #release({ lock, token }: { lock: string; token: number }): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const condition = { type: 'revision', revision: token } as const;
    const outcome = await this.#ask((s, ctx) => s.delete(ctx, refTo(lock), condition));
    const { result } = outcome.kind === 'ok' ? outcome.value : { result: null };
    if (result?.type !== 'deleted' || !result.deleted) return;
    this.#history.locks.push({
      ...{ lock, token, kind: 'released', callMs, atMs: this.#cluster.nowMs() },
    });
  }

  #isGone(outcome: Outcome<unknown>, lease: number, callMs: number): boolean {
    if (outcome.kind !== 'refused' || outcome.code !== 'lease_not_found') return false;
    this.#saw(lease, 'gone', callMs);
    return true;
  }

  #saw(lease: number, kind: 'alive' | 'gone' | 'attached', callMs: number): void {
    this.#history.leases.push({ lease, kind, callMs, atMs: this.#cluster.nowMs() });
  }

  async #ask<T>(ask: (service: KvService, ctx: RequestContext) => Promise<T>): Promise<Outcome<T>> {
    const ctx = { deadlineMs: DEADLINE_MS, traceparent: null, idempotency: null };
    const give = DEADLINE_MS + PATIENCE_MS;
    const outcome = await askNode(this.#cluster, this.#node, give, (service) => ask(service, ctx));
    if (outcome.kind !== 'ok' || this.#random.next() < 0.1) {
      this.#node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    }
    return outcome;
  }

  #pause(meanMs: number): Promise<void> {
    const drawn = -Math.log(1 - this.#random.next()) * meanMs;
    return this.#cluster.sleep(Math.min(drawn, PAUSE_MS_MAX));
  }
}
