import { afterEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../../protocol/errors.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { openSocket, SseReader, waitFor } from '../../../kit/http-watch-suite.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { call, open, raw, statuses } from '../../../kit/raw-http.ts';

const running: ModelServer[] = [];
const start = async (...args: Parameters<typeof startModelServer>): Promise<ModelServer> => {
  const server = await startModelServer(...args);
  running.push(server);
  return server;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map(({ stop }) => stop()));
});

const VALUE = 'v'.repeat(16_000);
const watching = (reader: SseReader) => waitFor(() => reader.text.includes(': watching'));

/** Writes until well past what sockets and a buffer of 50 events hold. */
async function flood({ url }: ModelServer, count: number): Promise<void> {
  const body = {
    ops: Array.from({ length: 50 }, (_, i) => ({ op: 'put', key: `f/${i}`, value: VALUE })),
  };
  for (let i = 0; i < count; i++) {
    expect((await call(url, 'POST', '/v1/batch', { body })).status).toBe(200);
  }
}

describe('a reader that stalls', () => {
  it('I37 over SSE is told lagged, costs bounded memory, and the others go on', {
    timeout: 40_000,
  }, async () => {
    const service = new ModelService({ watcherBufferEventsMax: 50 });
    const server = await start({}, service);
    const stalled = new SseReader(server.url, '/v1/watch?prefix=f/');
    const live = new SseReader(server.url, '/v1/watch?prefix=live/');
    await watching(stalled);
    await watching(live);
    stalled.socket.pause();
    const before = process.memoryUsage();
    await flood(server, 25);
    await call(server.url, 'PUT', '/v1/kv/live/x', { body: 'x' });
    expect((await live.until(1))[0]?.data.key).toBe('live/x');
    expect(service.openWatches).toBe(1);
    stalled.socket.resume();
    await waitFor(() => stalled.isClosed, 20_000);
    const last = stalled.events.at(-1);
    expect([last?.event, last?.data.type]).toEqual(['lagged', 'lagged']);
    expect(last?.id).toBe(last?.data.token);
    expect(stalled.text.length).toBeLessThan(20_000_000);
    expect(process.memoryUsage().rss - before.rss).toBeLessThan(400_000_000);
    const resumed = new SseReader(
      server.url,
      '/v1/watch?prefix=f/',
      `Last-Event-ID: ${last?.id}\r\n`,
    );
    await resumed.until(1);
    expect(resumed.events[0]?.data.prevRevision).toBeGreaterThan(0);
    resumed.close();
    live.close();
  });
  it('I37 that never reads again is cut off', { timeout: 20_000 }, async () => {
    const service = new ModelService({ watcherBufferEventsMax: 50 });
    const server = await start({ bounds: { stallMs: 300 } }, service);
    const stalled = new SseReader(server.url, '/v1/watch?prefix=f/');
    await watching(stalled);
    stalled.socket.pause();
    await flood(server, 25);
    await new Promise((resolve) => setTimeout(resolve, 800));
    stalled.socket.resume();
    await waitFor(() => stalled.isClosed);
    expect(stalled.events.some(({ event }) => event === 'lagged')).toBe(false);
  });
  it('I36 over WebSocket is closed with 1013 and a token to resume from', {
    timeout: 40_000,
  }, async () => {
    const service = new ModelService({ watcherBufferEventsMax: 50 });
    const server = await start({}, service);
    const socket = openSocket(server.url, '/v1/watch?prefix=f/');
    await waitFor(() => socket.ws.readyState === socket.ws.OPEN);
    socket.ws.pause();
    await flood(server, 25);
    socket.ws.resume();
    await waitFor(() => socket.code > 0, 20_000);
    expect(socket.code).toBe(1013);
    expect(socket.messages.at(-1)).toMatchObject({ type: 'lagged', token: expect.any(String) });
    expect(socket.messages.length).toBeLessThan(25 * 50);
    const resumed = openSocket(
      server.url,
      `/v1/watch?prefix=f/&from=${socket.messages.at(-1).token}`,
    );
    await waitFor(() => resumed.messages.length > 0);
    expect(resumed.messages[0].revision).toBeGreaterThan(socket.messages.at(-2).revision);
    resumed.ws.close();
  });
});

