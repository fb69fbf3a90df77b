import { afterEach, describe, expect, it } from 'vitest';
import { CONFIG_KEYS } from '../../../cli/config-keys.ts';
import { runProgram } from '../../../cli/program.ts';
import type { Compose, Composition } from '../../../cli/serve.ts';
import type { KvService } from '../../../protocol/service.ts';
import { type TestIo, testIo } from './fake-io.ts';
import { answerJson, problem, type TestServer, testServer } from './test-server.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const unused: Compose = async () => {
  throw new Error('no node was asked for');
};

async function run(line: string[], io: TestIo = testIo(), compose: Compose = unused) {
  const code = await runProgram(line, io, { version: '9.9.9', compose: async () => compose });
  return { code, ...io.written };
}

async function node(answer: Parameters<typeof testServer>[0]): Promise<TestServer> {
  const server = await testServer(answer);
  servers.push(server);
  return server;
}

describe('exit codes', () => {
  it('are 2 for a command line that is not understood, with a hint', async () => {
    expect(await run(['srve'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('Did you mean serve'),
    });
    expect(await run(['get'])).toMatchObject({ code: 2, err: expect.stringContaining('key') });
    expect((await run(['get', 'k', '--no-such'])).code).toBe(2);
    expect((await run(['get', 'k', '--endpoint', 'ftp://x'])).code).toBe(2);
    expect((await run(['ls', '--limit', 'ten'])).code).toBe(2);
    expect((await run(['serve', '--port', 'x'])).err).toContain('port must be an integer');
    expect((await run([])).code).toBe(2);
  });

  it('are 0 for help and version', async () => {
    expect(await run(['--version'])).toMatchObject({ code: 0, out: '9.9.9\n' });
    const help = await run(['serve', '--help']);
    expect(help.code).toBe(0);
    for (const row of CONFIG_KEYS.filter((key) => key.flag))
      expect(help.out).toContain(`--${row.key}`);
  });

  it('are 1 for what was refused or failed', async () => {
    const server = await node((_, response) => problem(response, 404, 'key_not_found', true));
    const got = await run(['get', 'k', '--endpoint', server.url]);
    expect(got).toMatchObject({
      code: 1,
      out: '',
      err: 'error: because key_not_found [key_not_found]\n',
    });
    const json = await run(['get', 'k', '--json', '--endpoint', server.url]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.err).error).toMatchObject({ code: 'key_not_found', definite: true });
    await server.close();
    servers.pop();
    const gone = await run(['get', 'k', '--timeout', '0.2', '--endpoint', server.url]);
    expect(gone).toMatchObject({ code: 1, err: expect.stringContaining('ECONNREFUSED') });
  });
});

