import { expect, it } from 'vitest';
import { expectProblem, type Send } from './http-expect.ts';

const JSON_BODY = { 'content-type': 'application/json' };
/** A lease of nobody: ids are drawn from 53 bits. */
const NO_LEASE = 4_711;

const post = (send: Send, path: string, body: unknown) =>
  send('POST', path, { headers: JSON_BODY, body: JSON.stringify(body) });

export async function grantId(send: Send, ttlSeconds = 60): Promise<number> {
  const { status, json } = await post(send, '/v1/leases', { ttlSeconds });
  expect(status).toBe(201);
  return json.id;
}

const putAttached = (send: Send, key: string, lease: number, body = 'v') =>
  send('PUT', `/v1/kv/${key}`, { body, headers: { 'x-minikv-lease': String(lease) } });

/** Leases over HTTP. */
export function leaseTests(send: Send): void {
  it('a lease is granted, shown, kept alive and listed', async () => {
    const { json } = await post(send, '/v1/leases', { ttlSeconds: 30 });
    expect(json).toMatchObject({ ttl: 30, id: expect.any(Number), revision: expect.any(Number) });
    const path = `/v1/leases/${json.id}`;
    const shown = await send('GET', path);
    expect([shown.status, shown.json.id]).toEqual([200, json.id]);
    expect(shown.json.remainingMs).toBeLessThanOrEqual(30_000);
    const kept = await send('POST', `${path}/keepalive`);
    expect(kept.json.remainingMs).toBeGreaterThan(29_000);
    const ids: number[] = [];
    for (let cursor = ''; ; ) {
      const page = await send('GET', `/v1/leases?limit=1${cursor}`);
      for (const lease of page.json.leases) ids.push(lease.id);
      if (page.json.cursor === undefined) break;
      cursor = `&cursor=${page.json.cursor}`;
    }
    expect(ids).toContain(json.id);
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });

  it('keys are attached by header and in a batch, show their lease, and go when it is revoked', async () => {
    const id = await grantId(send);
    for (const key of ['lease/a', 'lease/b', 'lease/c']) {
      expect((await putAttached(send, key, id)).status).toBe(201);
    }
    const ops = [
      { op: 'put', key: 'lease/d', value: 'x', lease: id },
      { op: 'get', key: 'lease/d' },
    ];
    const batch = await post(send, '/v1/batch', { ops });
    expect(batch.json.results[1]).toMatchObject({ lease: id });
    await send('PUT', '/v1/kv/lease/a', { body: 'no longer attached' });
    expect((await send('GET', '/v1/kv/lease/b')).headers['x-minikv-lease']).toBe(String(id));
    expect((await send('GET', '/v1/kv/lease/a')).headers['x-minikv-lease']).toBeUndefined();
    const shown = await send('GET', `/v1/leases/${id}?keys=true`);
    expect(shown.json.keys.map((row: { key: string }) => row.key)).toEqual([
      'lease/b',
      'lease/c',
      'lease/d',
    ]);
    const revoked = await send('DELETE', `/v1/leases/${id}`);
    expect(revoked.json).toMatchObject({ revoked: true, removed: 3, complete: true });
    const left = await send('GET', '/v1/kv?prefix=lease/');
    expect(left.json.items.map((item: { key: string }) => item.key)).toEqual(['lease/a']);
  });

  it('a lease that is not there is 404, and nothing is attached to it', async () => {
    const id = await grantId(send);
    await send('DELETE', `/v1/leases/${id}`);
    for (const gone of [id, NO_LEASE]) {
      const path = `/v1/leases/${gone}`;
      expectProblem(await send('GET', path), 404, 'lease_not_found');
      expectProblem(await send('POST', `${path}/keepalive`), 404, 'lease_not_found');
      expectProblem(await putAttached(send, 'lease/none', gone), 404, 'lease_not_found');
    }
    const ops = [
      { op: 'put', key: 'lease/none', value: 'x', lease: NO_LEASE },
      { op: 'put', key: 'lease/plain', value: 'x' },
    ];
    const { json } = await post(send, '/v1/batch', { ops });
    expect(json.results[0]).toMatchObject({ code: 'lease_not_found', definite: true });
    expect(json.results[1]).toMatchObject({ key: 'lease/plain', version: 1 });
    expect((await send('GET', '/v1/kv/lease/none')).status).toBe(404);
  });

  it('the lease of a key can be compared in a transaction; 0 is none', async () => {
    const id = await grantId(send);
    await putAttached(send, 'lease/cmp', id);
    const compare = async (key: string, lease: number, op = '=') => {
      const body: Record<string, unknown> = { compare: [{ key, lease, op }] };
      body['then'] = [];
      return (await post(send, '/v1/txn', body)).status;
    };
    expect(await compare('lease/cmp', id)).toBe(200);
    expect(await compare('lease/cmp', id, '!=')).toBe(409);
    expect(await compare('lease/cmp', 0)).toBe(409);
    expect(await compare('lease/absent', 0)).toBe(200);
  });

  it('what is no lease is refused', async () => {
    for (const body of [{}, { ttlSeconds: 0 }, { ttlSeconds: 1.5 }, { ttlSeconds: 1e9 }, []]) {
      expectProblem(await post(send, '/v1/leases', body), 400, 'invalid_argument');
    }
    expectProblem(await post(send, '/v1/leases', { ttlSeconds: 5, x: 1 }), 400, 'invalid_argument');
    for (const id of ['0', '-1', 'x', '9007199254740993', '1e3']) {
      expectProblem(await send('GET', `/v1/leases/${id}`), 400, 'invalid_argument');
    }
    const headers = { 'x-minikv-lease': 'x' };
    const put = await send('PUT', '/v1/kv/lease/x', { body: 'v', headers });
    expectProblem(put, 400, 'invalid_argument');
    expectProblem(await send('GET', '/v1/leases?cursor=x'), 400, 'invalid_argument');
  });
}

