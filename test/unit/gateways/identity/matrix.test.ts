import https from 'node:https';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROUTE_RULES, ruleOf } from '../../../../gateways/http/route-actions.ts';
import {
  type Credentials,
  certificatesOfSome,
  credentialsOfEverybody,
  EVERYBODY,
  WITH_CERTIFICATES,
} from '../../../kit/everybody.ts';
import { startGuardedServer } from '../../../kit/guarded-server.ts';
import { Http2Client } from '../../../kit/http2-client.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

/** Every route of the listener, as everybody: exactly the stated answer. */

const ALL = { ...EVERYBODY, ...WITH_CERTIFICATES };
type Who = keyof typeof ALL;
const WHO = Object.keys(ALL) as Who[];

let server: Awaited<ReturnType<typeof startGuardedServer>>;
let servers: TestAuthority;
const credentials = new Map<Who, Credentials>();
const agents = new Map<Who, https.Agent>();
const sessions = new Map<Who, Http2Client>();

beforeAll(async () => {
  servers = await TestAuthority.make('servers');
  const [clients, others] = [await TestAuthority.make('clients'), await TestAuthority.make('x')];
  const tls = new HandTls({ ...(await servers.server()), clientCa: clients.cert });
  server = await startGuardedServer(() => null, { tls });
  for (const [who, shown] of await credentialsOfEverybody(server)) credentials.set(who, shown);
  for (const [who, shown] of await certificatesOfSome(server, clients, others)) {
    credentials.set(who, shown);
  }
  for (const who of WHO) {
    const pair = credentials.get(who)?.certificate;
    const shown = pair === undefined ? {} : { cert: pair.cert, key: pair.key };
    agents.set(who, new https.Agent({ ca: servers.cert, keepAlive: true, ...shown }));
    sessions.set(who, new Http2Client(server.url, servers.cert, shown));
  }
}, 60_000);
afterAll(async () => {
  for (const agent of agents.values()) agent.destroy();
  for (const session of sessions.values()) session.close();
  await server.stop();
});

interface Answer {
  readonly status: number;
  /** Of a problem. */
  readonly code: string | null;
  readonly challenge: string | null;
}

function sentBy(method: string, who: Who) {
  const body = method === 'POST' || method === 'PUT' ? '{}' : undefined;
  const { authorization } = credentials.get(who) as Credentials;
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(authorization === undefined ? {} : { authorization }),
  };
  return { headers, body };
}

type Transport = (method: string, path: string, who: Who) => Promise<Answer>;

/** What comes is read up to its end, but for a watch, which has none. */
function answerFrom(
  stream: Readable,
  { status, type, challenge }: { status: number; type: string; challenge: string | null },
  path: string,
  isHead: boolean,
): Promise<Answer> {
  const isProblem = type.includes('problem');
  return new Promise((resolve) => {
    if (!isProblem && path.includes('watch')) {
      stream.destroy();
      return resolve({ status, code: null, challenge });
    }
    let text = '';
    stream.on('data', (piece) => {
      text += piece;
    });
    stream.on('end', () => {
      const { code } = isProblem && !isHead ? JSON.parse(text) : { code: null };
      resolve({ status, code, challenge });
    });
  });
}

const askHttp1: Transport = (method, path, who) => {
  const { headers, body } = sentBy(method, who);
  const agent = agents.get(who) as https.Agent;
  return new Promise((resolve, reject) => {
    const req = https.request(`${server.url}${path}`, { method, headers, agent }, (res) => {
      const { statusCode: status = 0 } = res;
      const { 'content-type': type = '', 'www-authenticate': challenge = null } = res.headers;
      resolve(answerFrom(res, { status, type, challenge }, path, method === 'HEAD'));
    });
    req.on('error', reject);
    req.end(body);
  });
};

const askHttp2: Transport = (method, path, who) => {
  const { headers, body } = sentBy(method, who);
  const stream = (sessions.get(who) as Http2Client).open(method, path, headers, body !== undefined);
  if (body !== undefined) stream.end(body);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('response', (seen) => {
      const { ':status': status = 0, 'content-type': type = '' } = seen;
      const challenge = seen['www-authenticate'] ?? null;
      resolve(answerFrom(stream, { status, type, challenge }, path, method === 'HEAD'));
    });
  });
};

const TRANSPORTS = { 'HTTP/1.1': askHttp1, 'HTTP/2': askHttp2 };

function routes(): [method: string, url: string][] {
  return server.server.routes().map((route) => route.split(' ') as [string, string]);
}

function pathTo(url: string): string {
  return url.replace('/:id', '/1').replace(/:\w+/, 'some-key').replace('*', 'x');
}

it('every route has a rule of its own, and every rule a route', () => {
  const found = routes();
  for (const [method, url] of found) expect(ruleOf(method, url), `${method} ${url}`).not.toBeNull();
  const urls = new Set(found.map(([, url]) => url));
  const missing = Object.keys(ROUTE_RULES).filter((url) => !urls.has(url));
  expect(missing).toEqual([]);
  expect(ruleOf('PATCH', '/v1/kv')).toBeNull();
  expect(ruleOf('GET', '/constructor')).toBeNull();
});

it('everybody is there', () => {
  expect([...credentials.keys()].sort()).toEqual([...WHO].sort());
});

describe.each(WHO)('%s', (who) => {
  it.each(Object.entries(TRANSPORTS))(
    'gets the stated answer from every route over %s',
    async (_, ask) => {
      let cells = 0;
      for (const [method, url] of routes()) {
        const rule = ruleOf(method, url) ?? 'admin:write';
        const said = rule === 'public' ? 'served' : ALL[who](rule);
        // What was read and allowed once goes a shorter way the second time.
        for (let turn = 0; turn < (url === '/v1/kv/:key' || url === '/v1/txn' ? 2 : 1); turn++) {
          const { status, code, challenge } = await ask(method, pathTo(url), who);
          const cell = `${who}: ${method} ${url}: ${status} ${code}`;
          cells++;
          if (said === 'served') expect([401, 403], cell).not.toContain(status);
          else {
            const isUnknown = said === 'unauthenticated';
            expect(status, cell).toBe(isUnknown ? 401 : 403);
            expect(challenge, cell).toBe(isUnknown ? 'Bearer realm="minikv"' : null);
            if (method !== 'HEAD') expect(code, cell).toBe(said);
          }
        }
      }
      expect(cells).toBeGreaterThan(60);
    },
  );
  it('is told of no path that there is none, unless they are somebody', async () => {
    const { status } = await askHttp1('GET', '/v1/nothing/here', who);
    const statuses = { served: 404, forbidden: 403, unauthenticated: 401 };
    expect(status).toBe(statuses[ALL[who]('known')]);
  });
});
