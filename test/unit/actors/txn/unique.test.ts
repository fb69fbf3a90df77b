import { describe, expect, it } from 'vitest';
import type { Condition, PutOp } from '../../../../protocol/commands.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { IndexInfo, NewIndex } from '../../../../protocol/index-access.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import type { TxnOp } from '../../../../protocol/txn.ts';
import { put, ref } from '../../../kit/applied-group.ts';
import { MemoryCluster } from '../../../kit/memory-cluster.ts';

const CTX: RequestContext = { deadlineMs: 3_000, traceparent: null, idempotency: null };
const NO_HASH = new Uint8Array(32);
const LATEST = { consistency: 'linearizable' as const, revision: null };
const EMAIL: NewIndex = {
  ...{ name: 'email', tenant: 't1', space: 'kv', prefix: 'u/', kind: 'fields', sparse: false },
  ...{ unique: true, fields: [{ path: '/email', steps: ['email'], type: 'string' }] },
};
const EVERYTHING = {
  ...{ eq: null, gt: null, gte: null, lt: null, lte: null, prefix: null, reverse: false },
  ...{ limit: 1000, values: true, revision: null, after: null },
};

class Client {
  readonly cluster: MemoryCluster;

  constructor(cluster: MemoryCluster) {
    this.cluster = cluster;
  }

  get service() {
    return this.cluster.node('n1').service;
  }

  /** Of the tenant of `ref`. */
  get indexes() {
    return this.service.indexes.ofTenant('t1');
  }

  get leases() {
    return this.service.leases.ofTenant('t1');
  }

  /** What came of it; a refusal as its code, a duplicate as the key that has the value. */
  async told<T>(work: Promise<T>): Promise<T | string> {
    try {
      return await this.cluster.time.until(work);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return error.code === 'duplicate' ? `${error.details['holder']}!` : error.code;
    }
  }

  async put(
    key: string,
    value: unknown,
    more: { ttlMs?: number; condition?: Condition; ctx?: RequestContext } = {},
  ): Promise<string> {
    const { ctx = CTX, ...rest } = more;
    const op = put(key, JSON.stringify(value), rest) as PutOp;
    const done = await this.told(this.service.put(ctx, op));
    if (typeof done === 'string') return done;
    const { result } = done;
    return result.type === 'duplicate' ? `${result.holder}!` : result.type;
  }

  async delete(key: string): Promise<void> {
    await this.cluster.time.until(this.service.delete(CTX, ref(key), null));
  }

  async define(index: NewIndex): Promise<IndexInfo> {
    await this.cluster.time.until(this.indexes.define(CTX, index));
    return this.settled(index.name);
  }

  async settled(name: string): Promise<IndexInfo> {
    for (let i = 0; i < 400; i++) {
      const { info } = await this.cluster.time.until(this.indexes.inspect(CTX, name));
      if (info.state === 'live' || info.state === 'failed') return info;
      await this.cluster.time.pass(50);
    }
    throw new Error(`${name} is not built`);
  }

  async transact(then: TxnOp[]): Promise<string> {
    const body = { compares: [], then, otherwise: null };
    const done = await this.told(this.service.transact(CTX, body));
    return typeof done === 'string' ? done : `${done.outcome.succeeded}`;
  }

  /** Keys by their e-mail, as the index has them. */
  async holders(): Promise<Record<string, string>> {
    const query = this.indexes.query(CTX, 'email', EVERYTHING);
    const { hits } = await this.cluster.time.until(query);
    return Object.fromEntries(
      hits.map(({ item }) => [JSON.parse(Buffer.from(item.value).toString()).email, item.ref.key]),
    );
  }
}

async function client(names = 'n1', define = true, groupCount = 3): Promise<Client> {
  const cluster = new MemoryCluster(names, { groupCount });
  await cluster.start();
  const one = new Client(cluster);
  if (define) await one.define(EMAIL);
  return one;
}

const txnPut = (key: string, value: unknown): TxnOp => ({
  ...{ type: 'put', ref: ref(key), value: Buffer.from(JSON.stringify(value)) },
  ...{ contentType: null, ttlMs: null },
});

