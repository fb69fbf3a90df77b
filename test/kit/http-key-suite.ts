import { expect, it } from 'vitest';
import { expectProblem, type Send } from './http-expect.ts';

/** Single keys and their preconditions. */
export function keyTests(send: Send): void {
  it('PUT answers 201 and then 200, with key, revision, createRevision and version', async () => {
    const first = await send('PUT', '/v1/kv/k/put', { body: 'one' });
    expect(first.status).toBe(201);
    const { revision } = first.json;
    expect(first.json).toEqual({ key: 'k/put', revision, createRevision: revision, version: 1 });
    expect(first.headers['etag']).toBe(`"${revision}"`);
    const second = await send('PUT', '/v1/kv/k/put', { body: 'two' });
    expect(second.status).toBe(200);
    expect(second.json).toMatchObject({ createRevision: revision, version: 2 });
    expect(second.json.revision).toBeGreaterThan(revision);
    expect(Number(second.headers['x-minikv-revision'])).toBeGreaterThanOrEqual(
      second.json.revision,
    );
  });
  it('GET gives the bytes, the content type, ETag and Last-Modified', async () => {
    const body = Buffer.from([0, 255, 10, 13, 200]);
    const put = await send('PUT', '/v1/kv/k/get', {
      body,
      headers: { 'content-type': 'image/x-odd' },
    });
    const { json, ...got } = await send('GET', '/v1/kv/k/get');
    expect(got.status).toBe(200);
    expect(got.headers['content-type']).toBe('image/x-odd');
    expect(got.headers['content-length']).toBe('5');
    expect(got.headers['etag']).toBe(`"${put.json.revision}"`);
    expect(Date.parse(String(got.headers['last-modified']))).not.toBeNaN();
    expect(got.text).toBe(body.toString('utf8'));
  });
  it('HEAD has the headers of GET and no body', async () => {
    await send('PUT', '/v1/kv/k/head', { body: 'abc' });
    const head = await send('HEAD', '/v1/kv/k/head');
    expect([head.status, head.text, head.headers['content-length']]).toEqual([200, '', '3']);
    expect((await send('HEAD', '/v1/kv/k/none')).status).toBe(404);
  });
  it('an absent key is 404 key_not_found', async () => {
    expectProblem(await send('GET', '/v1/kv/k/none'), 404, 'key_not_found');
  });
  it('an empty value is a value', async () => {
    expect((await send('PUT', '/v1/kv/k/empty')).status).toBe(201);
    const got = await send('GET', '/v1/kv/k/empty');
    expect([got.status, got.text, got.headers['content-type']]).toEqual([
      200,
      '',
      'application/octet-stream',
    ]);
  });
  it('DELETE answers deleted and revision; deleting again deletes nothing', async () => {
    await send('PUT', '/v1/kv/k/del', { body: 'x' });
    const gone = await send('DELETE', '/v1/kv/k/del');
    expect([gone.status, gone.json.deleted]).toEqual([200, true]);
    expect(gone.json.revision).toBeGreaterThan(0);
    const again = await send('DELETE', '/v1/kv/k/del');
    expect([again.status, again.json.deleted]).toEqual([200, false]);
    expect((await send('GET', '/v1/kv/k/del')).status).toBe(404);
  });
  it('?revision= reads the past, and refuses the future', async () => {
    const one = await send('PUT', '/v1/kv/k/past', { body: 'one' });
    await send('PUT', '/v1/kv/k/past', { body: 'two' });
    const past = await send('GET', `/v1/kv/k/past?revision=${one.json.revision}`);
    expect(past.text).toBe('one');
    const future = await send('GET', `/v1/kv/k/past?revision=${Number.MAX_SAFE_INTEGER - 1}`);
    expectProblem(future, 400, 'invalid_argument');
  });
  it('?consistency= takes linearizable and stale only', async () => {
    await send('PUT', '/v1/kv/k/cons', { body: 'x' });
    expect((await send('GET', '/v1/kv/k/cons?consistency=linearizable')).status).toBe(200);
    expect((await send('GET', '/v1/kv/k/cons?consistency=stale')).status).toBe(200);
    const wrong = await send('GET', '/v1/kv/k/cons?consistency=eventual');
    expectProblem(wrong, 400, 'invalid_argument');
  });
  it('an unknown or repeated query parameter is refused', async () => {
    expectProblem(await send('GET', '/v1/kv/k/cons?revison=5'), 400, 'invalid_argument');
    expectProblem(
      await send('GET', '/v1/kv/k/cons?revision=5&revision=6'),
      400,
      'invalid_argument',
    );
  });
  it('X-Minikv-TTL is whole seconds; anything else is 400', async () => {
    const put = await send('PUT', '/v1/kv/k/ttl', {
      body: 'x',
      headers: { 'x-minikv-ttl': '3600' },
    });
    expect(put.status).toBe(201);
    const got = await send('GET', '/v1/kv/k/ttl');
    const leftMs = Date.parse(String(got.headers['x-minikv-expires-at'])) - Date.now();
    expect(leftMs).toBeGreaterThan(3_500_000);
    for (const ttl of ['0', '-1', '1.5', 'x', '1e3', '99999999999']) {
      const headers = { 'x-minikv-ttl': ttl };
      expectProblem(
        await send('PUT', '/v1/kv/k/ttl', { body: 'x', headers }),
        400,
        'invalid_argument',
      );
    }
  });
  it('Idempotency-Key applies once, and refuses another request under the same key', async () => {
    const headers = { 'idempotency-key': `idem-${Date.now()}` };
    const first = await send('PUT', '/v1/kv/k/idem', { body: 'a', headers });
    const again = await send('PUT', '/v1/kv/k/idem', { body: 'a', headers });
    expect(again.status).toBe(first.status);
    expect(again.json).toEqual(first.json);
    expect(again.headers['idempotency-replayed']).toBe('true');
    const other = await send('PUT', '/v1/kv/k/idem', { body: 'b', headers });
    expectProblem(other, 422, 'idempotency_mismatch');
    const long = { 'idempotency-key': 'k'.repeat(129) };
    expectProblem(
      await send('PUT', '/v1/kv/k/idem', { body: 'a', headers: long }),
      400,
      'invalid_argument',
    );
  });
  it('X-Minikv-Timeout-Ms is 1 to 60000', async () => {
    for (const [text, status] of [
      ['1000', 404],
      ['0', 400],
      ['60001', 400],
      ['abc', 400],
    ] as const) {
      const headers = { 'x-minikv-timeout-ms': text };
      expect((await send('GET', '/v1/kv/k/none', { headers })).status).toBe(status);
    }
  });
  it('keys that are no UTF-8, with slashes, dots and percent signs are kept byte for byte', async () => {
    for (const path of ['%ff%fe', 'a%2Fb', 'a/b', '%252e', '//x', 'x/', 'é', '%F0%9F%98%80', '+']) {
      const put = await send('PUT', `/v1/kv/bytes/${path}`, { body: path });
      expect(put.status, path).toBeLessThan(202);
    }
    expect((await send('GET', '/v1/kv/bytes/%ff%fe')).text).toBe('%ff%fe');
    expect((await send('GET', '/v1/kv/bytes%2Fa/b')).text).toBe('a/b');
    const page = await send('GET', '/v1/kv?prefix=bytes/%ff');
    const keyBase64 = Buffer.from('bytes/\xff\xfe', 'latin1').toString('base64');
    expect(page.json.items).toMatchObject([{ keyBase64, value: '%ff%fe' }]);
    expect(page.json.items[0]).not.toHaveProperty('key');
  });
}

