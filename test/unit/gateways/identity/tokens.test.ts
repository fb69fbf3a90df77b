import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RootKeys } from '../../../../gateways/encryption/root-keys.ts';
import { parseApiKey } from '../../../../gateways/identity/api-key.ts';
import { TOKEN_SECS, Tokens } from '../../../../gateways/identity/tokens.ts';
import { seededRandom } from '../../../../protocol/random.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { ModelIdentities } from '../../../kit/model-identities.ts';

const CTX = { deadlineMs: 5_000, traceparent: null, idempotency: null };
const HOUR_MS = 3_600_000;

describe('over HTTP', () => {
  let server: Awaited<ReturnType<typeof startGuardedServer>>;
  beforeEach(async () => {
    server = await startGuardedServer();
  });
  afterEach(() => server.stop());

  const ask = async (method: string, path: string, bearer: string) => {
    const headers = { authorization: `Bearer ${bearer}` };
    const body = method === 'PUT' ? { body: 'x' } : {};
    const answer = await fetch(server.url + path, { method, headers, ...body });
    return { status: answer.status, text: await answer.text() };
  };
  const exchange = async (key: string): Promise<string> => {
    const { status, text } = await ask('POST', '/v1/auth/token', key);
    expect(status, text).toBe(200);
    const { access_token, token_type, expires_in } = JSON.parse(text);
    expect([token_type, expires_in]).toEqual(['Bearer', TOKEN_SECS]);
    return access_token;
  };

  it('a key is exchanged for a token that may what the key may, and says no more than whose it is', async () => {
    const key = await server.make('read_only');
    const token = await exchange(key);
    expect((await ask('GET', '/v1/kv?prefix=a', token)).status).toBe(200);
    expect((await ask('PUT', '/v1/kv/a', token)).status).toBe(403);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256', kid: expect.any(String) });
    expect(decodeJwt(token)).toEqual({
      ...{ iss: 'minikv:test', aud: 'minikv', sub: parseApiKey(key)?.id },
      ...{ iat: expect.any(Number), exp: expect.any(Number) },
    });
  });

  it('it ends with its key, at once', async () => {
    const key = await server.make('read_write');
    const token = await exchange(key);
    expect((await ask('PUT', '/v1/kv/a', token)).status).toBe(201);
    await server.revoke(key);
    expect((await ask('PUT', '/v1/kv/a', token)).status).toBe(401);
    expect((await ask('POST', '/v1/auth/token', key)).status).toBe(401);
  });

  it('it ends at its time, and lasts no longer than its key', async () => {
    const key = await server.make('read_write');
    const token = await exchange(key);
    expect((await ask('PUT', '/v1/kv/a', token)).status).toBe(201);
    const short = await ask('POST', '/v1/auth/token', await server.make('read_only', 60_000));
    expect(JSON.parse(short.text).expires_in).toBeLessThanOrEqual(60);
    server.setWallMs(Date.now() + TOKEN_SECS * 1000 + 1_000);
    expect((await ask('PUT', '/v1/kv/a', token)).status).toBe(401);
  });

  it('neither a token nor the key of the administrator is exchanged', async () => {
    const token = await exchange(await server.make('read_only'));
    for (const bearer of [token, server.admin]) {
      expect((await ask('POST', '/v1/auth/token', bearer)).status).toBe(400);
    }
  });
});

