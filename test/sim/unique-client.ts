import type { PutOp } from '../../protocol/commands.ts';
import { AppError } from '../../protocol/errors.ts';
import type { NewIndex } from '../../protocol/index-access.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { Compare, TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, type KeyRef, KV_SPACE } from '../../protocol/vshard.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History } from './history.ts';

const DEADLINE_MS = 1_500;
const PATIENCE_MS = 500;
const PREFIX = 'q/';
/** Few keys and fewer values, so that many want the same. */
const KEYS = 6;
const VALUES = 4;

export const UNIQUE_INDEX: NewIndex = {
  ...{ name: 'unique', tenant: DEFAULT_TENANT, space: KV_SPACE, prefix: PREFIX, kind: 'fields' },
  ...{ fields: [{ path: '/u', steps: ['u'], type: 'string' }], sparse: false, unique: true },
};

function refTo(key: string): KeyRef {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}

/**
 * A client of a unique index: defines and drops it, and wants values that others have. Values end in every way: by
 * another put, a delete, a range delete, a time to live, with a lease.
 */
export class UniqueClient {
  readonly #name: string;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  #number = 0;
  #node = 0;
  #lease: number | null = null;
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
    // Something is there already, perhaps twice, when the index is defined.
    for (let i = 0; i < 3; i++) await this.#put();
    await this.#ask((s, ctx) => s.indexes.define(ctx, UNIQUE_INDEX));
    while (!this.#stopped) {
      const pauseMs = -Math.log(1 - this.#random.next()) * 60;
      await this.#cluster.sleep(Math.min(pauseMs, 5_000));
      if (!this.#stopped) await this.#step();
    }
  }

  async #step(): Promise<void> {
    const draw = this.#random.next();
    if (draw < 0.5) return this.#put();
    if (draw < 0.65) return this.#delete();
    if (draw < 0.85) return this.#transact();
    if (draw < 0.9) return this.#batch();
    if (draw < 0.92) return this.#deleteAll();
    return this.#change();
  }

  /** One that failed is dropped once what was twice is gone, and defined again. */
  async #change(): Promise<void> {
    const outcome = await this.#ask((s, ctx) => s.indexes.inspect(ctx, UNIQUE_INDEX.name));
    if (outcome.kind === 'unknown') return;
    const isGone = outcome.kind === 'refused' && outcome.code === 'not_found';
    const isFailed = outcome.kind === 'ok' && outcome.value.info.state === 'failed';
    if (isFailed) await this.#deleteAll();
    if (isFailed || (!isGone && this.#random.next() < 0.05)) {
      await this.#ask((s, ctx) => s.indexes.drop(ctx, UNIQUE_INDEX.name));
    }
    if (isGone) await this.#ask((s, ctx) => s.indexes.define(ctx, UNIQUE_INDEX));
  }

