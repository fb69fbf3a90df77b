import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { S3Users } from '../../../../gateways/identity/s3-users.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';

/** Users of S3 of a tenant, made by its administrators and by those of the cluster. */

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };

let server: Awaited<ReturnType<typeof startGuardedServer>>;
/** Administrators: of the cluster, of the tenants a and b. */
let [own, a, b] = ['', '', ''];

beforeAll(async () => {
  const service = new ModelService();
  const parts = { identities: service.identities, clock: REAL_CLOCK };
  const roots = new RootKeys([new Uint8Array(32)]);
  const s3Users = new S3Users({ ...parts, random: seededRandom(5, 's3'), roots });
  server = await startGuardedServer(() => null, { s3Users }, service);
  for (const name of ['a', 'b', 'leaving']) await server.tenants.create(CTX, name);
  await server.tenants.delete(CTX, 'leaving');
  own = await server.make('admin');
  [a, b] = [await server.make('admin', null, 'a'), await server.make('admin', null, 'b')];
});
afterAll(() => server.stop());

async function ask(key: string, method: string, path: string, body?: object) {
  const answer = await fetch(`${server.url}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json = (await answer.json()) as Record<string, unknown>;
  return { status: answer.status, json };
}

describe('an administrator of the cluster', () => {
  it('makes, shows, changes and ends the users of a tenant, who are its own', async () => {
    const made = await ask(own, 'POST', 's3-users?tenant=a', { name: 'ada', role: 'admin' });
    expect(made).toMatchObject({ status: 201, json: { arn: 'arn:aws:iam::minikv:user/a/ada' } });
    const pair = await ask(own, 'POST', 's3-keys?tenant=a', { user: 'ada' });
    expect(pair.status).toBe(201);
    const id = String(pair.json['accessKeyId']);
    expect((await ask(a, 'GET', 's3-users/ada')).json).toEqual(made.json);
    expect((await ask(a, 'GET', `s3-keys/${id}`)).json).toMatchObject({ user: 'ada' });
    for (const [key, tenant] of [
      [own, ''],
      [own, '?tenant=b'],
      [b, ''],
    ] as const) {
      expect((await ask(key, 'GET', `s3-users/ada${tenant}`)).status).toBe(404);
      expect((await ask(key, 'GET', `s3-keys/${id}${tenant}`)).status).toBe(404);
      expect((await ask(key, 'GET', `s3-users${tenant}`)).json).toEqual({ users: [] });
    }
    const changed = await ask(own, 'PATCH', 's3-users/ada?tenant=a', { role: 'read_only' });
    expect(changed.json).toMatchObject({ role: 'read_only' });
    for (const what of ['disable', 'enable']) {
      expect((await ask(own, 'POST', `s3-users/ada/${what}?tenant=a`)).status).toBe(200);
      expect((await ask(own, 'POST', `s3-keys/${id}/${what}?tenant=a`)).status).toBe(200);
    }
    expect((await ask(own, 'POST', `s3-keys/${id}/revoke?tenant=a`)).status).toBe(200);
    expect((await ask(own, 'DELETE', `s3-keys/${id}?tenant=a`)).status).toBe(200);
    expect((await ask(own, 'DELETE', 's3-users/ada?tenant=a')).status).toBe(200);
    expect((await ask(a, 'GET', 's3-users')).json).toEqual({ users: [] });
  });

  it('makes none of a tenant that there is not, or that is leaving', async () => {
    for (const tenant of ['nobody', 'leaving', 'A']) {
      const made = await ask(own, 'POST', `s3-users?tenant=${tenant}`, { name: 'ada' });
      expect([tenant, made.status]).toEqual([tenant, 404]);
    }
    expect((await ask(own, 'POST', 's3-users?tenants=a', { name: 'ada' })).status).toBe(400);
  });
});

describe('an administrator of a tenant', () => {
  it('may name their own, and of others is not told whether they are there', async () => {
    expect((await ask(a, 'POST', 's3-users?tenant=a', { name: 'eve' })).status).toBe(201);
    for (const tenant of ['b', 'default', 'nobody']) {
      const asked = await ask(a, 'GET', `s3-users?tenant=${tenant}`);
      expect([asked.status, asked.json['code']]).toEqual([403, 'forbidden']);
    }
  });
});