describe('commands', () => {
  it('put sends the bytes with preconditions, a TTL and an idempotency key', async () => {
    const answer = { key: 'a b', revision: 7, createRevision: 7, version: 1 };
    const server = await node((_, response) => answerJson(response, 201, answer));
    const flags = ['--ttl', '60', '--if-absent', '--content-type', 'text/plain'];
    const io = testIo({ env: { MINIKV_ENDPOINT: server.url } });
    expect(await run(['put', 'a b', 'välue', ...flags], io)).toMatchObject({
      code: 0,
      out: 'a b is at revision 7\n',
    });
    const [seen] = server.seen;
    expect(seen).toMatchObject({ method: 'PUT', url: '/v1/kv/a%20b', body: 'välue' });
    expect(seen!.headers).toMatchObject({
      'x-minikv-ttl': '60',
      'if-none-match': '*',
      'content-type': 'text/plain',
    });
    expect(seen!.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
  });

  it('put reads standard input; get writes the bytes and nothing else', async () => {
    const server = await node((request, response) => {
      if (request.method === 'PUT') answerJson(response, 200, { revision: 1 });
      else
        response.writeHead(200, { etag: '"12"', 'content-type': 'x/y' }).end(Buffer.from([255, 0]));
    });
    const endpoint = ['--endpoint', server.url];
    await run(['put', 'k', '--if-match', '5', ...endpoint], testIo({ stdin: 'from a pipe' }));
    expect(server.seen[0]).toMatchObject({ body: 'from a pipe' });
    expect(server.seen[0]!.headers['if-match']).toBe('"5"');
    const json = await run(['get', 'k', '--json', '--stale', '--revision', '3', ...endpoint]);
    expect(JSON.parse(json.out)).toEqual({
      ...{ key: 'k', base64: '/wA=', revision: 12, contentType: 'x/y' },
    });
    expect(server.seen[1]!.url).toBe('/v1/kv/k?revision=3&consistency=stale');
  });

  it('scan follows the cursor and stops at the limit', async () => {
    const server = await node((request, response) => {
      const url = new URL(request.url, 'http://h');
      const first = url.searchParams.get('cursor') === null;
      const items = first
        ? [
            { key: 'p/1', value: 'a', revision: 1 },
            { keyBase64: '/w==', base64: '/w==', revision: 2 },
          ]
        : [{ key: 'p/3', value: 'c', revision: 3 }];
      answerJson(
        response,
        200,
        first ? { items, cursor: 'c1', revision: 9 } : { items, revision: 9 },
      );
    });
    const got = await run(['scan', 'p/', '--limit', '3', '--endpoint', server.url]);
    expect(got).toMatchObject({ code: 0, out: 'p/1\ta\nbase64:/w==\tbase64:/w==\np/3\tc\n' });
    expect(server.seen.map((seen) => seen.url)).toEqual([
      '/v1/kv?prefix=p%2F&values=true&limit=3',
      '/v1/kv?prefix=p%2F&values=true&limit=1&cursor=c1',
    ]);
  });

  it('export gives lines that import takes', async () => {
    const items = [
      { key: 'a', value: '1', revision: 1 },
      { key: 'b', base64: '/w==', revision: 2 },
    ];
    const server = await node((_, response) => answerJson(response, 200, { items, revision: 5 }));
    const got = await run(['export', '--endpoint', server.url]);
    expect(
      got.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(items);
    expect(got.err).toBe('exported 2 records as of revision 5\n');
  });

  it('status shows nodes, groups and leaders', async () => {
    const local = { role: 'leader', term: 3, commitIndex: 4, appliedIndex: 4, keys: 2, config: {} };
    const copies = { state: 'restoring', chunks: 900, missing: 70, lost: 0, waitingFor: ['n2:ab'] };
    const server = await node((_, response) =>
      answerJson(response, 200, {
        ...{
          copies: 'restoring',
          node_id: 'n1',
          cluster: 'c',
          cluster_id: 'abc',
          version: '1',
          ready: true,
        },
        ...{ durability: 'quorum-fsync', bus: 'connected', uptime_ms: 65_000 },
        groups: [
          { group: 0, leader: 'n2', local: null, vshardCount: 0 },
          { group: 1, leader: 'n1', local, vshardCount: 256, copies },
        ],
        nodes: [
          { nodeId: 'n1', httpUrl: 'http://a:1', seenMsAgo: null, roles: ['replica'] },
          { nodeId: 'n2', httpUrl: 'http://b:1', seenMsAgo: 1500, roles: ['gateway'] },
        ],
        notifications: [
          { target: 'webhook:orders', waiting: 12, waiting_bytes: 3000, sent: 900, dropped: 4 },
        ],
      }),
    );
    const { code, out } = await run(['status', '--endpoint', server.url]);
    expect(code).toBe(0);
    expect(out).toContain('up 65 s, ready');
    expect(out).toMatch(/│ n2 +│ http:\/\/b:1 +│ gateway +│ meta +│ 2 s ago/);
    expect(out).toMatch(
      /│ 1 +│ n1 +│ leader +│ 3 +│ 4 +│ 4 +│ 2 +│ 256 +│ restoring: 70 of 900 missing \(n2\)/,
    );
    expect(out).toContain('LOSE NO OTHER DISK');
    expect(out).toMatch(/│ webhook:orders +│ 12 +│ 900 +│ 4 /);
  });

  it('config print names the origin of every setting and masks secrets', async () => {
    const env = { MINIKV_CLUSTER_SECRET: 'hunter2hunter2hunter2' };
    const text = await run(['config', 'print', '--port', '1'], testIo({ env }));
    expect(text.out).toMatch(/│ port +│ 1 +│ --port/);
    expect(text.out).not.toContain('hunter2');
    const json = JSON.parse((await run(['config', 'print', '--json'], testIo({ env }))).out);
    expect(Object.keys(json)).toEqual(CONFIG_KEYS.map((row) => row.key));
    expect(json['cluster-secret']).toEqual({ value: '***', from: 'MINIKV_CLUSTER_SECRET' });
  });
});

describe('serve', () => {
  function composition(ready: Promise<void>, events: string[]): Composition {
    return {
      ready,
      service: {} as KvService,
      httpUrl: 'http://127.0.0.1:4711',
      s3: {
        url: 'http://127.0.0.1:4712',
        keys: { accessKeyId: 'MKX', secretAccessKey: 'shown once', from: 'new', path: null },
      },
      adminKey: null,
      stop: async () => void events.push('stopped'),
    };
  }

  it('prints where everything is, runs until it is asked to stop, and stops the node', async () => {
    const io = testIo();
    const events: string[] = [];
    const running = run(['serve', '--data', '/x/y'], io, async (config) => {
      events.push(`composed ${config.nodeId}`);
      return composition(Promise.resolve(), events);
    });
    while (!io.written.out.includes('curl')) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(io.written.out).toContain('http://127.0.0.1:4711/v1/kv');
    expect(io.written.out).toContain('/x/y');
    expect(io.written.out).toContain('quorum-fsync');
    expect(io.written.out).toContain('http://127.0.0.1:4712');
    expect(io.written.out).toContain('MKX shown once');
    io.interrupt();
    expect((await running).code).toBe(0);
    expect(events).toEqual(['composed n1', 'stopped']);
  });

  it('shows the banner after 1.5 s although other members are late, then that it is ready', async () => {
    const io = testIo();
    let makeReady = (): void => {};
    const ready = new Promise<void>((resolve) => {
      makeReady = resolve;
    });
    const flags = [
      '--nats',
      'nats://localhost:4222',
      '--initial-members',
      'n1,n2,n3',
      '--ephemeral',
    ];
    const running = run(['serve', ...flags], io, async () => composition(ready, []));
    while (!io.written.out.includes('curl'))
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(io.written.out).toContain('Waiting for n2, n3');
    expect(io.written.out).toContain('everything is gone when the process ends');
    makeReady();
    while (!io.written.out.includes('Ready'))
      await new Promise((resolve) => setTimeout(resolve, 5));
    io.interrupt();
    await running;
  });

  it('with --json prints events', async () => {
    const io = testIo();
    const running = run(['serve', '--json'], io, async () => composition(Promise.resolve(), []));
    while (!io.written.out.includes('"ready"'))
      await new Promise((resolve) => setTimeout(resolve, 5));
    io.interrupt();
    await running;
    const events = io.written.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map((event) => event.event)).toEqual(['listening', 'ready', 'stopped']);
    expect(events[1]).toMatchObject({
      nodeId: 'n1',
      httpUrl: 'http://127.0.0.1:4711',
      pid: process.pid,
    });
  });

  it('fails with words for a port in use, and for a node that breaks while it starts', async () => {
    const inUse = Object.assign(new Error('listen'), { code: 'EADDRINUSE' });
    const failed = await run(['serve'], testIo(), async () => Promise.reject(inUse));
    expect(failed).toMatchObject({ code: 1, err: expect.stringContaining('port 8080 is in use') });
    const events: string[] = [];
    const broken = await run(['serve'], testIo(), async () =>
      composition(Promise.reject(new Error('damaged identity')), events),
    );
    expect(broken).toMatchObject({ code: 1, err: expect.stringContaining('damaged identity') });
    expect(events).toEqual(['stopped']);
  });

  it('refuses to listen beyond loopback, and unknown settings, before anything starts', async () => {
    const open = await run(['serve', '--host', '0.0.0.0']);
    expect(open).toMatchObject({ code: 2, err: expect.stringContaining('--insecure') });
    const typo = await run(['serve'], testIo({ env: { MINIKV_PROT: '1' } }));
    expect(typo).toMatchObject({ code: 2, err: expect.stringContaining('MINIKV_PORT') });
  });
});
