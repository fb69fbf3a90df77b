import https from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { call, raw } from '../../../kit/raw-http.ts';
import { startS3Server } from '../../../kit/s3-start.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

const APP = 'https://app.example';
const NOTHING = "default-src 'none'; frame-ancestors 'none'";
let plain: ModelServer;
let open: ModelServer;
let guarded: Awaited<ReturnType<typeof startGuardedServer>>;
beforeAll(async () => {
  plain = await startModelServer();
  open = await startModelServer({ allowedOrigins: [APP] });
  guarded = await startGuardedServer();
});
afterAll(() => Promise.all([plain.stop(), open.stop(), guarded.stop()]));

describe('security headers of REST', () => {
  it('are on every answer: of each operation, refused or not, and of what is no request', async () => {
    const { json } = await call(plain.url, 'GET', '/openapi.json');
    let count = 0;
    for (const [path, methods] of Object.entries(json.paths as Record<string, object>)) {
      for (const method of Object.keys(methods)) {
        if (path === '/v1/watch' || path.startsWith('/watch')) continue;
        const target = path.replace(/\{\w+\}/g, 'x');
        for (const url of [plain.url, guarded.url]) {
          const { headers, status } = await call(url, method.toUpperCase(), target);
          const where = `${method} ${path}: ${status}`;
          expect(headers['x-content-type-options'], where).toBe('nosniff');
          expect(headers['x-frame-options'], where).toBe('DENY');
          expect(headers['referrer-policy'], where).toBe('no-referrer');
          expect(headers['strict-transport-security'], where).toBeUndefined();
          expect(headers['access-control-allow-origin'], where).toBeUndefined();
          if (status >= 400) expect(headers['cache-control'], where).toBe('no-store');
          count++;
        }
      }
    }
    expect(count).toBeGreaterThan(120);
    const { text } = await raw(plain.url, 'NONSENSE\r\n\r\n');
    for (const line of ['x-content-type-options: nosniff', 'x-frame-options: DENY', 'no-store']) {
      expect(text).toContain(line);
    }
  });

  it('a stored page runs nowhere, documents load nothing and are kept by nobody', async () => {
    const page = { body: '<script>1</script>', headers: { 'content-type': 'text/html' } };
    await call(plain.url, 'PUT', '/v1/kv/page', page);
    const { headers: value } = await call(plain.url, 'GET', '/v1/kv/page');
    expect(value['content-security-policy']).toBe("default-src 'none'; sandbox");
    expect(value['cache-control']).toBe('no-cache');
    const { headers: limits } = await call(plain.url, 'GET', '/v1/limits');
    expect(limits['content-security-policy']).toBe(NOTHING);
    expect(limits['cache-control']).toBe('no-store');
    const { headers: docs } = await call(plain.url, 'GET', '/docs/static/index.html');
    expect(docs['content-security-policy']).not.toBe(NOTHING);
  });

  it('what browsers would keep for every port of the name is left to whoever has the name', async () => {
    const authority = await TestAuthority.make();
    const tls = new HandTls(await authority.server());
    const server = await startS3Server({}, {}, { tls });
    try {
      for (const url of [`${server.httpUrl}/v1/limits`, `${server.url}/none`]) {
        const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
          const agent = new https.Agent({ ca: authority.cert });
          const req = https.get(url, { agent }, (res) => {
            res.resume();
            agent.destroy();
            resolve(res.headers);
          });
          req.on('error', reject);
        });
        expect(headers['x-content-type-options'], url).toBe('nosniff');
        expect(headers['strict-transport-security'], url).toBeUndefined();
      }
    } finally {
      await server.stop();
    }
  });
});

describe('CORS of REST', () => {
  const ask = (url: string, method: string, path: string, headers: Record<string, string>) =>
    call(url, method, path, { headers, ...(method === 'PUT' ? { body: 'x' } : {}) });
  const preflight = {
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'authorization, content-type',
  };

  it('lets pages of configured origins ask, and read what is answered, also where it is refused', async () => {
    const asked = await ask(open.url, 'OPTIONS', '/v1/kv/a', { origin: APP, ...preflight });
    expect(asked.status).toBe(204);
    expect(asked.headers).toMatchObject({
      ...{ 'access-control-allow-origin': APP, vary: 'origin', 'access-control-max-age': '600' },
      'access-control-allow-methods': 'GET, HEAD, PUT, POST, PATCH, DELETE',
      'access-control-allow-headers': 'authorization, content-type',
    });
    expect(asked.headers['access-control-allow-credentials']).toBeUndefined();
    for (const [method, path] of [
      ['PUT', '/v1/kv/a'],
      ['GET', '/v1/kv/a'],
      ['GET', '/v1/kv/none'],
      ['GET', '/v1/nothing/here'],
    ] as const) {
      const { headers } = await ask(open.url, method, path, { origin: APP });
      expect(headers['access-control-allow-origin'], path).toBe(APP);
      expect(headers['access-control-expose-headers'], path).toContain('x-minikv-revision');
    }
    const stream = await fetch(`${open.url}/v1/watch`, { headers: { origin: APP } });
    expect(stream.headers.get('access-control-allow-origin')).toBe(APP);
    await stream.body?.cancel();
  });

  it('tells other origins nothing, and takes no writes of theirs', async () => {
    const origin = 'https://elsewhere.example';
    for (const url of [open.url, plain.url]) {
      const asked = await ask(url, 'OPTIONS', '/v1/kv/a', { origin, ...preflight });
      expect(asked.status).toBe(405);
      expect(asked.headers['access-control-allow-origin']).toBeUndefined();
      expect((await ask(url, 'PUT', '/v1/kv/a', { origin })).status).toBe(403);
      const { headers } = await ask(url, 'GET', '/v1/limits', { origin });
      expect(headers['access-control-allow-origin']).toBeUndefined();
      expect(headers['vary']).toBe(url === open.url ? 'origin' : undefined);
    }
    const odd = { origin: APP, 'access-control-request-method': 'PUT' };
    const names = { ...odd, 'access-control-request-headers': 'a b' };
    const { headers } = await ask(open.url, 'OPTIONS', '/v1/kv/a', names);
    expect(headers['access-control-allow-headers']).toBeUndefined();
  });
});
