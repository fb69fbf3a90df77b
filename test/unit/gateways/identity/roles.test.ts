import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { RoleRule } from '../../../../gateways/identity/role.ts';
import { LIMITS } from '../../../../protocol/limits.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

let server: Awaited<ReturnType<typeof startGuardedServer>>;
beforeEach(async () => {
  server = await startGuardedServer();
});
afterEach(() => server.stop());

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const allow = (actions: string[], ...keys: string[]): RoleRule => ({
  ...{ effect: 'allow', actions },
  resources: keys.map((prefix) => ({ keys: prefix })),
});

async function ask(method: string, path: string, body?: unknown, key = server.admin) {
  const headers = { ...bearer(key), 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(server.url + path, { method, headers, ...sent });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.includes('json') ?? false;
  return { status: answer.status, body: isJson ? JSON.parse(text) : text };
}

async function put(path: string, key: string): Promise<number> {
  return (await ask('PUT', path, 'x', key)).status;
}

const APP = {
  description: 'what the app may',
  rules: [
    allow(['data:*', 'lease:write'], 'app/', 'shared/'),
    { effect: 'deny', actions: ['data:write'], resources: [{ keys: 'app/config/' }] },
    {
      ...{ effect: 'allow', actions: ['data:read', 'bucket:read'] },
      resources: [{ bucket: 'logs', objects: '2026/' }, { buckets: 'app-' }, { cluster: true }],
    },
    { effect: 'allow', actions: ['*'], resources: [{ keysBase64: 'gP8=' }] },
    {
      effect: 'allow',
      actions: ['index:read'],
      resources: [{ everything: true, tenant: 'default' }],
    },
  ],
};

describe('roles of one’s own', () => {
  it('are made, shown as they were given, replaced, listed beside the built-in ones, and deleted', async () => {
    const made = await ask('PUT', '/admin/roles/app', APP);
    expect(made).toMatchObject({ status: 200, body: { name: 'app', builtIn: false, ...APP } });
    expect((await ask('GET', '/admin/roles/app')).body).toEqual(made.body);
    const next = { rules: [allow(['data:read'], 'app/')] };
    expect((await ask('PUT', '/admin/roles/app', next)).body).toMatchObject({
      ...{ ...next, description: '' },
    });
    const { roles } = (await ask('GET', '/admin/roles')).body;
    expect(
      roles.map(({ name, builtIn }: { name: string; builtIn: boolean }) => [name, builtIn]),
    ).toEqual([
      ...['admin', 'read_write', 'read_only'].map((name) => [name, true]),
      ['app', false],
    ]);
    expect(roles[2].rules[0]).toMatchObject({ effect: 'allow', resources: [{ everything: true }] });
    expect((await ask('DELETE', '/admin/roles/app')).body).toEqual({ name: 'app', deleted: true });
    for (const [method, path] of [
      ['GET', '/admin/roles/app'],
      ['DELETE', '/admin/roles/app'],
    ]) {
      expect((await ask(method as string, path as string)).status).toBe(404);
    }
    expect((await ask('PUT', '/admin/roles/app', next)).status).toBe(200);
  });

  const rule = allow(['data:read'], 'a/');
  it.each([
    ['a b', { rules: [rule] }],
    ['x'.repeat(64), { rules: [rule] }],
    ['admin', { rules: [rule] }],
    ['r', { rules: 'all' }],
    ['r', {}],
    ['r', { rules: [rule], more: 1 }],
    ['r', { rules: [rule], description: 'a\nb' }],
    ['r', { rules: [{ ...rule, effect: 'maybe' }] }],
    ['r', { rules: [{ ...rule, actions: [] }] }],
    ['r', { rules: [{ ...rule, actions: ['data:delete'] }] }],
    ['r', { rules: [{ ...rule, actions: ['data'] }] }],
    ['r', { rules: [{ ...rule, resources: [] }] }],
    ['r', { rules: [{ ...rule, resources: [{}] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keys: 'a', bucket: 'abc' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keys: '\ud800' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keysBase64: 'gP8' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ bucket: 'a' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ bucket: 'abc/d' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ buckets: 'a/b' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ objects: 'a' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keys: 'a', objects: 'a' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ everything: false }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keys: 'a', tenant: '' }] }] }],
    ['r', { rules: [{ ...rule, resources: [{ keys: 'a', tenants: 'b' }] }] }],
  ])('%s %j is refused', async (name, body) => {
    const path = `/admin/roles/${encodeURIComponent(name as string)}`;
    expect((await ask('PUT', path, body)).status).toBe(400);
    expect((await ask('GET', '/admin/roles')).body.roles).toHaveLength(3);
  });

  it('are bounded', async () => {
    const many = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
    const rules = [rule];
    for (const [limit, body] of [
      ['roleRulesMax', { rules: many(LIMITS.roleRulesMax + 1, rule) }],
      ['roleResourcesMax', { rules: [allow(many(LIMITS.roleResourcesMax + 1, '*'), 'a')] }],
      ['roleResourcesMax', { rules: [allow(['*'], ...many(LIMITS.roleResourcesMax + 1, 'a'))] }],
      ['keyBytesMax', { rules: [allow(['*'], 'a'.repeat(LIMITS.keyBytesMax + 1))] }],
      ['roleBytesMax', { rules: [allow(['*'], ...many(5, 'a'.repeat(LIMITS.keyBytesMax)))] }],
    ] as const) {
      const refused = await ask('PUT', '/admin/roles/r', body);
      expect(refused).toMatchObject({ status: 413, body: { code: 'too_large' } });
      expect(JSON.stringify(refused.body)).toContain(limit);
    }
    for (let i = 0; i < LIMITS.rolesMax; i++) {
      const row = {
        name: `role/r${i}`,
        text: JSON.stringify({ v: 1, record: { description: '', rules, changedAtMs: 1 } }),
      };
      await server.service.identities.put(CTX, { ...row, revision: 0 });
    }
    expect((await ask('PUT', '/admin/roles/one-more', { rules })).status).toBe(413);
    expect((await ask('PUT', '/admin/roles/r7', { rules })).status).toBe(200);
  });

  it('are given to keys once they are there', async () => {
    const wanted = { name: 'a job', role: 'app' };
    expect((await ask('POST', '/admin/keys', wanted)).status).toBe(400);
    await ask('PUT', '/admin/roles/app', APP);
    const { status, body } = await ask('POST', '/admin/keys', wanted);
    expect([status, body.role]).toEqual([201, 'app']);
    await ask('DELETE', '/admin/roles/app');
    expect((await ask('POST', '/admin/keys', wanted)).status).toBe(400);
    // The one that has it may nothing, until somebody makes it again.
    expect(await put('/v1/kv/app/x', body.key)).toBe(403);
    expect((await ask('GET', '/v1/kv/app/x', undefined, body.key)).status).toBe(403);
    await ask('PUT', '/admin/roles/app', APP);
    expect(await put('/v1/kv/app/x', body.key)).toBe(201);
  });

  it('hold for the bytes of names: text, what is none, and nothing beside', async () => {
    await ask('PUT', '/admin/roles/bytes', {
      rules: [
        allow(['data:write'], 'ä/'),
        { effect: 'allow', actions: ['data:write'], resources: [{ keysBase64: 'gP8=' }] },
      ],
    });
    const key = await server.make('bytes');
    expect(await put('/v1/kv/%C3%A4/x', key)).toBe(201);
    expect(await put('/v1/kv/%E4/x', key)).toBe(403);
    expect(await put('/v1/kv/%80%FFx', key)).toBe(201);
    expect(await put('/v1/kv/%80%FEx', key)).toBe(403);
    expect(await put('/v1/kv/%80', key)).toBe(403);
  });
});

