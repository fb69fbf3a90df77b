import { acquireLock, LOCK_PREFIX } from '../../gateways/kv/locks.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { PutOp } from '../../protocol/commands.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { Compare, TxnBody, TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History, LeaseSeen } from './history.ts';

const DEADLINE_MS = 1_500;
/** Longer than a promise about a lease. */
const TXN_DEADLINE_MS = 5_000;
const PATIENCE_MS = 500;
const PAUSE_MS_MAX = 10_000;
const LOCKS = ['a', 'b'];
const LOCK_WAIT_MS_MAX = 3_000;
const LATEST = { consistency: 'linearizable', revision: null } as const;

/** The time of the program that asks. */
function clockOf(cluster: ClusterPort): Clock {
  return {
    monotonicMs: () => cluster.nowMs(),
    wallMs: () => cluster.nowMs(),
    after: (ms, run) => {
      let isCancelled = false;
      void cluster.sleep(ms).then(() => {
        if (!isCancelled) run();
      });
      return () => {
        isCancelled = true;
      };
    },
    soon: (run) => queueMicrotask(run),
  };
}

function refTo(key: string): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}

/** What some of these clients do beside the rest. */
export interface LeaseHabits {
  /** They revoke leases as soon as they know that keys are attached. */
  readonly revokesAtOnce: boolean;
  /** They take leases, renew them once and forget them. */
  readonly letsGo: boolean;
  /** Somebody of another tenant asks for their leases, and would end them. */
  readonly hasStrangers: boolean;
}

interface Held {
  readonly lock: string;
  readonly lease: number;
  readonly token: number;
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
  readonly #clock: Clock;
  readonly #habits: LeaseHabits;
  #number = 0;
  #node = 0;
  #stopped = false;

  constructor(
    name: string,
    cluster: ClusterPort,
    history: History,
    random: Random,
    habits: LeaseHabits,
  ) {
    this.#name = name;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
    this.#clock = clockOf(cluster);
    this.#habits = habits;
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
      if (this.#habits.letsGo && !this.#stopped) await this.#letGo();
      for (let i = 0; i < 3 && this.#habits.revokesAtOnce && !this.#stopped; i++) {
        await this.#attachAndRevoke();
      }
    }
  }

