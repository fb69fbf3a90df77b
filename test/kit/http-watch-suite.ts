import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { call, open, raw, statuses } from './raw-http.ts';

export interface SseEvent {
  readonly event: string;
  readonly id: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of any shape.
  readonly data: any;
}

/** What an idle stream is told now and then, of no change: it may come between any two. */
const NO_CHANGE: readonly string[] = ['progress'];

/** A reader of one SSE stream over a plain socket. Events called as in `passedBy` are not kept. */
export class SseReader {
  readonly events: SseEvent[] = [];
  head = '';
  isClosed = false;
  #text = '';
  readonly socket;
  readonly #passedBy: readonly string[];

  constructor(url: string, path: string, headers = '', passedBy: readonly string[] = []) {
    this.#passedBy = passedBy;
    this.socket = open(url);
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${headers}\r\n`);
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    this.socket.on('data', (chunk) => this.#take(chunk.toString('utf8')));
  }

  #take(text: string): void {
    this.#text += text;
    if (this.head === '') {
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 4);
    }
    // Chunk sizes stand on lines of their own and end with CR LF; events have bare LF.
    const body = this.#text.replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '');
    const blocks = body.split('\n\n').slice(0, -1);
    this.events.length = 0;
    for (const block of blocks) {
      const field = (name: string): string | null =>
        new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]?.replace(/\r$/, '') ?? null;
      const data = field('data');
      const event = field('event') ?? 'message';
      if (data === null || this.#passedBy.includes(event)) continue;
      this.events.push({ event, id: field('id'), data: JSON.parse(data) });
    }
  }

  get comments(): number {
    return this.#text.split('\n: ').length - 1;
  }

  get text(): string {
    return this.#text;
  }

  async until(count: number, waitMs = 5000): Promise<SseEvent[]> {
    await waitFor(
      () => this.events.length >= count,
      waitMs,
      () => `${this.events.length} of ${count} events; ${this.head}`,
    );
    return this.events;
  }

  close(): void {
    this.socket.destroy();
  }
}

export async function waitFor(done: () => boolean, waitMs = 5000, why = () => ''): Promise<void> {
  const end = performance.now() + waitMs;
  while (!done()) {
    if (performance.now() > end) throw new Error(`waited too long: ${why()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A WebSocket and everything it was sent, but for messages of these types. */
export function openSocket(
  url: string,
  path: string,
  options: object = {},
  passedBy: readonly string[] = [],
) {
  const ws = new WebSocket(`${url.replace('http', 'ws')}${path}`, options);
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of any shape.
  const messages: any[] = [];
  const state = { ws, messages, code: 0, status: 0, pings: 0 };
  ws.on('message', (data) => {
    const message = JSON.parse(String(data));
    if (!passedBy.includes(message.type)) messages.push(message);
  });
  ws.on('close', (code) => {
    state.code = code;
  });
  ws.on('ping', () => {
    state.pings++;
  });
  ws.on('unexpected-response', (_request, response) => {
    state.status = response.statusCode ?? 0;
    response.destroy();
  });
  ws.on('error', () => {});
  return state;
}

/** The change stream over both transports. */
/** `tenant`: whose keys they are. */
export function httpWatchSuite(urlOf: () => string, tenant: string): void {
  const open: { close(): void }[] = [];
  afterEach(() => {
    for (const one of open.splice(0)) one.close();
  });
  const sse = (path: string, headers = ''): SseReader => {
    const reader = new SseReader(urlOf(), path, headers, NO_CHANGE);
    open.push(reader);
    return reader;
  };
  const put = (key: string, body: string) => call(urlOf(), 'PUT', `/v1/kv/${key}`, { body });
  describe('SSE', () => sseTests(urlOf, sse, put, tenant));
  describe('WebSocket', () => socketTests(urlOf, put, tenant));
}

type Put = (key: string, body: string) => ReturnType<typeof call>;
const ready = (reader: SseReader) => waitFor(() => reader.text.includes(': watching'));

function sseTests(
  urlOf: () => string,
  sse: (path: string, headers?: string) => SseReader,
  put: Put,
  tenant: string,
): void {
  it('sends put and delete with revisions, and carries the common headers', async () => {
    const reader = sse('/v1/watch?prefix=w1/&prev=true');
    await ready(reader);
    expect(reader.head).toMatch(/^HTTP\/1\.1 200/);
    expect(reader.head).toContain('text/event-stream');
    expect(reader.head.toLowerCase()).toMatch(/x-request-id: .*\r\nx-minikv-revision: \d+/s);
    const one = await put('w1/a', 'one');
    await put('other', 'not seen');
    const two = await put('w1/a', 'two');
    await call(urlOf(), 'DELETE', '/v1/kv/w1/a');
    const [first, second, third] = await reader.until(3);
    const where = { tenant, space: 'kv' };
    expect(first).toEqual({
      event: 'put',
      id: expect.any(String),
      data: {
        type: 'put',
        key: 'w1/a',
        value: 'one',
        revision: one.json.revision,
        prevRevision: 0,
        ...where,
      },
    });
    expect(second?.data).toMatchObject({
      ...{ type: 'put', value: 'two', revision: two.json.revision },
      ...{ prevRevision: one.json.revision, prev: { key: 'w1/a', value: 'one', version: 1 } },
    });
    expect(third?.data).toMatchObject({
      type: 'delete',
      key: 'w1/a',
      prevRevision: two.json.revision,
    });
    expect(third?.data).not.toHaveProperty('value');
  });
  it('resumes after any id, by Last-Event-ID or from, without gap or repetition', async () => {
    const start = await put('w2/0', '0');
    for (let i = 1; i <= 5; i++) await put(`w2/${i}`, String(i));
    const all = sse(`/v1/watch?prefix=w2/&from=${start.json.revision}`);
    const events = await all.until(5);
    expect(events.map(({ data }) => data.value)).toEqual(['1', '2', '3', '4', '5']);
    const third = events[2]?.id;
    const resumed = sse('/v1/watch?prefix=w2/&initial=true', `Last-Event-ID: ${third}\r\n`);
    expect((await resumed.until(2)).map(({ data }) => data.value)).toEqual(['4', '5']);
    const byToken = sse(`/v1/watch?prefix=w2/&from=${third}`);
    await put('w2/6', '6');
    expect((await byToken.until(3)).map(({ data }) => data.value)).toEqual(['4', '5', '6']);
    const wins = sse(
      `/v1/watch?prefix=w2/&from=${start.json.revision}`,
      `Last-Event-ID: ${third}\r\n`,
    );
    expect((await wins.until(1))[0]?.data.value).toBe('4');
  });
  it('initial=true gives what there is, then synced, then changes', async () => {
    await put('w3/a', 'a');
    await put('w3/b', 'b');
    const reader = sse('/v1/watch?prefix=w3/&initial=true');
    await reader.until(3);
    await put('w3/c', 'c');
    const events = await reader.until(4);
    expect(events.map(({ event, data }) => [event, data.key])).toEqual([
      ['put', 'w3/a'],
      ['put', 'w3/b'],
      ['synced', undefined],
      ['put', 'w3/c'],
    ]);
    expect(events.map(({ id }) => id !== null)).toEqual([false, false, true, true]);
  });
  it('I37 a resume point that is none is 400', async () => {
    for (const id of [
      '-1',
      '99999999999999999999',
      'a b',
      '!!',
      'x'.repeat(9000),
      '%00',
      '1e3.',
      'forged',
    ]) {
      const { text } = await raw(
        urlOf(),
        `GET /v1/watch HTTP/1.1\r\nHost: h\r\nConnection: close\r\nLast-Event-ID: ${id}\r\n\r\n`,
      );
      expect(statuses(text), id).toEqual([400]);
    }
    expect((await call(urlOf(), 'GET', '/v1/watch?from=-5')).status).toBe(400);
    expect((await call(urlOf(), 'GET', '/v1/watch?frm=5')).status).toBe(400);
    expect((await call(urlOf(), 'HEAD', '/v1/watch')).status).toBe(405);
  });
  it('the seed stream has {event, key, tenant, timestamp}', async () => {
    const reader = sse('/watch/sse');
    await ready(reader);
    await put('w4', 'x');
    const [event] = await reader.until(1);
    expect(event?.data).toEqual({
      ...{ event: 'put', key: 'w4', tenant },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });
}

function socketTests(urlOf: () => string, put: Put, tenant: string): void {
  it('the same URL upgrades, with a token in each message', async () => {
    const socket = openSocket(urlOf(), '/v1/watch?prefix=s1/&initial=true', {}, NO_CHANGE);
    await waitFor(() => socket.messages.length === 1);
    expect(socket.messages[0]).toMatchObject({ type: 'synced', token: expect.any(String) });
    await put('s1/a', 'a');
    await put('s1/b', 'b');
    await waitFor(() => socket.messages.length === 3);
    const { token, ...event } = socket.messages[1];
    expect(event).toMatchObject({
      type: 'put',
      key: 's1/a',
      value: 'a',
      tenant,
      space: 'kv',
    });
    socket.ws.close();
    const again = openSocket(urlOf(), `/v1/watch?prefix=s1/&from=${token}`, {}, NO_CHANGE);
    await waitFor(() => again.messages.length === 1);
    expect(again.messages[0].key).toBe('s1/b');
    again.ws.close();
  });
  it('I36 a foreign Origin is 403, our own is fine', async () => {
    const foreign = openSocket(urlOf(), '/v1/watch', { origin: 'https://evil.example' });
    await waitFor(() => foreign.status > 0);
    expect(foreign.status).toBe(403);
    const own = openSocket(urlOf(), '/v1/watch', { origin: urlOf() });
    await waitFor(() => own.ws.readyState === own.ws.OPEN);
    own.ws.close();
  });
  it('I36 what is wrong with the request is an HTTP problem before the upgrade', async () => {
    for (const [path, status] of [
      ['/v1/watch?from=-1', 400],
      ['/v1/watch?nope=1', 400],
      ['/v1/nope', 404],
    ] as const) {
      const socket = openSocket(urlOf(), path);
      await waitFor(
        () => socket.status > 0,
        5000,
        () => path,
      );
      expect([path, socket.status]).toEqual([path, status]);
    }
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    const { text } = await raw(urlOf(), `GET /v1/watch HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n`);
    expect(statuses(text)).toEqual([400]);
    expect(text).toContain('application/problem+json');
    expect((await call(urlOf(), 'GET', '/watch/ws')).status).toBe(400);
  });
  it('I36 large, unmasked or too many frames end the connection', async () => {
    const large = openSocket(urlOf(), '/v1/watch');
    await waitFor(() => large.ws.readyState === large.ws.OPEN);
    large.ws.send('x'.repeat(100_000));
    await waitFor(() => large.code > 0);
    expect(large.code).toBe(1009);
    const flood = openSocket(urlOf(), '/v1/watch');
    await waitFor(() => flood.ws.readyState === flood.ws.OPEN);
    for (let i = 0; i < 2000; i++) flood.ws.ping();
    await waitFor(() => flood.code > 0);
    expect(flood.code).toBe(1008);
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${key}`;
    const unmasked = `GET /v1/watch HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n\x81\x01a`;
    const { text, isClosed } = await raw(urlOf(), unmasked);
    expect([statuses(text), isClosed]).toEqual([[101], true]);
  });
  it('the seed socket has {event, key, tenant, timestamp}', async () => {
    const socket = openSocket(urlOf(), '/watch/ws');
    await waitFor(() => socket.ws.readyState === socket.ws.OPEN);
    await put('s4', 'x');
    await waitFor(() => socket.messages.length === 1);
    expect(Object.keys(socket.messages[0])).toEqual(['event', 'key', 'tenant', 'timestamp']);
    socket.ws.close();
  });
}
