import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import { startGuardedServer } from '../../kit/guarded-server.ts';
import { testIo } from './fake-io.ts';

let server: Awaited<ReturnType<typeof startGuardedServer>>;
beforeEach(async () => {
  server = await startGuardedServer();
});
afterEach(() => server.stop());

async function run(args: string[], stdin?: string) {
  const env = { MINIKV_API_KEY: server.admin, MINIKV_ENDPOINT: server.url };
  const io = testIo({ env, ...(stdin === undefined ? {} : { stdin }) });
  const compose = async () => Promise.reject(new Error('not asked for'));
  const code = await runProgram(['roles', ...args], io, { version: '0', compose });
  return { code, ...io.written };
}

it('roles are made from flags, printed and deleted', async () => {
  const made = await run([
    ...['put', 'app', '--allow', 'data:*,lease:read', '--keys', 'app/', '--keys', 'shared/'],
    ...[
      '--bucket',
      'logs/2026/',
      '--bucket',
      'own',
      '--buckets',
      'team-',
      '--description',
      'an app',
    ],
  ]);
  expect(made).toMatchObject({ code: 0, err: '' });
  const shown = await run(['show', 'app']);
  expect(JSON.parse(shown.out)).toMatchObject({
    ...{ name: 'app', builtIn: false, description: 'an app' },
    rules: [
      {
        ...{ effect: 'allow', actions: ['data:*', 'lease:read'] },
        resources: [
          ...[{ keys: 'app/' }, { keys: 'shared/' }],
          ...[{ bucket: 'logs', objects: '2026/' }, { bucket: 'own' }, { buckets: 'team-' }],
        ],
      },
    ],
  });
  const { out } = await run(['list']);
  expect(out).toMatch(/^admin {2}\(built in\)/m);
  expect(out).toMatch(/^app {2}an app$/m);
  expect(await run(['delete', 'app'])).toMatchObject({ code: 0, out: 'deleted app\n' });
  expect((await run(['show', 'app'])).code).toBe(1);
});

it('roles are made from a file, or from standard input', async () => {
  const rules = [{ effect: 'deny', actions: ['data:write'], resources: [{ keys: 'a/' }] }];
  const folder = await mkdtemp(join(tmpdir(), 'minikv-roles-'));
  try {
    const file = join(folder, 'role.json');
    await writeFile(file, JSON.stringify({ rules }, null, 2));
    expect((await run(['put', 'one', '--file', file])).code).toBe(0);
    expect((await run(['put', 'one', '--file', join(folder, 'none')])).code).toBe(1);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect((await run(['put', 'two', '--file', '-'], JSON.stringify({ rules }))).code).toBe(0);
  for (const name of ['one', 'two']) {
    expect(JSON.parse((await run(['show', name])).out)).toMatchObject({ rules });
  }
});

it.each([
  [['put', 'app']],
  [['put', 'app', '--allow', 'data:*']],
  [['put', 'app', '--keys', 'a/']],
  [['put', 'app', '--file', 'x', '--allow', 'data:*']],
  [['put', 'app', '--file', 'x', '--keys', 'a/']],
])('%j is not understood', async (args) => {
  expect((await run(args)).code).toBe(2);
});
