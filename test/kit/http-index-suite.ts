import { expect, it } from 'vitest';
import { expectProblem, type Send } from './http-expect.ts';
import type { Answer } from './raw-http.ts';
import { sleep } from './wait.ts';

const JSON_BODY = { 'content-type': 'application/json' };

/** Secondary indexes over HTTP, against any node. */
export function indexTests(send: Send): void {
  const define = (index: unknown) =>
    send('POST', '/v1/indexes', { headers: JSON_BODY, body: JSON.stringify(index) });
  const put = (key: string, value: unknown) =>
    send('PUT', `/v1/kv/${key}`, { body: JSON.stringify(value) });
  const query = (name: string, rest: string) => send('GET', `/v1/indexes/${name}/query?${rest}`);
  const keysOf = (answer: Answer): string[] => {
    expect([answer.status, answer.text]).toEqual([200, expect.anything()]);
    return answer.json.items.map((item: { key: string }) => item.key);
  };
  async function live(name: string): Promise<void> {
    for (let i = 0; i < 200; i++) {
      const { json } = await send('GET', `/v1/indexes/${name}`);
      if (json.state === 'live') return;
      await sleep(50);
    }
    throw new Error(`${name} does not go live`);
  }

  it('is defined on what is there, goes live, and answers in order', async () => {
    await put('ix/a', { city: 'Oslo', people: 700, tags: ['sea', 'north'] });
    await put('ix/b', { city: 'Bern', people: 130, tags: ['hills'] });
    await put('ix/c', { city: 'Wien', people: 1900, tags: ['river', 'hills'] });
    await put('ix/d', 'no object');
    const fields = [{ path: '/people', type: 'number' }];
    const answer = await define({ name: 'by-people', prefix: 'ix/', fields });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({ name: 'by-people', prefix: 'ix/', fields, unique: false });
    await define({ name: 'by-tag', prefix: 'ix/', fields: ['/tags', '/city'], sparse: true });
    await live('by-people');
    await live('by-tag');
    const all = await query('by-people', '');
    expect(keysOf(all)).toEqual(['ix/d', 'ix/b', 'ix/a', 'ix/c']);
    expect(all.json.items[1].entry).toEqual([130]);
    expect(JSON.parse(all.json.items[1].value)).toMatchObject({ city: 'Bern' });
    expect(keysOf(await query('by-people', 'order=desc&limit=2'))).toEqual(['ix/c', 'ix/a']);
    expect(keysOf(await query('by-people', 'gt=130&lt=1900'))).toEqual(['ix/a']);
    expect(keysOf(await query('by-people', 'gte=130&lte=1900'))).toEqual(['ix/b', 'ix/a', 'ix/c']);
    expect(keysOf(await query('by-people', 'eq=700'))).toEqual(['ix/a']);
    expect(keysOf(await query('by-people', 'eq=[null]'))).toEqual(['ix/d']);
    expect(keysOf(await query('by-tag', 'eq=hills'))).toEqual(['ix/b', 'ix/c']);
    expect(keysOf(await query('by-tag', 'eq=hills&prefix=W'))).toEqual(['ix/c']);
    expect(keysOf(await query('by-tag', 'eq=["hills","Bern"]'))).toEqual(['ix/b']);
    expect(keysOf(await query('by-tag', 'prefix=r'))).toEqual(['ix/c']);
    const { json } = await send('GET', '/v1/indexes/by-tag');
    expect(json.progress).toMatchObject({ groups: json.progress.groupsBuilt });
    const list = await send('GET', '/v1/indexes');
    expect(list.json.indexes.map(({ name }: { name: string }) => name)).toEqual([
      'by-people',
      'by-tag',
    ]);
  });

  it('follows every write, and shows the past at a past revision', async () => {
    const before = (await query('by-people', '')).json.revision;
    await put('ix/a', { city: 'Oslo', people: 1 });
    await send('DELETE', '/v1/kv/ix/b');
    expect(keysOf(await query('by-people', ''))).toEqual(['ix/d', 'ix/a', 'ix/c']);
    expect(keysOf(await query('by-people', `revision=${before}`))).toEqual([
      ...['ix/d', 'ix/b', 'ix/a', 'ix/c'],
    ]);
    expectProblem(await query('by-people', 'revision=1'), 410, 'compacted');
  });

  it('pages at one revision; explain tells what was looked at', async () => {
    const seen: string[] = [];
    let path = 'values=false&limit=1&explain=true';
    const first = await query('by-people', path);
    await put('ix/e', { people: 5 });
    for (let page = first; ; page = await query('by-people', path)) {
      seen.push(...keysOf(page));
      expect(page.json.revision).toBe(first.json.revision);
      expect(page.json.explain).toMatchObject({ index: 'by-people', groups: expect.anything() });
      expect(page.json.items[0]).not.toHaveProperty('value');
      if (page.json.cursor === undefined) break;
      path = `values=false&limit=1&explain=true&cursor=${page.json.cursor}`;
    }
    expect(seen).toEqual(['ix/d', 'ix/a', 'ix/c']);
    const { cursor } = first.json;
    expectProblem(await query('by-people', `cursor=${cursor}&eq=1`), 400, 'invalid_argument');
    expectProblem(await query('by-people', 'cursor=abc'), 400, 'invalid_argument');
  });

  it('refuses what makes no sense, and says what there is not', async () => {
    for (const index of [
      { name: 'x' },
      { name: '', fields: ['/a'] },
      { name: 'x', fields: ['a'] },
      { name: 'x', fields: [{ path: '/a', type: 'date' }] },
      { name: 'x', fields: ['/a'], sprase: true },
    ]) {
      expectProblem(await define(index), 400, 'invalid_argument');
    }
    expectProblem(await define({ name: 'x', kind: 'text', unique: true }), 400, 'invalid_argument');
    expectProblem(await define({ name: 'by-tag', fields: ['/other'] }), 409, 'conflict');
    expectProblem(await query('none', ''), 404, 'not_found');
    expectProblem(await query('by-people', 'eq=many'), 400, 'invalid_argument');
    expectProblem(await query('by-people', 'eq=1&gt=2'), 400, 'invalid_argument');
    expectProblem(await query('by-people', 'prefix=a'), 400, 'invalid_argument');
    expectProblem(await query('by-tag', 'gt=a&gte=b'), 400, 'invalid_argument');
    expectProblem(await query('by-tag', `eq=${'x'.repeat(300)}`), 413, 'too_large');
    expectProblem(await query('by-tag', 'eq=%ff'), 400, 'invalid_argument');
  });

  it('is dropped, and its name is free again', async () => {
    expect((await send('DELETE', '/v1/indexes/by-people')).json).toEqual({ dropped: true });
    expect((await send('DELETE', '/v1/indexes/by-people')).json).toEqual({ dropped: false });
    expectProblem(await query('by-people', ''), 404, 'not_found');
    await define({ name: 'by-people', prefix: 'ix/', fields: ['/city'], sparse: true });
    await live('by-people');
    expect(keysOf(await query('by-people', 'eq=Wien'))).toEqual(['ix/c']);
    await send('DELETE', '/v1/indexes/by-people');
    await send('DELETE', '/v1/indexes/by-tag');
  });
}

