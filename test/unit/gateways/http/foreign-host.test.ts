import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';

const EVIL = 'evil.example:8080';
let open: ModelServer;

beforeAll(async () => {
  open = await startModelServer({ ownNames: ['kv.mine.example'] });
});
afterAll(() => open.stop());

/** Over one connection where `agent` has one. */
function ask(
  path: string,
  host: string,
  {
    method = 'GET',
    headers = {},
    agent,
  }: { method?: string; headers?: object; agent?: Agent } = {},
  url = open.url,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const all = { host, ...headers };
    const sent = request(
      url + path,
      { method, headers: all, ...(agent && { agent }) },
      (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    sent.on('error', reject).end();
  });
}

/** The status line that a raw request is answered with. */
function askRaw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(open.url).port), '127.0.0.1');
    let seen = '';
    socket.on('data', (bytes) => {
      seen += bytes.toString('latin1');
    });
    socket.on('close', () => resolve(seen.split('\r\n')[0] ?? '')).on('error', reject);
    socket.end(text);
  });
}

describe('where nobody is asked for credentials', () => {
  it.each([
    ['GET', '/v1/kv/a'],
    ['PUT', '/v1/kv/a'],
    ['DELETE', '/v1/kv/a'],
    ['GET', '/v1/kv?prefix='],
    ['GET', '/v1/watch'],
    ['GET', '/admin/status'],
    ['GET', '/metrics'],
    ['GET', '/healthy'],
    ['GET', '/'],
  ])('%s %s is refused under a name that could be of another site', async (method, path) => {
    const origin = { origin: `http://${EVIL}` };
    expect(await ask(path, EVIL, { method })).toBe(403);
    // To a browser it is the same origin.
    expect(await ask(path, EVIL, { method, headers: origin })).toBe(403);
  });

  it.each([
    'localhost',
    'kv.localhost',
    '127.0.0.1:1',
    '[::1]:8080',
    'minikv',
    'kv.mine.example',
    'a.kv.mine.example',
  ])('%s is ours', async (host) => {
    expect(await ask('/v1/kv/a', host, { method: 'PUT' })).toBeLessThan(300);
    expect(await ask('/v1/kv/a', host)).toBe(200);
  });

  it('health is told to everybody', async () => {
    for (const path of ['/health', '/health/live', '/health/ready']) {
      expect(await ask(path, EVIL)).toBe(200);
    }
  });

  it('I36 each request of a connection has a Host of its own', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await ask('/v1/kv/a', 'localhost', { agent })).toBe(200);
    expect(await ask('/health', EVIL, { agent })).toBe(200);
    expect(await ask('/v1/kv/a', EVIL, { agent })).toBe(403);
    expect(await ask('/v1/kv/a', 'localhost', { agent })).toBe(200);
    agent.destroy();
  });

  it('I36 a WebSocket under a name of another site is refused', async () => {
    const upgrade = (host: string) =>
      askRaw(
        `GET /v1/watch HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nConnection: Upgrade\r\n` +
          'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      );
    expect(await upgrade(EVIL)).toContain(' 403 ');
    expect(await upgrade('localhost')).toContain(' 101 ');
  });
});

it('where credentials are asked for, they decide, under any name', async () => {
  const closed = await startGuardedServer();
  const headers = { authorization: `Bearer ${closed.admin}` };
  expect(await ask('/v1/kv/a', EVIL, { method: 'PUT', headers }, closed.url)).toBeLessThan(300);
  expect(await ask('/v1/kv/a', EVIL, {}, closed.url)).toBe(401);
  await closed.stop();
});
