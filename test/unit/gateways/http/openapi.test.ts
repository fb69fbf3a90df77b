import { afterAll, beforeAll, expect, it } from 'vitest';
import { ruleOf } from '../../../../gateways/http/route-actions.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { call } from '../../../kit/raw-http.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await startModelServer();
});
afterAll(() => server.stop());

it('/openapi.json lists every route', async () => {
  const { json } = await call(server.url, 'GET', '/openapi.json');
  expect(json.openapi).toBe('3.1.0');
  const listed = new Set<string>();
  for (const [path, methods] of Object.entries(json.paths as Record<string, object>)) {
    for (const method of Object.keys(methods)) listed.add(`${method.toUpperCase()} ${path}`);
  }
  const served = server.server.routes().flatMap((route) => {
    const [method = '', path = ''] = route.split(' ');
    // HEAD of a GET route says nothing of its own, and /docs is for people.
    if (path.startsWith('/docs') || (method === 'HEAD' && !listed.has(`HEAD ${bracketed(path)}`)))
      return [];
    return [`${method} ${bracketed(path)}`];
  });
  expect(served.filter((route) => !listed.has(route))).toEqual([]);
  expect(listed.size).toBeGreaterThan(60);
});

it('every operation documents its answers and the problem document', async () => {
  const { json } = await call(server.url, 'GET', '/openapi.json');
  for (const [path, methods] of Object.entries(json.paths as Record<string, object>)) {
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      expect(operation.summary, where).toBeTypeOf('string');
      expect(Object.keys(operation.responses), where).toContain('default');
    }
  }
  const put = json.paths['/v1/kv/{key}'].put;
  const names = put.parameters.map((parameter: { name: string }) => parameter.name);
  expect(names).toEqual(
    expect.arrayContaining(['key', 'if-match', 'if-none-match', 'x-minikv-ttl']),
  );
});

it('every operation says which credentials it asks for, and how others are refused', async () => {
  const guarded = await startGuardedServer();
  try {
    for (const [url, isAsked] of [
      [guarded.url, true],
      [server.url, false],
    ] as const) {
      const { json } = await call(url, 'GET', '/openapi.json');
      expect(json.components.securitySchemes.bearer).toMatchObject({ type: 'http' });
      const seen = new Set<string>();
      for (const [path, methods] of Object.entries(json.paths as Record<string, object>)) {
        for (const [method, { security, responses }] of Object.entries(methods)) {
          const pattern = path.replace('{*}', '*').replace(/\{(\w+)\}/g, ':$1');
          const rule = ruleOf(method.toUpperCase(), pattern);
          const where = `${method} ${path}: ${rule}`;
          seen.add(`${rule}`);
          const wanted = isAsked ? [{ bearer: [] }] : [{}, { bearer: [] }];
          expect(security, where).toEqual(rule === 'public' ? [] : wanted);
          expect('401' in responses, where).toBe(rule !== 'public');
          expect('403' in responses, where).toBe(rule !== 'public' && rule !== 'known');
        }
      }
      expect([...seen]).toEqual(expect.arrayContaining(['public', 'known', 'data:read']));
    }
  } finally {
    await guarded.stop();
  }
});

it('no schema asks a browser to go elsewhere', async () => {
  const { text } = await call(server.url, 'GET', '/openapi.json');
  expect(text).not.toContain('$id');
  expect(text).not.toMatch(/https?:\/\/(?!localhost|127)/);
});

function bracketed(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}').replace('*', '{*}');
}
