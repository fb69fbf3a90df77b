import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parseApiKey } from '../../../../gateways/identity/api-key.ts';
import { Tenants } from '../../../../gateways/identity/tenants.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { ACCESS_KEY, type S3Server, SECRET_KEY, startS3Server } from '../../../kit/s3-start.ts';
import { CTX, makeUser, type TestUser } from '../../../kit/s3-users.ts';

type Guarded = Awaited<ReturnType<typeof startGuardedServer>>;
let server: Guarded;
let key: string;

beforeAll(async () => {
  server = await startGuardedServer();
});
beforeEach(async () => {
  key = await server.make('read_write');
});
afterAll(() => server.stop());

interface Asked extends RequestInit {
  readonly as?: string;
}

function ask(path: string, { as = key, headers, ...init }: Asked = {}): Promise<Response> {
  const all = { authorization: `Bearer ${as}`, ...(headers as Record<string, string>) };
  return fetch(server.url + path, { ...init, headers: all });
}

function scopeOf(text: string): string {
  return `key:${parseApiKey(text)?.id}`;
}

async function limit(scope: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const init = { method: 'PUT', as: server.admin, headers, body: JSON.stringify(body) };
  const answer = await ask(`/admin/limits/${scope}`, init);
  expect(answer.status, await answer.clone().text()).toBe(200);
}

/** Ways of a request through the listener: past the framework, through it, with a document, as a stream. */
const WAYS: readonly [string, string, Asked][] = [
  ['a put', '/v1/kv/a', { method: 'PUT', body: 'x' }],
  ['a get', '/v1/kv/a', {}],
  ['a get through the framework', '/v1/kv/a?consistency=linearizable', {}],
  ['a page', '/v1/kv?prefix=a', {}],
  ['a stream', '/v1/kv?prefix=a', { headers: { accept: 'application/x-ndjson' } }],
  [
    'a transaction',
    '/v1/txn',
    {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ then: [{ op: 'get', key: 'a' }] }),
    },
  ],
  ['a lease', '/v1/leases', {}],
];

describe('a limit of requests over REST', () => {
  it.each(WAYS)('refuses %s with 429, and tells how far one is', async (_, path, init) => {
    await ask('/v1/kv/a', { method: 'PUT', body: 'x', as: server.admin });
    await limit(scopeOf(key), { requestsPerSecond: 1, burst: 2 });
    const [first, second, third] = [
      await ask(path, init),
      await ask(path, init),
      await ask(path, init),
    ];
    for (const answer of [first, second]) expect(answer?.status).toBeLessThan(300);
    expect(first?.headers.get('x-ratelimit-limit')).toBe('1');
    expect(first?.headers.get('x-ratelimit-remaining')).toBe('1');
    expect(second?.headers.get('x-ratelimit-remaining')).toBe('0');
    expect(Number(second?.headers.get('x-ratelimit-reset'))).toBeGreaterThanOrEqual(1);
    expect(third?.status).toBe(429);
    expect(third?.headers.get('content-type')).toContain('application/problem+json');
    expect(third?.headers.get('retry-after')).toBe('1');
    expect(third?.headers.get('x-ratelimit-limit')).toBe('1');
    expect(third?.headers.get('x-ratelimit-remaining')).toBe('0');
    expect(third?.headers.get('x-ratelimit-reset')).toBe('1');
    const problem = (await third?.json()) as Record<string, unknown>;
    expect(problem).toMatchObject({
      ...{ code: 'rate_limited', definite: true, status: 429, limit: 'requests', max: 1 },
      scope: scopeOf(key),
    });
    expect(problem['retryAfterMs']).toBeGreaterThan(0);
    expect(problem['retryAfterMs']).toBeLessThanOrEqual(1_000);
  });

  it('is of the key with its tokens, and of no other key', async () => {
    const other = await server.make('read_write');
    const exchanged = await ask('/v1/auth/token', { method: 'POST' });
    const { access_token: token } = (await exchanged.json()) as { access_token: string };
    await limit(scopeOf(key), { requestsPerSecond: 1 });
    expect((await ask('/v1/leases', { as: token })).status).toBe(200);
    expect((await ask('/v1/leases')).status).toBe(429);
    expect((await ask('/v1/leases', { as: other })).status).toBe(200);
    const { headers } = await ask('/v1/leases', { as: other });
    expect(headers.get('x-ratelimit-limit')).toBeNull();
  });

  it('is not asked of the administrator, nor of health and administration', async () => {
    const admin = await server.make('admin');
    await limit(scopeOf(admin), { requestsPerSecond: 1 });
    await limit('tenant:default', { requestsPerSecond: 1 });
    for (let i = 0; i < 3; i++) {
      expect((await ask('/v1/kv?limit=1', { as: server.admin })).status).toBe(200);
      expect((await ask('/admin/limits', { as: admin })).status).toBe(200);
      expect((await ask('/health', { as: key })).status).toBe(200);
    }
    const took = await ask('/admin/limits/tenant:default', { method: 'DELETE', as: admin });
    expect(took.status).toBe(200);
  });

  it('costs who is refused nothing but the request: what was not done is not done', async () => {
    await limit(scopeOf(key), { requestsPerSecond: 1 });
    expect((await ask('/v1/kv/once', { method: 'PUT', body: 'first' })).status).toBe(201);
    expect((await ask('/v1/kv/once', { method: 'PUT', body: 'second' })).status).toBe(429);
    expect(await (await ask('/v1/kv/once', { as: server.admin })).text()).toBe('first');
  });
});