/** Search over HTTP, against any node. */
export function searchTests(send: Send): void {
  const search = (rest: string) => send('GET', `/v1/search?${rest}`);

  it('without a text index over the keys it is refused, never a scan', async () => {
    expectProblem(await search('q=needle'), 404, 'not_found');
    expectProblem(await send('GET', '/search?value=needle'), 404, 'not_found');
  });

  it('finds text inside values, by bytes, in key order, page by page', async () => {
    await send('PUT', '/v1/kv/tx/b', { body: 'a haystack with a needle in it' });
    await send('PUT', '/v1/kv/tx/a', { body: '{"text":"näedle, needles"}' });
    const index = JSON.stringify({ name: 'text', kind: 'text', prefix: 'tx/' });
    expect((await send('POST', '/v1/indexes', { headers: JSON_BODY, body: index })).status).toBe(
      201,
    );
    for (let i = 0; i < 200; i++) {
      if ((await send('GET', '/v1/indexes/text')).json.state === 'live') break;
      await sleep(50);
    }
    await send('PUT', '/v1/kv/tx/c', { body: 'needle needle' });
    await send('PUT', '/v1/kv/tx/d', { body: 'Needle' });
    const keysOf = (answer: Answer): string[] =>
      answer.json.items.map((item: { key: string }) => item.key);
    const all = await search('q=needle&prefix=tx/&values=true&explain=true');
    expect(keysOf(all)).toEqual(['tx/a', 'tx/b', 'tx/c']);
    expect(all.json.items[2].value).toBe('needle needle');
    expect(all.json.explain).toMatchObject({ index: 'text' });
    expect(keysOf(await search('q=n%C3%A4ed&prefix=tx/'))).toEqual(['tx/a']);
    expect(keysOf(await search('q=needle&prefix=tx/b'))).toEqual(['tx/b']);
    const first = await search('q=needle&prefix=tx/&limit=2');
    expect([keysOf(first), first.json.items[0]]).toEqual([
      ['tx/a', 'tx/b'],
      expect.not.objectContaining({ value: expect.anything() }),
    ]);
    await send('PUT', '/v1/kv/tx/b', { body: 'hay' });
    await send('DELETE', '/v1/kv/tx/c');
    const next = await search(`q=needle&prefix=tx/&limit=2&cursor=${first.json.cursor}`);
    expect([keysOf(next), next.json.revision]).toEqual([['tx/c'], first.json.revision]);
    expect(next.json).not.toHaveProperty('cursor');
    expect(keysOf(await search('q=needle&prefix=tx/'))).toEqual(['tx/a']);
    expectProblem(await search('q=ne&prefix=tx/'), 400, 'invalid_argument');
    expectProblem(await search('q=needle'), 404, 'not_found');
  });

  it("the seed's path asks all keys at once", async () => {
    const index = JSON.stringify({ name: 'all-text', kind: 'text' });
    await send('POST', '/v1/indexes', { headers: JSON_BODY, body: index });
    for (let i = 0; i < 200; i++) {
      if ((await send('GET', '/v1/indexes/all-text')).json.state === 'live') break;
      await sleep(50);
    }
    await send('PUT', '/v1/kv/tz', { body: 'one more needles' });
    const { json } = await send('GET', '/search?value=needles');
    expect(json).toEqual({
      ...{ query: 'needles', matching_keys: ['tx/a', 'tz'], total_matches: 2 },
    });
    for (const name of ['text', 'all-text']) await send('DELETE', `/v1/indexes/${name}`);
  });
}

