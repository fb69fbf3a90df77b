import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ruleOf } from '../../../../gateways/http/route-actions.ts';
import type { Action } from '../../../../gateways/identity/decision.ts';
import type { RoleRule } from '../../../../gateways/identity/role.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import {
  type Ask,
  folderOf,
  INDEXES,
  may,
  type OwnRole,
  routeAsks,
} from '../../../kit/route-asks.ts';

/** Every route that names data, by roles of one's own, inside and outside of their prefixes: exactly the stated answer. */

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

const DATA: readonly Action[] = ['data:read', 'data:write', 'data:watch'];
const ALL: readonly Action[] = [...DATA, 'lease:read', 'lease:write'];
const ROLES: Readonly<Record<string, OwnRole>> = {
  app: { actions: ALL, allowed: ['in/', '_locks/in/'], denied: [] },
  reader: { actions: ['data:read', 'lease:read'], allowed: ['in/', '_locks/in/'], denied: [] },
  writer: { actions: ['data:write'], allowed: ['in/'], denied: [] },
  watcher: { actions: ['data:watch'], allowed: ['in/'], denied: [] },
  careful: { actions: ALL, allowed: [''], denied: ['in/secret/', '_locks/in/secret/'] },
  deep: { actions: ALL, allowed: ['in/secret/'], denied: [] },
  operator: {
    ...{ actions: DATA, allowed: ['in/'], denied: ['in/secret/'] },
    cluster: ['admin:read', 'admin:write'],
  },
  nothing: { actions: [], allowed: [], denied: [] },
};

function rulesOf({ actions, allowed, denied, cluster = [] }: OwnRole): RoleRule[] {
  const keys = (prefixes: readonly string[]) => prefixes.map((prefix) => ({ keys: prefix }));
  const rules: RoleRule[] = [
    { effect: 'allow', actions, resources: keys(allowed) },
    { effect: 'deny', actions: ['*'], resources: keys(denied) },
    { effect: 'allow', actions: cluster, resources: [{ cluster: true }] },
  ];
  return rules.filter((rule) => rule.actions.length > 0 && rule.resources.length > 0);
}

const NAMES = ['in/x', 'in/secret/x', 'out/x'] as const;

let server: Awaited<ReturnType<typeof startGuardedServer>>;
const headers = new Map<string, Record<string, string>>();
const leases = new Map<string, number>();
const ASKS = routeAsks(leases);

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function ask(who: string, method: string, { path, body, accept }: Ask) {
  const ending = new AbortController();
  const hasBody = (method === 'POST' || method === 'PUT') && body !== undefined;
  const isText = typeof body === 'string';
  const answer = await fetch(server.url + path, {
    ...{ method, signal: ending.signal },
    headers: {
      ...headers.get(who),
      ...(hasBody && !isText ? { 'content-type': 'application/json' } : {}),
      ...(accept === undefined ? {} : { accept }),
    },
    ...(hasBody ? { body: isText ? body : JSON.stringify(body) } : {}),
  });
  const isProblem = answer.headers.get('content-type')?.includes('problem') ?? false;
  const text = isProblem && method !== 'HEAD' ? await answer.text() : '{}';
  ending.abort();
  return { status: answer.status, code: (JSON.parse(text) as { code?: string }).code ?? null };
}

