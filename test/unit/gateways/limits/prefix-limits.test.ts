import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { prefixTables } from '../../../../gateways/limits/limit-row.ts';
import { PrefixTable } from '../../../../gateways/limits/prefix-table.ts';
import { natsAdmission } from '../../../../gateways/nats-api/admission.ts';
import { serveNatsApi } from '../../../../gateways/nats-api/gateway.ts';
import type { ClientRequest } from '../../../../gateways/peer/request-server.ts';
import { NO_TELEMETRY } from '../../../../observability/port.ts';
import { prefixEnd, utf8 } from '../../../../protocol/bytes.ts';
import { onlyRefusals } from '../../../../protocol/errors.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { HandClock, settle } from '../../../kit/hand-clock.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { rateLimitsFor } from '../../../kit/rate-limits.ts';

const NO_LIMIT = {
  ...{ requestsPerSecond: 1, burst: null, bytesInPerSecond: null, bytesOutPerSecond: null },
  watchers: null,
};

describe('a table of prefixes', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\xff'), maxLength: 4 });
  const prefixes = fc.array(
    text.filter((one) => one !== ''),
    { maxLength: 12 },
  );
  const tableOf = (all: readonly string[]) => new PrefixTable(new Map(all.map((p) => [p, p])));
  const found = (ask: (add: (scope: string) => void) => void) => {
    const seen: string[] = [];
    ask((scope) => seen.push(scope));
    return seen.sort();
  };

  it('finds of a key what it begins with, and of a range what may hold a key of it', () => {
    fc.assert(
      fc.property(prefixes, text, text, fc.boolean(), (drawn, a, b, isOpen) => {
        const all = [...new Set(drawn)];
        const table = tableOf(all);
        const ofKey = found((add) => table.ofKey(a, add));
        expect(ofKey).toEqual(all.filter((prefix) => a.startsWith(prefix)).sort());
        const [start, end] = [a, isOpen ? null : b];
        const isTouched = (prefix: string) => {
          const to = prefixEnd(prefix);
          const isEmpty = end !== null && end <= start;
          return !isEmpty && (end === null || prefix < end) && (to === null || to > start);
        };
        const ofRange = found((add) => table.ofRange(start, end, add));
        expect(ofRange).toEqual(all.filter(isTouched).sort());
      }),
    );
  });

  it('is each tenant’s own, and of nobody who has no such limit', () => {
    const limits = new Map(
      ['prefix:acme/app/', 'prefix:other/app/', 'prefix:acme/ünï', 'tenant:acme', 'default'].map(
        (scope) => [scope, NO_LIMIT],
      ),
    );
    const tables = prefixTables(limits);
    expect([...tables.keys()]).toEqual(['acme', 'other']);
    const ask = (key: string) => found((add) => tables.get('acme')?.ofKey(key, add));
    expect(ask('app/1')).toEqual(['prefix:acme/app/']);
    expect(ask(Buffer.from('ünïq', 'utf8').toString('latin1'))).toEqual(['prefix:acme/ünï']);
    expect(prefixTables(new Map([['default', NO_LIMIT]])).size).toBe(0);
  });
});

type Guarded = Awaited<ReturnType<typeof startGuardedServer>>;
const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
let server: Guarded;
let key: string;
let acme: string;
/** What one test has used up is not the next one's. */
let turn = 0;
const set = new Set<string>();
let prefix = '';

beforeAll(async () => {
  server = await startGuardedServer();
  await server.tenants.create(CTX, 'acme');
  key = await server.make('read_write');
  acme = await server.make('read_write', null, 'acme');
});
beforeEach(() => {
  prefix = `p${turn++}/`;
});
afterEach(async () => {
  for (const scope of set) {
    await server.rateLimitRows.delete(CTX, scope).catch(onlyRefusals);
  }
  set.clear();
});
afterAll(() => server.stop());

interface Asked extends RequestInit {
  readonly as?: string;
}