describe('a watch', () => {
  it('I37 whose resume point is compacted is 410 with the oldest revision, on both transports', async () => {
    const server = await start();
    await call(server.url, 'PUT', '/v1/kv/a', { body: 'x' });
    const floor = server.service.clock;
    server.service.compact(floor);
    const answer = await call(server.url, 'GET', '/v1/watch?from=5');
    expect([answer.status, answer.json.code, answer.json.oldestRevision]).toEqual([
      410,
      'compacted',
      floor,
    ]);
    const socket = openSocket(server.url, '/v1/watch?from=5');
    await waitFor(() => socket.status > 0);
    expect(socket.status).toBe(410);
    expect(server.service.openWatches).toBe(0);
  });
  it('shows expire and progress, and beats when idle', async () => {
    let nowMs = Date.now();
    const service = new ModelService({ wallMs: () => nowMs });
    const server = await start({ bounds: { heartbeatMs: 50 } }, service);
    const reader = new SseReader(server.url, '/v1/watch');
    const socket = openSocket(server.url, '/v1/watch');
    await watching(reader);
    await waitFor(() => socket.ws.readyState === socket.ws.OPEN);
    await call(server.url, 'PUT', '/v1/kv/t', { body: 'x', headers: { 'x-minikv-ttl': '1' } });
    nowMs += 1500;
    service.expire();
    service.progress();
    const events = await reader.until(3);
    expect(events.map(({ event }) => event)).toEqual(['put', 'expire', 'progress']);
    expect(events[1]?.data).toMatchObject({
      type: 'expire',
      key: 't',
      prevRevision: events[0]?.data.revision,
    });
    expect(events[2]?.data).toEqual({ type: 'progress', revision: expect.any(Number) });
    await waitFor(() => reader.text.includes(': heartbeat') && socket.pings >= 3);
    expect(socket.ws.readyState).toBe(socket.ws.OPEN);
    expect((await call(server.url, 'GET', '/v1/kv/t')).status).toBe(404);
    reader.close();
    socket.ws.close();
    await waitFor(() => service.openWatches === 0);
  });
  it('comes bare to a client of HTTP/1.0, which knows no chunks', async () => {
    const server = await start();
    const socket = open(server.url);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.write('GET /v1/watch HTTP/1.0\r\nHost: h\r\n\r\n');
    await waitFor(() => text.includes(': watching'));
    await call(server.url, 'PUT', '/v1/kv/old', { body: 'x' });
    await waitFor(() => text.includes('"old"'));
    const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
    expect(head.toLowerCase()).not.toContain('transfer-encoding');
    expect(head.toLowerCase()).toContain('connection: close');
    expect(body).toMatch(/^: watching\n\nevent: put\nid: \S+\ndata: \{.*\}\n\n$/);
    socket.destroy();
    await waitFor(() => server.service.openWatches === 0);
  });
  it('a WebSocket that answers no ping is ended', async () => {
    const server = await start({ bounds: { heartbeatMs: 60 } });
    const socket = openSocket(server.url, '/v1/watch', { autoPong: false });
    await waitFor(() => socket.code > 0);
    expect(socket.code).toBe(1006);
    expect(server.service.openWatches).toBe(0);
  });
  it('ends with a hint when the node drains, and finishes requests in progress', async () => {
    const server = await startModelServer();
    const reader = new SseReader(server.url, '/v1/watch');
    const socket = openSocket(server.url, '/v1/watch');
    await watching(reader);
    await waitFor(() => socket.ws.readyState === socket.ws.OPEN);
    const slow = open(server.url);
    let answer = '';
    slow.on('data', (chunk) => {
      answer += chunk;
    });
    slow.write('PUT /v1/kv/drain HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel');
    await waitFor(() => slow.bytesWritten > 50);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stopped = server.stop();
    await waitFor(() => reader.isClosed && socket.code > 0);
    slow.write('lo');
    await stopped;
    await waitFor(() => answer.includes('"version":1'));
    expect(answer).toMatch(/^HTTP\/1\.1 201/);
    expect(answer.toLowerCase()).toContain('connection: close');
    expect(reader.text).toContain('retry: 500');
    expect(socket.code).toBe(1001);
    expect(server.service.openWatches).toBe(0);
  });
});

