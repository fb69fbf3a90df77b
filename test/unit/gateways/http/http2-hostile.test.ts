import { once } from 'node:events';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { HttpBounds } from '../../../../gateways/http/bounds.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { waitFor } from '../../../kit/http-watch-suite.ts';
import {
  answerOf,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  GET_HEALTH,
  GOAWAY,
  HEADERS,
  Http2Client,
  headerBlock,
  PING,
  RawHttp2,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from '../../../kit/http2-client.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { recordingTelemetry } from '../../../kit/recording-telemetry.ts';
import { HandTls, TestAuthority } from '../../../kit/test-tls.ts';

/** Bad input over HTTP/2, named by their row of docs/faults.md, section I, where there is one. */

let authority: TestAuthority;
let tls: HandTls;
beforeAll(async () => {
  authority = await TestAuthority.make();
  tls = new HandTls(await authority.server());
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const telemetry = recordingTelemetry();

async function start(bounds: Partial<HttpBounds> = {}): Promise<ModelServer> {
  const server = await startModelServer({ bounds }, new ModelService(), telemetry, { tls });
  ends.push(() => server.stop());
  return server;
}

function client(url: string, options = {}): Http2Client {
  const made = new Http2Client(url, authority.cert, options);
  ends.push(() => made.close());
  return made;
}

async function rawClient(url: string): Promise<RawHttp2> {
  const raw = await RawHttp2.open(url, authority.cert);
  ends.push(() => raw.socket.destroy());
  return raw;
}

/** The node serves others, and at once. */
async function expectServed(url: string): Promise<void> {
  const beganMs = performance.now();
  expect((await client(url).ask('GET', '/health/live')).status).toBe(200);
  expect(performance.now() - beganMs).toBeLessThan(2_000);
}

const headersOf = (count: number, bytes: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'y'.repeat(bytes)]));

describe('the head of a request', () => {
  it('I01 I02 I03 that is too large for HTTP/2 is answered, and the connection serves on', async () => {
    const { url } = await start();
    const http = client(url);
    const statusOf = async (path: string, headers = {}) =>
      (await http.ask('GET', path, { headers })).status;
    expect(await statusOf('/health', { 'x-big': 'x'.repeat(17_000) })).toBe(431);
    expect(await statusOf('/health', headersOf(150, 120))).toBe(431);
    expect(await statusOf('/health', headersOf(250, 1))).toBe(431);
    expect(await statusOf('/health', headersOf(190, 1))).toBe(200);
    expect(await statusOf(`/v1/kv/${'k'.repeat(20_000)}`)).toBe(414);
  });

  it('I01 that is far too large for HTTP/2 is reset, and never held', async () => {
    const { url } = await start();
    const http = client(url, { maxHeaderListPairs: 10_000 });
    await expect(http.ask('GET', '/health', { headers: headersOf(2_000, 1) })).rejects.toThrow();
    await expectServed(url);
  });

  it('I04 over HTTP/2 that names two hosts is refused', async () => {
    const { url } = await start();
    const http = client(url);
    const of = (host: string) =>
      http.ask('GET', '/health', { headers: { ':authority': 'localhost', host } });
    expect((await of('other.example')).status).toBe(400);
    expect((await of('localhost')).status).toBe(200);
  });

  it.each([
    ['a connection', [['connection', 'close']]],
    ['a transfer coding', [['transfer-encoding', 'chunked']]],
    ['an upgrade', [['upgrade', 'websocket']]],
    ['capitals', [['X-Y', 'z']]],
  ] as const)('with %s is reset, and no request', async (_, more) => {
    const { url, service } = await start();
    const raw = await rawClient(url);
    const block = headerBlock([
      ...([
        [':method', 'PUT'],
        [':scheme', 'https'],
        [':path', '/v1/kv/a'],
      ] as const),
      ...([[':authority', 'localhost']] as const),
      ...more,
    ]);
    let text = '';
    raw.socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    raw.frame(HEADERS, END_HEADERS, 1, block);
    raw.frame(DATA, END_STREAM, 1, Buffer.from('x'));
    await waitFor(() => text.includes('\0\0\x04\x03\0\0\0\0\x01') || raw.socket.destroyed);
    const ctx = { deadlineMs: 1_000, traceparent: null, idempotency: null };
    const ref = { tenant: 'default', space: 'kv', key: 'a' };
    const read = { consistency: 'linearizable', revision: null } as const;
    expect((await service.get(ctx, ref, read)).item).toBeNull();
    await expectServed(url);
  });

  it('of CONNECT is refused: this is no proxy', async () => {
    const { url } = await start();
    const stream = client(url).session.request({ ':method': 'CONNECT', ':authority': 'a:1' });
    stream.on('error', () => {});
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(405);
  });
});

function reset(raw: RawHttp2, code: number): void {
  raw.frame(RST_STREAM, 0, 1, Buffer.from([0, 0, 0, code]));
}

/** Nothing follows on it. */
function goAway(raw: RawHttp2): void {
  raw.frame(GOAWAY, 0, 0, Buffer.alloc(8));
  raw.socket.end();
}

describe('bodies', () => {
  it('that are shorter or longer than they say write nothing', async () => {
    const { url } = await start();
    for (const body of ['x', 'xyz']) {
      const raw = await rawClient(url);
      const block = headerBlock([
        [':method', 'PUT'],
        [':scheme', 'https'],
        [':path', '/v1/kv/short'],
        [':authority', 'localhost'],
        ['content-length', '2'],
      ]);
      raw.frame(HEADERS, END_HEADERS, 1, block);
      raw.frame(DATA, END_STREAM, 1, Buffer.from(body));
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect((await client(url).ask('GET', '/v1/kv/short')).status).toBe(404);
    }
  });

  it.each([
    ['a reset without an error', (raw: RawHttp2) => reset(raw, 0)],
    ['a reset', (raw: RawHttp2) => reset(raw, 8)],
    ['GOAWAY without an error', (raw: RawHttp2) => goAway(raw)],
    ['the end of the connection', (raw: RawHttp2) => raw.socket.end()],
    ['its loss', (raw: RawHttp2) => raw.socket.destroy()],
  ])('that are broken off by %s write nothing', async (_, breakOff) => {
    const { url } = await start();
    const raw = await rawClient(url);
    const block = headerBlock([
      [':method', 'PUT'],
      [':scheme', 'https'],
      [':path', '/v1/kv/half'],
      [':authority', 'localhost'],
    ]);
    raw.frame(HEADERS, END_HEADERS, 1, block);
    raw.frame(DATA, 0, 1, Buffer.from('the first half'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    breakOff(raw);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await client(url).ask('GET', '/v1/kv/half')).status).toBe(404);
  });

  it('that come too slowly are 408', async () => {
    const { url } = await start({ bodyWindowMs: 200 });
    const slow = client(url).open('PUT', '/v1/kv/slow', {}, true);
    slow.write('a');
    expect((await answerOf(slow)).status).toBe(408);
  });
});

describe('a client that takes nothing', () => {
  it('is cut off when it keeps its window shut, and one that is slow is not', async () => {
    const { url } = await start({ stallMs: 300 });
    const value = 'v'.repeat(500_000);
    await client(url).ask('PUT', '/v1/kv/large', { body: value });
    const shut = client(url, { settings: { initialWindowSize: 0 } });
    await once(shut.session, 'localSettings');
    await expect(shut.ask('GET', '/v1/kv/large')).rejects.toThrow('reset 8');
    const slow = client(url);
    const stream = slow.open('GET', '/v1/kv/large');
    let length = 0;
    for await (const piece of stream) {
      length += piece.length;
      stream.pause();
      await new Promise((resolve) => setTimeout(resolve, 30));
      stream.resume();
    }
    expect(length).toBe(value.length);
  });
});

describe('a connection', () => {
  it('opens as many streams as it may, and the rest wait or are refused', async () => {
    const { url } = await start({ pipelinedMax: 4 });
    const http = client(url);
    await once(http.session, 'remoteSettings');
    expect(http.session.remoteSettings.maxConcurrentStreams).toBe(4);
    const answers = Array.from({ length: 40 }, () => http.ask('GET', '/health'));
    expect((await Promise.all(answers)).every(({ status }) => status === 200)).toBe(true);
  });

  it('without requests ends, also one that pings, and one whose head comes in drops', async () => {
    const { url } = await start({ keepAliveMs: 400, headersMs: 300 });
    const [idle, pinging, dripping] = await Promise.all([1, 2, 3].map(() => rawClient(url)));
    const timer = setInterval(() => {
      pinging?.frame(PING, 0, 0, Buffer.alloc(8));
      dripping?.socket.write(GET_HEALTH.subarray(0, 1));
    }, 50);
    ends.push(() => clearInterval(timer));
    dripping?.socket.write(Buffer.from([0, 0x40, 0, HEADERS, 0, 0, 0, 0, 1]));
    const all = [idle, pinging, dripping].map((raw) => raw?.endsWithin(5_000));
    expect(await Promise.all(all)).toEqual([true, true, true]);
    await expectServed(url);
  });

  it('I12 of HTTP/2 after rapid resets (CVE-2023-44487) is heard no more, and ends; nobody else waits', {
    timeout: 60_000,
  }, async () => {
    const { url, service } = await start({ keepAliveMs: 400, headersMs: 300 });
    const raw = await rawClient(url);
    const cancel = Buffer.from([0, 0, 0, 8]);
    for (let i = 0, stream = 1; i < 20_000 && !raw.socket.destroyed; i++, stream += 2) {
      raw.frame(HEADERS, END_HEADERS | END_STREAM, stream, GET_HEALTH);
      if (!raw.frame(RST_STREAM, 0, stream, cancel)) {
        await Promise.race([once(raw.socket, 'drain'), once(raw.socket, 'close')]);
      }
    }
    expect(await raw.endsWithin(10_000)).toBe(true);
    expect(service.openWatches).toBe(0);
    await expectServed(url);
  });

  it.each([
    [
      'heads that never end',
      (raw: RawHttp2, i: number) =>
        i === 0
          ? raw.frame(HEADERS, 0, 1, GET_HEALTH)
          : raw.frame(CONTINUATION, 0, 1, headerBlock([[`x-${i}`, 'y'.repeat(1_000)]])),
    ],
    [
      'empty pieces of heads',
      (raw: RawHttp2, i: number) =>
        i === 0
          ? raw.frame(HEADERS, 0, 1, GET_HEALTH)
          : raw.frame(CONTINUATION, 0, 1, Buffer.alloc(0)),
    ],
    ['settings', (raw: RawHttp2) => raw.frame(SETTINGS, 0, 0, Buffer.alloc(0))],
    ['pings', (raw: RawHttp2) => raw.frame(PING, 0, 0, Buffer.alloc(8))],
    [
      'frames for streams that are not there',
      (raw: RawHttp2, i: number) =>
        raw.frame(WINDOW_UPDATE, 0, 2 * i + 1, Buffer.from([0, 0, 0, 1])),
    ],
    ['frames of no kind', (raw: RawHttp2) => raw.frame(0xee, 0xff, 0, Buffer.alloc(64))],
  ] as const)(
    'floods of %s cost no memory that stays, and nobody waits',
    { timeout: 60_000 },
    async (_, send) => {
      const { url } = await start();
      const raw = await rawClient(url);
      const before = process.memoryUsage().rss;
      for (let i = 0; i < 50_000 && !raw.socket.destroyed; i++) {
        if (!send(raw, i)) {
          const free = once(raw.socket, 'drain');
          await Promise.race([
            free,
            once(raw.socket, 'close'),
            new Promise((r) => setTimeout(r, 3_000)),
          ]);
        }
      }
      await expectServed(url);
      raw.socket.destroy();
      expect(process.memoryUsage().rss - before).toBeLessThan(150 << 20);
    },
  );
});
