import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient, type MinikvError } from '../../../client/client.ts';
import type { Item } from '../../../client/item.ts';
import { type ModelServer, startModelServer } from '../../kit/http-start.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

async function keysOf(items: AsyncIterable<Item>): Promise<string[]> {
  const keys: string[] = [];
  for await (const item of items) keys.push(item.key);
  return keys;
}

it('defines, lists, queries over pages, and drops an index', async () => {
  const kv = createClient({ endpoints: server.url });
  for (const [i, city] of ['Oslo', 'Bergen', 'Oslo', 'Oslo', '["Oslo"]'].entries()) {
    await kv.put(`people/${i}`, JSON.stringify({ city, born: 1980 + i }));
  }
  const fields = ['/city', { path: '/born', type: 'number' as const }];
  await kv.indexes.define({ name: 'by-city', prefix: 'people/', fields });
  expect((await kv.indexes.list()).map(({ name }) => name)).toContain('by-city');
  expect(await kv.indexes.get('by-city')).toMatchObject({ kind: 'fields', unique: false });
  const query = (options: Parameters<typeof kv.indexes.query>[1]) =>
    keysOf(kv.indexes.query('by-city', options));
  expect(await query({ eq: 'Oslo', pageSize: 1 })).toEqual(['people/0', 'people/2', 'people/3']);
  expect(await query({ eq: '["Oslo"]' })).toEqual(['people/4']);
  expect(await query({ eq: ['Oslo', 1982] })).toEqual(['people/2']);
  expect(await query({ eq: 'Oslo', gte: 1982, order: 'desc', limit: 1 })).toEqual(['people/3']);
  await kv.indexes.drop('by-city');
  const gone = await kv.indexes.get('by-city').catch((error: MinikvError) => error.status);
  expect(gone).toBe(404);
});

it('searches values through a text index', async () => {
  const kv = createClient({ endpoints: server.url });
  await kv.indexes.define({ name: 'text', kind: 'text' });
  await kv.put('notes/1', 'the analytical engine');
  await kv.put('notes/2', 'a difference engine');
  expect(await keysOf(kv.indexes.search('analytical'))).toEqual(['notes/1']);
  for await (const found of kv.indexes.search('difference', { values: true })) {
    expect(found.text()).toBe('a difference engine');
  }
});