describe('a live unique index', () => {
  it('refuses a value that another key has, and names that key', async () => {
    const c = await client();
    expect(await c.put('u/1', { email: 'a' })).toBe('put');
    expect(await c.put('u/2', { email: 'a' })).toBe('u/1!');
    expect(await c.put('u/1', { email: 'a', name: 'Ann' })).toBe('put');
    expect(await c.put('v/2', { email: 'a' })).toBe('put');
    expect(await c.put('u/2', { email: 'b' })).toBe('put');
    expect(await c.put('u/2', { email: 'a' })).toBe('u/1!');
    expect(await c.holders()).toEqual({ a: 'u/1', b: 'u/2' });
  });

  it('frees a value with its key, when it changes, and when it expires', async () => {
    const c = await client();
    await c.put('u/1', { email: 'a' });
    await c.delete('u/1');
    expect(await c.put('u/2', { email: 'a' })).toBe('put');
    await c.put('u/2', { email: 'b' });
    expect(await c.put('u/3', { email: 'a' })).toBe('put');
    expect(await c.put('u/4', { email: 'c' }, { ttlMs: 200 })).toBe('put');
    expect(await c.put('u/5', { email: 'c' })).toBe('u/4!');
    await c.cluster.time.pass(250);
    expect(await c.put('u/5', { email: 'c' })).toBe('put');
    expect(await c.put('u/4', { email: 'c' })).toBe('u/5!');
    expect(await c.holders()).toEqual({ a: 'u/3', b: 'u/2', c: 'u/5' });
  });

  it('holds for keys that go with a lease, and frees their values with them', async () => {
    const c = await client();
    const { lease } = await c.cluster.time.until(c.leases.grant(CTX, 5_000));
    const attach = { lease: lease.lease, until: 0 };
    const op = { ...(put('u/1', '{"email":"a"}') as PutOp), attach };
    const done = await c.cluster.time.until(c.service.put(CTX, op));
    expect(done.result.type).toBe('put');
    expect(await c.put('u/2', { email: 'a' })).toBe('u/1!');
    await c.cluster.time.until(c.leases.revoke(CTX, lease.lease));
    expect(await c.put('u/2', { email: 'a' })).toBe('put');
    const late = { ...(put('u/3', '{"email":"b"}') as PutOp), attach };
    expect(await c.told(c.service.put(CTX, late))).toBe('lease_not_found');
    expect(await c.holders()).toEqual({ a: 'u/2' });
  });

  it('reserves nothing for null, and every value of an array', async () => {
    const c = await client();
    expect(await c.put('u/1', {})).toBe('put');
    expect(await c.put('u/2', 'no object')).toBe('put');
    expect(await c.put('u/3', { email: ['x', 'y'] })).toBe('put');
    expect(await c.put('u/4', { email: ['y', 'z'] })).toBe('u/3!');
    expect(await c.put('u/4', { email: ['z'] })).toBe('put');
    const many = Array.from({ length: 65 }, (_, i) => `m${i}`);
    expect(await c.put('u/5', { email: many })).toBe('too_large');
  });

  it('keeps conditions, and applies a request once', async () => {
    const c = await client();
    const once = (key: string) => ({
      ...CTX,
      idempotency: { key, requestHash: new Uint8Array(32) },
    });
    expect(await c.put('u/1', { email: 'a' }, { condition: { type: 'exists' } })).toBe(
      'precondition_failed',
    );
    const ctx = once('k');
    expect(await c.put('u/1', { email: 'a' }, { condition: { type: 'absent' }, ctx })).toBe('put');
    expect(await c.put('u/1', { email: 'a' }, { condition: { type: 'absent' }, ctx })).toBe('put');
    expect(await c.put('u/1', { email: 'a' }, { condition: { type: 'absent' } })).toBe(
      'precondition_failed',
    );
    const { item } = await c.cluster.time.until(c.service.get(CTX, ref('u/1'), LATEST));
    expect(item?.version).toBe(1);
  });

  it('tells a repetition what it told the request, whatever has changed since', async () => {
    const c = await client();
    const once = (key: string, fill = 0) => ({
      ctx: { ...CTX, idempotency: { key, requestHash: new Uint8Array(32).fill(fill) } },
    });
    await c.put('u/1', { email: 'a' });
    expect(await c.put('u/2', { email: 'a' }, once('k'))).toBe('u/1!');
    const exists = { condition: { type: 'exists' } as const, ...once('exists') };
    expect(await c.put('u/3', { email: 'c' }, exists)).toBe('precondition_failed');
    const body = { compares: [], then: [txnPut('u/4', { email: 'a' })], otherwise: null };
    const transact = () => c.told(c.service.transact(once('txn').ctx, body));
    expect(await transact()).toBe('u/1!');
    const twice = { ...body, then: [...body.then, txnPut('u/5', { email: 'a' })] };
    const clash = () => c.told(c.service.transact(once('clash').ctx, twice));
    expect(await clash()).toBe('u/4!');

    await c.delete('u/1');
    await c.put('u/3', {});
    expect(await c.put('u/2', { email: 'a' }, once('k'))).toBe('u/1!');
    expect(await c.put('u/3', { email: 'c' }, exists)).toBe('precondition_failed');
    expect(await transact()).toBe('u/1!');
    await c.cluster.time.until(c.indexes.drop(CTX, 'email'));
    expect(await c.put('u/2', { email: 'a' }, once('k'))).toBe('u/1!');
    expect(await clash()).toBe('u/4!');
  });

  it('tells a repetition that a lease was not there, over one group or more', async () => {
    const c = await client();
    const idempotency = (key: string) => ({ ...CTX, idempotency: { key, requestHash: NO_HASH } });
    const grant = async () => (await c.cluster.time.until(c.leases.grant(CTX, 5_000))).lease;
    const [gone, lives] = [await grant(), await grant()];
    await c.cluster.time.until(c.leases.revoke(CTX, gone.lease));
    const attached = (key: string, lease: number, ctx: RequestContext) => {
      const op = { ...(put(key, '{"email":"a"}') as PutOp), attach: { lease, until: 0 } };
      return c.told(c.service.put(ctx, op));
    };
    const transact = (keys: string[], lease: number, ctx: RequestContext) => {
      const then = keys.map((key) => ({ ...txnPut(key, {}), attach: { lease, until: 0 } }));
      return c.told(c.service.transact(ctx, { compares: [], then, otherwise: null }));
    };
    for (const lease of [gone.lease, lives.lease]) {
      const refused = await attached('u/1', lease, idempotency('put'));
      expect(refused).toMatchObject({ result: { type: 'lease_stale', revision: 0 } });
      for (const keys of [['v/0'], ['v/0', 'v/1', 'v/2', 'v/3', 'v/4']]) {
        const name = `txn${keys.length}`;
        expect(await transact(keys, lease, idempotency(name))).toBe('lease_not_found');
      }
    }
    expect(await transact(['v/0', 'v/1', 'v/2'], lives.lease, CTX)).toMatchObject({ outcome: {} });
    expect(await c.holders()).toEqual({});
  });

  it('refuses an idempotency key of another request, plain or with a claim', async () => {
    const c = await client();
    const once = (key: string, fill: number) => ({
      ctx: { ...CTX, idempotency: { key, requestHash: new Uint8Array(32).fill(fill) } },
    });
    expect(await c.put('u/1', { email: 'a' }, once('claimed', 1))).toBe('put');
    expect(await c.put('u/1', { email: 'b' }, once('claimed', 2))).toBe('idempotency_mismatch');
    await c.cluster.time.until(c.indexes.drop(CTX, 'email'));
    expect(await c.put('u/1', { email: 'a' }, once('plain', 1))).toBe('put');
    await c.define(EMAIL);
    expect(await c.put('u/1', { email: 'b' }, once('plain', 2))).toBe('idempotency_mismatch');
    expect(await c.holders()).toEqual({ a: 'u/1' });
  });

  it('tells two attempts of one request the same, beside others that want the value', async () => {
    const c = await client('n1 n2 n3');
    for (let round = 0; round < 12; round++) {
      const idempotency = { key: `r${round}`, requestHash: new Uint8Array(32) };
      const email = `e${round}`;
      const ask = () => c.put('u/1', { email }, { ctx: { ...CTX, idempotency } });
      const other = c.put('u/2', { email }).then(() => c.delete('u/2'));
      const told = new Set(await Promise.all([ask(), ask(), other.then(ask)]));
      told.delete('conflict');
      expect([...told]).toHaveLength(1);
    }
  });

  it('tells each operation of a batch for itself, in order per key', async () => {
    const c = await client();
    await c.put('u/0', { email: 'taken' });
    const docs: [string, unknown][] = [
      ['u/1', { email: 'a' }],
      ['u/2', { email: 'taken' }],
      ['u/3', {}],
      ['u/1', { email: 'b' }],
    ];
    const ops = docs.map(([key, value]) => ({
      ...{ kind: 'write' as const, op: put(key, JSON.stringify(value)) },
    }));
    const { results } = await c.cluster.time.until(c.service.batch(CTX, ops));
    const types = results.map((one) => (one.kind === 'write' ? one.result.type : one.kind));
    expect(types).toEqual(['put', 'duplicate', 'put', 'put']);
    expect(await c.holders()).toMatchObject({ b: 'u/1', taken: 'u/0' });
  });

  it('is kept by transactions: refused as a whole, swapped at one revision', async () => {
    const c = await client();
    expect(await c.transact([txnPut('u/1', { email: 'a' }), txnPut('u/2', { email: 'b' })])).toBe(
      'true',
    );
    expect(await c.transact([txnPut('u/3', { email: 'c' }), txnPut('u/4', { email: 'a' })])).toBe(
      'u/1!',
    );
    expect(await c.transact([txnPut('u/3', { email: 'd' }), txnPut('u/4', { email: 'd' })])).toBe(
      'u/3!',
    );
    expect(await c.transact([txnPut('u/1', { email: 'b' }), txnPut('u/2', { email: 'a' })])).toBe(
      'true',
    );
    expect(await c.holders()).toEqual({ a: 'u/2', b: 'u/1' });
    const gone: TxnOp = { type: 'delete', ref: ref('u/1') };
    expect(await c.transact([gone, txnPut('u/5', { email: 'b' })])).toBe('true');
    const all: TxnOp = { type: 'deleteRange', tenant: 't1', space: 'kv', start: 'u/', end: 'u0' };
    expect(await c.transact([all])).toBe('true');
    expect(await c.put('u/9', { email: 'a' })).toBe('put');
    expect(await c.put('u/8', { email: 'b' })).toBe('put');
  });

  it('lets one of many win', async () => {
    const c = await client('n1 n2 n3');
    const work = Array.from({ length: 12 }, (_, i) => c.put(`u/${i}`, { email: 'same' }));
    const told = await Promise.all(work);
    const winners = told.flatMap((one, i) => (one === 'put' ? [`u/${i}`] : []));
    expect(winners).toHaveLength(1);
    expect(await c.holders()).toEqual({ same: winners[0] });
    for (const one of told)
      if (one !== 'put') expect([`${winners[0]}!`, 'conflict']).toContain(one);
  });
});