  /** What it knows to be attached has to be gone when a revoke is complete. */
  async #attachAndRevoke(): Promise<void> {
    const lease = await this.#grant(10_000);
    if (lease === null) return;
    const own = `${this.#name}/${this.#number++}`;
    await this.#attachAll(
      lease,
      [0, 1, 2].map((i) => `${own}/${i}`),
    );
    // Later than the answer, as clocks tell it.
    await this.#cluster.sleep(0.01);
    await this.#revoke(lease);
  }

  /** A few leases that are renewed once and never again: a renewal that did not count shows when they expire. */
  async #letGo(): Promise<void> {
    const ttlMs = 1_000;
    const one = async (): Promise<void> => {
      const lease = await this.#grant(ttlMs);
      await this.#cluster.sleep(ttlMs * 0.8 * this.#random.next());
      if (lease !== null) await this.#keepAlive(lease);
    };
    await Promise.all([one(), one(), one(), one(), one(), one()]);
  }

  /** One lease, from its grant to its end or to where this client lets go of it. */
  async #live(lease: number, ttlMs: number): Promise<void> {
    let token: Held | null = null;
    if (this.#habits.hasStrangers) await this.#stranger(lease);
    const steps = randomInt(this.#random, 1, 12);
    for (let step = 0; step < steps && !this.#stopped; step++) {
      const draw = this.#random.next();
      if (draw < 0.2) await this.#attach(lease, this.#someKey());
      else if (draw < 0.3) await this.#attachAll(lease, [this.#someKey(), this.#someKey(), 'l/8']);
      else if (draw < 0.5) token = (await this.#acquire(lease, ttlMs)) ?? token;
      else if (draw < 0.65 && token !== null) await this.#validate(token);
      else if (draw < 0.7 && token !== null) await this.#release(token);
      else if (!(await this.#keepAlive(lease))) return;
      else if (this.#random.next() < 0.6) {
        // As late as it may: whoever gives the lease less than its time shows.
        await this.#cluster.sleep(ttlMs * (0.7 + 0.25 * this.#random.next()));
        if (!(await this.#keepAlive(lease))) return;
        continue;
      }
      // Away for a while, and now and then for too long: it believes in its lease all the same.
      const away = this.#random.next() < 0.08;
      await this.#pause(away ? ttlMs * 2 : ttlMs / 6);
    }
    if (this.#random.next() < 0.5) {
      // Keys that are being attached while the lease ends, alone and all or nothing.
      const keys = [0, 1, 2, 3].map((i) => this.#attach(lease, `late/${i}`));
      const both = this.#attachAll(lease, ['late/4', 'late/5', 'late/6']);
      await this.#pause(5);
      await Promise.all([this.#revoke(lease), both, ...keys]);
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

  /** To another tenant the lease is not there: it is neither told of nor kept alive nor ended. */
  async #stranger(lease: number): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const told = await Promise.all([
      this.#ask((s, ctx) => s.leases.ofTenant('stranger').look(ctx, lease)),
      this.#ask((s, ctx) => s.leases.ofTenant('stranger').keepAlive(ctx, lease)),
      this.#ask((s, ctx) => s.leases.ofTenant('stranger').revoke(ctx, lease)),
    ]);
    if (told.some(({ kind }) => kind === 'ok')) this.#saw(lease, 'foreign', callMs);
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
    if (outcome.kind === 'ok' && outcome.value.isSwept) this.#sawKeys(lease, 'swept', callMs);
  }

  async #attach(lease: number, key: string): Promise<void> {
    const value = `${this.#name}-${this.#number++}`;
    const op: PutOp = {
      ...{ type: 'put', ref: refTo(key), value: Buffer.from(value), contentType: null },
      ...{ ttlMs: null, condition: null, attach: { lease, until: 0 } },
    };
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.put(ctx, op));
    if (outcome.kind === 'ok') {
      const { result } = outcome.value;
      if (result.type !== 'put') return this.#history.refuse(key, value, result.type);
      this.#history.acknowledge(key, value, result.revision, this.#cluster.nowMs());
      this.#saw(lease, 'attached', callMs);
      this.#sawKeys(lease, 'attached', callMs, [key], result.revision);
    }
    if (outcome.kind === 'refused') this.#history.refuse(key, value, outcome.code);
    this.#isGone(outcome, lease, callMs);
  }

  #someKey(): string {
    return `l/${randomInt(this.#random, 0, 7)}`;
  }

  /** Several keys in one transaction, mostly over several groups; now and then behind a compare that fails. */
  async #attachAll(lease: number, names: readonly string[]): Promise<void> {
    const values = new Map(
      [...new Set(names)].map((key) => [key, `${this.#name}-${this.#number++}`]),
    );
    const puts = [...values].map(([key, value]): TxnOp => {
      const op = { type: 'put', ref: refTo(key), value: Buffer.from(value) } as const;
      return { ...op, contentType: null, ttlMs: null, attach: { lease, until: 0 } };
    });
    const exists = this.#random.next() < 0.1;
    const target = { type: 'exists', exists } as const;
    const compare: Compare = { ref: refTo('l/never'), relation: '=', target };
    const body: TxnBody = { compares: [compare], then: puts, otherwise: null };
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.transact(ctx, body), TXN_DEADLINE_MS);
    for (const [key, value] of values) {
      if (outcome.kind === 'refused') this.#history.refuse(key, value, outcome.code);
      if (outcome.kind !== 'ok') continue;
      const { succeeded, revision } = outcome.value.outcome;
      if (!succeeded) this.#history.refuse(key, value, 'compare_failed');
      else this.#history.acknowledge(key, value, revision, this.#cluster.nowMs());
    }
    const isDone = outcome.kind === 'ok' && outcome.value.outcome.succeeded;
    if (isDone) {
      this.#saw(lease, 'attached', callMs);
      const { revision } = outcome.value.outcome;
      this.#sawKeys(lease, 'attached', callMs, [...values.keys()], revision);
    }
    this.#isGone(outcome, lease, callMs);
  }

  /** Asks for a lock, mostly waiting in line for a while; the lease is kept alive meanwhile. */
  async #acquire(lease: number, ttlMs: number): Promise<Held | null> {
    let isOver = false;
    const renew = async (): Promise<void> => {
      while (!isOver) {
        await this.#cluster.sleep(ttlMs / 6);
        if (isOver || !(await this.#keepAlive(lease))) return;
      }
    };
    void renew();
    const held = await this.#askLock(lease);
    isOver = true;
    return held;
  }

  async #askLock(lease: number): Promise<Held | null> {
    const name = LOCKS[randomInt(this.#random, 0, LOCKS.length - 1)] as string;
    const lock = LOCK_PREFIX + name;
    const value = `${this.#name}-${this.#number++}`;
    const waitMs = this.#random.next() < 0.3 ? 0 : randomInt(this.#random, 100, LOCK_WAIT_MS_MAX);
    const wanted = { name, lease, value: Buffer.from(value), waitMs };
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask(
      (service, ctx) => acquireLock({ service, clock: this.#clock, gone: null }, ctx, wanted),
      waitMs + DEADLINE_MS,
    );
    const endMs = this.#cluster.nowMs();
    const seen = { lock, lease, callMs };
    const untilMs = outcome.kind === 'unknown' ? Number.POSITIVE_INFINITY : endMs;
    this.#history.locks.push({ ...seen, token: 0, kind: 'asked', atMs: untilMs });
    this.#isGone(outcome, lease, callMs);
    if (outcome.kind === 'refused') this.#history.refuse(lock, value, outcome.code);
    if (outcome.kind !== 'ok') return null;
    const { token, value: shown } = outcome.value.body as { token: number; value: string };
    // The same lease again has what it had, with the value of then.
    if (shown === value) this.#history.acknowledge(lock, value, token, endMs);
    this.#history.locks.push({ ...seen, token, kind: 'acquired', atMs: endMs });
    return { lock, lease, token };
  }

  /** What a fenced write compares: whether the lock is still at this token. */
  async #validate({ lock, lease, token }: Held): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const outcome = await this.#ask((s, ctx) => s.get(ctx, refTo(lock), LATEST));
    if (outcome.kind !== 'ok' || outcome.value.item?.revision !== token) return;
    this.#history.locks.push({
      ...{ lock, lease, token, kind: 'valid', callMs, atMs: this.#cluster.nowMs() },
    });
  }

  async #release({ lock, lease, token }: Held): Promise<void> {
    const callMs = this.#cluster.nowMs();
    const condition = { type: 'revision', revision: token } as const;
    const outcome = await this.#ask((s, ctx) => s.delete(ctx, refTo(lock), condition));
    const { result } = outcome.kind === 'ok' ? outcome.value : { result: null };
    if (result?.type !== 'deleted' || !result.deleted) return;
    this.#history.locks.push({
      ...{ lock, lease, token, kind: 'released', callMs, atMs: this.#cluster.nowMs() },
    });
  }

  #isGone(outcome: Outcome<unknown>, lease: number, callMs: number): boolean {
    if (outcome.kind !== 'refused' || outcome.code !== 'lease_not_found') return false;
    this.#saw(lease, 'gone', callMs);
    return true;
  }

  #saw(lease: number, kind: LeaseSeen['kind'], callMs: number): void {
    this.#history.leases.push({ lease, kind, callMs, atMs: this.#cluster.nowMs() });
  }

  #sawKeys(
    lease: number,
    kind: 'attached' | 'swept',
    callMs: number,
    keys: readonly string[] = [],
    revision = 0,
  ): void {
    const atMs = this.#cluster.nowMs();
    this.#history.leaseKeys.push({ lease, kind, keys, revision, callMs, atMs });
  }

  async #ask<T>(
    ask: (service: KvService, ctx: RequestContext) => Promise<T>,
    deadlineMs = DEADLINE_MS,
  ): Promise<Outcome<T>> {
    const ctx = { deadlineMs, traceparent: null, idempotency: null };
    const give = deadlineMs + PATIENCE_MS;
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
