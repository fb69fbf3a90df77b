import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGuardedServer } from '../../../kit/guarded-server.ts';

type Server = Awaited<ReturnType<typeof startGuardedServer>>;
let server: Server;
let token: string;

beforeAll(async () => {
  server = await startGuardedServer();
  const key = await server.make('read_write');
  const answer = await fetch(`${server.url}/v1/auth/token`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
  });
  token = ((await answer.json()) as { access_token: string }).access_token;
});
afterAll(() => server.stop());

const status = async (bearer: string): Promise<number> => {
  const headers = { authorization: `Bearer ${bearer}` };
  return (await fetch(`${server.url}/v1/kv?prefix=`, { headers })).status;
};
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const fields = (text: string): object =>
  JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as object;

it('I31 a token of no algorithm, or without its signature, is 401', async () => {
  expect(await status(token)).toBe(200);
  const [header = '', claims = '', signature = ''] = token.split('.');
  for (const alg of ['none', 'None', 'nOnE', '']) {
    for (const end of ['', signature]) {
      expect(await status(`${part({ ...fields(header), alg })}.${claims}.${end}`)).toBe(401);
    }
  }
  expect(await status(`${header}.${claims}.`)).toBe(401);
  expect(await status(`${header}.${claims}`)).toBe(401);
});

it('I32 a token of another algorithm, key, time or place is 401', async () => {
  const [header = '', claims = ''] = token.split('.');
  const forged = (headerMore: object, claimsMore: object, secret: string): string => {
    const signed = `${part({ ...fields(header), ...headerMore })}.${part({ ...fields(claims), ...claimsMore })}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  const now = Math.floor(Date.now() / 1000);
  for (const secret of ['', 'secret', 'the public key of somebody']) {
    for (const more of [
      {},
      { alg: 'RS256' },
      { alg: 'ES256' },
      { kid: '../../../dev/null' },
      { kid: 'http://127.0.0.1:1/key' },
      { kid: undefined },
      { jku: 'http://127.0.0.1:1/keys' },
      { jwk: { kty: 'oct', k: Buffer.from(secret).toString('base64url') } },
    ]) {
      expect(await status(forged(more, {}, secret))).toBe(401);
    }
    for (const claim of [
      { exp: now + 10 ** 6 },
      { exp: 1 },
      { nbf: now + 999 },
      { aud: 'x' },
      { iss: 'x' },
    ]) {
      expect(await status(forged({}, claim, secret))).toBe(401);
    }
  }
  expect(await status(token)).toBe(200);
});
