import { expect, it } from 'vitest';
import { expectProblem, type Send } from './http-expect.ts';
import { open } from './raw-http.ts';

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

  it('a transaction attaches keys to leases, in the branch that is done, or does nothing', async () => {
    const [id, gone] = [await grantId(send), await grantId(send)];
    await send('DELETE', `/v1/leases/${gone}`);
    const put = (key: string, lease: number) => ({ op: 'put', key, value: 'v', lease });
    const keys = ['ltx/a', 'ltx/b', 'ltx/c'];
    const compare = [{ key: 'ltx/a', exists: false }];
    const branches: Record<string, unknown> = { compare };
    branches['then'] = keys.map((key) => put(key, id));
    // A lease that is gone, in the branch that is not done.
    branches['else'] = [put('ltx/d', gone)];
    const done = await post(send, '/v1/txn', branches);
    expect([done.status, done.json.succeeded]).toEqual([200, true]);
    const shown = await send('GET', `/v1/leases/${id}?keys=true`);
    expect(shown.json.keys.map((row: { key: string }) => row.key)).toEqual(keys);
    const refused = await post(send, '/v1/txn', branches);
    expectProblem(refused, 404, 'lease_not_found');
    expect(refused.json.definite).toBe(true);
    const mixed: Record<string, unknown> = {};
    mixed['then'] = [put('ltx/e', id), put('ltx/f', gone), { op: 'delete', key: 'ltx/a' }];
    expectProblem(await post(send, '/v1/txn', mixed), 404, 'lease_not_found');
    const left = await send('GET', '/v1/kv?prefix=ltx/');
    expect(left.json.items.map((item: { key: string }) => item.key)).toEqual(keys);
    expect((await send('DELETE', `/v1/leases/${id}`)).json).toMatchObject({ removed: 3 });
    expect((await send('GET', '/v1/kv?prefix=ltx/')).json.items).toEqual([]);
  });

  it('the seed’s /transaction takes a lease too', async () => {
    const id = await grantId(send);
    const operations = [{ op: 'put', key: 'lseed', value: 'v', lease: id }];
    expect((await post(send, '/transaction', { operations })).status).toBe(200);
    expect((await send('GET', '/v1/kv/lseed')).headers['x-minikv-lease']).toBe(String(id));
    await send('DELETE', `/v1/leases/${id}`);
    expectProblem(await post(send, '/transaction', { operations }), 404, 'lease_not_found');
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
export function lockTests(urlOf: () => string, send: Send): void {
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

  it('N4 who waits is served in order of arrival, and one that is gone is passed over', async () => {
    const leases = await Promise.all(Array.from({ length: 6 }, () => grantId(send)));
    const [holder, ...others] = leases as [number, ...number[]];
    let { token } = (await acquire('line', { lease: holder })).json;
    const served: number[] = [];
    const waiting = others.map(async (lease, i) => {
      await new Promise((resolve) => setTimeout(resolve, 100 * i));
      const answer = await acquire('line', { lease, waitMs: 20_000 });
      if (answer.status !== 200) return answer.json.code;
      expect(answer.json.token).toBeGreaterThan(token);
      token = answer.json.token;
      served.push(lease);
      await send('DELETE', `/v1/locks/line?token=${token}`);
      return 'served';
    });
    await new Promise((resolve) => setTimeout(resolve, 700));
    // The second one in line dies, and who does not want to wait is not let past the others.
    await send('DELETE', `/v1/leases/${others[1]}`);
    const hasty = await grantId(send);
    await send('DELETE', `/v1/locks/line?token=${token}`);
    const tries = await acquire('line', { lease: hasty });
    if (tries.status === 200) expect(served).toHaveLength(4);
    else expectProblem(tries, 409, 'lock_held');
    const outcomes = await Promise.all(waiting);
    expect(outcomes).toEqual(['served', 'lease_not_found', 'served', 'served', 'served']);
    expect(served).toEqual([others[0], others[2], others[3], others[4]]);
    expect((await send('GET', '/v1/kv?prefix=_lockwaits/')).json.items).toEqual([]);
  });

  it('who stops waiting leaves no place behind', async () => {
    const [a, b, c] = [await grantId(send), await grantId(send), await grantId(send)];
    const { json } = await acquire('left', { lease: a });
    expectProblem(await acquire('left', { lease: b, waitMs: 60 }), 409, 'lock_held');
    await send('DELETE', `/v1/locks/left?token=${json.token}`);
    expect((await acquire('left', { lease: c })).json).toMatchObject({ held: true, lease: c });
    expect((await send('GET', '/v1/kv?prefix=_lockwaits/')).json.items).toEqual([]);
  });

  it('who goes away while waiting leaves the line at once, and gets no lock', async () => {
    const [a, b, c] = [await grantId(send), await grantId(send), await grantId(send)];
    const { json } = await acquire('gone', { lease: a });
    const client = open(urlOf());
    const body = JSON.stringify({ lease: b, waitMs: 30_000 });
    const head = 'POST /v1/locks/gone HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    client.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
    const places = async () =>
      (await send('GET', '/v1/kv?prefix=_lockwaits/4/gone/&values=false')).json.items.length;
    await expect.poll(places).toBe(2);
    const next = acquire('gone', { lease: c, waitMs: 20_000 });
    await expect.poll(places).toBe(3);
    client.destroy();
    await expect.poll(places).toBe(2);
    await send('DELETE', `/v1/locks/gone?token=${json.token}`);
    expect((await next).json).toMatchObject({ held: true, lease: c });
  });

  it('two requests of one lease share a place: the one that ends leaves it to the other', async () => {
    const [a, b, c] = [await grantId(send), await grantId(send), await grantId(send)];
    const { json } = await acquire('shared', { lease: a });
    const first = acquire('shared', { lease: b, waitMs: 400 });
    const places = async () =>
      (await send('GET', '/v1/kv?prefix=_lockwaits/6/shared/&values=false')).json.items;
    await expect.poll(async () => (await places()).length).toBe(2);
    const second = acquire('shared', { lease: b, waitMs: 20_000 });
    const isOfB = ({ key }: { key: string }) =>
      key.endsWith(`/${b.toString(16).padStart(14, '0')}`);
    const version = async () => (await places()).find(isOfB)?.version;
    await expect.poll(version).toBe(2);
    const later = acquire('shared', { lease: c, waitMs: 20_000 });
    expectProblem(await first, 409, 'lock_held');
    expect(await version()).toBe(2);
    await send('DELETE', `/v1/locks/shared?token=${json.token}`);
    expect((await second).json).toMatchObject({ held: true, lease: b });
    await send('DELETE', `/v1/leases/${b}`);
    expect((await later).json).toMatchObject({ held: true, lease: c });
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
    const locks: { name: string }[] = [];
    for (let cursor = ''; ; ) {
      const page = (await send('GET', `/v1/locks?limit=1${cursor}`)).json;
      expect(page.locks.length).toBeLessThanOrEqual(1);
      locks.push(...page.locks);
      if (page.cursor === undefined) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(locks).toContainEqual(json);
    expect(locks.length).toBeGreaterThan(1);
    expect((await send('GET', '/v1/locks')).json).toEqual({ locks });
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
    expectProblem(await send('GET', '/v1/locks?cursor=x'), 400, 'invalid_argument');
  });
}