describe('a role that is narrowed', () => {
  it('counts at the next request, on the short way of plain requests too', async () => {
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'a/')] });
    const key = await server.make('app');
    expect([await put('/v1/kv/a/x', key), await put('/v1/kv/a/x', key)]).toEqual([201, 200]);
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'a/b/')] });
    expect([await put('/v1/kv/a/x', key), await put('/v1/kv/a/b/x', key)]).toEqual([403, 201]);
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:read'], 'a/')] });
    expect(await put('/v1/kv/a/b/x', key)).toBe(403);
    expect((await ask('GET', '/v1/kv/a/b/x', undefined, key)).status).toBe(200);
    await ask('DELETE', '/admin/roles/app');
    expect((await ask('GET', '/v1/kv/a/b/x', undefined, key)).status).toBe(403);
  });

  it('ends the watches of what is not allowed any more, and no others', async () => {
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'a/', 'b/')] });
    const key = await server.make('app');
    const open = (path: string) => fetch(server.url + path, { headers: bearer(key) });
    const ended = await open('/v1/watch?prefix=a/');
    const kept = await open('/v1/watch?prefix=b/');
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/watch?prefix=a/`, {
      headers: bearer(key),
    });
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    expect(await put('/v1/kv/a/before', key)).toBe(201);
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'b/')] });
    expect(await closed).toBe(4401);
    await put('/v1/kv/a/after', server.admin);
    const seen = await ended.text();
    expect(seen).toContain('a/before');
    expect(seen).not.toContain('a/after');
    await put('/v1/kv/b/after', server.admin);
    const reader = (kept.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('b/after')) {
      const { value, done } = await reader.read();
      expect(done).toBe(false);
      text += Buffer.from(value as Uint8Array).toString();
    }
    await reader.cancel();
  });

  it('ends those that show what was there, when that is not allowed any more', async () => {
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'a/')] });
    const key = await server.make('app');
    const path = '/v1/watch?prefix=a/&prev=true';
    const answer = await fetch(server.url + path, { headers: bearer(key) });
    expect(answer.status).toBe(200);
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:watch'], 'a/')] });
    await put('/v1/kv/a/x', server.admin);
    expect(await answer.text()).not.toContain('event: put');
    expect((await fetch(server.url + path, { headers: bearer(key) })).status).toBe(403);
  });

  it('is judged by nobody while the view is not confirmed', async () => {
    await ask('PUT', '/admin/roles/app', { rules: [allow(['data:*'], 'a/')] });
    const key = await server.make('app');
    expect(await put('/v1/kv/a/x', key)).toBe(201);
    server.service.identities.isConfirmed = false;
    expect(await put('/v1/kv/a/x', key)).toBe(503);
    server.service.identities.isConfirmed = true;
  });
});

describe('leases and locks', () => {
  const RULES = [allow(['data:*', 'lease:*'], 'a/', '_locks/a/')];

  it('a lease shows, and ends, what of it is theirs', async () => {
    await ask('PUT', '/admin/roles/app', { rules: RULES });
    const key = await server.make('app');
    const { body: lease } = await ask('POST', '/v1/leases', { ttlSeconds: 60 }, key);
    const attach = (name: string) =>
      ask('POST', '/v1/batch', { ops: [{ op: 'put', key: name, value: 'v', lease: lease.id }] });
    await attach('a/one');
    await attach('b/another');
    const shown = await ask('GET', `/v1/leases/${lease.id}?keys=true`, undefined, key);
    expect(shown.body.keys).toEqual([{ key: 'a/one' }]);
    expect((await ask('POST', `/v1/leases/${lease.id}/keepalive`, undefined, key)).status).toBe(
      200,
    );
    expect((await ask('DELETE', `/v1/leases/${lease.id}`, undefined, key)).status).toBe(403);
    await ask('DELETE', '/v1/kv/b/another');
    expect((await ask('DELETE', `/v1/leases/${lease.id}`, undefined, key)).status).toBe(200);
    expect((await ask('GET', '/v1/kv/a/one')).status).toBe(404);
  });

  it('a lock is taken, waited for and released by who may have its key', async () => {
    await ask('PUT', '/admin/roles/app', { rules: RULES });
    const key = await server.make('app');
    const leaseOf = async () => (await ask('POST', '/v1/leases', { ttlSeconds: 60 }, key)).body.id;
    const [first, second] = [await leaseOf(), await leaseOf()];
    const { body } = await ask('POST', '/v1/locks/a/l', { lease: first }, key);
    expect(body.held).toBe(true);
    const waiting = ask('POST', '/v1/locks/a/l', { lease: second, waitMs: 5_000 }, key);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await ask('DELETE', `/v1/locks/a/l?token=${body.token}`, undefined, key)).status).toBe(
      200,
    );
    expect((await waiting).body).toMatchObject({ held: true, lease: second });
    expect((await ask('POST', '/v1/locks/b/l', { lease: first }, key)).status).toBe(403);
  });
});

describe('of a tenant', () => {
  it('a role holds for the names of the tenant of whoever has it, and says of which it is for', async () => {
    for (const name of ['acme', 'umbrella']) {
      expect((await ask('POST', '/admin/tenants', { name })).status).toBe(201);
    }
    const rules = [
      allow(['data:*', 'identity:*', 'admin:*'], 'a/'),
      {
        effect: 'allow' as const,
        actions: ['data:*'],
        resources: [{ keys: 'only/', tenant: 'acme' }],
      },
      {
        effect: 'allow' as const,
        actions: ['admin:*', 'status:read'],
        resources: [{ cluster: true as const }],
      },
    ];
    expect((await ask('PUT', '/admin/roles/app', { rules })).status).toBe(200);
    const keyOf = async (tenant: string) =>
      (await ask('POST', '/admin/keys', { name: 'k', role: 'app', tenant })).body.key as string;
    const [acme, umbrella] = [await keyOf('acme'), await keyOf('umbrella')];
    for (const key of [acme, umbrella]) {
      // Read and allowed once, it goes a shorter way the second time.
      expect([await put('/v1/kv/a/x', key), await put('/v1/kv/a/x', key)]).toEqual([201, 200]);
      expect(await put('/v1/kv/b/x', key)).toBe(403);
      const list = (path: string) => ask('GET', path, undefined, key);
      expect((await list('/v1/kv?prefix=a/')).body.items).toHaveLength(1);
      expect((await list('/v1/kv')).status).toBe(403);
      const watch = (prefix: string) => {
        const ending = new AbortController();
        const headers = bearer(key);
        const url = `${server.url}/v1/watch?prefix=${prefix}`;
        return fetch(url, { headers, signal: ending.signal }).then(({ status }) => {
          ending.abort();
          return status;
        });
      };
      expect([await watch('a/'), await watch('b/')]).toEqual([200, 403]);
      // The cluster is not theirs, whatever a role says.
      for (const path of ['/admin/roles', '/admin/tenants', '/admin/status', '/admin/export']) {
        expect((await list(path)).status).toBe(403);
      }
    }
    expect([await put('/v1/kv/only/x', acme), await put('/v1/kv/only/x', umbrella)]).toEqual([
      201, 403,
    ]);
    expect((await ask('GET', '/v1/kv/a/x')).status).toBe(404);
    await ask('DELETE', '/admin/roles/app');
    expect([await put('/v1/kv/a/x', acme), await put('/v1/kv/a/x', umbrella)]).toEqual([403, 403]);
  });
});
