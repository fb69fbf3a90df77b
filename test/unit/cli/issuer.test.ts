import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterEach, expect, it } from 'vitest';
import { loadConfig } from '../../../cli/config.ts';
import { openIssuer } from '../../../cli/issuer.ts';
import { waitFor } from '../../kit/http-watch-suite.ts';
import { REAL_CLOCK } from '../../kit/real-clock.ts';
import { recordingTelemetry } from '../../kit/recording-telemetry.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const ISSUER = 'https://who.example';
const BASE = {
  ...{ MINIKV_AUTH: 'true', MINIKV_AUTH_JWT_ISSUER: ISSUER, MINIKV_AUTH_JWT_AUDIENCE: 'minikv' },
  MINIKV_AUTH_JWT_JWKS: '/keys.json',
};
const load = (env: Record<string, string>) =>
  loadConfig({ flags: {}, env, readFile: () => '' }).config.issuer;

it('issuer, audience and keys go together, and need auth', () => {
  expect(load({ MINIKV_AUTH: 'true' })).toBeNull();
  expect(load(BASE)).toEqual({
    ...{
      issuer: ISSUER,
      audience: 'minikv',
      jwks: '/keys.json',
      roleClaim: 'role',
      tenantClaim: null,
    },
    algorithms: ['RS256', 'ES256', 'EdDSA'],
  });
  for (const missing of ['ISSUER', 'AUDIENCE', 'JWKS']) {
    const { [`MINIKV_AUTH_JWT_${missing}` as keyof typeof BASE]: _, ...rest } = BASE;
    expect(() => load(rest), missing).toThrow('go together');
  }
  expect(() => load({ ...BASE, MINIKV_AUTH: 'false' })).toThrow('needs auth');
  expect(() => load({ ...BASE, MINIKV_AUTH_JWT_ALGORITHMS: 'HS256' })).toThrow('RS256, PS256');
  expect(() => load({ ...BASE, MINIKV_AUTH_JWT_ALGORITHMS: ' ' })).toThrow();
});

it('keys come by https, or by http from this machine', () => {
  const jwksOf = (url: string) => load({ ...BASE, MINIKV_AUTH_JWT_JWKS: url })?.jwks;
  for (const url of ['https://who.example/keys', 'http://127.0.0.1:1/keys', 'http://localhost/k']) {
    expect(jwksOf(url)).toBe(url);
  }
  for (const url of [
    'http://who.example/keys',
    'ftp://127.0.0.1/k',
    'http://127.0.0.1.who.example/',
    'https://',
  ]) {
    expect(() => jwksOf(url), url).toThrow('must be a file or an https URL');
  }
});

async function published(
  answer: (path: string) => { status: number; headers?: object; body: string },
) {
  const server: Server = createServer((req, res) => {
    const { status, headers = {}, body } = answer(req.url ?? '');
    res.writeHead(status, headers as Record<string, string>).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function opened(jwks: string) {
  const telemetry = recordingTelemetry();
  const settings = load({ ...BASE, MINIKV_AUTH_JWT_JWKS: jwks });
  if (settings === null) throw new Error('there are settings');
  const issuer = openIssuer(settings, { clock: REAL_CLOCK, telemetry });
  closing.push(() => issuer.stop());
  return { ...issuer, telemetry };
}

it('the keys of a URL verify', async () => {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA');
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'EdDSA' }];
  const url = await published(() => ({ status: 200, body: JSON.stringify({ keys }) }));
  const { tokens } = await opened(`${url}/keys`);
  const token = await new SignJWT({ role: 'admin' })
    .setProtectedHeader({ alg: 'EdDSA', kid: 'k' })
    .setIssuer(ISSUER)
    .setAudience('minikv')
    .setSubject('ann')
    .setExpirationTime('5m')
    .sign(privateKey);
  expect(await tokens.verify(token)).toMatchObject({ subject: 'ann', role: 'admin' });
});

it.each([
  ['an error', 500, {}, 'no'],
  ['somewhere else', 302, { location: '/keys' }, ''],
  ['without end', 200, {}, 'x'.repeat(300_000)],
])('%s is no answer with keys', async (_, status, headers, body) => {
  const keys = JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] });
  const url = await published((path) =>
    path === '/keys' ? { status: 200, body: keys } : { status, headers, body },
  );
  const { telemetry } = await opened(`${url}/other`);
  await waitFor(() => telemetry.lines.some(({ level }) => level === 'error'));
  expect(telemetry.lines[0]?.message).toContain('the keys of the issuer of tokens are not known');
});
