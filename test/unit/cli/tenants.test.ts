import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import { startGuardedServer } from '../../kit/guarded-server.ts';
import { testIo } from './fake-io.ts';

/** `minikv tenants`, and keys of tenants. */

let server: Awaited<ReturnType<typeof startGuardedServer>>;
beforeAll(async () => {
  server = await startGuardedServer();
});
afterAll(() => server.stop());

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return runAs(server.admin, ...args);
}

async function runAs(key: string, ...args: string[]) {
  const io = testIo({ env: { MINIKV_API_KEY: key, MINIKV_ENDPOINT: server.url } });
  const compose = async () => Promise.reject(new Error('not asked for'));
  const code = await runProgram(args, io, { version: '0', compose });
  return { code, ...io.written };
}

it('makes, lists, shows, suspends, resumes and ends tenants', async () => {
  expect(await run('tenants', 'create', 'acme')).toMatchObject({ code: 0, out: 'acme  active\n' });
  expect((await run('tenants', 'create', 'acme')).code).toBe(1);
  expect((await run('tenants', 'list')).out).toBe('acme  active\n');
  expect((await run('tenants', 'suspend', 'acme')).out).toBe('acme  suspended\n');
  expect((await run('tenants', 'resume', 'acme')).out).toBe('acme  active\n');
  const shown = JSON.parse((await run('tenants', 'show', 'acme', '--json')).out) as object;
  expect(shown).toMatchObject({ name: 'acme', state: 'active', deletion: null });
  expect((await run('tenants', 'delete', 'acme')).out).toMatch(
    /^acme {2}deleting since \S+ {2}gone: credentials 0, leases 0, indexes 0, keys 0, buckets 0, versions 0\n$/,
  );
  expect((await run('tenants', 'resume', 'acme')).code).toBe(1);
});

it('makes keys of a tenant, which see its keys only', async () => {
  await run('tenants', 'create', 'two');
  const made = await run('keys', 'create', 'app', '--tenant', 'two', '--role', 'admin');
  expect(made.code).toBe(0);
  const key = made.out.trim();
  expect((await run('put', 'k', 'of the cluster')).code).toBe(0);
  expect((await runAs(key, 'get', 'k')).code).toBe(1);
  expect((await runAs(key, 'put', 'k', 'of two')).code).toBe(0);
  expect((await runAs(key, 'get', 'k')).out).toBe('of two');
  expect((await run('get', 'k')).out).toBe('of the cluster');
  expect((await runAs(key, 'keys', 'list')).out).toMatch(/^\w{16} {2}admin {2}app {2}of two\n$/);
  expect((await runAs(key, 'tenants', 'list')).code).toBe(1);
});

it('says what it does not understand', async () => {
  const listed = await run('keys', 'list', '--tenant', 'two');
  expect([listed.code, listed.err]).toEqual([2, expect.stringContaining('--s3')]);
  for (const args of [['create'], ['create', 'A'], ['show', 'a/b'], ['suspend', '-'], ['what']]) {
    expect((await run('tenants', ...args)).code, args.join(' ')).toBe(2);
  }
});
