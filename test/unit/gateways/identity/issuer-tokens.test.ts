import { generateKeyPairSync } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { IssuerKeys } from '../../../../gateways/identity/issuer-keys.ts';
import {
  ISSUER_ALGORITHMS,
  type IssuerAlgorithm,
  IssuerTokens,
} from '../../../../gateways/identity/issuer-tokens.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { HandClock } from '../../../kit/hand-clock.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';

const ISSUER = 'https://who.example';
const CONFIG = {
  ...{ issuer: ISSUER, audience: 'minikv', roleClaim: 'access.roles', tenantClaim: null },
  algorithms: ['RS256', 'ES256', 'EdDSA'] as const,
};
const DAY_MS = 24 * 3_600_000;

/** An issuer that publishes its keys. */
class Issuer {
  readonly clock = new HandClock();
  readonly telemetry = recordingTelemetry();
  published: unknown = { keys: [] };
  isAway = false;
  reads = 0;
  readonly keys: IssuerKeys;
  #signing = new Map<string, { key: CryptoKeyLike; alg: string }>();

  constructor() {
    const read = async () => {
      this.reads++;
      if (this.isAway) throw new Error('nobody answers');
      return typeof this.published === 'string' ? this.published : JSON.stringify(this.published);
    };
    const parts = { clock: this.clock, telemetry: this.telemetry };
    this.keys = new IssuerKeys({ name: 'test', everyMs: 60_000, read }, parts);
  }

  tokens(
    more: Partial<ConstructorParameters<typeof IssuerTokens>[0]> = {},
    clock = this.clock as { wallMs(): number },
  ) {
    return new IssuerTokens({ ...CONFIG, ...more }, this.keys, clock);
  }

  /** Draws a key, and gives its public half. */
  async draw(kid: string, alg: IssuerAlgorithm = 'ES256'): Promise<JWK> {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    this.#signing.set(kid, { key: privateKey as CryptoKeyLike, alg });
    return { ...(await exportJWK(publicKey)), kid, alg };
  }

  sign(kid: string, claims: Record<string, unknown> = {}, saysKid = true): Promise<string> {
    const { key, alg } = this.#signing.get(kid) as { key: CryptoKeyLike; alg: string };
    const nowSecs = Math.floor(this.clock.wallMs() / 1000);
    const said = {
      ...{ iss: ISSUER, aud: 'minikv', sub: 'ann', iat: nowSecs, exp: nowSecs + 600 },
      access: { roles: ['read_write'] },
      ...claims,
    };
    const given = Object.fromEntries(
      Object.entries(said).filter(([, value]) => value !== undefined),
    );
    return new SignJWT(given).setProtectedHeader({ alg, ...(saysKid && { kid }) }).sign(key);
  }
}

/** Of fewer bits than may be. */
async function weakKey(): Promise<JWK> {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  return { ...(publicKey.export({ format: 'jwk' }) as JWK), kid: 'weak', alg: 'RS256' };
}

type CryptoKeyLike = Parameters<SignJWT['sign']>[0];

async function started(): Promise<Issuer> {
  const issuer = new Issuer();
  issuer.published = { keys: [await issuer.draw('one')] };
  await issuer.keys.start();
  return issuer;
}