export function conditionTests(send: Send): void {
  const put = (headers: Record<string, string>) =>
    send('PUT', '/v1/kv/c/key', { body: 'v', headers });
  it('If-None-Match: * writes only what is absent', async () => {
    await send('DELETE', '/v1/kv/c/key');
    expect((await put({ 'if-none-match': '*' })).status).toBe(201);
    const refused = await put({ 'if-none-match': '*' });
    expectProblem(refused, 412, 'precondition_failed');
    expect(refused.json.definite).toBe(true);
    expect(refused.json.currentRevision).toBeGreaterThan(0);
  });
  it('If-Match writes and deletes only at the revision', async () => {
    const { json } = await put({});
    expectProblem(await put({ 'if-match': `"${json.revision - 1}"` }), 412, 'precondition_failed');
    const next = await put({ 'if-match': `"${json.revision}"` });
    expect(next.status).toBe(200);
    const headers = { 'if-match': `"${json.revision}"` };
    expectProblem(await send('DELETE', '/v1/kv/c/key', { headers }), 412, 'precondition_failed');
    const right = { 'if-match': `"${next.json.revision}"` };
    expect((await send('DELETE', '/v1/kv/c/key', { headers: right })).json.deleted).toBe(true);
  });
  it('If-Match on an absent key is 412, also with *', async () => {
    await send('DELETE', '/v1/kv/c/key');
    expectProblem(await put({ 'if-match': '"1"' }), 412, 'precondition_failed');
    expectProblem(await put({ 'if-match': '*' }), 412, 'precondition_failed');
    const headers = { 'if-match': '*' };
    expectProblem(await send('DELETE', '/v1/kv/c/key', { headers }), 412, 'precondition_failed');
    await put({});
    expect((await put({ 'if-match': '*' })).status).toBe(200);
  });
  it('what is no precondition of ours is 400', async () => {
    for (const headers of [
      { 'if-match': '"0"' },
      { 'if-match': '5' },
      { 'if-match': 'W/"5"' },
      { 'if-match': '"1", "2"' },
      { 'if-none-match': '"5"' },
      { 'if-none-match': '*', 'if-match': '*' },
    ] as Record<string, string>[]) {
      expectProblem(await put(headers), 400, 'invalid_argument');
    }
  });
  it('If-None-Match on GET is 304 at that revision', async () => {
    const { json } = await put({});
    const headers = { 'if-none-match': `"1", W/"${json.revision}"` };
    const same = await send('GET', '/v1/kv/c/key', { headers });
    expect([same.status, same.text]).toEqual([304, '']);
    expect(same.headers['etag']).toBe(`"${json.revision}"`);
    const other = await send('GET', '/v1/kv/c/key', { headers: { 'if-none-match': '"1"' } });
    expect(other.status).toBe(200);
    expect((await send('GET', '/v1/kv/c/key', { headers: { 'if-match': '"1"' } })).status).toBe(
      412,
    );
  });
}
