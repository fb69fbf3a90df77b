import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { SecretHash } from '../../../../gateways/identity/secret-hash.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

let server: Awaited<ReturnType<typeof startGuardedServer>>;
beforeEach(async () => {
  server = await startGuardedServer();
});
afterEach(() => server.stop());

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function put(key: string): Promise<number> {
  const headers = bearer(key);
  const answer = await fetch(`${server.url}/v1/kv/a`, { method: 'PUT', headers, body: 'x' });
  await answer.arrayBuffer();
  return answer.status;
}

describe('keys', () => {
  it('are made, shown once, listed without secrets, revoked and deleted', async () => {
    const admin = { ...bearer(server.admin), 'content-type': 'application/json' };
    const ask = async (method: string, path: string, body?: object) => {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      const answer = await fetch(server.url + path, { method, headers: admin, ...sent });
      return { status: answer.status, text: await answer.text() };
    };
    const made = await ask('POST', '/admin/keys', {
      ...{ name: 'a job', tenant: 'default', role: 'read_write', expires_in_secs: 3600 },
    });
    expect(made.status).toBe(201);
    const { key, id, ...shown } = JSON.parse(made.text);
    expect(key).toMatch(new RegExp(`^mkv_${id}_[A-Za-z0-9_-]{43}$`));
    expect(shown).toEqual({
      ...{ name: 'a job', tenant: 'default', role: 'read_write', revokedAtMs: null },
      ...{ createdAtMs: expect.any(Number), expiresAtMs: shown.createdAtMs + 3_600_000 },
    });
    expect(await put(key)).toBe(201);
    for (const path of ['/admin/keys', `/admin/keys/${id}`]) {
      const { status, text } = await ask('GET', path);
      expect(status).toBe(200);
      expect(text).toContain(id);
      expect(text).not.toContain(key.slice(-43));
      expect(text).not.toContain('argon2');
    }
    expect((await ask('POST', `/admin/keys/${id}/revoke`)).status).toBe(200);
    expect(await put(key)).toBe(401);
    expect((await ask('POST', `/admin/keys/${id}/revoke`)).status).toBe(200);
    expect((await ask('DELETE', `/admin/keys/${id}`)).status).toBe(200);
    expect((await ask('GET', `/admin/keys/${id}`)).status).toBe(404);
    expect((await ask('DELETE', `/admin/keys/${id}`)).status).toBe(404);
    expect(JSON.parse((await ask('GET', '/admin/keys')).text)).toEqual({ keys: [] });
  });

  it.each([
    [{ role: 'admin' }, 400],
    [{ name: 'x' }, 400],
    [{ name: '', role: 'admin' }, 400],
    [{ name: 'a\nb', role: 'admin' }, 400],
    [{ name: 'x', role: 'owner' }, 400],
    [{ name: 'x', role: 'constructor' }, 400],
    [{ name: 'x', role: 'admin', expires_in_secs: 0 }, 400],
    [{ name: 'x', role: 'admin', expires_in_secs: 1.5 }, 400],
    [{ name: 'x', role: 'admin', more: 1 }, 400],
    [{ name: 'x', role: 'admin', tenant: 'other' }, 404],
    [{ name: 'x', role: 'admin', tenant: 1 }, 400],
  ])('%j is refused', async (body, status) => {
    const headers = { ...bearer(server.admin), 'content-type': 'application/json' };
    const sent = { method: 'POST', headers, body: JSON.stringify(body) };
    expect((await fetch(`${server.url}/admin/keys`, sent)).status).toBe(status);
  });

  it('are verified by Argon2 once, also when many requests come at once', async () => {
    const check = vi.spyOn(SecretHash.prototype, 'check');
    const key = await server.make('read_write');
    const all = await Promise.all(Array.from({ length: 30 }, () => put(key)));
    expect(new Set(all).size).toBeLessThanOrEqual(2);
    for (let i = 0; i < 20; i++) expect(await put(key)).toBe(200);
    expect(check).toHaveBeenCalledTimes(1);
    const wrong = `${key.slice(0, -2)}__`;
    for (let i = 0; i < 5; i++) expect(await put(wrong)).toBe(401);
    expect(check).toHaveBeenCalledTimes(2);
    check.mockRestore();
  });

  it('end at their time', async () => {
    const key = await server.make('read_write', 60_000);
    expect(await put(key)).toBe(201);
    server.setWallMs(Date.now() + 60_001);
    expect(await put(key)).toBe(401);
  });

  it('count only while the view is confirmed', async () => {
    const key = await server.make('read_write');
    expect(await put(key)).toBe(201);
    server.service.identities.isConfirmed = false;
    expect(await put(key)).toBe(503);
    server.service.identities.isConfirmed = true;
    expect(await put(key)).toBe(200);
  });
});

it('guesses beyond a bound are refused as overload', async () => {
  const hash = new SecretHash(seededRandom(1));
  const phc = await hash.make('right');
  const tries = Array.from({ length: 80 }, () =>
    hash.check(phc, 'wrong').then(String, (error) => error.code),
  );
  const answers = await Promise.all(tries);
  expect(answers.filter((answer) => answer === 'false')).toHaveLength(66);
  expect(answers.filter((answer) => answer === 'overloaded')).toHaveLength(14);
  expect(await hash.check(phc, 'right')).toBe(true);
});

describe('a revoked key ends its watches', () => {
  it('over SSE', async () => {
    const key = await server.make('read_only');
    const answer = await fetch(`${server.url}/v1/watch`, { headers: bearer(key) });
    expect(answer.status).toBe(200);
    const rest = answer.text();
    await server.revoke(key);
    await put(server.admin);
    expect(await rest).not.toContain('event: put');
  });
  it('and hears nothing while nobody can tell whether it is still good', async () => {
    const key = await server.make('read_only');
    const answer = await fetch(`${server.url}/v1/watch`, { headers: bearer(key) });
    const rest = answer.text();
    server.service.identities.isConfirmed = false;
    await put(server.admin);
    const text = await rest;
    expect(text).not.toContain('event: put');
    expect(text).toContain('resume with the last id');
  });
  it('over WebSocket, with a code of its own', async () => {
    const key = await server.make('read_only');
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/watch`, {
      headers: bearer(key),
    });
    await new Promise((resolve) => socket.once('open', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await server.revoke(key);
    expect(await closed).toBe(4401);
  });
  it('and nobody opens a WebSocket without one', async () => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/watch`);
    const refused = await new Promise((resolve) => {
      socket.once('unexpected-response', (_, response) => resolve(response.statusCode));
      socket.once('error', () => {});
    });
    expect(refused).toBe(401);
    socket.terminate();
  });
});