describe('a limit of bytes over REST', () => {
  it.each([
    ['past the framework', 40_000],
    ['through it', 60_000],
  ])('refuses who has sent too much before: %s', async (_, length) => {
    await limit(scopeOf(key), { bytesInPerSecond: 10_000 });
    const body = 'x'.repeat(length);
    expect((await ask('/v1/kv/big', { method: 'PUT', body })).status).toBeLessThan(300);
    const refused = await ask('/v1/kv/big', { method: 'PUT', body });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(2);
    expect(await refused.json()).toMatchObject({ limit: 'bytesIn', max: 10_000 });
  });

  it('counts bodies whose length was not told', async () => {
    await limit(scopeOf(key), { bytesInPerSecond: 10_000 });
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.alloc(40_000));
        controller.close();
      },
    });
    const init = { method: 'PUT', body, duplex: 'half' } as Asked;
    expect((await ask('/v1/kv/chunked', init)).status).toBe(201);
    expect((await ask('/v1/kv/chunked')).status).toBe(429);
  });

  it('counts answers, and slows streams down', async () => {
    const value = 'y'.repeat(100_000);
    for (let i = 0; i < 4; i++) {
      await ask(`/v1/kv/stream-${i}`, { method: 'PUT', body: value, as: server.admin });
    }
    await limit(scopeOf(key), { bytesOutPerSecond: 400_000 });
    // What was saved goes at once, the rest at the pace of the limit.
    expect((await (await ask('/v1/kv/stream-0')).text()).length).toBe(value.length);
    const beganMs = performance.now();
    let bytes = 0;
    for (let i = 0; i < 2; i++) {
      const page = await ask('/v1/kv?prefix=stream-&values=true', {
        headers: { accept: 'application/x-ndjson' },
      });
      bytes += (await page.text()).length;
    }
    const tookMs = performance.now() - beganMs;
    expect(bytes).toBeGreaterThan(800_000);
    expect(tookMs).toBeGreaterThan(((bytes - 300_000) / 400_000) * 1_000 - 250);
  });
});

