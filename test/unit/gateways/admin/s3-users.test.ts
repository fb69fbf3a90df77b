import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { type S3Server, startS3Server } from '../../../kit/s3-start.ts';

/** Users of S3 and their keys, over REST. */

let server: S3Server;
let bare: ModelServer;

beforeAll(async () => {
  [server, bare] = await Promise.all([startS3Server(), startModelServer()]);
});
afterAll(() => Promise.all([server.stop(), bare.stop()]));

async function ask(method: string, path: string, body?: unknown, url = server.httpUrl) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${url}/admin/${path}`, { method, headers, ...sent });
  const json = (await answer.json()) as Record<string, unknown>;
  return { status: answer.status, json, cache: answer.headers.get('cache-control') };
}

describe('users', () => {
  it('are made, shown and ended', async () => {
    const made = await ask('POST', 's3-users', {
      ...{ name: 'ada', display_name: 'Ada L.', email: 'Ada@example.org', role: 'read_only' },
    });
    const shown = {
      ...{ name: 'ada', id: expect.stringMatching(/^[0-9a-f]{64}$/), displayName: 'Ada L.' },
      ...{ arn: 'arn:aws:iam::minikv:user/ada', email: 'ada@example.org', role: 'read_only' },
      ...{ createdAtMs: expect.any(Number), disabledAtMs: null },
    };
    expect([made.status, made.json]).toEqual([201, shown]);
    expect((await ask('POST', 's3-users', { name: 'bob' })).json).toMatchObject({
      ...{ displayName: 'bob', email: null, role: 'read_write' },
    });
    const { json } = await ask('GET', 's3-users');
    expect((json['users'] as { name: string }[]).map(({ name }) => name)).toEqual(['ada', 'bob']);
    expect((await ask('GET', 's3-users/ada')).json).toEqual(made.json);
    expect((await ask('DELETE', 's3-users/ada')).json).toEqual({ name: 'ada', deleted: true });
    expect((await ask('GET', 's3-users/ada')).status).toBe(404);
    expect((await ask('DELETE', 's3-users/ada')).status).toBe(404);
  });

  it.each([
    [{}, 400],
    [{ name: '' }, 400],
    [{ name: 'a b' }, 400],
    [{ name: 'x'.repeat(64) }, 400],
    [{ name: 'a/b' }, 400],
    [{ name: 'ok', role: 'owner' }, 400],
    [{ name: 'ok', role: '__proto__' }, 400],
    [{ name: 'ok', email: 'nobody' }, 400],
    [{ name: 'ok', email: 'a,b@c' }, 400],
    [{ name: 'ok', display_name: 'a\nb' }, 400],
    [{ name: 'ok', tenant: 'x' }, 400],
  ])('%j is refused with %i', async (body, status) => {
    const { status: seen, json } = await ask('POST', 's3-users', body);
    expect([seen, json['definite']]).toEqual([status, true]);
    expect((await ask('GET', 's3-users/ok')).status).toBe(404);
  });

  it('are changed, disabled and enabled', async () => {
    const made = await ask('POST', 's3-users', { name: 'changed', email: 'c@example.org' });
    const change = { display_name: 'Another', role: 'admin' };
    const shown = { ...made.json, displayName: 'Another', role: 'admin' };
    const changed = await ask('PATCH', 's3-users/changed', change);
    expect([changed.status, changed.json]).toEqual([200, shown]);
    expect((await ask('PATCH', 's3-users/changed', {})).json).toEqual(shown);
    const disabled = await ask('POST', 's3-users/changed/disable');
    expect(disabled.json).toEqual({ ...shown, disabledAtMs: expect.any(Number) });
    expect((await ask('POST', 's3-users/changed/disable')).json).toEqual(disabled.json);
    expect((await ask('POST', 's3-users/changed/enable')).json).toEqual(shown);
    for (const [method, path] of [
      ['PATCH', 's3-users/nobody'],
      ['POST', 's3-users/nobody/disable'],
      ['POST', 's3-users/nobody/enable'],
    ] as const) {
      expect((await ask(method, path, method === 'PATCH' ? change : undefined)).status).toBe(404);
    }
  });

  it.each([
    { role: 'owner' },
    { role: null },
    { display_name: '' },
    { name: 'other' },
    { email: 'x@example.org' },
  ])('are not changed by %j', async (body) => {
    await ask('POST', 's3-users', { name: 'kept' });
    const before = (await ask('GET', 's3-users/kept')).json;
    const { status, json } = await ask('PATCH', 's3-users/kept', body);
    expect([status, json['definite']]).toEqual([400, true]);
    expect((await ask('GET', 's3-users/kept')).json).toEqual(before);
  });

  it('have names and addresses of their own', async () => {
    await ask('POST', 's3-users', { name: 'one', email: 'one@example.org' });
    const name = await ask('POST', 's3-users', { name: 'one' });
    const email = await ask('POST', 's3-users', { name: 'two', email: 'ONE@example.org' });
    for (const { status, json } of [name, email]) {
      expect([status, json['code']]).toEqual([409, 'duplicate']);
    }
  });
});

describe('access keys', () => {
  it('are shown once, listed without secrets, revoked and deleted', async () => {
    await ask('POST', 's3-users', { name: 'keyed' });
    const made = await ask('POST', 's3-keys', { user: 'keyed', expires_in_secs: 60 });
    expect([made.status, made.cache]).toEqual([201, 'no-store']);
    const { secretAccessKey, ...shown } = made.json;
    expect(secretAccessKey).toMatch(/^[\w-]{40}$/);
    const id = shown['accessKeyId'] as string;
    expect(shown).toEqual({
      ...{ accessKeyId: id, user: 'keyed', createdAtMs: expect.any(Number), revokedAtMs: null },
      disabledAtMs: null,
      expiresAtMs: (shown['createdAtMs'] as number) + 60_000,
    });
    expect((await ask('GET', `s3-keys/${id}`)).json).toEqual(shown);
    const all = await ask('GET', 's3-keys');
    expect(all.json['keys']).toContainEqual(shown);
    expect(JSON.stringify(all.json)).not.toContain(secretAccessKey);
    const revoked = await ask('POST', `s3-keys/${id}/revoke`);
    expect(revoked.json['revokedAtMs']).toEqual(expect.any(Number));
    expect((await ask('POST', `s3-keys/${id}/revoke`)).json).toEqual(revoked.json);
    const deleted = await ask('DELETE', `s3-keys/${id}`);
    expect(deleted.json).toEqual({ accessKeyId: id, deleted: true });
    expect((await ask('DELETE', `s3-keys/${id}`)).status).toBe(404);
  });

  it.each([
    [{}, 400],
    [{ user: 'nobody' }, 404],
    [{ user: 'a/b' }, 404],
    [{ user: 'one', expires_in_secs: 0 }, 400],
    [{ user: 'one', expires_in_secs: 1.5 }, 400],
    [{ user: 'one', expires_in_secs: 1e12 }, 400],
    [{ user: 'one', secret: 'x' }, 400],
  ])('%j is refused with %i', async (body, status) => {
    const { status: seen, json } = await ask('POST', 's3-keys', body);
    expect([seen, json['definite']]).toEqual([status, true]);
  });

  it('are disabled and enabled again, unless they are revoked', async () => {
    await ask('POST', 's3-users', { name: 'turned' });
    const { secretAccessKey: _, ...shown } = (await ask('POST', 's3-keys', { user: 'turned' }))
      .json;
    const path = `s3-keys/${shown['accessKeyId']}`;
    const disabled = await ask('POST', `${path}/disable`);
    expect([disabled.status, disabled.json]).toEqual([
      200,
      { ...shown, disabledAtMs: expect.any(Number) },
    ]);
    expect((await ask('POST', `${path}/enable`)).json).toEqual(shown);
    await ask('POST', `${path}/revoke`);
    for (const what of ['enable', 'disable']) {
      const { status, json } = await ask('POST', `${path}/${what}`);
      expect([status, json['code']]).toEqual([412, 'precondition_failed']);
    }
  });

  it('that have no such id are not there', async () => {
    for (const id of ['x', `AKIA${'A'.repeat(16)}`, '..%2Fx', '%00']) {
      expect((await ask('GET', `s3-keys/${id}`)).status).toBe(404);
    }
  });
});

it('secrets are wrapped anew with the other keys', async () => {
  const { status, json } = await ask('POST', 'encryption-keys/rewrap');
  const { keys } = (await ask('GET', 's3-keys')).json as { keys: object[] };
  expect([status, json]).toMatchObject([200, { s3AccessKeys: keys.length, s3Rewrapped: 0 }]);
});

it('without S3 there are no users of it', async () => {
  for (const [method, path, body] of [
    ['GET', 's3-users'],
    ['POST', 's3-users', { name: 'a' }],
    ['GET', 's3-keys'],
    ['POST', 's3-keys', { user: 'a' }],
  ] as const) {
    expect((await ask(method, path, body, bare.url)).status).toBe(501);
  }
});
