import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROUTE_RULES, ruleOf } from '../../../../gateways/http/route-actions.ts';
import { ACTIONS, type Action } from '../../../../gateways/identity/decision.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

/** Every route of the listener, as everybody: exactly the stated answer. */

const READS: readonly Action[] = [
  'data:read',
  'data:watch',
  'lease:read',
  'index:read',
  'status:read',
];
const MAY: Readonly<Record<string, readonly Action[]>> = {
  ...{ admin: ACTIONS, 'admin key': ACTIONS, read_only: READS },
  read_write: [...READS, 'data:write', 'lease:write'],
  'read_write token': [...READS, 'data:write', 'lease:write'],
  'read_only token': READS,
};
const NOBODY = [
  'anonymous',
  'unknown',
  'forged',
  'malformed',
  'basic',
  'revoked',
  'expired',
  'deleted',
];

let server: Awaited<ReturnType<typeof startGuardedServer>>;
const headers = new Map<string, Record<string, string>>();

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

beforeAll(async () => {
  server = await startGuardedServer();
  const { make, admin, revoke, apiKeys } = server;
  headers.set('admin key', bearer(admin));
  for (const role of ['admin', 'read_write', 'read_only'] as const) {
    headers.set(role, bearer(await make(role)));
  }
  for (const role of ['read_write', 'read_only']) {
    const sent = { method: 'POST', headers: headers.get(role) as Record<string, string> };
    const answer = await fetch(`${server.url}/v1/auth/token`, sent);
    const { access_token } = (await answer.json()) as { access_token: string };
    headers.set(`${role} token`, bearer(access_token));
  }
  const [revoked, expired, deleted] = [
    await make('admin'),
    await make('admin', 1),
    await make('admin'),
  ];
  // Each was good once, so all of them are remembered.
  for (const key of [revoked, deleted]) {
    const answer = await fetch(`${server.url}/admin/status`, { headers: bearer(key) });
    expect(answer.status).toBe(200);
  }
  await revoke(revoked);
  await apiKeys.delete(
    { deadlineMs: 1_000, traceparent: null, idempotency: null },
    null,
    deleted.slice(4, 20),
  );
  headers.set('anonymous', {});
  headers.set('unknown', bearer(`mkv_${'a'.repeat(16)}_${'b'.repeat(43)}`));
  headers.set('forged', bearer(`${admin.slice(0, -1)}${admin.endsWith('A') ? 'B' : 'A'}`));
  headers.set('malformed', bearer('mkv_none'));
  headers.set('basic', { authorization: `Basic ${btoa(`x:${admin}`)}` });
  headers.set('revoked', bearer(revoked));
  headers.set('expired', bearer(expired));
  headers.set('deleted', bearer(deleted));
});
afterAll(() => server.stop());

async function ask(method: string, path: string, who: string) {
  const ending = new AbortController();
  const body = method === 'POST' || method === 'PUT' ? '{}' : undefined;
  const init = { method, signal: ending.signal, redirect: 'manual' as const };
  const sent = { 'content-type': 'application/json', ...headers.get(who) };
  const answer = await fetch(server.url + path, {
    ...init,
    headers: sent,
    ...(body === undefined ? {} : { body }),
  });
  const type = answer.headers.get('content-type') ?? '';
  const isProblem = method !== 'HEAD' && type.includes('problem');
  const { code } = isProblem ? ((await answer.json()) as { code: string }) : { code: null };
  ending.abort();
  return { status: answer.status, code, challenge: answer.headers.get('www-authenticate') };
}

function routes(): [method: string, url: string][] {
  return server.server.routes().map((route) => route.split(' ') as [string, string]);
}

function pathTo(url: string): string {
  return url.replace('/:id', '/1').replace(/:\w+/, 'some-key').replace('*', 'x');
}

it('every route has a rule of its own, and every rule a route', () => {
  const found = routes();
  for (const [method, url] of found) expect(ruleOf(method, url), `${method} ${url}`).not.toBeNull();
  const urls = new Set(found.map(([, url]) => url));
  const missing = Object.keys(ROUTE_RULES).filter((url) => !urls.has(url));
  expect(missing).toEqual([]);
  expect(ruleOf('PATCH', '/v1/kv')).toBeNull();
  expect(ruleOf('GET', '/constructor')).toBeNull();
});

describe.each([...NOBODY, ...Object.keys(MAY)])('%s', (who) => {
  it('gets the stated answer from every route', async () => {
    let cells = 0;
    for (const [method, url] of routes()) {
      const rule = ruleOf(method, url);
      // What was read and allowed once goes a shorter way the second time.
      for (let turn = 0; turn < (url === '/v1/kv/:key' || url === '/v1/txn' ? 2 : 1); turn++) {
        const { status, code, challenge } = await ask(method, pathTo(url), who);
        const cell = `${who}: ${method} ${url}: ${status} ${code}`;
        cells++;
        if (rule === 'public') {
          expect([401, 403], cell).not.toContain(status);
        } else if (NOBODY.includes(who)) {
          expect(status, cell).toBe(401);
          if (method !== 'HEAD') expect(code, cell).toBe('unauthenticated');
          expect(challenge, cell).toBe('Bearer realm="minikv"');
        } else if (rule === 'known' || (MAY[who] ?? []).includes(rule as Action)) {
          expect([401, 403], cell).not.toContain(status);
        } else {
          expect([status, challenge], cell).toEqual([403, null]);
          if (method !== 'HEAD') expect(code, cell).toBe('forbidden');
        }
      }
    }
    expect(cells).toBeGreaterThan(60);
  });
  it('is told of no path that there is none, unless they are somebody', async () => {
    const { status } = await ask('GET', '/v1/nothing/here', who);
    expect(status).toBe(NOBODY.includes(who) ? 401 : 404);
  });
});