function ask(path: string, { as = key, headers, ...init }: Asked = {}): Promise<Response> {
  const all = { authorization: `Bearer ${as}`, ...(headers as Record<string, string>) };
  return fetch(server.url + path, { ...init, headers: all });
}

const JSON_BODY = { 'content-type': 'application/json' };
const post = (path: string, body: unknown, as = key) =>
  ask(path, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body), as });

async function limit(scope: string, body: object): Promise<string> {
  const path = `/admin/limits/${encodeURIComponent(scope)}`;
  const init = { method: 'PUT', as: server.admin, headers: JSON_BODY, body: JSON.stringify(body) };
  const answer = await ask(path, init);
  const told = (await answer.json()) as { scope: string };
  expect(answer.status, JSON.stringify(told)).toBe(200);
  set.add(told.scope);
  return told.scope;
}

/** Ways to ask for something under a prefix, each once. */
const WAYS: readonly [string, (under: string) => Promise<Response>][] = [
  ['a put', (under) => ask(`/v1/kv/${under}a`, { method: 'PUT', body: 'x' })],
  ['a get', (under) => ask(`/v1/kv/${under}a`)],
  ['a get through the framework', (under) => ask(`/v1/kv/${under}a?consistency=stale`)],
  ['a delete', (under) => ask(`/v1/kv/${under}a`, { method: 'DELETE' })],
  ['a page', (under) => ask(`/v1/kv?prefix=${under}`)],
  ['a page of more', (under) => ask(`/v1/kv?start=${under.slice(0, 2)}&limit=5`)],
  [
    'a stream',
    (under) => ask(`/v1/kv?prefix=${under}`, { headers: { accept: 'application/x-ndjson' } }),
  ],
  ['a range delete', (under) => ask(`/v1/kv?prefix=${under}`, { method: 'DELETE' })],
  ['a batch', (under) => post('/v1/batch', { ops: [{ op: 'get', key: `${under}a` }] })],
  ['a transaction', (under) => post('/v1/txn', { then: [{ op: 'get', key: `${under}a` }] })],
  [
    'a compare',
    (under) => post('/v1/txn', { compare: [{ key: `${under}a`, exists: false }], then: [] }),
  ],
];