describe('the listener', () => {
  it('I11 answers health checks when connections run out, and refuses the rest', async () => {
    const server = await start({ bounds: { connectionsMax: 20, connectionsReserve: 5 } });
    const idle = Array.from({ length: 40 }, () => new SseReader(server.url, '/v1/watch'));
    await waitFor(() => idle.filter(({ isClosed }) => isClosed).length >= 15);
    const ask = (path: string) =>
      raw(server.url, `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    for (const path of ['/health', '/health/live', '/health/ready']) {
      expect(statuses((await ask(path)).text)).toEqual([200]);
    }
    const refused = await ask('/v1/limits');
    expect(statuses(refused.text)).toEqual([503]);
    expect(refused.text).toContain('"code":"overloaded"');
    expect(refused.text.toLowerCase()).toContain('retry-after: 1');
    for (const one of idle) one.close();
    await waitFor(() => true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(statuses((await ask('/v1/limits')).text)).toEqual([200]);
  });
  it('bodies held at once are bounded, and given back', async () => {
    const server = await start({ bounds: { bodyBytesHeldMax: 100_000 } });
    for (let i = 0; i < 5; i++) {
      const put = await call(server.url, 'PUT', '/v1/kv/held', { body: Buffer.alloc(90_000) });
      expect(put.status).toBeLessThan(202);
    }
    const over = await call(server.url, 'PUT', '/v1/kv/held', { body: Buffer.alloc(110_000) });
    expect([over.status, over.json.code, over.json.definite]).toEqual([503, 'overloaded', true]);
    expect(over.headers['retry-after']).toBe('1');
  });
  it('failures of the service keep their code; anything else shows nothing', async () => {
    const server = await start();
    server.service.failure = new AppError('outcome_unknown', 'the leader went away');
    const unknown = await call(server.url, 'PUT', '/v1/kv/x', { body: 'x' });
    expect([unknown.status, unknown.json.code, unknown.json.definite]).toEqual([
      504,
      'outcome_unknown',
      false,
    ]);
    server.service.failure = new Error('secret at /var/lib/minikv/data');
    const broken = await call(server.url, 'GET', '/v1/kv/x');
    expect([broken.status, broken.json.code, broken.json.definite]).toEqual([
      500,
      'internal',
      false,
    ]);
    expect(broken.text).not.toContain('secret');
    expect(broken.json.retryAfterMs).toBe(250);
  });
  it('/health/ready is 503 until the node is ready', async () => {
    const server = await start();
    server.service.isReady = false;
    const answer = await call(server.url, 'GET', '/health/ready');
    expect([answer.status, answer.json.code]).toEqual([503, 'unavailable']);
    expect((await call(server.url, 'GET', '/health')).json.status).toBe('starting');
    expect((await call(server.url, 'GET', '/health/live')).status).toBe(200);
  });
  it('without unsigned requests only health is served', async () => {
    const server = await start({ allowUnsigned: false });
    for (const path of [
      '/v1/kv/x',
      '/v1/limits',
      '/metrics',
      '/admin/status',
      '/v1/watch',
      '/docs/',
    ]) {
      expect([path, (await call(server.url, 'GET', path)).status]).toEqual([path, 401]);
    }
    expect((await call(server.url, 'GET', '/health/ready')).status).toBe(200);
    const socket = openSocket(server.url, '/v1/watch');
    await waitFor(() => socket.status > 0);
    expect(socket.status).toBe(401);
  });
  it('hands a valid traceparent on, and a deadline', async () => {
    const server = await start();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await call(server.url, 'GET', '/v1/kv/x', {
      headers: { traceparent, 'x-minikv-timeout-ms': '1234' },
    });
    expect(server.service.contexts.at(-1)).toEqual({
      traceparent,
      deadlineMs: 1234,
      idempotency: null,
    });
    await call(server.url, 'GET', '/v1/kv/x', { headers: { traceparent: '00-0-0-00' } });
    expect(server.service.contexts.at(-1)).toMatchObject({ traceparent: null, deadlineMs: 5000 });
  });
  it('a long Idempotency-Key leaves room for the numbers that a batch appends', async () => {
    const server = await start();
    for (const [length, carried] of [
      [96, 96],
      [128, 71],
    ] as const) {
      const headers = { 'idempotency-key': 'k'.repeat(length) };
      await call(server.url, 'POST', '/v1/batch', {
        body: { ops: [{ op: 'get', key: 'a' }] },
        headers,
      });
      expect(server.service.contexts.at(-1)?.idempotency?.key).toHaveLength(carried);
    }
  });
  it('an NDJSON stream whose snapshot is lost is cut, without an end line', async () => {
    const server = await start();
    const body = {
      entries: Array.from({ length: 2500 }, (_, i) => ({ key: `n/${i}`, value: 'x' })),
    };
    await call(server.url, 'POST', '/admin/import', { body });
    const whole = await call(server.url, 'GET', '/admin/export');
    expect(whole.text.trimEnd().split('\n')).toHaveLength(2501);
    const scan = server.service.scan.bind(server.service);
    let pages = 0;
    server.service.scan = async (...args) => {
      if (++pages === 2) throw new AppError('compacted', 'too late');
      return scan(...args);
    };
    await expect(call(server.url, 'GET', '/admin/export')).rejects.toThrow();
    expect((await call(server.url, 'GET', '/health')).status).toBe(200);
  });
  it('an expired cursor is 410 with the oldest revision', async () => {
    const server = await start();
    for (const key of ['a', 'b', 'c'])
      await call(server.url, 'PUT', `/v1/kv/${key}`, { body: key });
    const { cursor } = (await call(server.url, 'GET', '/v1/kv?limit=1')).json;
    await call(server.url, 'PUT', '/v1/kv/d', { body: 'd' });
    const floor = server.service.clock;
    server.service.compact(floor);
    const answer = await call(server.url, 'GET', `/v1/kv?limit=1&cursor=${cursor}`);
    expect([answer.status, answer.json.code]).toEqual([410, 'compacted']);
    expect(answer.json.oldestRevision).toBe(floor);
  });
});