/** Unique indexes over HTTP, against a node that keeps them. */
export function uniqueTests(send: Send): void {
  const json = (value: unknown) => ({ headers: JSON_BODY, body: JSON.stringify(value) });
  const put = (key: string, value: unknown) =>
    send('PUT', `/v1/kv/${key}`, { body: JSON.stringify(value) });
  async function settled(name: string): Promise<Answer> {
    for (let i = 0; i < 200; i++) {
      const answer = await send('GET', `/v1/indexes/${name}`);
      if (['live', 'failed'].includes(answer.json.state)) return answer;
      await sleep(50);
    }
    throw new Error(`${name} is not built`);
  }
  const duplicate = { status: 409, code: 'duplicate', definite: true, index: 'by-mail' };

  it('refuses a value that another key has, in puts, batches and transactions', async () => {
    await put('un/1', { mail: 'ada@x', name: 'Ada' });
    const body = { name: 'by-mail', prefix: 'un/', fields: ['/mail'], unique: true };
    expect((await send('POST', '/v1/indexes', json(body))).json).toMatchObject({ unique: true });
    expect((await settled('by-mail')).json.state).toBe('live');
    const refused = await put('un/2', { mail: 'ada@x' });
    expectProblem(refused, 409, 'duplicate');
    const known = { value: 'ada@x', key: 'un/2', holder: 'un/1' };
    expect(refused.json).toMatchObject({ ...duplicate, ...known });
    expect((await send('GET', '/v1/kv/un/2')).status).toBe(404);
    expect((await put('un/1', { mail: 'ada@x', name: 'Ada L.' })).status).toBe(200);
    const doc = (mail: string) => JSON.stringify({ mail });
    const ops = [
      { op: 'put', key: 'un/3', value: doc('bob@x') },
      { op: 'put', key: 'un/4', value: doc('ada@x') },
    ];
    const { results } = (await send('POST', '/v1/batch', json({ ops }))).json;
    expect(results[0]).toMatchObject({ key: 'un/3', version: 1 });
    expect(results[1]).toMatchObject({ code: 'duplicate', key: 'un/4', holder: 'un/1' });
    const taken = [{ op: 'put', key: 'un/5', value: doc('bob@x') }];
    const failed = await send('POST', '/v1/txn', json({ then: taken }));
    expect(failed.json).toMatchObject({ ...duplicate, value: 'bob@x', holder: 'un/3' });
    const swap = [
      { op: 'put', key: 'un/1', value: doc('bob@x') },
      { op: 'put', key: 'un/3', value: doc('ada@x') },
    ];
    expect((await send('POST', '/v1/txn', json({ then: swap }))).status).toBe(200);
    await send('DELETE', '/v1/kv/un/1');
    expect((await put('un/6', { mail: 'bob@x' })).status).toBe(201);
  });

  it('says which keys are in the way of one that cannot be built, and enforces nothing then', async () => {
    await put('tw/1', { mail: 'same' });
    await put('tw/2', { mail: 'same' });
    await send('POST', '/v1/indexes', {
      ...json({ name: 'twice', prefix: 'tw/', fields: ['/mail'], unique: true }),
    });
    const { json: failed } = await settled('twice');
    expect(failed).toMatchObject({ state: 'failed', failure: { value: 'same' } });
    const keys = failed.failure.keys.map(({ key }: { key: string }) => key);
    expect(keys.sort()).toEqual(['tw/1', 'tw/2']);
    expectProblem(await send('GET', '/v1/indexes/twice/query'), 409, 'conflict');
    expect((await put('tw/3', { mail: 'same' })).status).toBe(201);
    for (const name of ['twice', 'by-mail']) await send('DELETE', `/v1/indexes/${name}`);
    expect((await put('un/7', { mail: 'ada@x' })).status).toBe(201);
  });
}