/** Locks over HTTP. */
export function lockTests(send: Send): void {
  const acquire = (name: string, body: object) => post(send, `/v1/locks/${name}`, body);

  it('N1 N2 one holder at a time, each with a higher token', async () => {
    const [a, b] = [await grantId(send), await grantId(send)];
    const first = await acquire('one', { lease: a, value: 'I am a' });
    expect(first.json).toMatchObject({ name: 'one', held: true, lease: a, value: 'I am a' });
    const refused = await acquire('one', { lease: b });
    expectProblem(refused, 409, 'lock_held');
    expect(refused.json.holder).toEqual({ token: first.json.token, lease: a, value: 'I am a' });
    const released = await send('DELETE', `/v1/locks/one?token=${first.json.token}`);
    expect(released.json).toMatchObject({ released: true });
    expect((await send('GET', '/v1/locks/one')).json).toEqual({
      ...{ name: 'one', held: false, token: 0 },
    });
    const second = await acquire('one', { lease: b });
    expect(second.json.token).toBeGreaterThan(first.json.token);
    const late = await send('DELETE', `/v1/locks/one?token=${first.json.token}`);
    expect(late.json).toEqual({ released: false, revision: 0 });
    expect((await send('GET', '/v1/locks/one')).json).toMatchObject({ held: true, lease: b });
  });

  it('N3 acquiring again with the same lease gives the same token', async () => {
    const lease = await grantId(send);
    const { json } = await acquire('again', { lease, value: 'v' });
    expect((await acquire('again', { lease, value: 'other' })).json).toEqual(json);
  });

  it('who waits gets the lock when its holder lets go, or loses its lease', async () => {
    const [a, b, c] = [await grantId(send), await grantId(send), await grantId(send)];
    const { json } = await acquire('wait/for it', { lease: a });
    const waiting = acquire('wait/for it', { lease: b, waitMs: 5_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await send('DELETE', `/v1/locks/wait/for it?token=${json.token}`.replace(' ', '%20'));
    const second = await waiting;
    expect(second.json).toMatchObject({ name: 'wait/for it', lease: b });
    const third = acquire('wait/for it', { lease: c, waitMs: 5_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await send('DELETE', `/v1/leases/${b}`);
    expect((await third).json.token).toBeGreaterThan(second.json.token);
  });

  it('a wait ends, and a lease that is gone gets no lock', async () => {
    const [a, b] = [await grantId(send), await grantId(send)];
    await acquire('held', { lease: a });
    expectProblem(await acquire('held', { lease: b, waitMs: 50 }), 409, 'lock_held');
    await send('DELETE', `/v1/leases/${b}`);
    expectProblem(await acquire('free', { lease: b }), 404, 'lease_not_found');
    expect((await send('GET', '/v1/locks/free')).json.held).toBe(false);
  });

  it('held locks are listed; a lock is a key, so it can be watched and compared', async () => {
    const lease = await grantId(send);
    const { json } = await acquire('listed', { lease });
    const { locks } = (await send('GET', '/v1/locks')).json;
    expect(locks).toContainEqual(json);
    const key = await send('GET', '/v1/kv/_locks/listed');
    expect(key.headers['etag']).toBe(`"${json.token}"`);
  });

  it('what is no lock is refused', async () => {
    const lease = await grantId(send);
    expectProblem(await acquire('x', {}), 400, 'invalid_argument');
    expectProblem(await acquire('x', { lease, waitMs: -1 }), 400, 'invalid_argument');
    expectProblem(await acquire('x', { lease, wait: 1 }), 400, 'invalid_argument');
    expectProblem(await acquire('x'.repeat(2_000), { lease }), 413, 'too_large');
    expectProblem(await acquire('a%00b', { lease }), 400, 'invalid_argument');
    expectProblem(await send('DELETE', '/v1/locks/x'), 400, 'invalid_argument');
  });
}