describe('a token of the issuer', () => {
  it.each(ISSUER_ALGORITHMS)(
    'signed with %s says who it is, what he may, and until when',
    async (alg) => {
      const issuer = new Issuer();
      issuer.published = { keys: [await issuer.draw('one', alg)] };
      await issuer.keys.start();
      const tokens = issuer.tokens({ algorithms: [alg] });
      const token = await issuer.sign('one');
      expect(tokens.isOurs(token)).toBe(true);
      expect(tokens.known(token)).toBeNull();
      const claims = {
        ...{ subject: 'ann', role: 'read_write', roles: [], tenant: 'default' },
        expiresAtMs: (Math.floor(issuer.clock.wallMs() / 1000) + 600) * 1000,
      };
      expect(await tokens.verify(token)).toEqual(claims);
      expect(tokens.known(token)).toEqual(claims);
      const others = ISSUER_ALGORITHMS.filter((other) => other !== alg);
      expect(await issuer.tokens({ algorithms: others }).verify(token)).toBeNull();
    },
  );

  it.each([
    ['of another issuer', { iss: 'https://other.example' }],
    ['for another audience', { aud: 'elsewhere' }],
    ['without an audience', { aud: undefined }],
    ['that has ended', { exp: 1 }],
    ['without an end', { exp: undefined }],
    ['of nobody', { sub: undefined }],
    ['whose subject is too long', { sub: 'x'.repeat(257) }],
    ['that does not hold yet', { nbf: 99_999_999_999 }],
    ['without a role', { access: {} }],
    ['with names that no role has', { access: { roles: ['a b', '*', 1] } }],
    ['whose roles are no names', { access: { roles: { admin: true } } }],
    ['whose claim is elsewhere', { access: 'admin', roles: ['admin'] }],
    ['whose claim is inherited', { access: { __proto__: { roles: ['admin'] } } }],
  ])('%s is none', async (_, claims) => {
    const issuer = await started();
    expect(await issuer.tokens().verify(await issuer.sign('one', claims))).toBeNull();
  });

  it('is of the tenant that its claim names, and of none without one', async () => {
    const issuer = await started();
    const tenantOf = async (claims: Record<string, unknown>, tenantClaim: string | null) =>
      (await issuer.tokens({ tenantClaim }).verify(await issuer.sign('one', claims)))?.tenant;
    expect(await tenantOf({ org: { name: 'acme' } }, 'org.name')).toBe('acme');
    expect(await tenantOf({ org: 'default' }, 'org')).toBe('default');
    expect(await tenantOf({ org: 'acme' }, null)).toBe('default');
    for (const org of [undefined, null, '', 'Acme', ['acme'], 7, '__proto__', 'a/b']) {
      expect(await tenantOf({ org }, 'org')).toBeUndefined();
    }
  });

  it('of several roles the one that may most counts', async () => {
    const issuer = await started();
    const roleOf = async (roles: unknown) =>
      (await issuer.tokens().verify(await issuer.sign('one', { access: { roles } })))?.role;
    expect(await roleOf(['x', 'read_only', 'admin', 'read_write'])).toBe('admin');
    expect(await roleOf(['read_only', 'read_write'])).toBe('read_write');
    expect(await roleOf('read_only')).toBe('read_only');
  });

  it('signed by nobody, or with what is public, is none', async () => {
    const issuer = await started();
    const [head, body] = (await issuer.sign('one')).split('.') as [string, string];
    const none = Buffer.from(JSON.stringify({ alg: 'none', kid: 'one' })).toString('base64url');
    const hs256 = Buffer.from(JSON.stringify({ alg: 'HS256', kid: 'one' })).toString('base64url');
    for (const token of [
      `${none}.${body}.`,
      `${none}.${body}.AA`,
      `${hs256}.${body}.AA`,
      `${head}.${body}.AA`,
    ]) {
      expect(await issuer.tokens().verify(token)).toBeNull();
    }
    const secret = { kty: 'oct', k: 'c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0', kid: 'one', alg: 'HS256' };
    issuer.published = { keys: [secret] };
    const fresh = new IssuerKeys(
      { name: 'x', everyMs: 1_000, read: async () => JSON.stringify(issuer.published) },
      { clock: issuer.clock, telemetry: issuer.telemetry },
    );
    await fresh.start();
    expect(fresh.current()).toBeNull();
  });
});

