import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import type { Action } from '../../../gateways/identity/decision.ts';
import { startGuardedServer } from '../../kit/guarded-server.ts';
import { testIo } from './fake-io.ts';

/** Every command that talks to a node, by everybody: it is done, or it says why not. */

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const PREFIX_ROLE = { actions: ['data:*', 'lease:*'], resources: [{ keys: 'in/' }] } as const;

interface Run {
  readonly args: readonly string[];
  readonly stdin?: string;
  /** What it does, and to the keys with which prefix; null: to none. */
  readonly needs: readonly Action[];
  readonly prefix: string | null;
}

const READS: readonly Action[] = [
  ...(['data:read', 'data:watch', 'lease:read', 'index:read', 'status:read'] as const),
];
const WRITES: readonly Action[] = [...READS, 'data:write', 'lease:write'];
const OF_BUILT_IN: Readonly<Record<string, (action: Action) => boolean>> = {
  admin: () => true,
  read_write: (action) => WRITES.includes(action),
  read_only: (action) => READS.includes(action),
};

let server: Awaited<ReturnType<typeof startGuardedServer>>;
const keys = new Map<string, string>();
let lease = 0;

function runs(): readonly Run[] {
  const ofData: Run[] = ['in/', 'out/'].flatMap((prefix) => {
    const [read, write]: [Action[], Action[]] = [['data:read'], ['data:write']];
    const record = JSON.stringify({ key: `${prefix}imported`, value: 'v' });
    const then = [{ op: 'put', key: `${prefix}t`, value: 'v' }];
    return [
      { args: ['put', `${prefix}k`, 'v'], needs: write, prefix },
      { args: ['get', `${prefix}k`], needs: read, prefix },
      { args: ['ls', prefix], needs: read, prefix },
      { args: ['scan', prefix], needs: read, prefix },
      { args: ['export', prefix], needs: read, prefix },
      {
        args: ['watch', prefix, '--count', '1', '--initial'],
        needs: ['data:watch', 'data:read'],
        prefix,
      },
      { args: ['txn'], stdin: JSON.stringify({ then }), needs: write, prefix },
      { args: ['import', '--format', 'ndjson'], stdin: `${record}\n`, needs: write, prefix },
      { args: ['search', 'abc', '--prefix', prefix], needs: read, prefix },
      { args: ['lock', `${prefix}l`], needs: ['lease:read'], prefix: '_locks/' },
      { args: ['del', `${prefix}gone`], needs: write, prefix },
    ];
  });
  const admin = (...args: string[]): Run => ({ args, needs: ['admin:write'], prefix: null });
  const own = (...args: string[]): Run => ({ args, needs: ['identity:write'], prefix: null });
  const seen = (...args: string[]): Run => ({ args, needs: ['admin:read'], prefix: null });
  const id = 'a'.repeat(16);
  return [
    ...ofData,
    { args: ['ls'], needs: ['data:read'], prefix: '' },
    { args: ['export'], needs: ['data:read'], prefix: '' },
    { args: ['lock'], needs: ['lease:read'], prefix: '_locks/' },
    { args: ['lease', 'grant', '60'], needs: ['lease:write'], prefix: 'in/' },
    { args: ['lease', 'show', String(lease)], needs: ['lease:read'], prefix: 'in/' },
    { args: ['lease', 'list'], needs: ['lease:read'], prefix: '' },
    { args: ['index', 'list'], needs: ['index:read'], prefix: null },
    { args: ['index', 'show', 'all'], needs: ['index:read'], prefix: null },
    { args: ['index', 'define', 'one', '/n'], needs: ['index:write'], prefix: null },
    { args: ['index', 'drop', 'none'], needs: ['index:write'], prefix: null },
    { args: ['index', 'pause', 'all'], needs: ['index:write'], prefix: null },
    { args: ['index', 'resume', 'all'], needs: ['index:write'], prefix: null },
    { args: ['index', 'query', 'all', '--eq', '1'], needs: ['data:read'], prefix: '' },
    { args: ['status'], needs: ['status:read'], prefix: null },
    { args: ['members'], needs: ['status:read'], prefix: null },
    seen('usage'),
    seen('audit', 'show'),
    { args: ['keys', 'list'], needs: ['identity:read'], prefix: null },
    seen('keys', 'list', '--s3'),
    seen('keys', 'users'),
    { args: ['keys', 'show', id], needs: ['identity:read'], prefix: null },
    own('keys', 'create', 'one'),
    admin('keys', 'create', 'one', '--s3'),
    own('keys', 'revoke', id),
    own('keys', 'delete', id),
    admin('keys', 'disable', 'somebody'),
    admin('keys', 'enable', 'somebody'),
    admin('keys', 'change-user', 'somebody', '--role', 'admin'),
    admin('keys', 'delete-user', 'somebody'),
    seen('roles', 'list'),
    seen('roles', 'show', 'app'),
    admin('roles', 'put', 'another', '--allow', '*', '--keys', ''),
    admin('roles', 'delete', 'none'),
    seen('limits', 'list'),
    seen('limits', 'show', 'default'),
    admin('limits', 'set', 'default', '--requests', '1000'),
    admin('limits', 'delete', 'default'),
    seen('tenants', 'list'),
    seen('tenants', 'show', 'none'),
    admin('tenants', 'create', 'one'),
    admin('tenants', 'suspend', 'none'),
    admin('tenants', 'resume', 'none'),
    admin('tenants', 'delete', 'none'),
    // What each node then says of it is told by node; gateways/identity/matrix.test.ts asks their routes.
    ...['verify', 'repair', 'compact'].map(
      (what): Run => ({ args: [what], needs: ['status:read'], prefix: null }),
    ),
  ];
}

