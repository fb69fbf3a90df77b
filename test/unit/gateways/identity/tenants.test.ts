import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

/** Tenants over REST: made, suspended, ended; their keys, and what those may. */

let server: Awaited<ReturnType<typeof startGuardedServer>>;

beforeAll(async () => {
  server = await startGuardedServer();
});
afterAll(() => server.stop());

async function ask(key: string, method: string, path: string, body?: unknown) {
  const isJson = body !== undefined && typeof body !== 'string';
  const type: Record<string, string> = isJson ? { 'content-type': 'application/json' } : {};
  const sent = isJson ? JSON.stringify(body) : (body as string | undefined);
  const answer = await fetch(server.url + path, {
    ...{ method, headers: { authorization: `Bearer ${key}`, ...type } },
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await answer.text();
  const isDocument = answer.headers.get('content-type')?.includes('json') === true;
  const json = (isDocument ? JSON.parse(text) : {}) as Record<string, unknown>;
  return { status: answer.status, json, text };
}

async function tenant(name: string): Promise<string> {
  const made = await ask(server.admin, 'POST', '/admin/tenants', { name });
  expect([made.status, made.json['state']]).toEqual([201, 'active']);
  const key = await ask(server.admin, 'POST', '/admin/keys', {
    name: 'k',
    tenant: name,
    role: 'admin',
  });
  expect([key.status, key.json['tenant']]).toEqual([201, name]);
  return key.json['key'] as string;
}

describe('tenants', () => {
  it('are made, shown, suspended, resumed and ended', async () => {
    const key = await tenant('acme');
    const path = '/admin/tenants/acme';
    const active = { name: 'acme', state: 'active', suspendedAtMs: null, deletion: null };
    expect((await ask(server.admin, 'GET', path)).json).toMatchObject(active);
    expect((await ask(server.admin, 'GET', '/admin/tenants')).json).toMatchObject({
      tenants: [active],
    });
    expect((await ask(server.admin, 'POST', '/admin/tenants', { name: 'acme' })).status).toBe(409);
    expect((await ask(key, 'PUT', '/v1/kv/a', 'x')).status).toBe(201);

    expect((await ask(server.admin, 'POST', `${path}/suspend`)).json).toMatchObject({
      ...{ state: 'suspended', suspendedAtMs: expect.any(Number) },
    });
    for (const [method, asked] of [
      ['GET', '/v1/kv/a'],
      ['PUT', '/v1/kv/a'],
      ['GET', '/v1/watch'],
      ['GET', '/admin/keys'],
      ['POST', '/v1/auth/token'],
      ['GET', '/nowhere/at/all'],
    ]) {
      const refused = await ask(key, method as string, asked as string);
      expect([refused.status, refused.json['code']]).toEqual([403, 'forbidden']);
      expect(refused.json['detail']).toContain('suspended');
    }
    expect((await ask(server.admin, 'POST', `${path}/resume`)).json).toMatchObject(active);
    expect((await ask(key, 'GET', '/v1/kv/a')).text).toBe('x');

    const ended = await ask(server.admin, 'DELETE', path);
    expect([ended.status, ended.json['state']]).toEqual([202, 'deleting']);
    expect(ended.json['deletion']).toMatchObject({ keys: 0, waitsFor: null });
    expect((await ask(key, 'GET', '/v1/kv/a')).status).toBe(401);
    for (const verb of ['suspend', 'resume']) {
      expect((await ask(server.admin, 'POST', `${path}/${verb}`)).status).toBe(412);
    }
    expect((await ask(server.admin, 'DELETE', path)).json).toEqual(ended.json);
    expect((await ask(server.admin, 'POST', '/admin/tenants', { name: 'acme' })).status).toBe(409);
    const late = { name: 'k', tenant: 'acme', role: 'admin' };
    expect((await ask(server.admin, 'POST', '/admin/keys', late)).status).toBe(404);
  });

  it.each([
    [{}, 400],
    [{ name: '' }, 400],
    [{ name: 'default' }, 400],
    [{ name: 'Acme' }, 400],
    [{ name: 'a.b' }, 400],
    [{ name: 'a/b' }, 400],
    [{ name: '-a' }, 400],
    [{ name: 'a'.repeat(33) }, 400],
    [{ name: 'ok', state: 'active' }, 400],
  ])('%j is refused with %i', async (body, status) => {
    expect((await ask(server.admin, 'POST', '/admin/tenants', body)).status).toBe(status);
    expect((await ask(server.admin, 'GET', '/admin/tenants/ok')).status).toBe(404);
  });

  it('have keys and tokens that see their keys, their listings and nothing else', async () => {
    const [one, two] = [await tenant('one'), await tenant('two')];
    await ask(one, 'PUT', '/v1/kv/same', 'of one');
    await ask(two, 'PUT', '/v1/kv/same', 'of two');
    await ask(server.admin, 'PUT', '/v1/kv/same', 'of the cluster');
    const token = (await ask(one, 'POST', '/v1/auth/token')).json['access_token'] as string;
    // The second answer takes the short way.
    for (let turn = 0; turn < 2; turn++) {
      expect((await ask(one, 'GET', '/v1/kv/same')).text).toBe('of one');
      expect((await ask(token, 'GET', '/v1/kv/same')).text).toBe('of one');
      expect((await ask(two, 'GET', '/v1/kv/same')).text).toBe('of two');
      expect((await ask(server.admin, 'GET', '/v1/kv/same')).text).toBe('of the cluster');
    }
    await ask(one, 'PUT', '/v1/kv/only', '1');
    const keysOf = async (key: string) =>
      ((await ask(key, 'GET', '/v1/kv')).json['items'] as { key: string }[]).map(
        (item) => item.key,
      );
    expect(await keysOf(one)).toEqual(['only', 'same']);
    expect(await keysOf(two)).toEqual(['same']);
    const txn = {
      then: [
        { op: 'delete', key: 'same' },
        { op: 'range', prefix: '' },
      ],
    };
    for (let turn = 0; turn < 2; turn++) await ask(two, 'POST', '/v1/txn', txn);
    expect(await keysOf(two)).toEqual([]);
    expect(await keysOf(one)).toEqual(['only', 'same']);
  });

  it('may use one idempotency key for different things', async () => {
    const [one, two] = [await tenant('idem-a'), await tenant('idem-b')];
    const put = async (key: string, value: string) => {
      const headers = { authorization: `Bearer ${key}`, 'idempotency-key': 'k1' };
      return fetch(`${server.url}/v1/kv/i`, { method: 'PUT', headers, body: value });
    };
    expect((await put(one, 'a')).status).toBe(201);
    expect((await put(two, 'b')).status).toBe(201);
    expect((await put(one, 'b')).status).toBe(422);
  });

  it("have administrators of their own, who are not the cluster's", async () => {
    const [one, two] = [await tenant('adm-a'), await tenant('adm-b')];
    const wanted = { name: 'mine', role: 'read_only' };
    const made = await ask(one, 'POST', '/admin/keys', wanted);
    expect(made.json).toMatchObject({ tenant: 'adm-a', role: 'read_only' });
    for (const other of ['adm-b', 'default', 'nobody-has-it']) {
      const refused = await ask(one, 'POST', '/admin/keys', { ...wanted, tenant: other });
      expect([refused.status, refused.json['code']]).toEqual([403, 'forbidden']);
    }
    const listed = (await ask(one, 'GET', '/admin/keys')).json['keys'] as { tenant: string }[];
    expect(listed.map((key) => key.tenant)).toEqual(['adm-a', 'adm-a']);
    const all = (await ask(server.admin, 'GET', '/admin/keys')).json['keys'] as object[];
    expect(all.length).toBeGreaterThan(2);
    const id = made.json['id'] as string;
    const absent = 'a'.repeat(id.length);
    for (const [method, tail] of [
      ['GET', ''],
      ['POST', '/revoke'],
      ['DELETE', ''],
    ] as const) {
      const [there, none] = [id, absent].map((name) =>
        ask(two, method, `/admin/keys/${name}${tail}`),
      );
      const seen = await Promise.all([there, none]);
      expect(seen.map((answer) => answer?.status)).toEqual([404, 404]);
      expect(seen[0]?.json['detail']).toBe(seen[1]?.json['detail']);
    }
    for (const [method, path] of [
      ['GET', '/admin/tenants'],
      ['POST', '/admin/tenants'],
      ['DELETE', '/admin/tenants/adm-a'],
      ['POST', '/admin/tenants/adm-b/suspend'],
      ['GET', '/admin/status'],
      ['GET', '/metrics'],
      ['GET', '/admin/usage'],
      ['GET', '/admin/audit'],
      ['GET', '/admin/export'],
    ] as const) {
      const refused = await ask(one, method, path, method === 'POST' ? { name: 'x' } : undefined);
      expect([path, refused.status]).toEqual([path, 403]);
    }
    expect((await ask(one, 'POST', `/admin/keys/${id}/revoke`)).status).toBe(200);
    const reader = made.json['key'] as string;
    expect((await ask(reader, 'GET', '/v1/kv')).status).toBe(401);
  });

  it('are not chosen by a header', async () => {
    const key = await tenant('hdr');
    await ask(key, 'PUT', '/v1/kv/h', 'x');
    for (const name of ['x-tenant', 'x-minikv-tenant', 'tenant', 'x_tenant']) {
      const headers = { authorization: `Bearer ${server.admin}`, [name]: 'hdr' };
      const answer = await fetch(`${server.url}/v1/kv/h`, { headers });
      expect(answer.status).toBe(404);
    }
    expect((await ask(server.admin, 'GET', '/v1/kv/h?tenant=hdr')).status).toBe(400);
  });

  it('see their watches end when they are suspended', async () => {
    const key = await tenant('watched');
    const headers = { authorization: `Bearer ${key}` };
    const stream = await fetch(`${server.url}/v1/watch`, { headers });
    expect(stream.status).toBe(200);
    await ask(server.admin, 'PUT', '/v1/kv/not-theirs', 'x');
    await ask(key, 'PUT', '/v1/kv/theirs', 'x');
    const reading = stream.text();
    await ask(server.admin, 'POST', '/admin/tenants/watched/suspend');
    const text = await reading;
    expect(text).toContain('"tenant":"watched"');
    expect(text).not.toContain('not-theirs');
  });
});
