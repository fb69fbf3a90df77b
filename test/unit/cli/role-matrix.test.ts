import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../../cli/program.ts';
import { RootKeys } from '../../../gateways/encryption/root-keys.ts';
import type { Action } from '../../../gateways/identity/decision.ts';
import { S3Users } from '../../../gateways/identity/s3-users.ts';
import { seededRandom } from '../../../protocol/random.ts';
import {
  type Credentials,
  credentialsOfEverybody,
  EVERYBODY,
  type Said,
} from '../../kit/everybody.ts';
import { startGuardedServer } from '../../kit/guarded-server.ts';
import { ModelService } from '../../kit/model-service.ts';
import { REAL_CLOCK } from '../../kit/real-clock.ts';
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

/** They go on asking nodes for a while. */
const CARE = ['verify', 'repair', 'compact', 'data-keys'];

let server: Awaited<ReturnType<typeof startGuardedServer>>;
const credentials = new Map<string, Credentials>();
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
  const shown = (...args: string[]): Run => ({ args, needs: ['identity:read'], prefix: null });
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
    shown('keys', 'list'),
    shown('keys', 'list', '--s3'),
    shown('keys', 'users'),
    shown('keys', 'show', id),
    own('keys', 'create', 'one'),
    own('keys', 'create', 'one', '--s3'),
    own('keys', 'revoke', id),
    own('keys', 'delete', id),
    own('keys', 'disable', 'somebody'),
    own('keys', 'enable', 'somebody'),
    own('keys', 'change-user', 'somebody', '--role', 'admin'),
    own('keys', 'delete-user', 'somebody'),
    seen('roles', 'list'),
    seen('roles', 'show', 'app'),
    admin('roles', 'put', 'another', '--allow', '*', '--keys', ''),
    admin('roles', 'delete', 'none'),
    seen('limits', 'list'),
    seen('limits', 'show', 'default'),
    admin('limits', 'set', 'default', '--requests', '1000'),
    admin('limits', 'delete', 'default'),
    { args: ['quotas', 'list'], needs: ['identity:read'], prefix: null },
    { args: ['quotas', 'show', 'tenant:default'], needs: ['identity:read'], prefix: null },
    admin('quotas', 'set', 'tenant:default', '--keys', '10'),
    admin('quotas', 'delete', 'tenant:default'),
    seen('tenants', 'list'),
    seen('tenants', 'show', 'none'),
    admin('tenants', 'create', 'one'),
    admin('tenants', 'suspend', 'none'),
    admin('tenants', 'resume', 'none'),
    admin('tenants', 'delete', 'none'),
    // What each node then says of it is told by node; gateways/identity/matrix.test.ts asks their routes.
    ...['verify', 'repair', 'compact', 'data-keys show', 'data-keys rotate'].map(ofNodes),
    ofNodes('data-keys reload-root-key'),
  ];
}

function ofNodes(command: string): Run {
  return { args: command.split(' '), needs: ['status:read'], prefix: null };
}

async function run({ authorization }: Credentials, args: readonly string[], stdin?: string) {
  const env = {
    MINIKV_ENDPOINT: server.url,
    // What it sends is this, behind `Bearer`.
    ...(authorization === undefined ? {} : { MINIKV_API_KEY: authorization.split(' ')[1] ?? '' }),
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
  const service = new ModelService();
  const parts = { identities: service.identities, random: seededRandom(1), clock: REAL_CLOCK };
  const s3Users = new S3Users({ ...parts, roots: new RootKeys([new Uint8Array(32)]) });
  server = await startGuardedServer(() => null, { s3Users }, service);
  const all = await credentialsOfEverybody(server);
  for (const [who, shown] of all) credentials.set(who, shown);
  const rules = [{ effect: 'allow' as const, ...PREFIX_ROLE }];
  await server.roles.put(CTX, 'app', { description: '', rules });
  credentials.set('app', { authorization: `Bearer ${await server.make('app')}` });
  const admin = all.get('admin') as Credentials;
  // A watch with what is there ends only where something is.
  for (const who of ['admin', 'read_write of acme'] as const) {
    for (const name of ['in/k', 'out/k']) await run(all.get(who) ?? {}, ['put', name, 'v']);
  }
  await run(admin, ['index', 'define', 'all', '/n']);
  await run(admin, ['index', 'define', 'words', '--text']);
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

type Who = keyof typeof EVERYBODY | 'app';
/** The command line has no other way to say who it is: it always sends a bearer. */
const WHO = [...Object.keys(EVERYBODY).filter((who) => who !== 'basic'), 'app'] as Who[];

function saidTo(who: Who, { needs, prefix }: Run): Said {
  if (who === 'app') {
    const isOfData = needs.every((need) => /^(?:data|lease):/.test(need));
    return isOfData && prefix?.startsWith('in/') === true ? 'served' : 'forbidden';
  }
  const all = needs.map((need): Said => EVERYBODY[who](need));
  return all.find((said) => said !== 'served') ?? 'served';
}

describe.each(WHO)('%s', (who) => {
  it('is told why where a command is not allowed', { timeout: 120_000 }, async () => {
    const shown = credentials.get(who) as Credentials;
    const running = runs().map((one) => ({
      one,
      begun: CARE.includes(one.args[0] ?? '') ? run(shown, one.args) : null,
    }));
    for (const { one, begun } of running) {
      const { args, stdin } = one;
      const { code, refusal, err } = await (begun ?? run(shown, args, stdin));
      const cell = `${who}: minikv ${args.join(' ')}: ${code} ${err}`;
      const said = saidTo(who, one);
      if (said === 'served') expect(['unauthenticated', 'forbidden'], cell).not.toContain(refusal);
      else expect([code, refusal], cell).toEqual([1, said]);
    }
  });
});
