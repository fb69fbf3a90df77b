import { prefixEnd } from '../../protocol/bytes.ts';
import type { PutOp } from '../../protocol/commands.ts';
import type { Item } from '../../protocol/messages/request.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import type { TxnOp } from '../../protocol/txn.ts';
import { DEFAULT_TENANT, KV_SPACE, vshardOf } from '../../protocol/vshard.ts';
import type { TxnSeen } from '../check/transactions.ts';
import type { KeyRange } from '../check/truth.ts';
import { askNode, type Outcome } from './client.ts';
import type { ClusterPort } from './cluster-port.ts';
import type { History } from './history.ts';

const DEADLINE_MS = 1_000;
const PATIENCE_MS = 500;
/** Keys have other names after a while, so that a scan stays small. */
const GENERATION_MS = 2_000;
const SCAN_MAX = 500;
const TTL_MS_MIN = 15;
const TTL_MS_MAX = 90;
/** Names its clients in the run's hash, beside the processes of others. */
const PROCESSES = 1_000_000;
const LATEST = { consistency: 'linearizable', revision: null } as const;

/** Of the readers, how many of their reads are scans, not transactions; of the writers, how many of their writes append. */
export interface ApartHabits {
  readonly scanShare: number;
  readonly appendShare: number;
}

export const APART_HABITS: ApartHabits = { scanShare: 0.8, appendShare: 0.7 };

export interface ApartConfig extends ApartHabits {
  readonly groupCount: number;
  readonly thinkMsMean: number;
}

/**
 * Clients that keep apart: each goes to one node, and on no node does anybody write to two groups. So the groups' clocks hear of
 * each other only by those who read all of them, and what comes later in time may well have the lower revision:
 * what a snapshot has to get right beyond being one. Two of three write, by turns to a list that nobody else
 * writes and a key that expires soon, of which they see the end; every third one reads it all at once.
 */
export class ApartClient {
  readonly #number: number;
  readonly #cluster: ClusterPort;
  readonly #history: History;
  readonly #random: Random;
  readonly #config: ApartConfig;
  readonly #node: number;
  readonly #group: number;
  #elements: string[] = [];
  /** Of the list: when, and the how manieth of then. */
  #generation = -1;
  #list = 0;
  #count = 0;
  #stopped = false;

