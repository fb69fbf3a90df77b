import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DirectKeys } from '../../../../gateways/kv/direct-keys.ts';
import { NO_TELEMETRY, type Telemetry } from '../../../../observability/port.ts';
import { AppError } from '../../../../protocol/errors.ts';
import type { RequestContext } from '../../../../protocol/service.ts';
import { directTests, type Rows } from '../../../kit/direct-suite.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { waitFor } from '../../../kit/http-watch-suite.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { call, open, statuses } from '../../../kit/raw-http.ts';
import { type Ask, ask } from '../../../kit/shown-answer.ts';

const put = (path: string, body: string | Buffer, headers?: Record<string, string>): Ask => ({
  ...{ method: 'PUT', path, body },
  ...(headers === undefined ? {} : { headers }),
});
const get = (path: string, headers?: Record<string, string>): Ask => ({
  ...{ method: 'GET', path },
  ...(headers === undefined ? {} : { headers }),
});
const CSRF = { origin: 'https://evil.example' };

const ROWS: Rows = {
  'a key is written and written again': [put('a', 'one'), put('a', 'two')],
  'a content type is kept': [put('t', 'x', { 'content-type': 'image/png' }), get('t')],
  'a content type can be too long': [put('t', 'x', { 'content-type': `a/${'b'.repeat(300)}` })],
  'values of no bytes': [put('empty', ''), get('empty'), { method: 'PUT', path: 'bare' }],
  'values of many bytes': [1, 2048, 2049, 20_000, 48 * 1024, 100_000, 786_432].flatMap((size) => [
    put(`size/${size}`, Buffer.alloc(size, 'ab\xff', 'latin1')),
    get(`size/${size}`),
    { method: 'HEAD', path: `size/${size}` },
  ]),
  'too large a value': [put('large', Buffer.alloc(786_433))],
  'keys of any bytes': [
    '%ff%fe',
    'a%2Fb',
    'a/b',
    '//',
    '%22%5c',
    '%C3%A9',
    '%01',
    '+',
    '__proto__',
  ].flatMap((path) => [put(path, path), get(path)]),
  'keys that are none': ['', '%', '%zz', 'a%00b', 'a%0d%0ab', 'k'.repeat(4097)].flatMap((path) => [
    put(path, 'x'),
    get(path),
    { method: 'DELETE', path },
  ]),
  'a key that is not there': [get('none'), { method: 'HEAD', path: 'none' }],
  'preconditions of a write': [
    put('c', 'x', { 'if-none-match': '*' }),
    put('c', 'x', { 'if-none-match': '*' }),
    put('c', 'x', { 'if-match': '*' }),
    put('c', 'x', { 'if-match': '"1"' }),
    put('c', 'x', { 'if-match': 'W/"1"' }),
    put('c', 'x', { 'if-match': '*', 'if-none-match': '*' }),
    { method: 'DELETE', path: 'c', headers: { 'if-match': '"7"' } },
    { method: 'DELETE', path: 'c', headers: { 'if-match': 'seven' } },
  ],
  'preconditions of a read': [
    get('a', { 'if-none-match': '*' }),
    get('a', { 'if-none-match': '"5"' }),
    get('a', { 'if-match': '"5"' }),
    get('a', { 'if-match': '*' }),
    get('none', { 'if-match': '*' }),
    { method: 'HEAD', path: 'a', headers: { 'if-none-match': '*' } },
    { method: 'HEAD', path: 'a', headers: { 'if-match': '"5"' } },
  ],
  expiry: [
    put('e', 'x', { 'x-minikv-ttl': '3600' }),
    get('e'),
    put('e', 'x', { 'x-minikv-ttl': '0' }),
  ],
  'idempotency keys': [
    put('i', 'x', { 'idempotency-key': 'one' }),
    put('i', 'x', { 'idempotency-key': 'one' }),
    put('i', 'y', { 'idempotency-key': 'one' }),
    put('i', 'y', { 'idempotency-key': 'k'.repeat(129) }),
    put('i', 'y', { 'idempotency-key': 'k'.repeat(100) }),
  ],
  deadlines: ['1', '60000', '60001', 'x'].map((ms) => get('a', { 'x-minikv-timeout-ms': ms })),
  'request ids': [
    get('a', { 'x-request-id': 'mine' }),
    get('none', { 'x-request-id': 'mine' }),
    get('a', { 'x-request-id': 'not mine' }),
  ],
  deletion: [{ method: 'DELETE', path: 'a' }, { method: 'DELETE', path: 'a' }, get('a')],
  'failures of the service': [
    new AppError('unavailable', 'no leader'),
    new AppError('outcome_unknown', 'who knows'),
    new AppError('compacted', 'gone', { details: { oldestRevision: 5 } }),
    new Error('secret'),
  ].flatMap((failure) => [
    { ...put('f', 'x'), failure },
    { ...get('f'), failure },
    { method: 'HEAD', path: 'f', failure },
    { method: 'DELETE', path: 'f', failure },
  ]),
};

/** They are here because it must stay so. */
const LEFT: Rows = {
  MessagePack: [get('none', { accept: 'application/msgpack' })],
  'content codings': [put('z', 'x', { 'content-encoding': 'gzip' })],
  'other origins': [put('z', 'x', CSRF), { method: 'DELETE', path: 'z', headers: CSRF }],
  'bodies of unknown length': [put('z', 'x', { 'transfer-encoding': 'chunked' })],
  'bodies where none belong': [
    { method: 'DELETE', path: 'z', body: 'x', headers: { 'content-length': '1' } },
    { method: 'GET', path: 'z', body: 'x', headers: { 'content-length': '1' } },
  ],
  expectations: [put('z', 'x', { expect: '100-continue' })],
  'other methods': [{ method: 'POST', path: 'z' }],
  'the last request of a connection': [get('none', { connection: 'close' })],
};