describe('a limit of requests by key prefix', () => {
  it.each(WAYS)('counts %s, whoever asks', async (_, way) => {
    const scope = `prefix:default/${prefix}`;
    await limit(scope, { requestsPerSecond: 1 });
    const other = await server.make('read_write');
    expect((await way(prefix)).status).toBeLessThan(410);
    const refused = await way(prefix);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('x-ratelimit-limit')).toBe('1');
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', definite: true, scope });
    expect((await ask(`/v1/kv/${prefix}b`, { as: other })).status).toBe(429);
    // Beside it nobody is refused, and the administrator nowhere.
    expect((await way(`q${prefix}`)).status).toBeLessThan(410);
    expect((await ask(`/v1/kv/${prefix}b`, { as: server.admin })).status).toBe(404);
  });

  it('is of one tenant: another one’s keys that begin so are not counted', async () => {
    await limit(`prefix:acme/${prefix}`, { requestsPerSecond: 1 });
    for (let i = 0; i < 3; i++) expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(404);
    expect((await ask(`/v1/kv/${prefix}a`, { as: acme })).status).toBe(404);
    expect((await ask(`/v1/kv/${prefix}a`, { as: acme })).status).toBe(429);
  });

  it('counts in every prefix that a key begins with', async () => {
    await limit(`prefix:default/${prefix}`, { requestsPerSecond: 2 });
    await limit(`prefix:default/${prefix}in/`, { requestsPerSecond: 1 });
    expect((await ask(`/v1/kv/${prefix}in/a`)).status).toBe(404);
    const inner = (await (await ask(`/v1/kv/${prefix}in/a`)).json()) as { scope: string };
    expect(inner.scope).toBe(`prefix:default/${prefix}in/`);
    // What was refused there was not taken here.
    expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(404);
    const outer = (await (await ask(`/v1/kv/${prefix}a`)).json()) as { scope: string };
    expect(outer.scope).toBe(`prefix:default/${prefix}`);
  });

  it('refuses a batch and a transaction whole, with nothing done', async () => {
    await limit(`prefix:default/${prefix}`, { requestsPerSecond: 1 });
    expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(404);
    const put = (name: string) => ({ op: 'put', key: name, value: 'x' });
    const ops = [put(`beside-${prefix}`), put(`${prefix}a`)];
    expect((await post('/v1/batch', { ops })).status).toBe(429);
    expect((await post('/v1/txn', { then: ops })).status).toBe(429);
    expect((await ask(`/v1/kv/beside-${prefix}`)).status).toBe(404);
  });

  it('is changed and taken away', async () => {
    const scope = `prefix:default/${prefix}`;
    await limit(scope, { requestsPerSecond: 1 });
    expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(404);
    expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(429);
    const path = `/admin/limits/${encodeURIComponent(scope)}`;
    const shown = await ask(path, { as: server.admin });
    expect(await shown.json()).toMatchObject({ scope, requestsPerSecond: 1 });
    expect((await ask(path, { method: 'DELETE', as: server.admin })).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(404);
  });

  it('slows a stream of pages down rather than breaking it off', async () => {
    const puts = Array.from({ length: 40 }, (_, i) => {
      return {
        op: 'put',
        key: `${prefix}${String(i).padStart(3, '0')}`,
        value: 'x'.repeat(60_000),
      };
    });
    for (let at = 0; at < 40; at += 10) {
      const done = await post('/v1/batch', { ops: puts.slice(at, at + 10) }, server.admin);
      expect(done.status).toBe(200);
    }
    await limit(`prefix:default/${prefix}`, { requestsPerSecond: 5, burst: 1 });
    const init = { headers: { accept: 'application/x-ndjson' } };
    const streamed = await ask(`/v1/kv?prefix=${prefix}&limit=10`, init);
    expect(streamed.status).toBe(200);
    expect((await streamed.text()).trim().split('\n').length).toBeGreaterThanOrEqual(10);
  });
});

describe('limits of bytes and watches by key prefix', () => {
  it('count values that come in and go out', async () => {
    await limit(`prefix:default/${prefix}`, {
      bytesInPerSecond: 10_000,
      bytesOutPerSecond: 20_000,
    });
    const put = (length: number) =>
      ask(`/v1/kv/${prefix}a`, { method: 'PUT', body: 'x'.repeat(length) });
    expect((await put(30_000)).status).toBe(201);
    const refused = await put(1);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ limit: 'bytesIn', max: 10_000 });
    await limit(`prefix:default/${prefix}`, { bytesOutPerSecond: 1_024 });
    expect((await ask(`/v1/kv/${prefix}a`)).status).toBe(200);
    const again = await ask(`/v1/kv/${prefix}a`);
    expect(again.status).toBe(429);
    expect(await again.json()).toMatchObject({ limit: 'bytesOut', max: 1_024 });
  });

  it('count watches under the prefix, and of what it is a part of', async () => {
    await limit(`prefix:default/${prefix}`, { watchers: 1 });
    const ending = new AbortController();
    const open = (of: string) => ask(`/v1/watch?prefix=${of}`, { signal: ending.signal });
    expect((await open(`${prefix}deep`)).status).toBe(200);
    for (const of of [prefix, '', `${prefix}x`]) {
      const refused = await open(of);
      expect(refused.status, of).toBe(429);
      expect(await refused.json()).toMatchObject({ limit: 'watchers', max: 1 });
    }
    const beside = await open(`z${prefix}`);
    expect(beside.status).toBe(200);
    ending.abort();
    const after = new AbortController();
    const isOpen = async () =>
      (await ask(`/v1/watch?prefix=${prefix}`, { signal: after.signal })).status === 200;
    for (let i = 0; i < 100 && !(await isOpen()); i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const full = await ask(`/v1/watch?prefix=${prefix}`, { signal: after.signal });
    expect(full.status).toBe(429);
    after.abort();
  });
});

