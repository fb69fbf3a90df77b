import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import type { Quota, QuotaState, Quotas } from '../../../../protocol/quotas.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

/** Quotas that are kept in a map. */
class KeptQuotas implements Quotas {
  readonly kept = new Map<string, Quota>();

  #shown(scope: string): QuotaState {
    const quota = this.kept.get(scope);
    if (quota === undefined) throw new AppError('not_found', `${scope} has no quota`);
    const usage = { bytes: 1, keys: 2, objects: 3 };
    return { scope, quota, usage, state: 'enforced' };
  }

  async list() {
    return [...this.kept.keys()].map((scope) => this.#shown(scope));
  }

  async get(_: unknown, scope: string) {
    return this.#shown(scope);
  }

  async set(_: unknown, scope: string, quota: Quota) {
    this.kept.set(scope, quota);
    return this.#shown(scope);
  }

  async delete(_: unknown, scope: string) {
    this.#shown(scope);
    this.kept.delete(scope);
  }
}

const quotas = new KeptQuotas();
let server: Awaited<ReturnType<typeof startGuardedServer>>;

beforeAll(async () => {
  server = await startGuardedServer(undefined, { quotas: () => quotas });
});
afterAll(() => server.stop());

async function ask(key: string, method: string, scope: string | null, body?: unknown) {
  const path = scope === null ? '' : `/${encodeURIComponent(scope)}`;
  const answer = await fetch(`${server.url}/admin/quotas${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> };
}

async function tenantKey(name: string): Promise<string> {
  const headers = {
    authorization: `Bearer ${server.admin}`,
    'content-type': 'application/json',
  };
  const made = await fetch(`${server.url}/admin/tenants`, {
    ...{ method: 'POST', headers, body: JSON.stringify({ name }) },
  });
  expect(made.status).toBe(201);
  return server.make('admin', null, name);
}

describe('/admin/quotas', () => {
  it('sets, shows and deletes quotas, with what is used beside them', async () => {
    const { admin } = server;
    const set = await ask(admin, 'PUT', 'prefix:default/a/b', { bytes: 10, keys: null });
    const shown = {
      ...{ scope: 'prefix:default/a/b', bytes: 10, keys: null, objects: null },
      ...{ usage: { bytes: 1, keys: 2, objects: 3 }, state: 'enforced' },
    };
    expect(set).toEqual({ status: 200, json: shown });
    expect((await ask(admin, 'GET', 'prefix:default/a/b')).json).toEqual(shown);
    expect((await ask(admin, 'GET', null)).json).toEqual({ quotas: [shown] });
    expect(await ask(admin, 'DELETE', 'prefix:default/a/b')).toEqual({
      ...{ status: 200, json: { scope: 'prefix:default/a/b', deleted: true } },
    });
    expect((await ask(admin, 'GET', 'prefix:default/a/b')).status).toBe(404);
    expect((await ask(admin, 'DELETE', 'prefix:default/a/b')).status).toBe(404);
  });

  it.each([
    ['bucket:photos', {}],
    ['bucket:photos', { bytes: null }],
    ['bucket:photos', { bytes: -1 }],
    ['bucket:photos', { bytes: 1.5 }],
    ['bucket:photos', { keys: '5' }],
    ['bucket:photos', { files: 5 }],
  ])('refuses %s %j', async (scope, body) => {
    expect((await ask(server.admin, 'PUT', scope, body)).status).toBe(400);
    expect(quotas.kept.has(scope)).toBe(false);
  });

  it('knows the tenants that it is about', async () => {
    expect((await ask(server.admin, 'PUT', 'tenant:nobody', { keys: 1 })).status).toBe(404);
    expect((await ask(server.admin, 'PUT', 'bucket:nobody/photos', { keys: 1 })).status).toBe(404);
  });

  it("shows a tenant's administrator those of the tenant, and lets them change none", async () => {
    const key = await tenantKey('acme');
    await tenantKey('other');
    for (const scope of ['tenant:acme', 'bucket:acme/photos', 'tenant:other', 'bucket:photos']) {
      expect((await ask(server.admin, 'PUT', scope, { bytes: 5 })).status).toBe(200);
    }
    const { quotas: seen } = (await ask(key, 'GET', null)).json as { quotas: QuotaState[] };
    expect(seen.map(({ scope }) => scope)).toEqual(['tenant:acme', 'bucket:acme/photos']);
    expect((await ask(key, 'GET', 'tenant:acme')).status).toBe(200);
    expect((await ask(key, 'GET', 'tenant:other')).status).toBe(404);
    expect((await ask(key, 'GET', 'bucket:photos')).status).toBe(404);
    expect((await ask(key, 'PUT', 'tenant:acme', { bytes: 50 })).status).toBe(403);
    expect((await ask(key, 'DELETE', 'tenant:acme')).status).toBe(403);
    const reader = await server.make('read_only');
    expect((await ask(reader, 'PUT', 'tenant:acme', { bytes: 50 })).status).toBe(403);
  });
});