/** The paths above are keys. */
const atKeys = (rows: Rows): Rows =>
  Object.fromEntries(
    Object.entries(rows).map(([name, asks]) => [
      name,
      asks.map((asked) => ({ ...asked, path: `/v1/kv/${asked.path}` })),
    ]),
  );

describe('a plain request for a key', () => {
  const runs = vi.spyOn(DirectKeys.prototype, 'run');
  directTests({ runs, direct: atKeys(ROWS), left: atKeys(LEFT) });
  it('is left to the framework while spans are collected', async () => {
    const telemetry: Telemetry = { ...NO_TELEMETRY, tracing: true };
    const server = await startModelServer({}, new ModelService(), telemetry);
    expect((await ask(server, get('/v1/kv/x'))).status).toBe('1.1 404 Not Found');
    expect(runs).not.toHaveBeenCalled();
    await server.stop();
  });
});

describe('a request in pieces', () => {
  let server: ModelServer;
  beforeEach(async () => {
    server = await startModelServer();
  });
  afterEach(() => server.stop());
  const head = (path: string, length: number) =>
    `PUT /v1/kv/${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n`;

  it('is whole when its last piece is, wherever it is cut', async () => {
    const bytes = `${head('cut', 10)}0123456789GET /v1/kv/cut HTTP/1.1\r\nHost: h\r\n\r\n`;
    for (let at = 1; at < bytes.length; at += 3) {
      const socket = open(server.url);
      let text = '';
      socket.setNoDelay().on('data', (chunk) => {
        text += chunk;
      });
      socket.write(bytes.slice(0, at));
      await new Promise((resolve) => setTimeout(resolve, 4));
      socket.write(bytes.slice(at));
      await waitFor(() => text.endsWith('0123456789'));
      expect(statuses(text)[1], `cut at ${at}`).toBe(200);
      socket.destroy();
    }
  });
  it('keeps its place among others of its connection', async () => {
    const socket = open(server.url);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    // Direct, framework, direct, direct: one write, four answers in order.
    const asks = ['a', 'b?', 'c', 'd'].map((path, i) => `${head(path, 1)}${i}`);
    socket.write(asks.join(''));
    await waitFor(() => statuses(text).length === 4);
    await waitFor(() => text.includes('"key":"d"'));
    const keys = [...text.matchAll(/"key":"(.)"/g)].map((match) => match[1]);
    expect(keys).toEqual(['a', 'b', 'c', 'd']);
    socket.destroy();
  });
  it('that never ends, on a connection that does, changes nothing', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = open(server.url);
      socket.write(`${head('half', 10)}01234`);
      await new Promise((resolve) => setTimeout(resolve, i % 5));
      socket.destroy();
    }
    expect((await call(server.url, 'GET', '/v1/kv/half')).status).toBe(404);
    expect(server.service.contexts).toHaveLength(1);
  });
});

/** A service that answers writes when it is told to. */
class SlowService extends ModelService {
  readonly waiting: (() => void)[] = [];

  override async put(ctx: RequestContext, op: Parameters<ModelService['put']>[1]) {
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    return super.put(ctx, op);
  }
}

describe('a client', () => {
  it('that goes away leaves nothing behind, also behind an unanswered request', async () => {
    const gauges = new Map<string, number>();
    const telemetry: Telemetry = {
      ...NO_TELEMETRY,
      gauge: (name, value) => void gauges.set(name, value),
      gaugeOf: (name) => (value) => void gauges.set(name, value),
    };
    const service = new SlowService();
    const bounds = { bodyBytesHeldMax: 50_000 };
    const server = await startModelServer({ bounds }, service, telemetry);
    const body = 'x'.repeat(10_000);
    for (const query of ['', '?']) {
      const socket = open(server.url);
      const one = `PUT /v1/kv/gone${query} HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n${body}`;
      socket.write(one.repeat(4));
      await waitFor(() => service.waiting.length === 4);
      expect(gauges.get('http_requests_in_flight')).toBe(4);
      socket.destroy();
      await waitFor(() => gauges.get('http_connections') === 0);
      for (const answer of service.waiting.splice(0)) answer();
      await waitFor(() => gauges.get('http_requests_in_flight') === 0);
    }
    // All of the budget is there again, for either way in.
    for (const path of ['/v1/kv/big', '/v1/kv/big?']) {
      const big = call(server.url, 'PUT', path, { body: 'x'.repeat(45_000) });
      await waitFor(() => service.waiting.length === 1);
      service.waiting.pop()?.();
      expect((await big).status).toBeLessThan(202);
    }
    await server.stop();
  });
  it('that never reads cannot make the node hold more than a few answers', async () => {
    const server = await startModelServer();
    await call(server.url, 'PUT', '/v1/kv/big', { body: Buffer.alloc(700_000) });
    const reads = vi.spyOn(server.service, 'getNow');
    const socket = open(server.url).pause();
    socket.write('GET /v1/kv/big HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(20_000));
    await waitFor(() => reads.mock.calls.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(reads.mock.calls.length).toBeLessThanOrEqual(130);
    expect((await call(server.url, 'GET', '/v1/kv/none')).status).toBe(404);
    socket.destroy();
    await server.stop();
  });
});