describe('what counts as a token', () => {
  const random = seededRandom(3);
  const root = random.bytes(32);
  let wallMs = 1_800_000_000_000;
  const clock = { wallMs: () => wallMs };
  const identities = new ModelIdentities();
  const parts = { identities, roots: new RootKeys([root]), random, clock, cluster: 'one' };
  const tokens = new Tokens(parts);
  const claims = { sub: 'k', iss: 'minikv:one', aud: 'minikv' };
  const secs = () => Math.floor(wallMs / 1000);

  async function signed(alg: string, kid: string, key: Parameters<SignJWT['sign']>[0], more = {}) {
    return new SignJWT({ ...claims, iat: secs(), exp: secs() + 60, ...more })
      .setProtectedHeader({ alg, kid })
      .sign(key);
  }

  it('what was signed here, and nothing that was changed', async () => {
    const { token } = await tokens.issue(CTX, 'k', null);
    const good = {
      keyId: 'k',
      kid: decodeProtectedHeader(token).kid,
      expiresAtMs: (secs() + 900) * 1000,
    };
    expect(await tokens.verify(token, 1_000)).toEqual(good);
    expect(tokens.known(token)).toEqual(good);
    for (let i = 0; i < token.length; i += 7) {
      // The last character of a part may have bits that mean nothing: the one before it is changed.
      if (token[i + 1] === '.' || token[i] === '.' || i === token.length - 1) continue;
      const other = token[i] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, i) + other + token.slice(i + 1);
      expect(await tokens.verify(changed, 1_000), `at ${i}`).toBeNull();
    }
  });

  it('of no other algorithm, key, cluster or audience, and not without its claims', async () => {
    const { kid = '' } = decodeProtectedHeader((await tokens.issue(CTX, 'k', null)).token);
    const other = random.bytes(32);
    const none = `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify(claims))}.`.replaceAll('=', '');
    expect(Tokens.isToken(none)).toBe(false);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(await tokens.verify(await signed('ES256', kid, privateKey), 1_000)).toBeNull();
    expect(await tokens.verify(await signed('HS256', kid, other), 1_000)).toBeNull();
    expect(await tokens.verify(await signed('HS256', 'unknown', other), 1_000)).toBeNull();
    const elsewhere = new Tokens({ ...parts, cluster: 'two' });
    const { token } = await elsewhere.issue(CTX, 'k', null);
    expect(await tokens.verify(token, 1_000)).toBeNull();
    expect(await elsewhere.verify(token, 1_000)).toMatchObject({ keyId: 'k' });
  });

  it('secrets follow each other every day; one that is gone verifies nothing, also what it has verified', async () => {
    const kidOf = (token: string) => decodeProtectedHeader(token).kid;
    const first = (await tokens.issue(CTX, 'k', null)).token;
    wallMs += 24 * HOUR_MS;
    const second = (await tokens.issue(CTX, 'k', null)).token;
    expect(kidOf(second)).not.toBe(kidOf(first));
    expect(kidOf((await tokens.issue(CTX, 'k', null)).token)).toBe(kidOf(second));
    expect(await tokens.verify(first, 1_000)).toBeNull();
    expect(await tokens.verify(second, 1_000)).not.toBeNull();
    wallMs += 24 * HOUR_MS;
    await tokens.issue(CTX, 'k', null);
    expect(tokens.known(second)).not.toBeNull();
    wallMs += 24 * HOUR_MS;
    await tokens.issue(CTX, 'k', null);
    expect(tokens.known(second)).toBeNull();
  });

  it('secrets are kept wrapped, and a node without their root key says so', async () => {
    const { token } = await tokens.issue(CTX, 'k', null);
    expect(identities.row('token-secrets')?.text).not.toContain(
      Buffer.from(root).toString('base64'),
    );
    for (const roots of [null, new RootKeys([random.bytes(32)])]) {
      const without = new Tokens({ ...parts, roots });
      await expect(without.verify(token, 1_000)).rejects.toMatchObject({ code: 'not_implemented' });
      await expect(without.issue(CTX, 'k', null)).rejects.toMatchObject({
        code: 'not_implemented',
      });
    }
  });

  describe('under another root key', () => {
    const [old, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const at = (own: ModelIdentities, ...keys: Buffer[]) =>
      new Tokens({ ...parts, identities: own, roots: new RootKeys(keys) });
    const rootsOf = (own: ModelIdentities): string[] =>
      JSON.parse(own.row('token-secrets')?.text ?? '').secrets.map(
        ({ rootId }: { rootId: string }) => rootId,
      );
    const idOf = (key: Buffer): string => new RootKeys([key]).currentId;
    const kidOf = (token: string) => decodeProtectedHeader(token).kid;

    it('a secret signs no longer than a token lasts', async () => {
      const own = new ModelIdentities();
      const { token: first } = await at(own, old).issue(CTX, 'k', null);
      const [both, behind] = [at(own, next, old), at(own, old, next)];
      // In whichever order nodes have their root keys, they do not replace each other's at every token.
      for (const node of [both, behind, both]) {
        expect(kidOf((await node.issue(CTX, 'k', null)).token)).toBe(kidOf(first));
      }
      const before = wallMs;
      wallMs += (TOKEN_SECS - 1) * 1000;
      const { token: last } = await both.issue(CTX, 'k', null);
      wallMs = before + (TOKEN_SECS + 5) * 1000;
      const { token: second } = await both.issue(CTX, 'k', null);
      expect(kidOf(second)).not.toBe(kidOf(first));
      expect(rootsOf(own)).toEqual([idOf(next), idOf(old)]);
      for (const token of [last, second]) expect(await both.verify(token, 1_000)).not.toBeNull();
      expect(await at(own, next).verify(second, 1_000)).not.toBeNull();
    });

    it('secrets are wrapped anew, another one signs from then on, and no token ends for that', async () => {
      const own = new ModelIdentities();
      const { token: first } = await at(own, old).issue(CTX, 'k', null);
      const both = at(own, next, old);
      expect(await both.rewrap(CTX)).toEqual({ secrets: 1, rewrapped: 1 });
      expect(await both.rewrap(CTX)).toEqual({ secrets: 2, rewrapped: 0 });
      expect(rootsOf(own)).toEqual([idOf(next), idOf(next)]);
      const without = at(own, next);
      expect(await without.verify(first, 1_000)).toMatchObject({ keyId: 'k' });
      const { token: second } = await without.issue(CTX, 'k', null);
      expect(kidOf(second)).not.toBe(kidOf(first));
      await expect(at(own, old).verify(second, 1_000)).rejects.toMatchObject({
        code: 'not_implemented',
      });
    });

    it('one that this node has not got is not wrapped anew; nothing is changed', async () => {
      const own = new ModelIdentities();
      await at(own, old).issue(CTX, 'k', null);
      const before = own.row('token-secrets');
      for (const node of [at(own, next), new Tokens({ ...parts, identities: own, roots: null })]) {
        await expect(node.rewrap(CTX)).rejects.toMatchObject({ code: 'not_implemented' });
      }
      expect(own.row('token-secrets')).toEqual(before);
    });

    it('one that verifies nothing any more is dropped, whoever has its root key', async () => {
      const own = new ModelIdentities();
      await at(own, old).issue(CTX, 'k', null);
      wallMs += (TOKEN_SECS + 5) * 1000;
      const { token } = await at(own, next).issue(CTX, 'k', null);
      wallMs += (TOKEN_SECS + 5) * 1000;
      expect(await at(own, next).rewrap(CTX)).toEqual({ secrets: 2, rewrapped: 1 });
      expect(rootsOf(own)).toEqual([idOf(next)]);
      wallMs -= 10_000;
      expect(await at(own, next).verify(token, 1_000)).not.toBeNull();
    });
  });

  it('where others change the secrets again and again, that is a conflict', async () => {
    const own = new ModelIdentities();
    let asked = 0;
    own.put = async () => {
      asked++;
      return false;
    };
    const one = new Tokens({ ...parts, identities: own });
    await expect(one.issue(CTX, 'k', null)).rejects.toMatchObject({ code: 'conflict' });
    expect(asked).toBe(16);
  });
});