  #key(): string {
    return `${PREFIX}${randomInt(this.#random, 0, KEYS - 1)}`;
  }

  /** One value or two of the few, now and then none; told apart from every other by `n`. */
  #value(): string {
    const draw = this.#random.next();
    const one = (): string => `v${randomInt(this.#random, 0, VALUES - 1)}`;
    const u = draw < 0.1 ? null : draw < 0.25 ? [one(), one()] : one();
    return JSON.stringify({ u, n: `${this.#name}-${this.#number++}` });
  }

  async #put(): Promise<void> {
    const key = this.#key();
    const value = this.#value();
    const draw = this.#random.next();
    const ttlMs = draw < 0.2 ? randomInt(this.#random, 50, 1_500) : null;
    const condition = draw > 0.9 ? ({ type: 'absent' } as const) : null;
    const lease = draw > 0.2 && draw < 0.35 ? await this.#someLease() : null;
    const op: PutOp = {
      ...{ type: 'put', ref: refTo(key), value: Buffer.from(value), contentType: null },
      ...{ ttlMs, condition, attach: lease === null ? null : { lease, until: 0 } },
    };
    const name = `${this.#name}-${this.#number}`;
    const once = this.#random.next() < 0.3;
    const idempotency = once ? { key: name, requestHash: new Uint8Array(32) } : null;
    for (let attempt = 0; attempt < 3; attempt++) {
      const outcome = await this.#ask((s, ctx) => s.put({ ...ctx, idempotency }, op));
      if (outcome.kind === 'ok') {
        const { result } = outcome.value;
        if (result.type === 'put') this.#acknowledge(key, value, result.revision);
        else if (attempt === 0 || result.type === 'precondition_failed') {
          this.#history.refuse(key, value, result.type);
        }
        return;
      }
      if (!once && outcome.kind === 'refused') this.#history.refuse(key, value, outcome.code);
      if (!once) return;
    }
  }

  /** Not kept alive: it ends by itself, mostly with keys of others' wishes. */
  async #someLease(): Promise<number | null> {
    if (this.#lease === null || this.#random.next() < 0.3) {
      const outcome = await this.#ask((s, ctx) => s.leases.grant(ctx, 1_000));
      this.#lease = outcome.kind === 'ok' ? outcome.value.lease.lease : null;
    }
    return this.#lease;
  }

  async #delete(): Promise<void> {
    const ref = refTo(this.#key());
    await this.#ask((s, ctx) => s.delete(ctx, ref, null));
  }

  /** Two keys at once, so that they may change places; or one goes and another comes. */
  async #transact(): Promise<void> {
    const [a, b] = [this.#key(), this.#key()];
    if (a === b) return;
    const values = [this.#value(), this.#value()] as const;
    const first = this.#random.next() < 0.3;
    const ops: TxnOp[] = [
      first ? { type: 'delete', ref: refTo(a) } : this.#txnPut(a, values[0]),
      this.#txnPut(b, values[1]),
    ];
    if (this.#random.next() < 0.4) return this.#choose(first ? [b] : [a, b], values, ops);
    const body = { compares: [], then: ops, otherwise: null };
    const outcome = await this.#ask((s, ctx) => s.transact(ctx, body));
    if (outcome.kind === 'refused') {
      if (!first) this.#history.refuse(a, values[0], outcome.code);
      this.#history.refuse(b, values[1], outcome.code);
    } else if (outcome.kind === 'ok') {
      const { revision } = outcome.value.outcome;
      if (!first) this.#acknowledge(a, values[0], revision);
      this.#acknowledge(b, values[1], revision);
    }
  }

  /** Those operations where some key is there; else the last put with another text, and what the first would end stays. */
  async #choose(
    keys: readonly string[],
    values: readonly [string, string],
    then: TxnOp[],
  ): Promise<void> {
    const target = { type: 'exists', exists: true } as const;
    const compares: Compare[] = [{ ref: refTo(this.#key()), relation: '=', target }];
    const last = keys[keys.length - 1] as string;
    const other = values[1].replace(/}$/, ',"or":true}');
    const body = { compares, then, otherwise: [this.#txnPut(last, other)] };
    const outcome = await this.#ask((s, ctx) => s.transact(ctx, body));
    if (outcome.kind === 'unknown') return;
    const written = outcome.kind === 'ok' ? outcome.value.outcome : null;
    const puts = keys.map((key, i) => [key, values[i + 2 - keys.length] as string, true] as const);
    for (const [key, value, isThen] of [...puts, [last, other, false] as const]) {
      if (written?.succeeded === isThen) this.#acknowledge(key, value, written.revision);
      else this.#history.refuse(key, value, outcome.kind === 'ok' ? 'compare' : outcome.code);
    }
  }

  #txnPut(key: string, value: string): TxnOp {
    return {
      ...{ type: 'put', ref: refTo(key), value: Buffer.from(value) },
      ...{ contentType: null, ttlMs: null },
    };
  }

  async #batch(): Promise<void> {
    const puts = [0, 1, 2].map(() => ({ key: this.#key(), value: this.#value() }));
    const ops = puts.map(({ key, value }) => {
      const rest = { contentType: null, ttlMs: null, condition: null, attach: null };
      const op = { type: 'put' as const, ref: refTo(key), value: Buffer.from(value), ...rest };
      return { kind: 'write' as const, op };
    });
    const outcome = await this.#ask((s, ctx) => s.batch(ctx, ops));
    if (outcome.kind !== 'ok') return;
    for (const [i, one] of outcome.value.results.entries()) {
      const { key, value } = puts[i] as { key: string; value: string };
      if (one.kind === 'error' && one.definite) this.#history.refuse(key, value, one.code);
      if (one.kind !== 'write') continue;
      if (one.result.type === 'put') this.#acknowledge(key, value, one.result.revision);
      else this.#history.refuse(key, value, one.result.type);
    }
  }

  async #deleteAll(): Promise<void> {
    const [tenant, space] = [DEFAULT_TENANT, KV_SPACE];
    const all: TxnOp = { type: 'deleteRange', tenant, space, start: PREFIX, end: 'q0' };
    const body = { compares: [], then: [all], otherwise: null };
    await this.#ask((s, ctx) => s.transact(ctx, body));
  }

  #acknowledge(key: string, value: string, revision: number): void {
    this.#history.acknowledge(key, value, revision, this.#cluster.nowMs());
  }

  async #ask<T>(ask: (service: KvService, ctx: RequestContext) => Promise<T>): Promise<Outcome<T>> {
    const ctx = { deadlineMs: DEADLINE_MS, traceparent: null, idempotency: null };
    const give = DEADLINE_MS + PATIENCE_MS;
    const outcome = await askNode(this.#cluster, this.#node, give, (service) => ask(service, ctx));
    if (outcome.kind === 'refused' && outcome.code === 'duplicate') {
      const { error } = outcome;
      if (error instanceof AppError && error.details['holder'] === undefined) {
        throw new Error('a duplicate does not say who has the value');
      }
    }
    if (outcome.kind !== 'ok' || this.#random.next() < 0.1) {
      this.#node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    }
    return outcome;
  }
}
