import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import { type ModelServer, startModelServer } from '../../kit/http-start.ts';
import { testIo } from './fake-io.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

/** One command line against a node: exit code and what it wrote. */
async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = testIo();
  const compose = async () => Promise.reject(new Error('not asked for'));
  const all = [...args, '--endpoint', server.url];
  const code = await runProgram(all, io, { version: '0', compose });
  return { code, ...io.written };
}

describe('minikv lease', () => {
  it('grants, keeps, shows, lists and revokes', async () => {
    const id = (await run('lease', 'grant', '30')).out.trim();
    expect(id).toMatch(/^[1-9][0-9]*$/);
    expect((await run('put', 'mine', 'x', '--lease', id)).code).toBe(0);
    expect((await run('lease', 'keep', id)).out).toContain('30 s');
    expect((await run('lease', 'show', id)).out).toMatch(/left\n {2}mine\n$/);
    expect((await run('lease', 'list')).out).toContain(id);
    const json = await run('lease', 'show', id, '--json');
    expect(JSON.parse(json.out)).toMatchObject({ id: Number(id), keys: [{ key: 'mine' }] });
    expect((await run('lease', 'revoke', id)).out).toBe('revoked, 1 keys removed\n');
    const gone = await run('lease', 'keep', id);
    expect(gone).toMatchObject({ code: 1, err: expect.stringContaining('lease_not_found') });
  });

  it('says what it does not understand', async () => {
    for (const args of [['grant'], ['grant', 'x'], ['keep'], ['keep', '-1'], ['what', '1']]) {
      expect((await run('lease', ...args)).code, args.join(' ')).toBe(2);
    }
  });
});

describe('minikv lock', () => {
  it('shows who holds a lock, and all that are held', async () => {
    const id = (await run('lease', 'grant', '30')).out.trim();
    expect((await run('lock', 'door')).out).toBe('door is free\n');
    await fetch(`${server.url}/v1/locks/door`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ lease: Number(id), value: 'me' }),
    });
    expect((await run('lock', 'door')).out).toMatch(/^door is held by lease \d+, token \d+: me\n$/);
    expect((await run('lock')).out).toContain('door is held');
    await fetch(`${server.url}/v1/locks/gate`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ lease: Number(id) }),
    });
    expect((await run('lock', 'gate')).out).toMatch(/, token \d+\n$/);
    const lines = (await run('lock', '--json')).out.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).name)).toEqual(['door', 'gate']);
  });
});
