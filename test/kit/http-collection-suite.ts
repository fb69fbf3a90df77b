import { beforeAll, expect, it } from 'vitest';
import { expectProblem, type Send } from './http-expect.ts';
import type { Answer } from './raw-http.ts';

/** Many keys: listings, batches and the seed's own paths. */
export function listTests(send: Send): void {
  const keys = Array.from({ length: 25 }, (_, i) => `l/${String(i).padStart(2, '0')}`);
  beforeAll(async () => {
    for (const key of keys) await send('PUT', `/v1/kv/${key}`, { body: `v${key}` });
  });
  const keysOf = (answer: Answer): string[] =>
    answer.json.items.map((item: { key: string }) => item.key);

  it('pages in order, at one revision, with a cursor', async () => {
    const seen: string[] = [];
    const first = await send('GET', '/v1/kv?prefix=l/&limit=10');
    await send('PUT', '/v1/kv/l/99', { body: 'written while listing' });
    let page = first;
    for (;;) {
      expect([page.status, page.json.revision]).toEqual([200, first.json.revision]);
      seen.push(...keysOf(page));
      if (page.json.cursor === undefined) break;
      page = await send('GET', `/v1/kv?prefix=l/&limit=10&cursor=${page.json.cursor}`);
    }
    expect(seen).toEqual(keys);
    await send('DELETE', '/v1/kv/l/99');
  });
  it('pages backwards', async () => {
    const seen: string[] = [];
    let path = '/v1/kv?prefix=l/&limit=10&reverse=true';
    for (let i = 0; i < 3; i++) {
      const page = await send('GET', path);
      seen.push(...keysOf(page));
      path = `/v1/kv?prefix=l/&limit=10&reverse=true&cursor=${page.json.cursor}`;
    }
    expect(seen).toEqual([...keys].reverse());
  });
  it('start is inclusive, end exclusive, values can be left out', async () => {
    const page = await send('GET', '/v1/kv?start=l/05&end=l/08&values=false');
    expect(keysOf(page)).toEqual(['l/05', 'l/06', 'l/07']);
    expect(page.json.items[0]).toEqual({
      key: 'l/05',
      revision: expect.any(Number),
      createRevision: expect.any(Number),
      version: 1,
    });
    const empty = await send('GET', '/v1/kv?start=l/08&end=l/05');
    expect(empty.json.items).toEqual([]);
  });
  it('?revision= lists the past', async () => {
    const before = (await send('GET', '/v1/kv?prefix=l/&limit=1')).json.revision;
    await send('PUT', '/v1/kv/l/98', { body: 'later' });
    const page = await send('GET', `/v1/kv?prefix=l/9&revision=${before}`);
    expect(page.json).toEqual({ items: [], revision: before });
    await send('DELETE', '/v1/kv/l/98');
  });
  it('NDJSON streams everything and says where it ends', async () => {
    const headers = { accept: 'application/x-ndjson' };
    const stream = await send('GET', '/v1/kv?prefix=l/', { headers });
    expect(stream.headers['content-type']).toBe('application/x-ndjson');
    const lines = stream.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.slice(0, -1).map((line) => line.key)).toEqual(keys);
    expect(lines.at(-1)).toEqual({
      end: true,
      revision: Number(stream.headers['x-minikv-revision']),
    });
    const some = await send('GET', '/v1/kv?prefix=l/&limit=3', { headers });
    expect(some.text.trimEnd().split('\n')).toHaveLength(4);
  });
  it('a cursor belongs to its range, and a forged one is 400', async () => {
    const { cursor } = (await send('GET', '/v1/kv?prefix=l/&limit=2')).json;
    for (const query of [
      `prefix=k/&cursor=${cursor}`,
      `prefix=l/&reverse=true&cursor=${cursor}`,
      `prefix=l/&revision=5&cursor=${cursor}`,
      `prefix=l/&cursor=${cursor.slice(0, -2)}`,
      `prefix=l/&cursor=A${cursor}`,
      'prefix=l/&cursor=%00',
      'prefix=l/&cursor=zzzz',
    ]) {
      expectProblem(await send('GET', `/v1/kv?${query}`), 400, 'invalid_argument');
    }
  });
  it('limits are whole numbers above 0; a large one counts as the page bound, and the page says so', async () => {
    const large = await send('GET', '/v1/kv?prefix=l/&limit=1000000');
    expect(large.json.items).toHaveLength(25);
    expect(large.json.limit).toBe(1_000);
    expect((await send('GET', '/v1/kv?prefix=l/&limit=1000')).json.limit).toBeUndefined();
    expect((await send('GET', '/v1/leases?limit=1001')).json.limit).toBe(1_000);
    const ops = [{ op: 'range', prefix: 'l/', limit: 5_000, values: false }];
    const headers = { 'content-type': 'application/json' };
    const batch = await send('POST', '/v1/batch', { headers, body: JSON.stringify({ ops }) });
    expect(batch.json.results[0]).toMatchObject({ limit: 1_000 });
    for (const limit of ['0', '-1', '1.5', 'x', '', '9007199254740993', '0x10']) {
      const refused = await send('GET', `/v1/kv?limit=${limit}`);
      expectProblem(refused, 400, 'invalid_argument');
      expect(refused.json.detail).toBe('limit must be a whole number of at least 1');
    }
    const other = await send('GET', '/v1/kv?limits=1');
    expect([other.status, other.json.detail]).toEqual([
      400,
      'there is no query parameter "limits"',
    ]);
  });
}