describe('a limit of watches', () => {
  it('is of those that are open, over SSE and WebSockets together', async () => {
    await limit(scopeOf(key), { watchers: 2 });
    const cut = new AbortController();
    const sse = await ask('/v1/watch', { signal: cut.signal });
    expect(sse.status).toBe(200);
    const headers = { authorization: `Bearer ${key}` };
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}/v1/watch`, { headers });
    await new Promise((resolve) => ws.once('open', resolve));
    const refused = await ask('/v1/watch');
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ limit: 'watchers', max: 2 });
    const third = new WebSocket(`${server.url.replace('http', 'ws')}/v1/watch`, { headers });
    const said = await new Promise<string>((resolve) => {
      third.on('error', () => {});
      third.once('unexpected-response', (_req, res) => {
        resolve(
          `${res.statusCode} ${res.headers['retry-after']} ${res.headers['x-ratelimit-limit']}`,
        );
      });
    });
    expect(said).toBe('429 1 2');
    cut.abort();
    ws.close();
    const deadlineMs = performance.now() + 5_000;
    let status = 429;
    while (status === 429 && performance.now() < deadlineMs) {
      const again = new AbortController();
      ({ status } = await ask('/v1/watch', { signal: again.signal }));
      again.abort();
    }
    expect(status).toBe(200);
  });
});

describe('/admin/limits', () => {
  it('sets, lists, shows and takes away', async () => {
    await limit('bucket:a.b-c', { requestsPerSecond: 5, burst: 9, bytesOutPerSecond: 2_048 });
    const shown = {
      ...{ scope: 'bucket:a.b-c', requestsPerSecond: 5, burst: 9, bytesInPerSecond: null },
      ...{ bytesOutPerSecond: 2_048, watchers: null },
    };
    const as = server.admin;
    expect(await (await ask('/admin/limits/bucket:a.b-c', { as })).json()).toEqual(shown);
    const { limits } = (await (await ask('/admin/limits', { as })).json()) as { limits: object[] };
    expect(limits).toContainEqual(shown);
    const deleted = await ask('/admin/limits/bucket:a.b-c', { method: 'DELETE', as });
    expect(await deleted.json()).toEqual({ scope: 'bucket:a.b-c', deleted: true });
    expect((await ask('/admin/limits/bucket:a.b-c', { as })).status).toBe(404);
    expect((await ask('/admin/limits/bucket:a.b-c', { method: 'DELETE', as })).status).toBe(404);
  });

  it.each([
    ['user:x', { requestsPerSecond: 1 }],
    ['default', { requestsPerSecond: 0 }],
    ['default', { requestsPerSecond: 1.5 }],
    ['default', { requestsPerSecond: '5' }],
    ['default', { bytesInPerSecond: 5 }],
    ['default', { burst: 5 }],
    ['default', { watchers: -1 }],
    ['default', { speed: 1 }],
  ])('refuses %s %j', async (scope, body) => {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'PUT', as: server.admin, headers, body: JSON.stringify(body) };
    expect((await ask(`/admin/limits/${scope}`, init)).status).toBe(400);
  });
});

describe('a limit over S3', () => {
  let s3: S3Server;
  let alice: TestUser;
  let root: S3;

  beforeAll(async () => {
    s3 = await startS3Server({ allowUnsigned: false });
    root = new S3({
      ...{ endpoint: s3.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    });
    alice = await makeUser(s3, 'alice');
    await alice.s3.createBucket({ Bucket: 'hers' });
  });
  afterAll(() => s3.stop());

  async function limitS3(scope: string, body: object): Promise<void> {
    const init = { method: 'PUT', headers: { 'content-type': 'application/json' } };
    const text = JSON.stringify(body);
    const answer = await fetch(`${s3.httpUrl}/admin/limits/${scope}`, { ...init, body: text });
    expect(answer.status).toBe(200);
  }

  async function refusal(sent: Promise<unknown>) {
    try {
      await sent;
    } catch (error) {
      const { name, $response } = error as {
        name: string;
        $response: { statusCode: number; headers: Record<string, string> };
      };
      return { name, status: $response.statusCode, headers: $response.headers };
    }
    return null;
  }

  it('is SlowDown with Retry-After, of one user and not of the account', async () => {
    await limitS3('s3-user:alice', { requestsPerSecond: 1, burst: 2 });
    await alice.s3.putObject({ Bucket: 'hers', Key: 'a', Body: 'x' });
    await alice.s3.getObject({ Bucket: 'hers', Key: 'a' });
    const refused = await refusal(alice.s3.putObject({ Bucket: 'hers', Key: 'a', Body: 'y' }));
    expect(refused).toMatchObject({ name: 'SlowDown', status: 503 });
    expect(refused?.headers['retry-after']).toBe('1');
    expect(refused?.headers['x-ratelimit-limit']).toBe('1');
    expect(refused?.headers['x-ratelimit-remaining']).toBe('0');
    for (let i = 0; i < 4; i++) await root.headBucket({ Bucket: 'hers' });
    const { Body } = await root.getObject({ Bucket: 'hers', Key: 'a' });
    expect(await Body?.transformToString()).toBe('x');
    await limitS3('s3-user:alice', {});
  });

  it('of a bucket is of whoever asks', async () => {
    await limitS3('bucket:hers', { requestsPerSecond: 1, burst: 1 });
    await root.headBucket({ Bucket: 'hers' });
    expect(await refusal(alice.s3.listObjectsV2({ Bucket: 'hers' }))).toMatchObject({
      name: 'SlowDown',
    });
    await alice.s3.createBucket({ Bucket: 'another' });
    await limitS3('bucket:hers', {});
  });

  it('of a bucket or a user of a tenant is not that of others of the name', async () => {
    await new Tenants({ identities: s3.identities, clock: REAL_CLOCK }).create(CTX, 'acme');
    const theirs = await makeUser({ ...s3, users: s3.users.ofTenant('acme') }, 'alice');
    await theirs.s3.createBucket({ Bucket: 'hers' });
    await limitS3('bucket:acme%2Fhers', { requestsPerSecond: 1, burst: 1 });
    await theirs.s3.headBucket({ Bucket: 'hers' });
    const slow = { name: 'SlowDown' };
    expect(await refusal(theirs.s3.listObjectsV2({ Bucket: 'hers' }))).toMatchObject(slow);
    for (let i = 0; i < 3; i++) await alice.s3.listObjectsV2({ Bucket: 'hers' });
    await limitS3('bucket:acme%2Fhers', {});
    await limitS3('s3-user:acme%2Falice', { requestsPerSecond: 1, burst: 1 });
    await theirs.s3.headBucket({ Bucket: 'hers' });
    expect(await refusal(theirs.s3.listBuckets({}))).toMatchObject(slow);
    for (let i = 0; i < 3; i++) await alice.s3.listObjectsV2({ Bucket: 'hers' });
    await limitS3('s3-user:acme%2Falice', {});
    theirs.s3.destroy();
  });

  it('of bytes slows puts down, and counts gets', async () => {
    const bytes = Buffer.alloc(1_000_000, 7);
    await limitS3('s3-user:alice', { bytesInPerSecond: 500_000, bytesOutPerSecond: 500_000 });
    const beganMs = performance.now();
    await alice.s3.putObject({ Bucket: 'hers', Key: 'big', Body: bytes });
    expect(performance.now() - beganMs).toBeGreaterThan(800);
    for (let i = 0; i < 2; i++) {
      const { Body } = await alice.s3.getObject({ Bucket: 'hers', Key: 'big' });
      expect(Buffer.from((await Body?.transformToByteArray()) ?? []).equals(bytes)).toBe(true);
    }
    const refused = await refusal(alice.s3.getObject({ Bucket: 'hers', Key: 'big' }));
    expect(refused).toMatchObject({ name: 'SlowDown', headers: { 'x-ratelimit-limit': '500000' } });
    await limitS3('s3-user:alice', {});
  });
});
