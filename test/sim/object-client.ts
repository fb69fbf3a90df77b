import type { ObjectService } from '../../protocol/object-access.ts';
import {
  type NewData,
  NO_CONDITION,
  type ObjectCondition,
  type ObjectOp,
} from '../../protocol/object-ops.ts';
import { NO_HEAD } from '../../protocol/objects.ts';
import { type Random, randomInt } from '../../protocol/random.ts';
import type { KvService, RequestContext } from '../../protocol/service.ts';
import { DEFAULT_TENANT, type KeyRef } from '../../protocol/vshard.ts';
import { askNode, type Outcome, type ProcessNumbers } from './client.ts';
import type { History } from './history.ts';
import type { KeyPool, LiveKey } from './keys.ts';
import { AGEING, DUE_PREFIX, RULED, settingsOf, untilDue } from './lifecycle-truth.ts';
import { fateName } from './model-objects.ts';
import type { NotifyWork } from './notify-work.ts';
import type { ObjectMix, ObjectStep } from './object-mix.ts';
import { conditionOf, type ObjectWorld, putOp, type Told, USUAL } from './object-requests.ts';
import { deletePair, readPair } from './object-txns.ts';
import { SIM_WALL_START_MS } from './sim-clock.ts';

const DEADLINE_MS = 2_000;
const PATIENCE_MS = 500;

/** Registers, in a bucket without versions. */
export const PLAIN = 'sim-plain';
/** Keys whose versions are put and deleted; versioning is suspended now and then. */
export const VERSIONED = 'sim-versions';
/** Made and deleted again. */
const BRIEF = 'sim-brief';
const BRIEF_KEYS = 4;

export interface ObjectHabits {
  readonly numbers: ProcessNumbers;
  readonly mix: ObjectMix;
  /** Null: nobody is told of anything. */
  readonly notify: NotifyWork | null;
}

/**
 * A client of buckets and objects: raced conditional puts, versions, uploads that two complete at once, listings, data
 * of which it says that some replicas have it, buckets that come and go.
 */
export class ObjectClient {
  readonly #name: string;
  readonly #world: ObjectWorld;
  readonly #history: History;
  readonly #random: Random;
  readonly #keys: KeyPool;
  readonly #numbers: ProcessNumbers;
  readonly #notify: NotifyWork | null;
  readonly #mix: ObjectMix;
  #process: number;
  #number = 0;
  #node = 0;
  #lastEtags = new Map<string, string>();
  #versionIds: { key: string; versionId: string }[] = [];
  #stopped = false;

  constructor(
    name: string,
    world: ObjectWorld,
    history: History,
    random: Random,
    keys: KeyPool,
    { numbers, mix, notify }: ObjectHabits,
  ) {
    this.#name = name;
    this.#world = world;
    this.#history = history;
    this.#random = random;
    this.#keys = keys;
    this.#numbers = numbers;
    this.#notify = notify;
    this.#mix = mix;
    this.#process = numbers.next++;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#world.sleep(Math.min(5_000, -Math.log(1 - this.#random.next()) * 60));
      if (this.#stopped) return;
      if (this.#random.next() < 0.2) {
        this.#node = randomInt(this.#random, 0, this.#world.nodeCount - 1);
      }
      const change = this.#notify?.change([PLAIN, VERSIONED, ...RULED]) ?? null;
      if (change !== null) await this.#ask((objects, ctx) => change(objects.buckets, ctx));
      await this.#step(this.#mix.draw(this.#random));
    }
  }