describe('building one', () => {
  it('claims what is there already', async () => {
    const c = await client('n1', false);
    for (let i = 0; i < 150; i++) await c.put(`u/${i}`, { email: `e${i}` });
    expect(await c.define(EMAIL)).toMatchObject({ state: 'live' });
    for (const i of [0, 77, 149]) expect(await c.put('u/x', { email: `e${i}` })).toBe(`u/${i}!`);
  });

  it('fails over two keys with one value, names them, and enforces nothing then', async () => {
    const c = await client('n1', false);
    await c.put('u/1', { email: 'a' });
    await c.put('u/2', { email: 'a' });
    const failed = await c.define(EMAIL);
    expect(failed.state).toBe('failed');
    expect([...(failed.failure?.keys ?? [])].sort()).toEqual(['u/1', 'u/2']);
    await c.cluster.time.pass(1_000);
    expect(await c.put('u/3', { email: 'a' })).toBe('put');
    expect(await c.told(c.holders())).toBe('conflict');
    await c.delete('u/1');
    await c.delete('u/2');
    await c.cluster.time.until(c.indexes.drop(CTX, 'email'));
    expect(await c.define(EMAIL)).toMatchObject({ state: 'live' });
    expect(await c.put('u/4', { email: 'a' })).toBe('u/3!');
  });

  it('fails as well where both keys are in one group', async () => {
    const c = await client('n1', false, 1);
    for (const key of ['u/1', 'u/2', 'u/3']) await c.put(key, { email: 'a' });
    expect(await c.define(EMAIL)).toMatchObject({ state: 'failed' });
  });

  it('is defined and dropped between a request and its repetition, which is done once', async () => {
    const c = await client('n1', false);
    const once = (key: string) => ({
      ...CTX,
      idempotency: { key, requestHash: new Uint8Array(32).fill(7) },
    });
    const versionOf = async (key: string) =>
      (await c.cluster.time.until(c.service.get(CTX, ref(key), LATEST))).item?.version;
    const [before, during] = [once('before'), once('during')];
    expect(await c.put('u/1', { email: 'a' }, { ctx: before })).toBe('put');
    await c.define(EMAIL);
    expect(await c.put('u/1', { email: 'a' }, { ctx: before })).toBe('put');
    expect(await c.put('u/2', { email: 'b' }, { ctx: during })).toBe('put');
    expect(await c.put('u/2', { email: 'b' }, { ctx: during })).toBe('put');
    const docs: [string, unknown][] = [
      ['u/3', { email: 'c' }],
      ['u/4', { email: 'd' }],
      ['v/5', {}],
    ];
    const ops = docs.map(([key, value]) => ({
      ...{ kind: 'write' as const, op: put(key, JSON.stringify(value)) },
    }));
    const batch = async () => {
      const { results } = await c.cluster.time.until(c.service.batch(once('batch'), ops));
      return results.map((one) => (one.kind === 'error' ? one.code : one.kind));
    };
    expect(await batch()).toEqual(['write', 'write', 'write']);
    expect(await batch()).toEqual(['write', 'write', 'write']);
    await c.cluster.time.until(c.indexes.drop(CTX, 'email'));
    expect(await c.put('u/2', { email: 'b' }, { ctx: during })).toBe('put');
    await batch();
    for (const key of ['u/1', 'u/2', 'u/3', 'u/4', 'v/5']) {
      expect([key, await versionOf(key)]).toEqual([key, 1]);
    }
  });

  it('enforces nothing once it is dropped', async () => {
    const c = await client();
    await c.put('u/1', { email: 'a' });
    await c.cluster.time.until(c.indexes.drop(CTX, 'email'));
    expect(await c.put('u/2', { email: 'a' })).toBe('put');
  });
});
