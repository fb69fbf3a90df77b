import { once } from 'node:events';
import https from 'node:https';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { TlsPair } from '../../../../gateways/http/tls.ts';
import { parseApiKey } from '../../../../gateways/identity/api-key.ts';
import { Certificates } from '../../../../gateways/identity/certificates.ts';
import { Tenants } from '../../../../gateways/identity/tenants.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { waitFor } from '../../../kit/http-watch-suite.ts';
import { REAL_CLOCK } from '../../../kit/real-clock.ts';
import { startS3Server } from '../../../kit/s3-start.ts';
import { CTX } from '../../../kit/s3-users.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

const SPIFFE = 'spiffe://cluster.example/ns/a/sa/writer';
let servers: TestAuthority;
let clients: TestAuthority;
let writer: TlsPair;
let guarded: Awaited<ReturnType<typeof startGuardedServer>>;
let tls: HandTls;
let serverPair: TlsPair;

beforeAll(async () => {
  servers = await TestAuthority.make('servers');
  clients = await TestAuthority.make('clients');
  writer = await clients.client('writer', [
    { type: 'url', value: SPIFFE },
    { type: 'dns', value: 'Writer.Example' },
  ]);
  serverPair = await servers.server();
  tls = new HandTls({ ...serverPair, clientCa: clients.cert });
  guarded = await startGuardedServer(() => null, { tls });
});
afterAll(() => guarded.stop());

const agents: https.Agent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.destroy();
});

interface Asked {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly agent?: https.Agent;
}

/** Shows this certificate, and trusts the servers' authority. */
function agentOf(pair: TlsPair | null, keepAlive = false): https.Agent {
  const shown = pair === null ? {} : { cert: pair.cert, key: pair.key };
  const agent = new https.Agent({ ca: servers.cert, keepAlive, ...shown });
  agents.push(agent);
  return agent;
}

function ask(pair: TlsPair | null, path: string, asked: Asked = {}) {
  return askAt(guarded.url, pair, path, asked);
}