describe('keys of the issuer', () => {
  it('one that is new is asked for at once, and at most every ten seconds', async () => {
    const issuer = await started();
    const tokens = issuer.tokens();
    const two = await issuer.draw('two');
    const token = await issuer.sign('two');
    await issuer.clock.pass(10_000);
    expect(await tokens.verify(token)).toBeNull();
    const { reads } = issuer;
    issuer.published = { keys: [...(issuer.published as { keys: JWK[] }).keys, two] };
    for (let i = 0; i < 50; i++) expect(await tokens.verify(token)).toBeNull();
    expect(issuer.reads).toBe(reads);
    await issuer.clock.pass(10_000);
    expect(await tokens.verify(token)).toMatchObject({ subject: 'ann' });
    expect(issuer.reads).toBe(reads + 1);
  });

  it('one that is withdrawn ends its tokens, also those that were verified', async () => {
    const issuer = await started();
    const tokens = issuer.tokens();
    const token = await issuer.sign('one', { exp: 99_999_999_999 });
    expect(await tokens.verify(token)).not.toBeNull();
    issuer.published = { keys: [await issuer.draw('two')] };
    await issuer.clock.pass(60_000);
    expect(tokens.known(token)).toBeNull();
    expect(await tokens.verify(token)).toBeNull();
  });

  it('of several that a token could be signed with, as while one follows another, each is tried', async () => {
    const issuer = new Issuer();
    const [one, two] = [await issuer.draw('one'), await issuer.draw('two')];
    issuer.published = { keys: [one, two].map((key) => ({ ...key, kid: undefined })) };
    await issuer.keys.start();
    await issuer.draw('three');
    const verify = async (kid: string) =>
      (await issuer.tokens().verify(await issuer.sign(kid, {}, false)))?.subject ?? null;
    expect(await Promise.all([verify('one'), verify('two'), verify('three')])).toEqual([
      ...['ann', 'ann'],
      null,
    ]);
  });

  it('one that is broken makes its tokens no good, and no others', async () => {
    const issuer = new Issuer();
    const [good, bad, weak] = [await issuer.draw('one'), await issuer.draw('bad'), await weakKey()];
    issuer.published = { keys: [good, { ...bad, x: 'AAAA' }, weak] };
    await issuer.keys.start();
    const tokens = issuer.tokens();
    expect(await tokens.verify(await issuer.sign('bad'))).toBeNull();
    const head = Buffer.from('{"alg":"RS256","kid":"weak"}').toString('base64url');
    const [, body] = (await issuer.sign('one')).split('.');
    expect(await tokens.verify(`${head}.${body}.AAAA`)).toBeNull();
    expect(await tokens.verify(await issuer.sign('one'))).not.toBeNull();
    const told = issuer.telemetry.lines.filter(({ level }) => level === 'warn');
    expect(told.map(({ message }) => message)).toEqual(
      Array(2).fill('a key of the issuer of tokens cannot be used'),
    );
  });

  it('while nobody answers the last ones count, for a day; it is told once', async () => {
    const issuer = await started();
    const tokens = issuer.tokens();
    const token = await issuer.sign('one', { exp: 99_999_999_999 });
    expect(await tokens.verify(token)).not.toBeNull();
    issuer.isAway = true;
    await issuer.clock.pass(DAY_MS - 120_000);
    expect(tokens.known(token)).not.toBeNull();
    expect(issuer.telemetry.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await issuer.clock.pass(180_000);
    expect(tokens.known(token)).toBeNull();
    expect(await tokens.verify(token)).toBeNull();
    issuer.isAway = false;
    await issuer.clock.pass(60_000);
    expect(await tokens.verify(token)).not.toBeNull();
  });

  it.each([
    ['no JSON', 'x'],
    ['no set', '{}'],
    ['an empty one', '{"keys":[]}'],
    ['a list', '[]'],
  ])('%s in their place is told, and those before count', async (_, text) => {
    const issuer = await started();
    const token = await issuer.sign('one');
    issuer.published = text;
    await issuer.clock.pass(60_000);
    expect(await issuer.tokens().verify(token)).not.toBeNull();
    expect(issuer.telemetry.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });
});

describe('over HTTP', () => {
  let server: Awaited<ReturnType<typeof startGuardedServer>>;
  afterEach(() => server.stop());

  it('it is taken beside API keys, with the role that it says, until it ends', async () => {
    const issuer = await started();
    server = await startGuardedServer((clock) => issuer.tokens({}, clock));
    issuer.clock.wallStartMs = Date.now() - issuer.clock.nowMs;
    const ask = async (method: string, path: string, token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      const body = method === 'PUT' ? { body: 'x' } : {};
      const answer = await fetch(server.url + path, { method, headers, ...body });
      await answer.arrayBuffer();
      return answer.status;
    };
    const writer = await issuer.sign('one');
    const reader = await issuer.sign('one', { access: { roles: 'read_only' } });
    expect(await ask('PUT', '/v1/kv/a', writer)).toBe(201);
    expect(await ask('GET', '/v1/kv/a', reader)).toBe(200);
    expect(await ask('PUT', '/v1/kv/a', reader)).toBe(403);
    expect(await ask('GET', '/admin/keys', writer)).toBe(403);
    expect(await ask('POST', '/v1/auth/token', writer)).toBe(400);
    expect(await ask('PUT', '/v1/kv/a', await issuer.sign('one', { access: {} }))).toBe(401);
    expect(await ask('PUT', '/v1/kv/a', await server.make('read_write'))).toBe(200);
    server.setWallMs(Date.now() + 601_000);
    expect(await ask('GET', '/v1/kv/a', reader)).toBe(401);
  });

  it('it may what roles of one’s own allow that it names, a denial of one wins, and a built-in one goes before them', async () => {
    const issuer = await started();
    server = await startGuardedServer((clock) => issuer.tokens({}, clock));
    issuer.clock.wallStartMs = Date.now() - issuer.clock.nowMs;
    const ctx = { deadlineMs: 5_000, traceparent: null, idempotency: null };
    const make = (name: string, effect: 'allow' | 'deny', keys: string) => {
      const rules = [{ effect, actions: ['data:*'], resources: [{ keys }] }];
      return server.roles.put(ctx, name, { description: '', rules });
    };
    await make('orders', 'allow', 'orders/');
    await make('bills', 'allow', 'bills/');
    await make('closed', 'deny', 'bills/2025/');
    const put = async (key: string, roles: unknown) => {
      const authorization = `Bearer ${await issuer.sign('one', { access: { roles } })}`;
      const sent = { method: 'PUT', headers: { authorization }, body: 'x' };
      const answer = await fetch(`${server.url}/v1/kv/${key}`, sent);
      await answer.arrayBuffer();
      return answer.status;
    };
    expect(await put('orders/1', 'orders')).toBe(201);
    expect(await put('bills/1', 'orders')).toBe(403);
    expect(await put('bills/1', ['offline_access', 'orders', 'bills'])).toBe(201);
    expect(await put('bills/2025/1', ['bills'])).toBe(201);
    expect(await put('bills/2025/1', ['bills', 'closed'])).toBe(403);
    expect(await put('bills/2025/1', ['bills', 'closed', 'read_write'])).toBe(200);
    expect(await put('orders/1', ['nobody', 'made', 'these'])).toBe(401);
    await server.roles.delete(ctx, 'orders');
    expect(await put('orders/1', 'orders')).toBe(401);
    server.service.identities.isConfirmed = false;
    expect(await put('bills/1', 'bills')).toBe(503);
    // Nobody has to be asked what a built-in one is.
    expect(await put('bills/1', 'read_write')).toBe(200);
  });
});