export function batchTests(send: Send): void {
  it('answers each operation in order, failures with code and definite', async () => {
    // Operations are independent: no two of one key here, their order among each other is not promised.
    for (const key of ['b/old', 'b/gone', 'b/read']) {
      await send('PUT', `/v1/kv/${key}`, { body: 'old' });
    }
    const answer = await send('POST', '/v1/batch', {
      body: {
        ops: [
          { op: 'put', key: 'b/1', value: 'one', ttl: 60, contentType: 'text/plain' },
          { op: 'put', key: 'b/2', base64: '/w==' },
          { op: 'put', key: 'b/old', value: 'x', ifRevision: 0 },
          { op: 'get', key: 'b/read' },
          { op: 'get', key: 'b/none' },
          { op: 'delete', key: 'b/gone' },
          { op: 'put', keyBase64: 'Yi//', value: 'odd' },
          { op: 'range', prefix: 'b/no' },
        ],
      },
    });
    expect(answer.status).toBe(200);
    const put = { revision: expect.any(Number), createRevision: expect.any(Number), version: 1 };
    expect(answer.json.results).toEqual([
      { key: 'b/1', ...put },
      { key: 'b/2', ...put },
      expect.objectContaining({ key: 'b/old', code: 'precondition_failed', definite: true }),
      { key: 'b/read', value: 'old', ...put },
      expect.objectContaining({ key: 'b/none', code: 'key_not_found', definite: true }),
      { key: 'b/gone', deleted: true, revision: expect.any(Number) },
      { keyBase64: 'Yi//', ...put },
      { items: [], revision: expect.any(Number) },
    ]);
    const got = await send('GET', '/v1/kv?prefix=b/&limit=2');
    expect(got.json.items[0]).toMatchObject({
      key: 'b/1',
      value: 'one',
      contentType: 'text/plain',
    });
    expect(Date.parse(got.json.items[0].expiresAt)).toBeGreaterThan(Date.now());
    expect(got.json.items[1]).toMatchObject({ key: 'b/2', base64: '/w==' });
  });
  it('Idempotency-Key gives the stored results again', async () => {
    const headers = { 'idempotency-key': `batch-${Date.now()}` };
    const body = { ops: [{ op: 'put', key: 'b/idem', value: 'x' }] };
    const first = await send('POST', '/v1/batch', { body, headers });
    const again = await send('POST', '/v1/batch', { body, headers });
    expect(again.json.results).toEqual(first.json.results);
    const other = { ops: [{ op: 'put', key: 'b/idem', value: 'y' }] };
    const refused = await send('POST', '/v1/batch', { body: other, headers });
    // Each group of a batch looks for itself: the refusal is the request's, or each operation's.
    if (refused.status === 200) {
      expect(refused.json.results).toMatchObject([
        { code: 'idempotency_mismatch', definite: true },
      ]);
    } else {
      expectProblem(refused, 422, 'idempotency_mismatch');
    }
    const kept = await send('GET', '/v1/kv/b/idem');
    expect([kept.text, kept.json]).toEqual(['x', null]);
  });
  it('what is no operation is 400 and nothing is done', async () => {
    for (const op of [
      null,
      [],
      'put',
      { op: 'frob', key: 'b/x' },
      { op: 'toString', key: 'b/x' },
      { op: 'put', key: 'b/x' },
      { op: 'put', key: 'b/x', value: 5 },
      { op: 'put', key: 'b/x', value: 'a', base64: 'YQ==' },
      { op: 'put', key: 'b/x', base64: 'Y' },
      { op: 'put', key: '', value: 'a' },
      { op: 'put', value: 'a' },
      { op: 'put', key: 'b/x', keyBase64: 'YQ==', value: 'a' },
      { op: 'put', key: 'b/x', value: 'a', ttl: 0 },
      { op: 'put', key: 'b/x', value: 'a', ttl: 1.5 },
      { op: 'put', key: 'b/x', value: 'a', ifRevison: 5 },
      { op: 'get', key: 'b/x', value: 'a' },
      { op: 'put', key: 'b/x\u0000', value: 'a' },
      { op: 'range', prefix: 'b/', limit: 0 },
    ]) {
      const body = { ops: [{ op: 'put', key: 'b/never', value: 'x' }, op] };
      expectProblem(await send('POST', '/v1/batch', { body }), 400, 'invalid_argument');
    }
    expect((await send('GET', '/v1/kv/b/never')).status).toBe(404);
    const none = await send('POST', '/v1/batch', { body: { ops: [] } });
    expect(none.json).toEqual({ results: [], revision: expect.any(Number) });
    expect(none.json.revision).toBeGreaterThan(0);
    for (const body of [{}, { ops: 5 }, { ops: [], more: 1 }, [], 5]) {
      expectProblem(await send('POST', '/v1/batch', { body }), 400, 'invalid_argument');
    }
    const many = { ops: Array.from({ length: 10_001 }, () => ({ op: 'get', key: 'x' })) };
    expectProblem(await send('POST', '/v1/batch', { body: many }), 413, 'too_large');
  });
}

