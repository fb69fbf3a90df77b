import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ruleOf } from '../../../../gateways/http/route-actions.ts';
import { countCalls } from '../../../kit/count-calls.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { ModelIndexes } from '../../../kit/model-indexes.ts';
import { ModelLeases } from '../../../kit/model-leases.ts';
import { ModelService } from '../../../kit/model-service.ts';

/**
 * I33: every route of the listener, as one tenant, about what another tenant has and about what nobody has: the same
 * bytes, after the same calls of the store, so that what it takes tells nothing either. Names are of one length; what differs between any two answers is taken out: their ids, dates and revisions.
 */

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
/** The names of what the other one has begin so, and of what nobody has. */
const STEMS = ['of-b', 'no-b'] as const;
type Stem = (typeof STEMS)[number];

interface Asked {
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

let server: Awaited<ReturnType<typeof startGuardedServer>>;
let [a, b] = ['', ''];
/** By stem: the id of an API key, and of a lease. */
const ids: Record<Stem, { key: string; lease: string }> = {
  'of-b': { key: '', lease: '' },
  'no-b': { key: 'a'.repeat(16), lease: '' },
};

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

let work: ReturnType<typeof countCalls>;

beforeAll(async () => {
  server = await startGuardedServer();
  work = countCalls(ModelService, ModelLeases, ModelIndexes);
  for (const name of ['a', 'b']) await server.tenants.create(CTX, name);
  [a, b] = [await server.make('admin', null, 'a'), await server.make('admin', null, 'b')];
  ids['of-b'].key = b.split('_')[1] as string;
  const { lease } = (await server.service.leases.ofTenant('b').grant(CTX, 60_000)).lease;
  ids['of-b'].lease = String(lease);
  ids['no-b'].lease = String(lease + 7);
  const put = (path: string, body: string) =>
    fetch(server.url + path, { method: 'PUT', headers: bearer(b), body });
  expect((await put('/v1/kv/of-b-thing', '{"x":"long text"}')).status).toBe(201);
  const index = { name: 'of-b-thing', fields: ['/x'] };
  for (const body of [index, { name: 'of-b-text', kind: 'text' }]) {
    const headers = { ...bearer(b), 'content-type': 'application/json' };
    const sent = { method: 'POST', headers, body: JSON.stringify(body) };
    expect((await fetch(`${server.url}/v1/indexes`, sent)).status).toBe(201);
  }
});
afterAll(async () => {
  work.stop();
  await server.stop();
});

/** What a route is asked, with a name that begins so. More than one where a name can stand in several places. */
const ASKED: Readonly<Record<string, (stem: Stem) => Asked[]>> = {
  'GET /v1/kv': (stem) => [
    { path: `/v1/kv?prefix=${stem}` },
    { path: `/v1/kv?start=${stem}&reverse=true` },
    { path: `/v1/kv?prefix=${stem}`, headers: { accept: 'application/x-ndjson' } },
  ],
  'DELETE /v1/kv': (stem) => [{ path: `/v1/kv?prefix=${stem}` }],
  'GET /v1/kv/:key': (stem) => [
    { path: `/v1/kv/${stem}-thing` },
    { path: `/v1/kv/${stem}-thing?consistency=stale` },
    { path: `/v1/kv/${stem}-thing`, headers: { 'if-none-match': '"1"' } },
  ],
  'PUT /v1/kv/:key': (stem) => [
    { path: `/v1/kv/${stem}-thing`, headers: { 'if-match': '"1"' }, body: 'x' },
    { path: `/v1/kv/${stem}-thing`, headers: { 'if-none-match': '*' }, body: 'x' },
    { path: `/v1/kv/${stem}-thing`, headers: { 'x-minikv-ttl': '9' }, body: 'x' },
    { path: '/v1/kv/mine', headers: { 'x-minikv-lease': ids[stem].lease }, body: 'x' },
  ],
  'POST /v1/batch': (stem) => [
    {
      path: '/v1/batch',
      body: {
        ops: [
          { op: 'get', key: `${stem}-thing` },
          { op: 'range', prefix: stem },
          { op: 'delete', key: `${stem}-thing` },
        ],
      },
    },
  ],
  'POST /v1/txn': (stem) => [
    {
      path: '/v1/txn',
      body: {
        compare: [{ key: `${stem}-thing`, exists: true }],
        then: [{ op: 'delete', key: `${stem}-thing` }],
        else: [{ op: 'range', prefix: stem }],
      },
    },
    {
      path: '/v1/txn',
      body: { compare: [{ key: `${stem}-thing`, revision: 7 }], then: [] },
    },
    {
      path: '/v1/txn',
      body: { then: [{ op: 'put', key: 'mine', value: 'x', lease: Number(ids[stem].lease) }] },
    },
  ],
  'POST /batch': (stem) => [
    { path: '/batch', body: { ops: [{ op: 'get', key: `${stem}-thing` }] } },
  ],
  'POST /transaction': (stem) => [
    { path: '/transaction', body: { operations: [{ op: 'delete', key: `${stem}-thing` }] } },
  ],
  'GET /range': (stem) => [{ path: `/range?start=${stem}&end=${stem}z&include_values=true` }],
  'GET /search': () => [{ path: '/search?value=long' }],
  'GET /v1/search': (stem) => [{ path: `/v1/search?q=long&prefix=${stem}` }],
  'POST /v1/indexes': (stem) => [
    { path: '/v1/indexes', body: { name: `${stem}-thing`, fields: ['/other'] } },
  ],
  'POST /v1/leases/:id/keepalive': (stem) => [{ path: `/v1/leases/${ids[stem].lease}/keepalive` }],
  'GET /v1/leases/:id': (stem) => [
    { path: `/v1/leases/${ids[stem].lease}` },
    { path: `/v1/leases/${ids[stem].lease}?keys=true` },
  ],
  'POST /v1/locks/:name': (stem) => [
    { path: `/v1/locks/${stem}-lock`, body: { lease: Number(ids[stem].lease) } },
    { path: `/v1/locks/${stem}-lock`, body: { lease: Number(ids[stem].lease), waitMs: 50 } },
  ],
  'GET /v1/locks/:name': (stem) => [{ path: `/v1/locks/${stem}-lock` }],
  'DELETE /v1/locks/:name': (stem) => [{ path: `/v1/locks/${stem}-lock?token=7` }],
  'GET /v1/watch': () => [],
  'GET /watch/sse': () => [],
};

function askedOf(method: string, url: string, stem: Stem): Asked[] {
  const own = ASKED[`${method} ${url}`];
  if (own !== undefined) return own(stem);
  const id = url.includes('/leases/') ? ids[stem].lease : ids[stem].key;
  const path = url.replace(':id', id).replace(/:\w+/, `${stem}-thing`).replace('*', stem);
  const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
  return [hasBody ? { path, body: { name: `${stem}-thing` } } : { path }];
}

const OWN_HEADERS = new Set(['date', 'x-request-id', 'x-minikv-revision', 'content-length']);

/** All that the client sees, without what differs between any two answers; and what was asked of the store for it. */
async function answerTo(method: string, { path, body, headers }: Asked, key: string) {
  const isJson = body !== undefined && typeof body !== 'string';
  work.taken();
  const answer = await fetch(server.url + path, {
    method,
    headers: {
      ...bearer(key),
      ...(isJson ? { 'content-type': 'application/json' } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : (body as string) }),
  });
  const kept = [...answer.headers].filter(([name]) => !OWN_HEADERS.has(name));
  const text = await answer.text();
  const shown = { status: answer.status, headers: kept.map(nameless), text: nameless(text) };
  // A tenant's view of the store is made at its first request, whatever that names.
  return { ...shown, work: work.taken().filter((call) => !call.endsWith('.ofTenant')) };
}

function nameless<T>(value: T): string {
  let text = JSON.stringify(value);
  for (const stem of STEMS) {
    text = text.replaceAll(stem, 'NAME').replaceAll(ids[stem].key, 'ID');
  }
  return text
    .replace(/[0-9a-f]{12}-[0-9]+/g, 'REQUEST')
    .replace(/[0-9]{12,}/g, 'REVISION')
    .replace(/[A-Z][a-z]{2}, [0-9]{2} [A-Za-z0-9: ]+ GMT/g, 'DATE');
}

/** Those that look at the cluster are not for tenants, whatever is named; the matrix has them. */
function routes(): [method: string, url: string][] {
  return server.server
    .routes()
    .map((route) => route.split(' ') as [string, string])
    .filter(([method, url]) => ruleOf(method, url) !== 'public');
}

describe('what another tenant has', () => {
  it('I33 is answered on every route as what nobody has', async () => {
    let [asked, calls] = [0, 0];
    for (const [method, url] of routes()) {
      const [theirs, nobodys] = STEMS.map((stem) => askedOf(method, url, stem)) as [
        Asked[],
        Asked[],
      ];
      for (const [i, one] of theirs.entries()) {
        // What is fast the second time has to be fast for both.
        for (let turn = 0; turn < 2; turn++) {
          const seen = await answerTo(method, one, a);
          const none = await answerTo(method, nobodys[i] as Asked, a);
          const cell = `${method} ${one.path}`;
          expect([cell, seen]).toEqual([cell, none]);
          expect([500, 502, 503, 504], cell).not.toContain(seen.status);
          asked++;
          calls += seen.work.length;
        }
      }
    }
    expect(asked).toBeGreaterThan(120);
    expect(calls).toBeGreaterThan(asked);
  });

  it('is still there, for the other one', async () => {
    const thing = await fetch(`${server.url}/v1/kv/of-b-thing`, { headers: bearer(b) });
    expect([thing.status, await thing.text()]).toEqual([200, '{"x":"long text"}']);
    for (const path of ['/v1/indexes/of-b-thing', `/admin/keys/${ids['of-b'].key}`]) {
      expect((await fetch(server.url + path, { headers: bearer(b) })).status).toBe(200);
    }
    const found = await fetch(`${server.url}/search?value=long`, { headers: bearer(b) });
    expect(await found.json()).toMatchObject({ matching_keys: ['of-b-thing'] });
    const left = await server.service.leases.ofTenant('b').look(CTX, Number(ids['of-b'].lease));
    expect(left.lease.lease).toBe(Number(ids['of-b'].lease));
  });

  it('can be told apart by who has it: the comparison sees what there is to see', async () => {
    for (const path of ['/v1/kv/of-b-thing', '/v1/kv?prefix=of-b', '/v1/indexes/of-b-thing']) {
      const none = path.replace('of-b', 'no-b');
      expect(await answerTo('GET', { path }, b)).not.toEqual(
        await answerTo('GET', { path: none }, b),
      );
    }
  });

  it.each(['/v1/watch', '/watch/sse'])(
    'is not told of by %s, whatever is resumed',
    async (path) => {
      const first = async (query: string) => {
        const ending = new AbortController();
        const init = { headers: bearer(a), signal: ending.signal };
        const answer = await fetch(server.url + path + query, init);
        const reader = answer.body?.getReader();
        let text = '';
        await fetch(`${server.url}/v1/kv/of-b-more`, {
          method: 'PUT',
          headers: bearer(b),
          body: 'x',
        });
        await fetch(`${server.url}/v1/kv/mine`, { method: 'PUT', headers: bearer(a), body: 'x' });
        while (!text.includes('mine')) text += Buffer.from((await reader?.read())?.value ?? []);
        ending.abort();
        return [answer.status, text];
      };
      const queries = path === '/v1/watch' ? ['', '?prefix=', '?initial=true'] : [''];
      for (const query of queries) {
        const [status, text] = await first(query);
        expect(status).toBe(200);
        expect(text).not.toContain('of-b-more');
        expect(text).not.toContain('"tenant":"b"');
      }
    },
  );
});
