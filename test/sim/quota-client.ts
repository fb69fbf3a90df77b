import type { WriteOp } from '../../protocol/commands.ts';
import type { Quota } from '../../protocol/quotas.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, KV_SPACE } from '../../protocol/vshard.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History } from './history.ts';
import type { QuotasModel } from './model-quotas.ts';

const CTX: RequestContext = { deadlineMs: 1_500, traceparent: null, idempotency: null };
const PATIENCE_MS = 1_000;
/** Names its clients in the run's hash, beside the processes of others. */
const PROCESSES = 2_000_000;

export const QUOTA_SCOPE = 'prefix:default/q/';
/** Of about ten keys that all clients put into all groups. */
export const QUOTA: Quota = { bytes: 400, keys: 10, objects: null };
const KEYS = 24;

/**
 * Clients that put keys under one prefix, which has a quota from early on, whatever is there by then: one by one, in
 * batches and in transactions, near its end most of the time; now and then they delete some.
 */
export class QuotaClient {
  readonly #number: number;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  readonly #quotas: QuotasModel;
  #count = 0;
  #stopped = false;

  constructor(
    number: number,
    cluster: ClusterPort,
    history: History,
    random: Random,
    quotas: QuotasModel,
  ) {
    this.#number = number;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
    this.#quotas = quotas;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      await this.#cluster.sleep(-Math.log(1 - this.#random.next()) * 60);
      if (this.#stopped) return;
      const draw = this.#random.next();
      if (this.#number === 0 && i % 40 === 8) await this.#set();
      else if (draw < 0.5) await this.#put();
      else if (draw < 0.65) await this.#batch();
      else if (draw < 0.8) await this.#transact();
      else await this.#delete();
    }
  }

  async #set(): Promise<void> {
    const outcome = await this.#ask((_, ctx, quotas) => quotas.set(ctx, QUOTA_SCOPE, QUOTA));
    if (outcome.kind !== 'ok' || outcome.value.state !== 'enforced') return;
    const { usage } = outcome.value;
    const isWithin = usage !== null && usage.bytes <= 400 && usage.keys <= 10;
    if (isWithin) this.#quotas.enforce(QUOTA_SCOPE, [400, 10, null]);
  }

  async #put(): Promise<void> {
    const { ref, value } = this.#drawn();
    const op: WriteOp = {
      ...{ type: 'put', ref, value: Buffer.from(value), contentType: null, ttlMs: this.#ttl() },
      condition: null,
    };
    const outcome = await this.#ask((service, ctx) => service.put(ctx, op));
    if (outcome.kind === 'refused') this.#history.refuse(ref.key, value, outcome.code);
    if (outcome.kind !== 'ok' || outcome.value.result.type !== 'put') return;
    const { revision } = outcome.value.result;
    this.#history.acknowledge(ref.key, value, revision, this.#cluster.nowMs());
  }

  async #batch(): Promise<void> {
    const puts = Array.from({ length: randomInt(this.#random, 2, 4) }, () => this.#drawn());
    const ops = puts.map(({ ref, value }): WriteOp => {
      const rest = { contentType: null, ttlMs: null, condition: null };
      return { type: 'put', ref, value: Buffer.from(value), ...rest };
    });
    if (this.#random.next() < 0.5) ops.unshift({ type: 'delete', ref: keyRef(1), condition: null });
    const batch = ops.map((op) => ({ kind: 'write' as const, op }));
    const outcome = await this.#ask((service, ctx) => service.batch(ctx, batch));
    if (outcome.kind !== 'ok') return;
    for (const [i, result] of outcome.value.results.entries()) {
      const op = ops[i] as WriteOp;
      if (op.type !== 'put') continue;
      const value = Buffer.from(op.value).toString('latin1');
      if (result.kind === 'write' && result.result.type === 'put') {
        const { revision } = result.result;
        this.#history.acknowledge(op.ref.key, value, revision, this.#cluster.nowMs());
      } else if (result.kind === 'error' && result.definite) {
        this.#history.refuse(op.ref.key, value, result.code);
      }
    }
  }

  /** Puts of several groups, and a key that goes. */
  async #transact(): Promise<void> {
    const puts = Array.from({ length: randomInt(this.#random, 1, 3) }, () => this.#drawn());
    const byKey = new Map(puts.map((one) => [one.ref.key, one]));
    const then = [...byKey.values()].map(({ ref, value }): TxnOp => {
      const rest = { contentType: null, ttlMs: null, attach: null };
      return { type: 'put', ref, value: Buffer.from(value), ...rest };
    });
    const gone = keyRef(randomInt(this.#random, 0, KEYS - 1));
    if (this.#random.next() < 0.4 && !byKey.has(gone.key)) then.push({ type: 'delete', ref: gone });
    const body = { compares: [], then, otherwise: null };
    const outcome = await this.#ask((service, ctx) => service.transact(ctx, body));
    for (const { ref, value } of byKey.values()) {
      if (outcome.kind === 'refused') this.#history.refuse(ref.key, value, outcome.code);
      if (outcome.kind !== 'ok') continue;
      const { revision } = outcome.value.outcome;
      this.#history.acknowledge(ref.key, value, revision, this.#cluster.nowMs());
    }
  }

  async #delete(): Promise<void> {
    const ref = keyRef(randomInt(this.#random, 0, KEYS - 1));
    await this.#ask((service, ctx) => service.delete(ctx, ref, null));
  }

  /** A few expire: their room comes back when they are removed. */
  #ttl(): number | null {
    return this.#random.next() < 0.15 ? randomInt(this.#random, 20, 400) : null;
  }

  #drawn() {
    const head = `q${this.#number}:${this.#count++}:`;
    const value = head + 'x'.repeat(randomInt(this.#random, 0, 50));
    return { ref: keyRef(randomInt(this.#random, 0, KEYS - 1)), value };
  }

  async #ask<T>(
    ask: (
      service: KvService,
      ctx: RequestContext,
      quotas: Parameters<Parameters<typeof askNode<T>>[3]>[2],
    ) => Promise<T>,
  ): Promise<Outcome<T>> {
    const node = randomInt(this.#random, 0, this.#cluster.nodeCount - 1);
    const giveUpMs = CTX.deadlineMs + PATIENCE_MS;
    const outcome = await askNode(this.#cluster, node, giveUpMs, (service, _, quotas) =>
      ask(service, CTX, quotas),
    );
    const code = outcome.kind === 'ok' ? 'ok' : outcome.code;
    this.#history.answer(PROCESSES + this.#number, outcome.kind, code, node);
    return outcome;
  }
}

function keyRef(number: number) {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key: `q/${number}` };
}
