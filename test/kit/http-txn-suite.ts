import { request } from 'undici';
import { expect, it } from 'vitest';
import { packBytes, unpackBytes } from '../../protocol/codec.ts';
import { expectProblem, type Send } from './http-expect.ts';
import type { Answer } from './raw-http.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

/** Transactions: `/v1/txn`, the range delete, and the seed's `/transaction`. */
export function txnTests(url: () => string, send: Send): void {
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    send('POST', path, {
      headers: { ...JSON_HEADERS, ...headers },
      body: JSON.stringify(body),
    });
  const txn = (body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
    post('/v1/txn', body, headers);
  const put = (key: string, value: string) => ({ op: 'put', key, value });

  it('does all of its then branch at one revision, over any keys', async () => {
    const then = Array.from({ length: 20 }, (_, i) => put(`t/${i}`, `v${i}`));
    const answer = await txn({ then });
    expect(answer.status).toBe(200);
    const { succeeded, revision, results } = answer.json;
    expect(succeeded).toBe(true);
    expect(results).toHaveLength(20);
    expect(results[3]).toEqual({ key: 't/3', revision, createRevision: revision, version: 1 });
    const page = await send('GET', '/v1/kv?prefix=t/');
    expect(new Set(page.json.items.map((item: { revision: number }) => item.revision))).toEqual(
      new Set([revision]),
    );
  });
  it('compares value, revision, version and existence', async () => {
    const { json } = await send('PUT', '/v1/kv/tc/a', { body: 'bb' });
    await send('PUT', '/v1/kv/tc/a', { body: 'bb' });
    const { revision } = (await send('PUT', '/v1/kv/tc/a', { body: 'bb' })).json;
    const a = { key: 'tc/a' };
    const rows: [object, boolean][] = [
      [{ ...a, value: 'bb' }, true],
      [{ ...a, base64: 'YmI=', op: '=' }, true],
      [{ ...a, value: 'bb', op: '!=' }, false],
      [{ ...a, value: 'ba', op: '>' }, true],
      [{ ...a, value: 'bba', op: '<' }, true],
      [{ ...a, revision }, true],
      [{ ...a, revision: json.revision, op: '>' }, true],
      [{ ...a, revision, op: '<' }, false],
      [{ ...a, version: 3 }, true],
      [{ ...a, version: 3, op: '!=' }, false],
      [{ ...a, exists: true }, true],
      [{ ...a, exists: true, op: '!=' }, false],
      [{ key: 'tc/none', exists: false }, true],
      [{ key: 'tc/none', revision: 0 }, true],
      [{ key: 'tc/none', version: 1, op: '<' }, true],
      [{ key: 'tc/none', value: '', op: '=' }, false],
      [{ key: 'tc/none', value: '', op: '!=' }, true],
    ];
    for (const [compare, holds] of rows) {
      const answer = await txn({ compare: [compare], then: [], else: [] });
      expect([compare, answer.status, answer.json.succeeded]).toEqual([compare, 200, holds]);
    }
  });
  it('says which compare failed where there is no else, and does nothing', async () => {
    const compare = [
      { key: 'tf/a', exists: false },
      { key: 'tf/b', exists: true },
    ];
    const answer = await txn({ compare, then: [put('tf/a', '1')] });
    expectProblem(answer, 409, 'compare_failed');
    expect(answer.json).toMatchObject({
      definite: true,
      failedCompare: { index: 1, key: 'tf/b', exists: true },
    });
    expect((await send('GET', '/v1/kv/tf/a')).status).toBe(404);
    const other = await txn({ compare, then: [put('tf/a', '1')], else: [put('tf/c', '2')] });
    expect(other.json).toMatchObject({ succeeded: false, results: [{ key: 'tf/c', version: 1 }] });
  });
  it('reads the state before its own writes', async () => {
    await txn({ then: [put('tr/a', '1'), put('tr/b', '2'), put('tr/c', '3')] });
    const answer = await txn({
      then: [
        { op: 'range', prefix: 'tr/', limit: 2, reverse: true },
        { op: 'delete', key: 'tr/c' },
        { op: 'delete', key: 'tr/none' },
        { op: 'get', key: 'tr/a' },
        { op: 'get', key: 'tr/none2' },
        put('tr/b', '20'),
      ],
    });
    const { revision, results } = answer.json;
    expect(results[0]).toMatchObject({
      items: [
        { key: 'tr/c', value: '3' },
        { key: 'tr/b', value: '2' },
      ],
      more: true,
    });
    expect(results.slice(1, 3)).toEqual([
      { key: 'tr/c', deleted: true, revision },
      { key: 'tr/none', deleted: false, revision: 0 },
    ]);
    expect(results[3]).toMatchObject({ key: 'tr/a', value: '1' });
    expect(results[4]).toEqual({ key: 'tr/none2', revision: 0 });
    expect(results[5]).toMatchObject({ version: 2 });
  });
  it('applies once under an Idempotency-Key', async () => {
    const body = { then: [put('ti/a', '1'), put('ti/b', '1'), put('ti/c', '1')] };
    const headers = { 'idempotency-key': 'txn-once' };
    const first = await txn(body, headers);
    await send('PUT', '/v1/kv/ti/a', { body: '2' });
    const again = await txn(body, headers);
    expect(again.json).toEqual(first.json);
    expect((await send('GET', '/v1/kv/ti/a')).text).toBe('2');
    const other = await txn({ then: [put('ti/a', '3')] }, headers);
    expectProblem(other, 422, 'idempotency_mismatch');
  });
  it('refuses what is no transaction, before anything is done', async () => {
    const a = put('tx/a', '1');
    const rows: [unknown, number, string][] = [
      [{}, 400, 'invalid_argument'],
      [[], 400, 'invalid_argument'],
      [{ then: [a, { op: 'get', key: 'tx/a' }] }, 400, 'invalid_argument'],
      [{ then: [a, { op: 'delete', prefix: 'tx/' }] }, 400, 'invalid_argument'],
      [{ then: [{ op: 'delete', prefix: '' }] }, 400, 'invalid_argument'],
      [{ then: [{ ...a, ifRevision: 1 }] }, 400, 'invalid_argument'],
      [{ then: [{ op: 'incr', key: 'a' }] }, 400, 'invalid_argument'],
      [{ than: [a] }, 400, 'invalid_argument'],
      [{ compare: [{ key: 'a' }], then: [a] }, 400, 'invalid_argument'],
      [{ compare: [{ key: 'a', version: 1, revision: 1 }], then: [a] }, 400, 'invalid_argument'],
      [{ compare: [{ key: 'a', exists: true, op: '<' }], then: [a] }, 400, 'invalid_argument'],
      [{ compare: [{ key: 'a', lease: -1 }], then: [a] }, 400, 'invalid_argument'],
      [{ compare: [{ key: 'a', lease: 1, op: '>' }], then: [a] }, 400, 'invalid_argument'],
      [{ then: [{ ...a, lease: 'x' }] }, 400, 'invalid_argument'],
      [{ then: [{ ...a, lease: 4711 }] }, 404, 'lease_not_found'],
      [{ then: Array.from({ length: 1025 }, (_, i) => put(`tx/${i}`, '')) }, 413, 'too_large'],
      [{ then: [put('tx/a', 'x'.repeat(600_000))] }, 413, 'too_large'],
    ];
    for (const [body, status, code] of rows) {
      const answer = await txn(body);
      expect([JSON.stringify(body).slice(0, 80), answer.status, answer.json.code]).toEqual([
        ...[JSON.stringify(body).slice(0, 80), status, code],
      ]);
    }
    const twice = await txn({ then: [a, { op: 'get', key: 'b' }, { op: 'get', key: 'tx/a' }] });
    expect(twice.json.detail).toBe('then[2]: a second operation on one key');
    expect((await send('GET', '/v1/kv?prefix=tx/')).json.items).toEqual([]);
  });
  it('speaks MessagePack', async () => {
    const then = [
      { op: 'put', key: 'tm/a', value: Buffer.from([0, 255]) },
      { op: 'get', key: 'tm/b' },
    ];
    const answer = await request(`${url()}/v1/txn`, {
      method: 'POST',
      headers: { 'content-type': 'application/msgpack', accept: 'application/msgpack' },
      body: Buffer.from(packBytes({ then })),
    });
    const bounds = { bytesMax: 1e6, itemsMax: 100, depthMax: 8 };
    expect(unpackBytes(await answer.body.bytes(), bounds)).toMatchObject({
      ...{ succeeded: true },
      results: [
        { key: 'tm/a', version: 1 },
        { key: 'tm/b', revision: 0 },
      ],
    });
  });
  it('DELETE /v1/kv?prefix= removes all of a prefix at one revision', async () => {
    const then = Array.from({ length: 15 }, (_, i) => put(`td/${i}`, `v${i}`));
    const { revision } = (await txn({ then: [...then, put('te', '1')] })).json;
    const gone = await send('DELETE', '/v1/kv?prefix=td/');
    expect(gone.json).toEqual({ deleted: 15, revision: expect.any(Number) });
    expect((await send('GET', '/v1/kv?prefix=td/')).json.items).toEqual([]);
    expect((await send('GET', '/v1/kv/te')).text).toBe('1');
    const past = await send('GET', `/v1/kv?prefix=td/&revision=${revision}`);
    expect(past.json.items).toHaveLength(15);
    expect((await send('DELETE', '/v1/kv?prefix=td/')).json).toEqual({ deleted: 0, revision: 0 });
    expectProblem(await send('DELETE', '/v1/kv?prefix='), 400, 'invalid_argument');
    const none = await send('DELETE', '/v1/kv');
    expectProblem(none, 400, 'invalid_argument');
    expect(none.json.detail).toContain('query parameter prefix is missing');
    expectProblem(await send('DELETE', '/v1/kv'), 400, 'invalid_argument');
  });
  it('POST /transaction does puts and deletes, all or nothing', async () => {
    await send('PUT', '/v1/kv/ts-b', { body: '1' });
    const operations = [put('ts-a', '1'), { op: 'delete', key: 'ts-b' }];
    const answer = await post('/transaction', { operations });
    expect(answer.json).toEqual({
      results: [
        { ok: true, key: 'ts-a', value: null, error: null },
        { ok: true, key: 'ts-b', value: null, error: null },
      ],
      total_operations: 2,
      successful_operations: 2,
    });
    expect((await send('GET', '/v1/kv/ts-b')).status).toBe(404);
    const bad = { operations: [put('ts-c', '1'), { op: 'get', key: 'ts-a' }] };
    expectProblem(await post('/transaction', bad), 400, 'invalid_argument');
    expect((await send('GET', '/v1/kv/ts-c')).status).toBe(404);
  });
}