async function asAdmin(method: string, path: string, body?: object) {
  const sent = { method, headers: { ...bearer(server.admin), 'content-type': 'application/json' } };
  const answer = await fetch(server.url + path, {
    ...sent,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status).toBeLessThan(300);
  return (await answer.json()) as Record<string, unknown>;
}

async function grantLeases(): Promise<void> {
  for (const name of ['own', ...NAMES]) {
    const { id } = await asAdmin('POST', '/v1/leases', { ttlSeconds: 3_000 });
    leases.set(name, id as number);
    if (name === 'own') continue;
    const op = { op: 'put', key: name, value: 'v', lease: id };
    await asAdmin('POST', '/v1/batch', { ops: [op] });
  }
}

beforeAll(async () => {
  server = await startGuardedServer();
  const { make, roles } = server;
  for (const [name, role] of Object.entries(ROLES)) {
    const kept = { description: '', rules: rulesOf(role) };
    const isGone = name === 'nothing';
    // One that was deleted allows what one without rules does.
    await roles.put(
      CTX,
      name,
      isGone ? { ...kept, rules: rulesOf(ROLES['app'] as OwnRole) } : kept,
    );
    headers.set(name, bearer(await make(name)));
    if (isGone) await roles.delete(CTX, name);
  }
  const sent = { method: 'POST', headers: headers.get('app') as Record<string, string> };
  const answer = await fetch(`${server.url}/v1/auth/token`, sent);
  const { access_token } = (await answer.json()) as { access_token: string };
  headers.set('app token', bearer(access_token));
  const revoked = await make('app');
  await server.revoke(revoked);
  headers.set('revoked', bearer(revoked));
  headers.set('expired', bearer(await make('app', 1)));
  headers.set('anonymous', {});
  for (const [index, prefix] of Object.entries(INDEXES)) {
    await asAdmin('POST', '/v1/indexes', {
      ...{ name: index, prefix },
      fields: [{ path: '/n' }],
    });
  }
  await asAdmin('POST', '/v1/indexes', { name: 'words', prefix: '', kind: 'text' });
});
afterAll(() => server.stop());

const isOfData = (route: string): boolean => {
  const [method = '', url = ''] = route.split(' ');
  const rule = ruleOf(method, url) ?? 'none';
  return /^(?:data|lease):/.test(rule) || /^\/admin\/(?:export|import)$/.test(url);
};

it('every route that names data is asked, and there is no other', () => {
  expect(Object.keys(ASKS).sort()).toEqual(server.server.routes().filter(isOfData).sort());
});

const PEOPLE = [...Object.keys(ROLES), 'app token', 'revoked', 'expired', 'anonymous'];

describe.each(PEOPLE)('%s', (who) => {
  it('gets the stated answer from every route, inside and outside', {
    timeout: 120_000,
  }, async () => {
    const role = ROLES[who.replace(' token', '')];
    let cells = 0;
    for (const name of NAMES) {
      await grantLeases();
      for (const [route, asksOf] of Object.entries(ASKS)) {
        const [method = '', url = ''] = route.split(' ');
        const rule = ruleOf(method, url) as Action;
        for (const one of asksOf(name)) {
          // What was read and allowed once goes a shorter way the second time.
          for (let turn = 0; turn < (url === '/v1/kv/:key' ? 2 : 1); turn++) {
            const { status, code } = await ask(who, method, one);
            const cell = `${who}: ${method} ${one.path} ${JSON.stringify(one.body)}: ${status} ${code}`;
            cells++;
            if (role === undefined) {
              expect(status, cell).toBe(401);
              continue;
            }
            const isAdmin = rule.startsWith('admin:');
            const isLetIn = isAdmin
              ? (role.cluster ?? []).includes(rule)
              : may(role, [rule, { anything: true }]);
            const isAllowed = isLetIn && one.needs.every((need) => may(role, need));
            if (isAllowed) {
              // What is asked is good: another refusal would prove nothing.
              const isNoSocket = url === '/watch/ws';
              expect(isNoSocket ? [400] : [200, 201, 404, 409, 412], cell).toContain(status);
            } else {
              expect(status, cell).toBe(403);
              if (method !== 'HEAD') expect(code, cell).toBe('forbidden');
            }
          }
        }
      }
    }
    expect(cells).toBeGreaterThan(250);
  });

  it('watches over WebSocket what it may', async () => {
    const role = ROLES[who.replace(' token', '')];
    for (const [path, prefix] of [
      ...NAMES.map((name) => [`/v1/watch?prefix=${folderOf(name)}`, folderOf(name)] as const),
      ['/v1/watch', ''],
      ['/watch/ws', ''],
    ] as const) {
      const url = `${server.url.replace('http', 'ws')}${path}`;
      const socket = new WebSocket(url, { headers: headers.get(who) ?? {} });
      const status = await new Promise<number>((resolve) => {
        socket.once('open', () => resolve(101));
        socket.once('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
        socket.once('error', () => {});
      });
      socket.terminate();
      if (role === undefined) expect(status, path).toBe(401);
      else expect(status, path).toBe(may(role, ['data:watch', { prefix }]) ? 101 : 403);
    }
  });
});