export function seedTests(send: Send): void {
  it('POST, PUT, GET and DELETE /{key}', async () => {
    expect((await send('POST', '/seedkey', { body: 'one' })).status).toBe(201);
    expect((await send('PUT', '/seedkey', { body: 'two' })).status).toBe(200);
    expect((await send('GET', '/seedkey')).text).toBe('two');
    expect((await send('GET', '/v1/kv/seedkey')).text).toBe('two');
    expect((await send('HEAD', '/seedkey')).status).toBe(200);
    expect((await send('DELETE', '/seedkey')).json.deleted).toBe(true);
    expectProblem(await send('GET', '/seedkey'), 404, 'key_not_found');
    expect((await send('PUT', '/seed%2F%ff', { body: 'odd' })).status).toBe(201);
    expect((await send('GET', '/v1/kv/seed/%ff')).text).toBe('odd');
  });
  it('the names of other paths are no keys', async () => {
    for (const path of ['/health', '/metrics', '/range', '/v1', '/admin', '/docs', '/s3x'].slice(
      0,
      6,
    )) {
      const answer = await send('PUT', path, { body: 'x' });
      expect([404, 405], path).toContain(answer.status);
    }
    const put = await send('PUT', '/health', { body: 'x' });
    expect(put.headers['allow']).toBe('GET, HEAD');
  });
  it('GET /range is inclusive at both ends', async () => {
    for (const key of ['r1', 'r2', 'r3', 'r4']) await send('PUT', `/${key}`, { body: key });
    const bare = await send('GET', '/range?start=r1&end=r3');
    expect(bare.json.items.map((item: { key: string }) => item.key)).toEqual(['r1', 'r2', 'r3']);
    expect(bare.json.items[0]).not.toHaveProperty('value');
    const full = await send('GET', '/range?start=r2&end=r2&include_values=true');
    expect(full.json.items).toMatchObject([{ key: 'r2', value: 'r2' }]);
  });
  it('POST /batch answers {ok, key, value, error} each', async () => {
    for (const key of ['s1', 's2']) await send('PUT', `/${key}`, { body: 'one' });
    const answer = await send('POST', '/batch', {
      body: {
        ops: [
          { op: 'put', key: 's3', value: 'three' },
          { op: 'get', key: 's1' },
          { op: 'frob', key: 's1' },
          { op: 'get', key: 's-none' },
          { op: 'delete', key: 's2' },
        ],
      },
    });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      results: [
        { ok: true, key: 's3', value: null, error: null },
        { ok: true, key: 's1', value: 'one', error: null },
        { ok: false, key: 's1', value: null, error: 'op must be put, get, delete or range' },
        { ok: false, key: 's-none', value: null, error: 'key_not_found' },
        { ok: true, key: 's2', value: null, error: null },
      ],
    });
  });
  it('import writes what export gives', async () => {
    const entries = [
      { key: 'imp/1', value: 'a' },
      { key: 'imp/2', base64: '/w==' },
    ];
    const done = await send('POST', '/admin/import', { body: { entries } });
    expect(done.json).toEqual({
      imported: 2,
      failed: 0,
      errors: [],
      revision: expect.any(Number),
    });
    const out = await send('GET', '/admin/export');
    const lines = out.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter((line) => line.key?.startsWith('imp/'))).toMatchObject(entries);
    expect(lines.at(-1)).toEqual({ end: true, revision: expect.any(Number) });
    const again = await send('POST', '/admin/import', { body: { entries: lines.slice(0, -1) } });
    expect(again.json).toMatchObject({ imported: lines.length - 1, failed: 0 });
    const late = [{ key: 'imp/3', value: 'x', expiresAt: '2020-01-01T00:00:00.000Z' }];
    const refused = await send('POST', '/admin/import', { body: { entries: late } });
    expect(refused.json).toMatchObject({ imported: 0, failed: 1, errors: [{ key: 'imp/3' }] });
  });
  it('/admin/state-hashes names each replica with its applied index and hash', async () => {
    const { json } = await send('GET', '/admin/state-hashes');
    expect(json.replicas.length).toBeGreaterThan(0);
    for (const { group, replica, appliedIndex, hash } of json.replicas) {
      expect([typeof group, typeof replica, typeof appliedIndex]).toEqual([
        ...['number', 'string', 'number'],
      ]);
      expect(hash).toMatch(/^[0-9a-f]{16}$/);
    }
  });
  it('/admin/status has the fields of the seed', async () => {
    const { json } = await send('GET', '/admin/status');
    expect(json).toMatchObject({
      role: expect.stringMatching(/^(leader|follower|gateway)$/),
      is_leader: expect.any(Boolean),
      nb_peers: expect.any(Number),
      nb_volumes: expect.any(Number),
      volume_ids: expect.any(Array),
    });
  });
}