function askAt(url: string, pair: TlsPair | null, path: string, asked: Asked) {
  const { method = 'GET', body, headers = {}, agent = agentOf(pair) } = asked;
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const req = https.request(`${url}${path}`, { method, headers, agent }, (res) => {
      let text = '';
      res.on('data', (chunk) => {
        text += chunk;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** As the administrator. */
async function admin(method: string, path: string, body?: object) {
  const headers = {
    authorization: `Bearer ${guarded.admin}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const answer = await ask(null, path, {
    ...{ method, headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, json: JSON.parse(answer.text) };
}

async function mapped(name: string, role: 'read_write' | 'read_only' = 'read_write') {
  const key = await guarded.make(role);
  const { status, json } = await admin('POST', '/admin/certificates', {
    ...{ name, key: parseApiKey(key)?.id },
  });
  expect(status, JSON.stringify(json)).toBe(201);
  return { key, id: json.id as string };
}

const put = (pair: TlsPair | null, asked: Asked = {}) =>
  ask(pair, '/v1/kv/a', { method: 'PUT', body: 'x', ...asked });

describe('a client certificate', () => {
  it.each([['subject:CN=writer'], [`uri:${SPIFFE}`], ['dns:writer.example']])(
    'stands in for the key that %s is mapped to, until the mapping is deleted',
    async (name) => {
      expect((await put(writer)).status).toBe(401);
      const { id } = await mapped(name);
      const agent = agentOf(writer, true);
      expect([200, 201]).toContain((await put(writer, { agent })).status);
      expect((await ask(writer, '/admin/keys', { agent })).status).toBe(403);
      const listed = await admin('GET', '/admin/certificates');
      expect(listed.json.certificates).toMatchObject([{ id, name, s3_user: null }]);
      expect((await admin('DELETE', `/admin/certificates/${id}`)).status).toBe(200);
      // The next request on the same connection.
      expect((await put(writer, { agent })).status).toBe(401);
      expect((await admin('DELETE', `/admin/certificates/${id}`)).status).toBe(404);
    },
  );

  it('may what its key may, and nothing once that is revoked; a header goes before it', async () => {
    const { key, id } = await mapped('subject:CN=writer', 'read_only');
    expect((await put(writer)).status).toBe(403);
    expect([200, 404]).toContain((await ask(writer, '/v1/kv/a')).status);
    const authorization = `Bearer ${await guarded.make('read_write')}`;
    expect([200, 201]).toContain((await put(writer, { headers: { authorization } })).status);
    const wrong = { authorization: 'Bearer mkv_wrong' };
    expect((await ask(writer, '/v1/kv/a', { headers: wrong })).status).toBe(401);
    await guarded.revoke(key);
    expect((await ask(writer, '/v1/kv/a')).status).toBe(401);
    await admin('DELETE', `/admin/certificates/${id}`);
  });

  it('ends watches when its mapping is deleted', async () => {
    const { id } = await mapped('subject:CN=writer');
    const socket = new WebSocket(`${guarded.url.replace('https', 'wss')}/v1/watch`, {
      ...{ ca: servers.cert, cert: writer.cert, key: writer.key },
    });
    await once(socket, 'open');
    const closed = once(socket, 'close');
    await admin('DELETE', `/admin/certificates/${id}`);
    expect((await closed)[0]).toBe(4401);
  });

  it("counts for nothing where another authority signed it, its time is over, or it is a server's", async () => {
    const others = await TestAuthority.make('others');
    const strangers = [
      await others.client('writer'),
      await clients.client('writer', [], Date.now() - 900 * 86_400_000),
      await clients.server(['writer']),
    ];
    const { id } = await mapped('subject:CN=writer');
    for (const stranger of strangers) expect((await put(stranger)).status).toBe(401);
    expect((await put(null)).status).toBe(401);
    expect([200, 201]).toContain((await put(writer)).status);
    await admin('DELETE', `/admin/certificates/${id}`);
  });

  it('has no name that another one of its names spells', async () => {
    const forged = [
      await clients.client('writer', [{ type: 'dns', value: `a.example, URI:${SPIFFE}` }]),
      await clients.client('writer', [{ type: 'email', value: `a@b, URI:${SPIFFE}` }]),
      await clients.client('admin,O=ours'),
      await clients.client('admin\nO=ours'),
    ];
    const ids = [(await mapped(`uri:${SPIFFE}`)).id, (await mapped('subject:CN=admin,O=ours')).id];
    for (const pair of forged) expect((await put(pair)).status).toBe(401);
    expect([200, 201]).toContain((await put(writer)).status);
    for (const id of ids) await admin('DELETE', `/admin/certificates/${id}`);
  });

  it('whose time ends while its connection is open is refused from then on', async () => {
    const { id } = await mapped('subject:CN=writer');
    const agent = agentOf(writer, true);
    expect([200, 201]).toContain((await put(writer, { agent })).status);
    guarded.setWallMs(Date.now() + 900 * 86_400_000);
    expect((await put(writer, { agent })).status).toBe(401);
    guarded.setWallMs(Date.now());
    await admin('DELETE', `/admin/certificates/${id}`);
  });

  it('of an authority that is replaced counts no more on new connections, that of the next one does', async () => {
    const { id } = await mapped('subject:CN=writer');
    const next = await TestAuthority.make('clients, later');
    tls.replace({ ...serverPair, clientCa: next.cert });
    expect((await put(writer)).status).toBe(401);
    expect([200, 201]).toContain((await put(await next.client('writer'))).status);
    tls.replace({ ...serverPair, clientCa: clients.cert });
    expect([200, 201]).toContain((await put(writer)).status);
    await admin('DELETE', `/admin/certificates/${id}`);
  });

  it('is not resumed over another authority, nor without a certificate', async () => {
    const { id } = await mapped('subject:CN=writer');
    const { hostname, port } = new URL(guarded.url);
    const place = { host: hostname, port: Number(port), ca: servers.cert };
    const first = connect({ ...place, cert: writer.cert, key: writer.key });
    const sessions: Buffer[] = [];
    first.on('session', (session) => sessions.push(session));
    await once(first, 'secureConnect');
    await waitFor(() => sessions.length > 0);
    first.destroy();
    const next = await TestAuthority.make('clients, later');
    tls.replace({ ...serverPair, clientCa: next.cert });
    const again = connect({ ...place, session: sessions[0] as Buffer });
    await once(again, 'secureConnect');
    expect(again.isSessionReused()).toBe(false);
    again.write('PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx');
    const [bytes] = await once(again, 'data');
    expect(String(bytes)).toMatch(/^HTTP\/1\.1 401 /);
    again.destroy();
    tls.replace({ ...serverPair, clientCa: clients.cert });
    await admin('DELETE', `/admin/certificates/${id}`);
  });
});

it('mappings are made of names and somebody who is there, once', async () => {
  const make = async (body: object) => {
    const { status, json } = await admin('POST', '/admin/certificates', body);
    return [status, json.code];
  };
  const id = parseApiKey(await guarded.make('read_only'))?.id;
  expect(await make({ name: 'writer', key: id })).toEqual([400, 'invalid_argument']);
  expect(await make({ name: 'subject:CN=a' })).toEqual([400, 'invalid_argument']);
  expect(await make({ name: 'subject:CN=a', key: 3 })).toEqual([400, 'invalid_argument']);
  expect(await make({ name: 'subject:CN=a', key: id, more: 1 })).toEqual([400, 'invalid_argument']);
  expect(await make({ name: 'subject:CN=a', key: 'abcdefgh' })).toEqual([404, 'not_found']);
  expect(await make({ name: 'subject:CN=a', s3_user: 'nobody' })).toEqual([404, 'not_found']);
  expect((await make({ name: 'subject:CN=a', key: id }))[0]).toBe(201);
  expect(await make({ name: 'subject:CN=a', key: id })).toEqual([409, 'conflict']);
});

it("on S3 an unsigned request is the user's that the certificate is mapped to, until they are disabled", async () => {
  const server = await startS3Server({ allowUnsigned: false }, {}, { tls });
  try {
    const certificates = new Certificates(server.identities, { wallMs: () => Date.now() });
    const place = { ...CTX };
    const wanted = { name: 'ada', displayName: 'Ada', email: null, role: 'read_write' } as const;
    const { id } = await server.users.createUser(place, wanted);
    const send = (method: string, path: string, pair: TlsPair | null) =>
      askAt(server.url, pair, path, { method, body: path.endsWith('key') ? 'x' : '' });
    expect((await send('PUT', '/bucket', writer)).status).toBe(403);
    const name = 'subject:CN=writer';
    const made = await certificates.create(place, { name, keyId: null, s3User: 'ada' });
    expect((await send('PUT', '/bucket', writer)).status).toBe(200);
    expect((await send('PUT', '/bucket/key', writer)).status).toBe(200);
    const acl = await send('GET', '/bucket?acl', writer);
    expect(acl.text).toContain(id);
    expect((await send('GET', '/bucket/key', null)).status).toBe(403);
    await server.users.setUserState(place, 'ada', 'disabled');
    expect((await send('GET', '/bucket/key', writer)).status).toBe(403);
    await server.users.setUserState(place, 'ada', 'enabled');
    expect((await send('GET', '/bucket/key', writer)).status).toBe(200);
    await certificates.delete(place, made.id);
    expect((await send('GET', '/bucket/key', writer)).status).toBe(403);
    // One who is made again under the name is another.
    await certificates.create(place, { name, keyId: null, s3User: 'ada' });
    await server.users.deleteUser(place, 'ada');
    await server.users.createUser(place, wanted);
    expect((await send('GET', '/bucket/key', writer)).status).toBe(403);
  } finally {
    await server.stop();
  }
});

it('on S3 a page of another site writes nothing with the certificate that a browser shows by itself', async () => {
  const server = await startS3Server({ allowUnsigned: false }, {}, { tls });
  try {
    const certificates = new Certificates(server.identities, { wallMs: () => Date.now() });
    const wanted = { name: 'ada', displayName: 'Ada', email: null, role: 'read_write' } as const;
    await server.users.createUser(CTX, wanted);
    await certificates.create(CTX, { name: 'subject:CN=writer', keyId: null, s3User: 'ada' });
    const { origin: own } = new URL(server.url);
    const send = async (method: string, path: string, origin: string) =>
      (await askAt(server.url, writer, path, { method, headers: { origin } })).status;
    expect(await send('PUT', '/bucket', own)).toBe(200);
    for (const [method, path] of [
      ['POST', '/bucket/key?uploads'],
      ['PUT', '/bucket/key'],
      ['DELETE', '/bucket'],
    ] as const) {
      expect(await send(method, path, 'https://evil.example')).toBe(403);
    }
    expect(await send('GET', '/bucket', 'https://evil.example')).toBe(200);
    expect(await send('POST', '/bucket/key?uploads', own)).toBe(200);
  } finally {
    await server.stop();
  }
});

it('on S3 the user of a tenant is nobody while the tenant is suspended', async () => {
  const server = await startS3Server({ allowUnsigned: false }, {}, { tls });
  try {
    const clock = { wallMs: () => Date.now() };
    const certificates = new Certificates(server.identities, clock);
    const tenants = new Tenants({ identities: server.identities, clock: REAL_CLOCK });
    await tenants.create(CTX, 'acme');
    const wanted = { name: 'ada', displayName: 'Ada', email: null, role: 'read_write' } as const;
    await server.users.ofTenant('acme').createUser(CTX, wanted);
    const name = 'subject:CN=writer';
    await certificates.create(CTX, { name, keyId: null, s3User: 'acme/ada' });
    const list = () => askAt(server.url, writer, '/', {});
    expect((await list()).status).toBe(200);
    await tenants.suspend(CTX, 'acme');
    expect((await list()).status).toBe(403);
    await tenants.resume(CTX, 'acme');
    expect((await list()).status).toBe(200);
    await tenants.delete(CTX, 'acme');
    expect((await list()).status).toBe(403);
  } finally {
    await server.stop();
  }
});
