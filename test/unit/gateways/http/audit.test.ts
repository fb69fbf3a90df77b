import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditEvent, AuditTrail } from '../../../../protocol/audit.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { startModelServer } from '../../../kit/http-start.ts';
import { waitFor } from '../../../kit/http-watch-suite.ts';
import { raw } from '../../../kit/raw-http.ts';

function recorded(hasData = false): { trail: AuditTrail; events: AuditEvent[] } {
  const events: AuditEvent[] = [];
  const note = (event: AuditEvent) => void events.push(event);
  return { events, trail: { hasData, note, read: () => ({}) as AsyncIterable<never> } };
}

const { trail, events } = recorded();
let server: Awaited<ReturnType<typeof startGuardedServer>>;

beforeAll(async () => {
  server = await startGuardedServer(() => null, { audit: trail });
});
afterAll(() => server.stop());

/** Sends these bytes and is gone before anything can come back. */
async function hangUp(text: string): Promise<void> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  socket.end(text);
  // The reset comes right behind the request.
  await new Promise<void>((resolve) => socket.write('', () => resolve()));
  socket.resetAndDestroy();
}

const post = (path: string, key: string, body: object): string => {
  const text = JSON.stringify(body);
  return [
    `POST ${path} HTTP/1.1`,
    'Host: localhost',
    `Authorization: Bearer ${key}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...['', text],
  ].join('\r\n');
};

describe('what is written down of a request', () => {
  it('whose sender is gone before the answer: who, from where, and that there was none', async () => {
    const body = { name: 'mine', role: 'admin' };
    for (let tries = 0; tries < 20 && events.length === 0; tries++) {
      await hangUp(post('/admin/keys', server.admin, body));
      await waitFor(() => events.length > 0, 300).catch(() => {});
    }
    expect(events[0]).toMatchObject({
      ...{ who: 'admin', from: '127.0.0.1', action: 'identity:write' },
      ...{ resource: 'POST /admin/keys', status: 0 },
    });
  });

  it('of somebody who is allowed, for what is not there: nothing', async () => {
    const key = await server.make('read_only');
    events.length = 0;
    const answer = await fetch(`${server.url}/nothing/here`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect(answer.status).toBe(404);
    await fetch(`${server.url}/nothing/here`);
    await waitFor(() => events.length > 0);
    expect(events.map(({ who, status }) => `${who} ${status}`)).toEqual(['nobody 401']);
  });

  it('past the framework, that what it is about denied it', async () => {
    const key = await server.make('read_write');
    const { transact } = server.service;
    server.service.transact = async () => {
      throw new AppError('forbidden', 'the policy of the bucket denies it');
    };
    const body = '{"then":[{"op":"put","key":"a","value":"b"}]}';
    const ask = () =>
      fetch(`${server.url}/v1/txn`, {
        ...{ method: 'POST', body },
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      });
    await ask(); // from now on the key is known, and the request plain
    events.length = 0;
    const answer = await ask();
    server.service.transact = transact;
    expect(answer.status).toBe(403);
    await waitFor(() => events.length > 0, 1_000);
    expect(events).toMatchObject([
      { action: 'data:write', resource: 'POST /v1/txn', status: 403, from: '127.0.0.1' },
    ]);
    expect(events[0]?.who).toMatch(/^key:/);
  });

  it('under the name of another site, where nobody is asked: that it was refused', async () => {
    const open = recorded();
    const { url, stop } = await startModelServer({}, undefined, undefined, { audit: open.trail });
    const of = (path: string, more = '') =>
      `GET ${path} HTTP/1.1\r\nHost: evil.example\r\n${more}\r\n`;
    await raw(url, of('/v1/kv/a?x=secret'));
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    await raw(url, of('/v1/watch', `${upgrade}X-Request-Id: mine\r\n`));
    await stop();
    expect(open.events.map(({ resource, status }) => `${resource} ${status}`)).toEqual([
      'GET /v1/kv/a 403',
      'GET /v1/watch 403',
    ]);
    expect(open.events[1]).toMatchObject({ requestId: 'mine', from: '127.0.0.1', who: 'nobody' });
  });
});

describe('with data', () => {
  it('every request is written down, once, but those that nobody needs credentials for, and reading of status', async () => {
    const all = recorded(true);
    const own = await startGuardedServer(() => null, { audit: all.trail });
    const key = await own.make('read_write');
    const ask = async (path: string, method = 'GET', body?: string) => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain' };
      const answer = await fetch(own.url + path, { method, headers, ...(body && { body }) });
      await answer.arrayBuffer();
      return answer.status;
    };
    // The second of each would go past the framework.
    for (let i = 0; i < 2; i++) {
      expect(await ask('/v1/kv/a', 'PUT', 'x')).toBeLessThan(300);
      expect(await ask('/v1/kv/a')).toBe(200);
    }
    for (const path of ['/health', '/v1/limits', '/metrics', '/admin/status']) {
      expect(await ask(path)).toBe(200);
    }
    expect(await ask('/v1/kv?prefix=a')).toBe(200);
    await own.stop();
    expect(all.events.map(({ resource, status }) => `${resource} ${status}`)).toEqual([
      'PUT /v1/kv/a 201',
      'GET /v1/kv/a 200',
      'PUT /v1/kv/a 200',
      'GET /v1/kv/a 200',
      'GET /v1/kv 200',
    ]);
    expect(new Set(all.events.map(({ who }) => who)).size).toBe(1);
    expect(all.events[0]?.who).toMatch(/^key:/);
  });

  it('where nobody is asked, everybody is nobody', async () => {
    const all = recorded(true);
    const open = await startModelServer({}, undefined, undefined, { audit: all.trail });
    await fetch(`${open.url}/v1/kv/a`, { method: 'PUT', body: 'x' });
    await fetch(`${open.url}/admin/state-hashes`);
    await open.stop();
    expect(all.events.map(({ who, action }) => `${who} ${action}`)).toEqual([
      'nobody data:write',
      'nobody admin:read',
    ]);
  });
});
