import https from 'node:https';
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
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

/** Every route of the listener, as everybody: exactly the stated answer. */

const ALL = { ...EVERYBODY, ...WITH_CERTIFICATES };
type Who = keyof typeof ALL;
const WHO = Object.keys(ALL) as Who[];

let server: Awaited<ReturnType<typeof startGuardedServer>>;
let servers: TestAuthority;
const credentials = new Map<Who, Credentials>();
const agents = new Map<Who, https.Agent>();

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
    const { cert, key } = credentials.get(who)?.certificate ?? {};
    const shown = cert === undefined ? {} : { cert, key };
    agents.set(who, new https.Agent({ ca: servers.cert, keepAlive: true, ...shown }));
  }
}, 60_000);
afterAll(async () => {
  for (const agent of agents.values()) agent.destroy();
  await server.stop();
});

interface Answer {
  readonly status: number;
  /** Of a problem. */
  readonly code: string | null;
  readonly challenge: string | null;
}

function ask(method: string, path: string, who: Who): Promise<Answer> {
  const body = method === 'POST' || method === 'PUT' ? '{}' : undefined;
  const { authorization } = credentials.get(who) as Credentials;
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(authorization === undefined ? {} : { authorization }),
  };
  const agent = agents.get(who) as https.Agent;
  return new Promise((resolve, reject) => {
    const req = https.request(`${server.url}${path}`, { method, headers, agent }, (res) => {
      const { statusCode: status = 0 } = res;
      const challenge = res.headers['www-authenticate'] ?? null;
      const isProblem = res.headers['content-type']?.includes('problem') === true;
      if (!isProblem && path.includes('watch')) {
        req.destroy();
        return resolve({ status, code: null, challenge });
      }
      let text = '';
      res.on('data', (piece) => {
        text += piece;
      });
      res.on('end', () => {
        const { code } = isProblem && method !== 'HEAD' ? JSON.parse(text) : { code: null };
        resolve({ status, code, challenge });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

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
  it('gets the stated answer from every route', async () => {
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
  });
  it('is told of no path that there is none, unless they are somebody', async () => {
    const { status } = await ask('GET', '/v1/nothing/here', who);
    const statuses = { served: 404, forbidden: 403, unauthenticated: 401 };
    expect(status).toBe(statuses[ALL[who]('known')]);
  });
});
