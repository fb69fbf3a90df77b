import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packBytes, unpackBytes } from '../../protocol/codec.ts';
import { batchTests, listTests, seedTests } from './http-collection-suite.ts';
import { expectProblem, type Send } from './http-expect.ts';
import { indexTests, searchTests } from './http-index-suite.ts';
import { httpInputSuite } from './http-input-suite.ts';
import { conditionTests, keyTests } from './http-key-suite.ts';
import { leaseTests, lockTests } from './http-lease-suite.ts';
import { txnTests } from './http-txn-suite.ts';
import { httpWatchSuite } from './http-watch-suite.ts';
import { call } from './raw-http.ts';

export interface HttpTarget {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** What the HTTP surface promises, against any node: the model service or a real one. */
export function httpSuite(start: () => Promise<HttpTarget>, tenant = 'default'): void {
  let target: HttpTarget;
  beforeAll(async () => {
    target = await start();
  });
  afterAll(() => target.stop());
  const urlOf = () => target.url;
  requestTests(urlOf);
  describe('locks', () => lockTests(urlOf, sendTo(urlOf)));
  describe('bad inputs', () => httpInputSuite(urlOf));
  describe('watch', () => httpWatchSuite(urlOf, tenant));
}

function sendTo(urlOf: () => string): Send {
  return (method, path, options = {}) => call(urlOf(), method, path, options);
}

/** What of it is requests and answers alone, over whichever version of HTTP undici speaks. */
export function requestTests(urlOf: () => string): void {
  const send = sendTo(urlOf);
  describe('keys', () => keyTests(send));
  describe('preconditions', () => conditionTests(send));
  describe('listing', () => listTests(send));
  describe('batch', () => batchTests(send));
  describe('leases', () => leaseTests(send));
  describe('transactions', () => txnTests(urlOf, send));
  describe('the seed paths', () => seedTests(send));
  describe('indexes', () => indexTests(send));
  describe('search', () => searchTests(send));
  describe('every answer', () => commonTests(send));
  describe('MessagePack', () => msgpackTests(urlOf, send));
  describe('health and description', () => healthTests(send));
}

function commonTests(send: Send): void {
  it('errors about a bound name it', async () => {
    const rows: [Record<string, string>, string, number][] = [
      [{ 'x-minikv-ttl': '999999999999' }, 'ttlSecondsMax', 315_360_000],
      [{ 'idempotency-key': 'k'.repeat(129) }, 'idempotencyKeyBytesMax', 128],
      [{ 'x-minikv-timeout-ms': '60001' }, 'requestDeadlineMsMax', 60_000],
    ];
    for (const [headers, limit, max] of rows) {
      const refused = await send('PUT', '/v1/kv/bounds', { body: 'x', headers });
      expectProblem(refused, 400, 'invalid_argument');
      expect(refused.json).toMatchObject({ limit, max });
      expect(refused.json.detail).toContain(`${limit}, ${max}`);
    }
  });
  it('carries a request id, the revision and the durability', async () => {
    for (const path of ['/v1/kv/x', '/v1/limits', '/health', '/nope/nope', '/metrics', '/v1/txn']) {
      const { headers } = await send('GET', path);
      expect(headers['x-request-id'], path).toMatch(/^[A-Za-z0-9._:-]{1,128}$/);
      expect(headers['x-minikv-revision'], path).toMatch(/^\d+$/);
      expect(headers['x-minikv-durability'], path).toMatch(/^(quorum-fsync|memory)$/);
    }
  });
  it('repeats a valid X-Request-Id and replaces any other', async () => {
    const good = await send('GET', '/health', { headers: { 'x-request-id': 'abc:1.2-3' } });
    expect(good.headers['x-request-id']).toBe('abc:1.2-3');
    for (const bad of ['a b', '<x>', 'x'.repeat(129)]) {
      const answer = await send('GET', '/health', { headers: { 'x-request-id': bad } });
      expect(answer.headers['x-request-id']).not.toBe(bad);
    }
  });
  it('revisions of one client never go back', async () => {
    let last = 0;
    for (let i = 0; i < 5; i++) {
      const put = await send('PUT', '/v1/kv/common', { body: String(i) });
      expect(put.json.revision).toBeGreaterThan(last);
      last = Number(put.headers['x-minikv-revision']);
    }
  });
  it('404 for what is no path, 405 with Allow for another method', async () => {
    expectProblem(await send('GET', '/no/such'), 404, 'not_found');
    const patch = await send('PATCH', '/v1/kv/a/b', { body: 'x' });
    expectProblem(patch, 405, 'method_not_allowed');
    expect(patch.headers['allow']).toBe('DELETE, GET, HEAD, PUT');
    expectProblem(await send('GET', '/v1/batch'), 405, 'method_not_allowed');
    expectProblem(await send('DELETE', '/v1/limits'), 405, 'method_not_allowed');
  });
  it('pages of other origins may not write', async () => {
    const headers = { origin: 'https://evil.example' };
    expectProblem(await send('PUT', '/v1/kv/x', { body: 'x', headers }), 403, 'forbidden');
    expectProblem(await send('POST', '/csrf', { body: 'x', headers }), 403, 'forbidden');
    const nullish = { origin: 'null' };
    expectProblem(await send('DELETE', '/v1/kv/x', { headers: nullish }), 403, 'forbidden');
  });
}

function msgpackTests(urlOf: () => string, send: Send): void {
  const BOUNDS = { bytesMax: 1 << 20, itemsMax: 1000, depthMax: 16 };
  const pack = 'application/msgpack';
  const ask = async (path: string, body?: unknown) => {
    const answer = await request(`${urlOf()}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { accept: pack, ...(body === undefined ? {} : { 'content-type': pack }) },
      body: body === undefined ? null : Buffer.from(packBytes(body)),
    });
    const bytes = new Uint8Array(await answer.body.arrayBuffer());
    expect(answer.headers['content-type']).toBe(pack);
    // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of any shape.
    return { status: answer.statusCode, value: unpackBytes(bytes, BOUNDS) as any };
  };
  it('is taken and given, with binary values', async () => {
    const value = Uint8Array.from([0, 1, 255]);
    const ops = [
      { op: 'put', key: 'm/1', value },
      { op: 'get', key: 'm/1' },
    ];
    const { status, value: answer } = await ask('/v1/batch', { ops });
    expect(status).toBe(200);
    expect(answer.results[1].key).toBe('m/1');
    expect(new Uint8Array(answer.results[1].value)).toEqual(value);
    const page = await ask('/v1/kv?prefix=m/');
    expect(new Uint8Array(page.value.items[0].value)).toEqual(value);
  });
  it('problems come in it too', async () => {
    const { status, value } = await ask('/v1/kv/m/none');
    expect([status, value.code, value.definite]).toEqual([404, 'key_not_found', true]);
  });
  it('JSON is preferred where both are as welcome', async () => {
    const headers = { accept: 'application/json, application/msgpack;q=0.5' };
    expect((await send('GET', '/v1/limits', { headers })).headers['content-type']).toContain(
      'json',
    );
  });
}

function healthTests(send: Send): void {
  it('/ says what this is, and each of its links leads somewhere', async () => {
    const { status, json } = await send('GET', '/');
    expect(status).toBe(200);
    expect(json).toMatchObject({ name: 'minikv', version: expect.stringMatching(/^\d+\.\d+/) });
    expect(Object.keys(json.links)).toContain('docs');
    for (const link of Object.values(json.links) as string[]) {
      const found = await send('GET', link);
      // Some redirect to a page of theirs; a node without telemetry has no metrics.
      expect([200, 301, 302, 501], link).toContain(found.status);
    }
    expectProblem(await send('DELETE', '/'), 405, 'method_not_allowed');
  });
  it('live, ready, health and limits', async () => {
    expect((await send('GET', '/health/live')).json).toEqual({ status: 'live' });
    expect((await send('GET', '/health/ready')).json).toEqual({ status: 'ready' });
    expect((await send('GET', '/health')).json.status).toBe('ready');
    const { json } = await send('GET', '/v1/limits');
    expect(json).toMatchObject({ keyBytesMax: 4096, valueBytesMax: 786_432, batchOpsMax: 10_000 });
  });
  it('/metrics is text', async () => {
    const metrics = await send('GET', '/metrics');
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.text).toContain('minikv_');
  });
  it('/docs is served from here', async () => {
    const page = await send('GET', '/docs/');
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  });
  it('POST /admin/verify, repair and compact count the chunks of this node', async () => {
    for (const what of ['verify', 'repair']) {
      const seen = await send('POST', `/admin/${what}`);
      expect([seen.status, seen.json.damaged, seen.json.lost]).toEqual([200, 0, 0]);
      expect(seen.json.verified).toBe(seen.json.chunks);
    }
    const swept = await send('POST', '/admin/compact');
    expect([swept.status, swept.json.removed, swept.json.unneeded]).toEqual([200, 0, 0]);
    for (const what of ['verify', 'repair', 'compact']) {
      const headers = { accept: 'application/x-ndjson' };
      const { status, text } = await send('POST', `/admin/${what}`, { headers });
      const lines = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const last = lines.at(-1);
      expect([status, lines.length >= 2, last.done]).toEqual([200, true, true]);
      expect(last.looked).toBe(last.total);
    }
  });
  it('each promised path that is not served yet is 501', async () => {
    for (const [method, path] of [
      ['POST', '/admin/scale'],
      ['GET', '/admin/audit'],
    ] as const) {
      const answer = await send(method, path, method === 'GET' ? {} : { body: 'x' });
      expect([path, answer.status, answer.json.code]).toEqual([path, 501, 'not_implemented']);
      expectProblem(answer, 501, 'not_implemented');
    }
  });
}