  #step(step: ObjectStep): Promise<void> {
    if (step === 'readPair') return this.#readPair();
    if (step === 'get') return this.#get();
    if (step === 'put') return this.#put();
    if (step === 'race') return this.#race();
    if (step === 'deletePair') return this.#deletePair();
    if (step === 'delete') return this.#delete();
    if (step === 'list') return this.#list();
    if (step === 'changeVersions') return this.#changeVersions();
    if (step === 'upload') return this.#upload();
    if (step === 'claim') return this.#claim();
    if (step === 'changeRuled') return this.#changeRuled();
    return step === 'comeAndGo' ? this.#comeAndGo() : this.#switch();
  }

  /** In order of calls, by keys that nobody else has. */
  #unique(): string {
    return `${this.#name}.${this.#number++}`;
  }

  #ref(space: string, key: string): KeyRef {
    return { tenant: DEFAULT_TENANT, space, key };
  }

  async #ask<T>(
    ask: (objects: ObjectService, ctx: RequestContext, service: KvService) => Promise<T>,
    key: string | null = null,
  ): Promise<Outcome<T>> {
    const idempotency = key === null ? null : { key, requestHash: new Uint8Array(32) };
    const ctx = { deadlineMs: DEADLINE_MS, traceparent: null, idempotency };
    const giveUpMs = DEADLINE_MS + PATIENCE_MS;
    const outcome = await askNode(this.#world, this.#node, giveUpMs, (service, objects) =>
      ask(objects, ctx, service),
    );
    const code = outcome.kind === 'ok' ? 'ok' : outcome.code;
    this.#history.answer(this.#process, outcome.kind, code, this.#node);
    if (outcome.kind !== 'ok') this.#node = (this.#node + 1) % this.#world.nodeCount;
    return outcome;
  }

  /** As an edge does it: the bucket first, made where there is none. */
  async #apply(
    op: ObjectOp,
    { makes, bodyMs }: { readonly makes: boolean; readonly bodyMs: number } = USUAL,
  ): Promise<Outcome<Told>> {
    const { tenant, space: name } = op.ref;
    const key = 'etag' in op && this.#random.next() < 0.5 ? null : this.#unique();
    const outcome = await this.#ask(async (objects, ctx) => {
      const plain = { ...ctx, idempotency: null };
      let bucket = await objects.buckets.get(plain, tenant, name);
      if (bucket === null && !makes) return { type: 'no_such_bucket' } as const;
      if (bucket === null) {
        const rules = settingsOf(name);
        const wanted = { tenant, name, owner: this.#name, ...rules };
        ({ bucket } = await objects.buckets.create(plain, wanted));
        await this.#notify?.begin(objects.buckets, plain, name);
      }
      if (bodyMs > 0) await this.#world.sleep(bodyMs);
      const own = this.#notify === null ? ctx : { ...ctx, by: this.#notify.requester() };
      const { result, clock } = await objects.apply(own, bucket, op);
      this.#history.see(clock);
      return result;
    }, key);
    const { objects } = this.#history;
    const fate = fateName(op, key ?? '');
    if (outcome.kind === 'ok')
      objects.told.push({ name: fate, space: name, result: outcome.value });
    // Two that complete one upload are told apart by nothing: what one is refused the other may have done.
    else if (outcome.kind === 'refused' && op.type !== 'uploadComplete')
      objects.refused.push({ name: fate, why: String(outcome.error) });
    return outcome;
  }

  #record(
    key: LiveKey,
    input: object,
    outcome: Outcome<Told>,
    call: number,
    process = this.#process,
  ) {
    if (outcome.kind === 'refused') return;
    const told = outcome.kind === 'ok' ? outcome.value : null;
    const ret = told === null ? Number.POSITIVE_INFINITY : this.#world.nowMs();
    const seen = { process, key: key.name, input: input as never, told, call, ret };
    this.#history.objects.operations.push(seen);
    if (told !== null) return;
    key.unknown++;
    this.#process = this.#numbers.next++;
  }

  #inline(): NewData {
    const inline = Buffer.from(this.#unique());
    return { id: this.#dataId(), bytes: inline.length, chunkBytes: 0, holders: [], inline };
  }

  #dataId(): Uint8Array {
    const id = Buffer.from(this.#random.bytes(16));
    id.writeUIntBE(Math.floor(SIM_WALL_START_MS + this.#world.nowMs()), 0, 6);
    return id;
  }

  async #get(): Promise<void> {
    const key = this.#keys.pick();
    const call = this.#world.nowMs();
    const outcome = await this.#ask(async (objects, ctx): Promise<Told> => {
      const ref = this.#ref(PLAIN, key.name);
      const read = await objects.read(ctx, ref, { versionId: null, revision: null });
      this.#history.see(read.clock);
      return { type: 'read', etag: read.type === 'none' ? null : read.version.record.etag };
    });
    if (outcome.kind === 'ok' && outcome.value.type === 'read' && outcome.value.etag !== null) {
      this.#lastEtags.set(key.name, outcome.value.etag);
    }
    this.#record(key, { type: 'get' }, outcome, call);
  }

  async #put(): Promise<void> {
    const key = this.#keys.pick();
    const call = this.#world.nowMs();
    const condition = this.#condition(key.name);
    const op = this.#putOp(this.#ref(PLAIN, key.name), this.#inline(), condition);
    this.#record(key, { type: 'put', etag: op.etag, condition }, await this.#apply(op), call);
  }

  /** Several want to be the first, at once. */
  async #race(): Promise<void> {
    const key = { name: `x/${this.#unique()}`, ops: 0, unknown: 0, lastRevision: 0 };
    const condition = { match: null, noneMatch: ['*'] };
    const ref = this.#ref(PLAIN, key.name);
    const one = async (): Promise<void> => {
      const process = this.#numbers.next++;
      await this.#world.sleep(this.#random.next() * 3);
      const call = this.#world.nowMs();
      const op = this.#putOp(ref, null, condition);
      this.#record(key, op, await this.#apply(op), call, process);
    };
    await Promise.all([one(), one(), one()]);
  }

  #putOp(ref: KeyRef, data: NewData | null, condition: ObjectCondition) {
    return putOp(ref, data, condition, this.#unique());
  }

  #condition(key: string): ObjectCondition {
    return conditionOf(this.#random.next(), this.#lastEtags.get(key));
  }

  async #delete(): Promise<void> {
    const key = this.#keys.pick();
    const call = this.#world.nowMs();
    const condition = this.#condition(key.name);
    const ref = this.#ref(PLAIN, key.name);
    const op = { type: 'delete', ref, versionId: null, condition, bypass: false } as const;
    this.#record(key, { type: 'delete', condition }, await this.#apply(op), call);
  }

  /** With a key that says so, or not at all, and sometimes somebody puts the object just then. */
  async #deletePair(): Promise<void> {
    const key = this.#keys.pick();
    const rivals = this.#random.next() < 0.6 ? [0, 1, 2] : [];
    const ref = this.#ref(PLAIN, key.name);
    const etag = this.#lastEtags.get(key.name) ?? 'none';
    const condition = { match: [etag], noneMatch: null };
    const rival = async (): Promise<void> => {
      const process = this.#numbers.next++;
      await this.#world.sleep(this.#random.next() * 25);
      const call = this.#world.nowMs();
      const op = this.#putOp(ref, null, this.#random.next() < 0.5 ? condition : NO_CONDITION);
      this.#record(key, op, await this.#apply(op), call, process);
    };
    const call = this.#world.nowMs();
    const own = this.#unique();
    const work = this.#ask<Told>((_, ctx, kv) => deletePair(kv, ctx, ref, etag, own));
    const [outcome] = await Promise.all([work, ...rivals.map(rival)]);
    this.#record(key, { type: 'delete', condition }, outcome, call);
  }

  async #readPair(): Promise<void> {
    const { name } = this.#keys.pick();
    const outcome = await this.#ask((_, ctx, kv) => readPair(kv, ctx, this.#ref(PLAIN, name)));
    if (outcome.kind === 'ok') this.#history.objects.pairs.push(outcome.value);
  }

  async #list(): Promise<void> {
    const call = this.#world.nowMs();
    const limit = randomInt(this.#random, 1, 8);
    const query = { tenant: DEFAULT_TENANT, space: PLAIN, prefix: '', delimiter: null };
    const asked = { ...query, start: '', limit, revision: null };
    const outcome = await this.#ask((objects, ctx) => objects.list(ctx, asked));
    if (outcome.kind !== 'ok') return;
    const { entries, next, revision } = outcome.value;
    this.#history.see(revision);
    const items = entries.flatMap((one) =>
      one.type === 'prefix' ? [] : [{ key: one.key, revision: one.putAt, value: one.etag }],
    );
    this.#history.scans.push({
      range: { tenant: DEFAULT_TENANT, space: PLAIN, start: '', end: null },
      ...{ reverse: false, limit, items, next, revision, past: false },
      ...{ call, ret: this.#world.nowMs() },
    });
  }

  async #changeVersions(): Promise<void> {
    const ref = this.#ref(VERSIONED, `v${randomInt(this.#random, 0, 3)}`);
    const draw = this.#random.next();
    if (draw < 0.5) {
      const put = await this.#apply(this.#putOp(ref, this.#inline(), NO_CONDITION));
      const told = put.kind === 'ok' ? put.value : null;
      if (told?.type === 'put' && told.versionId !== null) {
        this.#versionIds.push({ key: ref.key, versionId: told.versionId });
      }
      return;
    }
    const known = draw < 0.8 ? this.#versionIds.shift() : undefined;
    const at = known === undefined ? ref : { ...ref, key: known.key };
    const rest = { versionId: known?.versionId ?? null, condition: NO_CONDITION, bypass: false };
    await this.#apply({ type: 'delete', ref: at, ...rest });
  }

  /** What it is told holds from then on: the next put of its own shows it. */
  async #switch(): Promise<void> {
    const versioning = this.#random.next() < 0.6 ? 'enabled' : 'suspended';
    const outcome = await this.#ask((objects, ctx) =>
      objects.buckets.change(ctx, DEFAULT_TENANT, VERSIONED, { versioning }),
    );
    if (outcome.kind !== 'ok' || outcome.value.type !== 'changed') return;
    // At once, so that some come before a group that is slow has heard of it.
    const puts = [0, 1, 2, 3].map((i) =>
      this.#putOp(this.#ref(VERSIONED, `s${i}`), null, NO_CONDITION),
    );
    for (const put of await Promise.all(puts.map((op) => this.#apply(op)))) {
      if (put.kind !== 'ok' || put.value.type !== 'put') continue;
      const { versionId } = put.value;
      this.#history.objects.switched.push({ versioning, versionId });
    }
  }

  /** Two complete the same upload at once. */
  async #upload(): Promise<void> {
    const ref = this.#ref(VERSIONED, `u${randomInt(this.#random, 0, 2)}`);
    const upload = this.#unique().replaceAll('.', '_');
    const begun = { type: 'uploadCreate', ref, upload, head: NO_HEAD, checksum: null } as const;
    if ((await this.#apply(begun)).kind !== 'ok') return;
    const data = this.#inline();
    const etag = this.#unique();
    const part = { type: 'uploadPart', ref, upload, number: 1, size: data.bytes, etag } as const;
    if ((await this.#apply({ ...part, checksum: null, data })).kind !== 'ok') return;
    const parts = [{ number: 1, etag, checksum: null }];
    const done = { ref, upload, parts, etag: this.#unique(), checksum: null, ttlMs: null };
    const op = { type: 'uploadComplete', ...done, condition: NO_CONDITION } as const;
    const abort = { type: 'uploadAbort', ref, upload } as const;
    const rival = this.#random.next() < 0.3 ? abort : op;
    await Promise.all([this.#apply(op), this.#apply(rival)]);
  }

  /** Says of data that nobody has that some replicas have it: it is named only where they are a quorum. */
  async #claim(): Promise<void> {
    const ref = this.#ref(VERSIONED, `c${randomInt(this.#random, 0, 2)}`);
    const voters = this.#world.votersOf(ref);
    const holders = voters.filter(() => this.#random.next() < 0.6);
    const rest = { bytes: 100_000, chunkBytes: 65_536, holders: [...holders], inline: null };
    await this.#apply(this.#putOp(ref, { id: this.#dataId(), ...rest }, NO_CONDITION));
  }

  /** What rules take away meanwhile: what was put, or what was put in its place. */
  async #changeRuled(): Promise<void> {
    const space = RULED[randomInt(this.#random, 0, RULED.length - 1)] as string;
    const key = this.#random.next() < 0.9 ? `${DUE_PREFIX}${randomInt(this.#random, 0, 2)}` : 'k';
    const ref = this.#ref(space, key);
    if (this.#random.next() < 0.5)
      await this.#world.sleep(untilDue(this.#world.nowMs(), this.#random));
    if (this.#random.next() < 0.2) {
      const rest = { versionId: null, condition: NO_CONDITION, bypass: false };
      return void (await this.#apply({ type: 'delete', ref, ...rest }));
    }
    const op = this.#putOp(ref, this.#inline(), NO_CONDITION);
    const isKept = space === AGEING && this.#random.next() < 0.3;
    const untilMs = Math.floor(SIM_WALL_START_MS + this.#world.nowMs()) + 8_000;
    const retention = isKept ? ({ mode: 'compliance', untilMs } as const) : null;
    await this.#apply({ ...op, head: { ...NO_HEAD, retention } });
  }

  /** One that all make and delete, or one of its own, which is empty more often. */
  async #comeAndGo(): Promise<void> {
    const space = this.#random.next() < 0.3 ? BRIEF : `${BRIEF}-${this.#name}`;
    if (this.#random.next() < 0.4) return this.#putBrief(space, this.#random.next() < 0.5);
    for (let i = 0; i < BRIEF_KEYS && !this.#stopped; i++) {
      const rest = { versionId: null, condition: NO_CONDITION, bypass: false };
      const ref = this.#ref(space, `b${i}`);
      await this.#apply({ type: 'delete', ref, ...rest }, { makes: false, bodyMs: 0 });
    }
    // The bucket is there when the body begins, and being deleted when it has come.
    const late = () => this.#putBrief(space, false, this.#random.next() * 60);
    const drop = this.#ask((objects, ctx) => objects.buckets.delete(ctx, DEFAULT_TENANT, space));
    await Promise.all([drop, late(), late(), late()]);
  }

  async #putBrief(space: string, makes: boolean, bodyMs = 0): Promise<void> {
    const ref = this.#ref(space, `b${randomInt(this.#random, 0, BRIEF_KEYS - 1)}`);
    await this.#apply(this.#putOp(ref, null, NO_CONDITION), { makes, bodyMs });
  }
}