describe('requests over NATS', () => {
  function served() {
    const service = new ModelService();
    const clock = new HandClock();
    const { limits, rateLimitRows } = rateLimitsFor(service.identities, clock);
    const statuses: string[] = [];
    let handle: (request: ClientRequest) => void = () => {};
    const server = {
      payloadBytesMax: 1 << 20,
      serveRequests: (_: string, __: string, serve: typeof handle) => {
        handle = serve;
      },
    };
    serveNatsApi({
      ...{ server, clock, telemetry: NO_TELEMETRY, durability: 'memory', requestId: () => 'r' },
      admission: natsAdmission({ service, limits, allowUnsigned: true }),
    });
    const askFor = async (op: string, body: object) => {
      handle({
        subject: `minikv.api.${op}`,
        reply: '_INBOX.x',
        header: () => null,
        payload: utf8(JSON.stringify(body)),
        respond: (_, headers) => statuses.push(headers['Minikv-Status'] ?? '') > 0,
      });
      await settle();
      return statuses.pop();
    };
    return { askFor, clock, limits, rateLimitRows };
  }

  it('come under limits of the prefixes of the cluster’s own tenant', async () => {
    const { askFor, clock, limits, rateLimitRows } = served();
    const put = (key: string) => askFor('put', { key, value: 'v' });
    const limited = { ...NO_LIMIT, requestsPerSecond: 1 };
    expect(await put('app/1')).toBe('200');
    await rateLimitRows.set(CTX, 'prefix:default/app/', limited);
    expect([await put('app/1'), await put('app/1'), await put('b')]).toEqual(['200', '429', '200']);
    await clock.pass(1_000);
    expect(await put('app/1')).toBe('200');
    limits.stop();
  });

  it('are counted by the bytes that come in, and by those that go out', async () => {
    const { askFor, clock, limits, rateLimitRows } = served();
    const put = () => askFor('put', { key: 'a', value: 'v'.repeat(10_000) });
    const get = () => askFor('get', { key: 'a' });
    const unlimited = { ...NO_LIMIT, requestsPerSecond: null };
    await rateLimitRows.set(CTX, 'anonymous', { ...unlimited, bytesInPerSecond: 2_000 });
    expect([await put(), await put()]).toEqual(['200', '429']);
    await clock.pass(10_000);
    await rateLimitRows.set(CTX, 'anonymous', { ...unlimited, bytesOutPerSecond: 2_000 });
    expect([await put(), await put()]).toEqual(['200', '200']);
    expect([await get(), await get(), await put()]).toEqual(['200', '429', '429']);
    limits.stop();
  });
});

describe('scopes of tenants', () => {
  it('have one name, whichever way they are written', async () => {
    expect(await limit('bucket:default/logs', { requestsPerSecond: 5 })).toBe('bucket:logs');
    expect(await limit('bucket:acme/logs', { requestsPerSecond: 5 })).toBe('bucket:acme/logs');
    expect(await limit('s3-user:acme/ada', { requestsPerSecond: 5 })).toBe('s3-user:acme/ada');
    expect(await limit('prefix:acme/ünï/"x"', { requestsPerSecond: 5 })).toBe(
      'prefix:acme/ünï/"x"',
    );
    const listed = await ask('/admin/limits', { as: server.admin });
    const { limits } = (await listed.json()) as { limits: { scope: string }[] };
    const scopes = limits.map(({ scope }) => scope);
    for (const scope of ['bucket:logs', 'bucket:acme/logs', 'prefix:acme/ünï/"x"']) {
      expect(scopes).toContain(scope);
    }
  });
});
