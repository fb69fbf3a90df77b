import { connect, headers, type Msg, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveNatsApi } from '../../gateways/nats-api/gateway.ts';
import { type NatsBus, openNatsBus } from '../../gateways/peer/nats-bus.ts';
import { packBytes, unpackBytes } from '../../protocol/codec.ts';
import { AppError } from '../../protocol/errors.ts';
import { ModelService } from '../kit/model-service.ts';
import { type TestNats, testNats } from '../kit/nats-server.ts';
import { REAL_CLOCK } from '../kit/real-clock.ts';
import { type RecordingTelemetry, recordingTelemetry } from '../kit/recording-telemetry.ts';
import { until } from '../kit/wait.ts';

/** Whatever an answer holds; the assertions say what. */
// biome-ignore lint/suspicious/noExplicitAny: answers are checked by their assertions.
type Json = any;

const clock = REAL_CLOCK;
const BOUNDS = { bytesMax: 1 << 20, itemsMax: 1000, depthMax: 16 };

describe('the store over NATS requests', () => {
  let nats: TestNats;
  let buses: NatsBus[];
  let store: ModelService;
  let telemetry: RecordingTelemetry;
  let client: NatsConnection;

  beforeAll(async () => {
    nats = await testNats();
    telemetry = recordingTelemetry();
    buses = [];
    store = new ModelService();
    for (const name of ['n1', 'n2']) {
      const options = { cluster: 'e2e', name, servers: [nats.url], tls: null };
      const bus = await openNatsBus(
        { ...options, credentials: { kind: 'none' }, connectWaitMs: 3_000 },
        { clock, telemetry },
      );
      let id = 0;
      serveNatsApi({
        ...{ server: bus, clock, telemetry, durability: 'memory' },
        requestId: () => `${name}-${++id}`,
        admission: {
          admit: async (_op, request) => {
            if (request.header('X-Test') === 'deny') throw new AppError('forbidden', 'not allowed');
            return { store, guard: null, meters: null };
          },
          answered: () => {},
        },
      });
      buses.push(bus);
    }
    client = await connect({ servers: `127.0.0.1:${nats.port}` });
    await until(() => buses.every((bus) => bus.state() === 'connected'), 'both nodes');
    await client.flush();
  });
  afterAll(async () => {
    await client.close();
    await Promise.all(buses.map((bus) => bus.drain()));
    await nats.dispose();
  });

  const ask = (op: string, body: Uint8Array | string, more: Record<string, string> = {}) => {
    const sent = headers();
    for (const [name, value] of Object.entries(more)) sent.set(name, value);
    return client.request(`minikv.api.${op}`, body, { timeout: 5_000, headers: sent });
  };
  const call = async (op: string, body: unknown, more = {}): Promise<[Msg, Json]> => {
    const message = await ask(op, JSON.stringify(body), more);
    return [message, message.json()];
  };

  it('transactions attach keys to leases, or do nothing', async () => {
    const [, lease] = await call('leaseGrant', { ttlSeconds: 30 }, { 'Idempotency-Key': 'txn' });
    const put = (key: string, id: number) => ({ op: 'put', key, value: 'x', lease: id });
    const branch = (ops: object[]) => Object.fromEntries([['then', ops]]);
    const [, done] = await call('txn', branch([put('tl/a', lease.id), put('tl/b', lease.id)]));
    expect(done.succeeded).toBe(true);
    const [, shown] = await call('leaseGet', { id: lease.id, keys: true });
    expect(shown.keys).toEqual([{ key: 'tl/a' }, { key: 'tl/b' }]);
    await call('leaseRevoke', { id: lease.id });
    const [refused, problem] = await call('txn', branch([put('tl/c', lease.id)]));
    expect(refused.headers?.get('Minikv-Status')).toBe('404');
    expect(problem).toMatchObject({ code: 'lease_not_found', definite: true });
  });

  it('answers what is no operation, whatever it is called', async () => {
    for (const name of ['whatever', 'GET', 'constructor', 'kv.get']) {
      const [refused, problem] = await call(name, {});
      expect(refused.headers?.get('Minikv-Status')).toBe('404');
      expect(problem).toMatchObject({ code: 'not_found', definite: true });
      expect(problem.detail).toContain('there are get, put, delete');
    }
    const packed = await ask('whatever', packBytes({}), { 'Content-Type': 'application/msgpack' });
    expect(unpackBytes(packed.data, BOUNDS)).toMatchObject({ code: 'not_found' });
  });

  it('names the bound of an idempotency key', async () => {
    const [, problem] = await call(
      'put',
      { key: 'i', value: 'x' },
      { 'Idempotency-Key': 'x'.repeat(129) },
    );
    expect(problem).toMatchObject({
      ...{ code: 'invalid_argument', limit: 'idempotencyKeyBytesMax', max: 128 },
    });
  });

  it('grants leases and locks in the shapes of REST', async () => {
    const [, lease] = await call('leaseGrant', { ttlSeconds: 30 }, { 'Idempotency-Key': 'a' });
    const [, other] = await call('leaseGrant', { ttlSeconds: 30 }, { 'Idempotency-Key': 'b' });
    expect(lease).toMatchObject({ ttl: 30, id: expect.any(Number) });
    expect(other.id).not.toBe(lease.id);
    const [, kept] = await call('leaseKeepAlive', { id: lease.id });
    expect(kept.id).toBe(lease.id);
    await call('put', { key: 'leased', value: 'x', lease: lease.id });
    const [, shown] = await call('leaseGet', { id: lease.id, keys: true });
    expect(shown.keys).toEqual([{ key: 'leased' }]);
    const [, lock] = await call('lockAcquire', { name: 'n', lease: lease.id, value: 'me' });
    expect(lock).toMatchObject({ held: true, value: 'me', lease: lease.id });
    const [refused, problem] = await call('lockAcquire', { name: 'n', lease: other.id });
    expect(refused.headers?.get('Minikv-Status')).toBe('409');
    expect(problem.code).toBe('lock_held');
    expect((await call('lockGet', { name: 'n' }))[1].token).toBe(lock.token);
    const [, released] = await call('lockRelease', { name: 'n', token: lock.token });
    expect(released.released).toBe(true);
    const [, list] = await call('leaseList', {});
    expect(list.leases.map((one: Json) => one.id)).toContain(lease.id);
    const [, revoked] = await call('leaseRevoke', { id: lease.id });
    expect(revoked).toMatchObject({ revoked: true, removed: 1 });
  });

  it('puts, gets and deletes in the shapes of REST', async () => {
    const [, put] = await call('put', { key: 'a/b', value: 'hello', contentType: 'text/plain' });
    expect(put).toMatchObject({ key: 'a/b', version: 1 });
    const [message, item] = await call('get', { key: 'a/b' });
    expect(item).toEqual({ ...put, value: 'hello', contentType: 'text/plain' });
    expect(message.headers?.get('Minikv-Status')).toBe('200');
    expect(message.headers?.get('Minikv-Durability')).toBe('memory');
    expect(Number(message.headers?.get('Minikv-Revision'))).toBeGreaterThanOrEqual(put.revision);
    const [, deleted] = await call('delete', { key: 'a/b', ifRevision: put.revision });
    expect(deleted).toMatchObject({ deleted: true });
    const [absent, problem] = await call('get', { key: 'a/b' });
    expect(absent.headers?.get('Minikv-Status')).toBe('404');
    expect(problem).toMatchObject({ code: 'key_not_found', definite: true, status: 404 });
  });

  it('carries any bytes: base64 in JSON, binary in MessagePack', async () => {
    const value = Uint8Array.from({ length: 256 }, (_, i) => i);
    const type = { 'Content-Type': 'application/msgpack' };
    const put = await ask('put', packBytes({ key: 'bin', value }), type);
    expect(unpackBytes(put.data, BOUNDS)).toMatchObject({ key: 'bin', version: 1 });
    const got = unpackBytes((await ask('get', packBytes({ key: 'bin' }), type)).data, BOUNDS);
    expect(Buffer.from((got as { value: Uint8Array }).value)).toEqual(Buffer.from(value));
    const [, item] = await call('get', { key: 'bin' });
    expect(item.base64).toBe(Buffer.from(value).toString('base64'));
  });

  it('answers a batch in order, with a code for each failed item', async () => {
    const ops = [
      { op: 'put', key: 'x', value: '1' },
      { op: 'get', key: 'nowhere' },
      { op: 'put', key: 'x', value: '2', ifRevision: 0 },
      { op: 'get', key: 'x' },
    ];
    const [, { results }] = await call('batch', { ops });
    expect(results).toMatchObject([
      { key: 'x', version: 1 },
      { code: 'key_not_found', definite: true },
      { code: 'precondition_failed', definite: true },
      { key: 'x', value: '1' },
    ]);
  });

  it('pages through a scan with a cursor', async () => {
    for (let i = 0; i < 5; i++) await call('put', { key: `page/${i}`, value: `${i}` });
    const keys: string[] = [];
    let cursor: string | undefined;
    do {
      const [, page] = await call('scan', { prefix: 'page/', limit: 2, cursor });
      keys.push(...page.items.map((item: { key: string }) => item.key));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(keys).toEqual(['page/0', 'page/1', 'page/2', 'page/3', 'page/4']);
    const [, forged] = await call('scan', { prefix: 'page/', cursor: 'AAAA' });
    expect(forged).toMatchObject({ code: 'invalid_argument' });
  });

  it('tells its status', async () => {
    expect((await call('status', {}))[1]).toMatchObject({ nodeId: 'n1', ready: true });
  });

  it('one node answers each request, and all of them take part', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 64; i++) {
      const [message] = await call('get', { key: 'x' });
      ids.add((message.headers?.get('Minikv-Request-Id') ?? '').split('-')[0] as string);
    }
    expect([...ids].sort()).toEqual(['n1', 'n2']);
  });

  it('hands on deadline, trace and idempotency key', async () => {
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const more = { 'Minikv-Deadline-Ms': '1234', traceparent, 'Idempotency-Key': 'once' };
    await call('put', { key: 'ctx', value: '' }, more);
    const context = store.contexts.at(-1);
    expect(context).toMatchObject({ deadlineMs: 1234, traceparent, idempotency: { key: 'once' } });
    expect(context?.idempotency?.requestHash.length).toBe(32);
  });

  it('I39 refuses bad requests with a code, and goes on', async () => {
    const msgpack = { 'Content-Type': 'application/msgpack' };
    const deep = `{"key":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const bad: [string, Uint8Array | string, Record<string, string>, string][] = [
      ['get', '{', {}, 'malformed'],
      ['get', '[]', {}, 'malformed'],
      ['get', Buffer.from([0x7b, 0xff, 0x7d]), {}, 'malformed'],
      ['get', deep, {}, 'malformed'],
      ['get', Buffer.from('ddffffffff', 'hex'), msgpack, 'malformed'],
      ['get', '{}', {}, 'invalid_argument'],
      ['get', '{"key":""}', {}, 'invalid_argument'],
      ['get', '{"key":"a\\u0000b"}', {}, 'invalid_argument'],
      ['get', '{"key":"a","__proto__":1}', {}, 'invalid_argument'],
      ['get', '{"key":"a"}', { 'Content-Type': 'text/xml' }, 'unsupported_media_type'],
      ['get', '{"key":"a"}', { 'Minikv-Deadline-Ms': '-1' }, 'invalid_argument'],
      ['get', '{"key":"a","revision":1.5}', {}, 'invalid_argument'],
      ['put', '{"key":"a","value":"v","ifrevision":3}', {}, 'invalid_argument'],
      ['put', JSON.stringify({ key: 'a', value: 'x'.repeat(800 * 1024) }), {}, 'too_large'],
      ['put', '{"op":"delete","key":"a"}', {}, 'invalid_argument'],
      ['batch', '{"ops":{}}', {}, 'invalid_argument'],
      ['get', '{"key":"a"}', { 'X-Test': 'deny' }, 'forbidden'],
    ];
    for (const [op, body, more, code] of bad) {
      const message = await ask(op, body, more);
      const isPacked = message.headers?.get('Content-Type') === 'application/msgpack';
      const problem = isPacked ? unpackBytes(message.data, BOUNDS) : message.json();
      expect(problem, `${op} ${body.slice(0, 40)}`).toMatchObject({ code, definite: true });
    }
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
    expect(telemetry.total('nats_requests', { code: 'malformed' })).toBe(5);
    await call('put', { key: 'goes-on', value: 'v' });
    expect((await call('get', { key: 'goes-on' }))[0].headers?.get('Minikv-Status')).toBe('200');
  });

  it('says too_large when an answer does not fit, and not definite when it wrote', async () => {
    const value = 'v'.repeat(700 * 1024);
    await call('put', { key: 'large/1', value });
    await call('put', { key: 'large/2', value });
    const gets = [1, 2].map((i) => ({ op: 'get', key: `large/${i}` }));
    const [, { results }] = await call('batch', { ops: gets });
    expect(results).toMatchObject([{ value }, { code: 'too_large', definite: true }]);
    const key = (i: number) => `small/${String(i).padStart(24, '0')}`;
    const ops = Array.from({ length: 10_000 }, (_, i) => ({ op: 'put', key: key(i), value: '' }));
    const [, problem] = await call('batch', { ops });
    expect(problem).toMatchObject({ code: 'too_large', definite: false });
    const [, scan] = await call('scan', { prefix: 'large/' });
    expect(scan).toMatchObject({ code: 'too_large', definite: true });
  });

  it('I39 does not answer to a peer subject or to nobody', async () => {
    const seen: string[] = [];
    client.subscribe('minikv.e2e.>', {
      callback: (_error, message) => void seen.push(message.subject),
    });
    const before = telemetry.total('nats_requests', { code: 'no_reply' });
    const reply = 'minikv.e2e.node.n1.raft';
    client.publish('minikv.api.get', '{"key":"x"}', { reply });
    client.publish('minikv.api.put', '{"key":"silent","value":"1"}');
    await until(
      () => telemetry.total('nats_requests', { code: 'no_reply' }) === before + 2,
      'both',
    );
    await client.flush();
    expect(seen).toEqual([]);
    expect((await call('get', { key: 'silent' }))[1]).toMatchObject({ code: 'key_not_found' });
  });
});