  constructor(
    number: number,
    cluster: ClusterPort,
    history: History,
    random: Random,
    config: ApartConfig,
  ) {
    this.#number = number;
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
    this.#config = config;
    this.#node = number % cluster.nodeCount;
    this.#group = this.#node % config.groupCount;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    const isReader = this.#number % 3 === 2;
    const { scanShare, appendShare } = this.#config;
    while (!this.#stopped) {
      const { thinkMsMean } = this.#config;
      await this.#cluster.sleep(-Math.log(1 - this.#random.next()) * thinkMsMean);
      if (this.#stopped) return;
      const draw = this.#random.next();
      if (isReader) await (draw < scanShare ? this.#scan() : this.#readRange());
      else await (draw < appendShare ? this.#append() : this.#expiring());
    }
  }

  #prefix(): string {
    return `a/${Math.floor(this.#cluster.nowMs() / GENERATION_MS)}/`;
  }

  /** A key of this client's group. */
  #key(kind: string): string {
    const head = `${this.#prefix()}${kind}${this.#number}.`;
    for (let i = 0; ; i++) {
      const key = `${head}${i}`;
      if (vshardOf(refTo(key)) % this.#config.groupCount === this.#group) return key;
    }
  }

  /** The whole list, with one element more; after an answer that leaves it open there is another list. */
  async #append(): Promise<void> {
    const generation = Math.floor(this.#cluster.nowMs() / GENERATION_MS);
    if (generation !== this.#generation) {
      this.#generation = generation;
      this.#list = 0;
      this.#elements = [];
    }
    const key = this.#key(`l${this.#list}-`);
    const element = this.#unique();
    const elements = [...this.#elements, element];
    const kind = await this.#put(key, elements, element, null);
    if (kind === 'done') this.#elements = elements;
    if (kind !== 'unknown') return;
    this.#list++;
    this.#elements = [];
  }

  /** A key that comes and goes: its end is an append of nobody knows when, which this client sees. */
  async #expiring(): Promise<void> {
    const key = this.#key(`e${this.#count++}-`);
    const element = this.#unique();
    const end = this.#unique();
    const call = this.#cluster.nowMs();
    const ttlMs = randomInt(this.#random, TTL_MS_MIN, TTL_MS_MAX);
    if ((await this.#put(key, [element], element, ttlMs)) !== 'done') return;
    this.#note({ reads: [], appends: [{ key, element: end }], outcome: 'unknown', call });
    for (let isThere = true; isThere && !this.#stopped; ) {
      await this.#cluster.sleep(1);
      const callMs = this.#cluster.nowMs();
      const found = await this.#isThere(key);
      if (found === null) return;
      isThere = found;
      const reads = [{ key, elements: isThere ? [element] : [element, end] }];
      this.#note({ reads, appends: [], outcome: 'done', call: callMs });
    }
  }

  /** By a plain read or by a transaction; null when that failed. */
  async #isThere(key: string): Promise<boolean | null> {
    const ref = refTo(key);
    if (this.#random.next() < 0.5) {
      const outcome = await this.#ask((service, ctx) => service.get(ctx, ref, LATEST));
      return outcome.kind === 'ok' ? outcome.value.item !== null : null;
    }
    const body = { compares: [], then: [{ type: 'get', ref } as const], otherwise: null };
    const outcome = await this.#ask((service, ctx) => service.transact(ctx, body));
    if (outcome.kind !== 'ok') return null;
    const [result] = outcome.value.outcome.results;
    if (result?.type !== 'got') throw new Error('a get was answered without an item');
    return result.item !== null;
  }

  async #put(
    key: string,
    elements: readonly string[],
    element: string,
    ttlMs: number | null,
  ): Promise<TxnSeen['outcome']> {
    const value = elements.join(' ');
    const op: PutOp = {
      ...{ type: 'put', ref: refTo(key), value: Buffer.from(value), contentType: null },
      ...{ ttlMs, condition: null, attach: null },
    };
    const call = this.#cluster.nowMs();
    const answered = await this.#ask((service, ctx) => service.put(ctx, op));
    const appends = [{ key, element }];
    const result = answered.kind === 'ok' ? answered.value.result : null;
    let outcome: TxnSeen['outcome'] = answered.kind === 'unknown' ? 'unknown' : 'refused';
    if (result?.type === 'put') {
      outcome = 'done';
      this.#history.acknowledge(key, value, result.revision, this.#cluster.nowMs());
    } else if (outcome === 'refused') this.#history.refuse(key, value, 'refused');
    const reads = outcome === 'done' ? [{ key, elements: elements.slice(0, -1) }] : [];
    this.#note({ reads, appends, outcome, call });
    return outcome;
  }

  async #scan(): Promise<void> {
    const range = this.#range();
    const call = this.#cluster.nowMs();
    const outcome = await this.#ask((service, ctx) =>
      service.scan(ctx, {
        ...{ ...range, reverse: false, limit: SCAN_MAX, values: true },
        ...LATEST,
      }),
    );
    if (outcome.kind !== 'ok') return;
    const { items, revision, next } = outcome.value;
    this.#saw(range, items, { revision, next, call });
  }

  /** The same in a transaction, which has locked it all: a snapshot at its commit. */
  async #readRange(): Promise<void> {
    const range = this.#range();
    const read = {
      type: 'range',
      ...range,
      reverse: false,
      limit: SCAN_MAX,
      values: true,
    } as const;
    const then: TxnOp[] = [read];
    const call = this.#cluster.nowMs();
    const outcome = await this.#ask((service, ctx) =>
      service.transact(ctx, { compares: [], then, otherwise: null }),
    );
    if (outcome.kind !== 'ok') return;
    const { results, revision } = outcome.value.outcome;
    const [page] = results;
    if (page?.type !== 'page') throw new Error('a range was answered without a page');
    if (!page.more) this.#saw(range, page.items, { revision, next: null, call });
  }

  #range() {
    const prefix = this.#prefix();
    return { tenant: DEFAULT_TENANT, space: KV_SPACE, start: prefix, end: prefixEnd(prefix) };
  }

  /** What is not there has not begun, or is over: that says nothing. */
  #saw(
    range: KeyRange,
    found: readonly Item[],
    at: { revision: number; next: string | null; call: number },
  ): void {
    const history = this.#history;
    history.see(at.revision);
    const items = found.map(({ ref, revision, value }) => {
      return { key: ref.key, revision, value: Buffer.from(value).toString('latin1') };
    });
    const ret = this.#cluster.nowMs();
    const rest = { range, reverse: false, limit: SCAN_MAX, past: false, ret };
    history.scans.push({ ...at, ...rest, items });
    const reads = items.map(({ key, value }) => ({ key, elements: value.split(' ') }));
    this.#note({ reads, appends: [], outcome: 'done', call: at.call });
  }

  #unique(): string {
    return `a${this.#number}:${this.#count++}`;
  }

  #note(seen: Omit<TxnSeen, 'name' | 'ret'>): void {
    const { apart } = this.#history;
    const ret = seen.outcome === 'unknown' ? Number.POSITIVE_INFINITY : this.#cluster.nowMs();
    apart.push({ ...seen, name: `a${this.#number}/${apart.length}`, ret });
  }

  async #ask<T>(ask: (service: KvService, ctx: RequestContext) => Promise<T>): Promise<Outcome<T>> {
    const ctx = { deadlineMs: DEADLINE_MS, traceparent: null, idempotency: null };
    const giveUpMs = DEADLINE_MS + PATIENCE_MS;
    const outcome = await askNode(this.#cluster, this.#node, giveUpMs, (s) => ask(s, ctx));
    const code = outcome.kind === 'ok' ? 'ok' : outcome.code;
    this.#history.answer(PROCESSES + this.#number, outcome.kind, code, this.#node);
    return outcome;
  }
}

function refTo(key: string) {
  return { tenant: DEFAULT_TENANT, space: KV_SPACE, key };
}
