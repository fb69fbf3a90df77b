import { afterEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import { testIo } from './fake-io.ts';
import { answerJson, type TestServer, testServer } from './test-server.ts';

let server: TestServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

/** Runs a command line against a node that gives these answers in turn. */
async function run(line: string[], answers: readonly unknown[]) {
  server = await testServer((_, response, index) =>
    answerJson(response, 200, answers[index] ?? {}),
  );
  const asked = server.seen;
  const io = testIo();
  const compose = async (): Promise<never> => {
    throw new Error('no node was asked for');
  };
  const args = [...line, '--endpoint', server.url];
  const code = await runProgram(args, io, { version: '9.9.9', compose });
  return { code, asked, ...io.written };
}

const INDEX = {
  ...{ name: 'by-city', prefix: 'users/', kind: 'fields', sparse: false, state: 'building' },
  fields: [{ path: '/city', type: 'string' }],
};

describe('minikv index', () => {
  it('defines fields with their types, or text', async () => {
    const line = ['index', 'define', 'by-city', '/city', '$.born:time', '--prefix', 'users/'];
    const { code, asked, out } = await run(line, [INDEX]);
    expect([code, out]).toEqual([0, 'by-city  building  prefix "users/"  /city:string\n']);
    expect(asked).toMatchObject([{ method: 'POST', url: '/v1/indexes' }]);
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
      ...{ name: 'by-city', prefix: 'users/', sparse: false, unique: false },
      fields: [{ path: '/city' }, { path: '$.born', type: 'time' }],
    });
    await server?.close();
    const text = await run(['index', 'define', 'words', '--text'], [INDEX]);
    expect(JSON.parse(text.asked[0]?.body ?? '')).toEqual({
      ...{ name: 'words', prefix: '', kind: 'text' },
    });
  });

  it('defines a unique index, and shows why one has failed', async () => {
    const failure = { value: 'a@b', keys: [{ key: 'u/1' }, { keyBase64: '/w==' }] };
    const failed = { ...INDEX, unique: true, state: 'failed', failure };
    const line = ['index', 'define', 'by-city', '/city', '--unique'];
    const { asked, out } = await run(line, [failed]);
    expect(JSON.parse(asked[0]?.body ?? '')).toMatchObject({ unique: true });
    const why = 'u/1 and base64:/w== have "a@b"';
    expect(out).toBe(`by-city  failed  prefix "users/"  unique /city:string: ${why}\n`);
    const text = await run(['index', 'define', 'words', '--text', '--unique'], [INDEX]);
    expect(text.code).toBe(2);
  });

  it('shows progress, and drops', async () => {
    const progress = { groups: 8, groupsBuilt: 3, keys: 500, keysThere: 900, since: 0 };
    const shown = await run(['index', 'show', 'by-city'], [{ ...INDEX, progress }]);
    expect(shown.out).toContain('building, 500 keys, 3 of 8 groups');
    await server?.close();
    const dropped = await run(['index', 'drop', 'by-city'], [{ dropped: true }]);
    expect([dropped.out, dropped.asked[0]?.method]).toEqual(['dropped by-city\n', 'DELETE']);
  });

  it('queries page after page', async () => {
    const item = (key: string) => ({ key, value: `v${key}`, revision: 5, entry: ['Oslo'] });
    const pages = [
      { items: [item('a')], cursor: 'next', revision: 5 },
      { items: [item('b')], revision: 5 },
    ];
    const line = ['index', 'query', 'by-city', '--eq', 'Oslo', '--desc', '--limit', '5'];
    const { code, out, asked } = await run(line, pages);
    expect([code, out]).toEqual([0, 'a\tva\nb\tvb\n']);
    expect(asked.map(({ url }) => url)).toEqual([
      '/v1/indexes/by-city/query?eq=Oslo&order=desc&limit=5',
      '/v1/indexes/by-city/query?eq=Oslo&order=desc&cursor=next&limit=4',
    ]);
  });

  it('wants paths or --text, not both and not neither', async () => {
    expect((await run(['index', 'define', 'x'], [])).code).toBe(2);
    await server?.close();
    expect((await run(['index', 'define', 'x', '/a', '--text'], [])).code).toBe(2);
  });
});

it('minikv search prints keys whose values hold a text', async () => {
  const items = [{ key: 'k', value: 'a needle', revision: 5 }];
  const { out, asked } = await run(['search', 'needle', '--prefix', 'k', '--json'], [{ items }]);
  expect(JSON.parse(out)).toMatchObject({ key: 'k', value: 'a needle' });
  expect(asked[0]?.url).toBe('/v1/search?q=needle&prefix=k&values=true&limit=1000');
});