async function run(key: string | undefined, args: readonly string[], stdin?: string) {
  const env = {
    MINIKV_ENDPOINT: server.url,
    ...(key === undefined ? {} : { MINIKV_API_KEY: key }),
  };
  const io = testIo({ env, ...(stdin === undefined ? {} : { stdin }) });
  const compose = async () => Promise.reject(new Error('not asked for'));
  const code = await runProgram([...args, '--json', '--timeout', '2'], io, {
    version: '0',
    compose,
  });
  const [, refusal] = /"code":\s*"([a-z_]+)"/.exec(io.written.err) ?? [];
  return { code, refusal: refusal ?? null, err: io.written.err };
}

beforeAll(async () => {
  server = await startGuardedServer();
  for (const role of Object.keys(OF_BUILT_IN)) keys.set(role, await server.make(role));
  const rules = [{ effect: 'allow' as const, ...PREFIX_ROLE }];
  await server.roles.put(CTX, 'app', { description: '', rules });
  keys.set('app', await server.make('app'));
  const revoked = await server.make('admin');
  await server.revoke(revoked);
  keys.set('revoked', revoked);
  keys.set('expired', await server.make('admin', 1));
  for (const name of ['in/k', 'out/k']) await run(server.admin, ['put', name, 'v']);
  await run(server.admin, ['index', 'define', 'all', '/n']);
  await run(server.admin, ['index', 'define', 'words', '--text']);
  lease = (await server.service.leases.grant(CTX, 600_000)).lease.lease;
});
afterAll(() => server.stop());

/** Of the program itself, by its help. */
async function commandsOf(...path: string[]): Promise<string[]> {
  const io = testIo();
  const compose = async () => Promise.reject(new Error('not asked for'));
  await runProgram([...path, '--help'], io, { version: '0', compose });
  const { out } = io.written;
  const [, help = ''] = out.split('Commands:');
  return [...help.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name as string);
}

/** They run here, or talk to other stores. */
const LOCAL = ['serve', 'init', 'cluster', 'mirror', 'config', 'sim', 'help'];

it('every command that talks to a node is asked', async () => {
  const asked = new Set(runs().map(({ args: [first, second] }) => `${first} ${second}`));
  const firsts = new Set(runs().map(({ args: [first] }) => first));
  const top = (await commandsOf()).filter((name) => !LOCAL.includes(name));
  expect(top.filter((name) => !firsts.has(name))).toEqual([]);
  for (const group of top) {
    const under = (await commandsOf(group)).filter((name) => name !== 'help' && name !== 'verify');
    expect(under.filter((name) => !asked.has(`${group} ${name}`))).toEqual([]);
  }
});

describe.each(['admin', 'read_write', 'read_only', 'app', 'revoked', 'expired', 'nobody'])(
  '%s',
  (who) => {
    it('is told why where a command is not allowed', { timeout: 120_000 }, async () => {
      for (const { args, stdin, needs, prefix } of runs()) {
        const { code, refusal, err } = await run(keys.get(who), args, stdin);
        const cell = `${who}: minikv ${args.join(' ')}: ${code} ${err}`;
        const builtIn = OF_BUILT_IN[who];
        if (builtIn === undefined && who !== 'app') {
          expect([code, refusal], cell).toEqual([1, 'unauthenticated']);
          continue;
        }
        const isAllowed =
          builtIn === undefined
            ? prefix?.startsWith('in/') === true &&
              !needs.some((need) => /^(?:index|status|admin|identity)/.test(need))
            : needs.every(builtIn);
        if (isAllowed) expect(['unauthenticated', 'forbidden'], cell).not.toContain(refusal);
        else expect([code, refusal], cell).toEqual([1, 'forbidden']);
      }
    });
  },
);
