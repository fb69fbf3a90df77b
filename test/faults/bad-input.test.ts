import { gzipSync } from 'node:zlib';
import { connect as connectNats, type NatsConnection, headers as natsHeaders } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { packBytes } from '../../protocol/codec.ts';
import { ProcessCluster } from '../kit/process-cluster.ts';
import { call, open, raw, statuses } from '../kit/raw-http.ts';
import { repeated, rss } from '../kit/repeated.ts';
import { sleep } from '../kit/wait.ts';

/**
 * Each attack again and again on a real process: it must answer what it should, go on answering others
 * meanwhile, keep what was written before, and not grow.
 */

const MIB = 1024 * 1024;
const GROWTH_MAX = 50 * MIB;
const isLong = process.env['MINIKV_FAULTS'] === '1';
const TIMES = isLong ? 400 : 40;
const AT_ONCE = 8;
const HOST = 'Host: localhost\r\n';
const KEPT = 100;

let cluster: ProcessCluster;
let url: string;
let pid: number;
let nats: NatsConnection;

beforeAll(async () => {
  cluster = await ProcessCluster.start({ nodes: 1, groups: 2, nats: true });
  url = cluster.node(0).url;
  pid = cluster.node(0).pid as number;
  nats = await connectNats({ servers: `127.0.0.1:${cluster.nats?.port}` });
  for (let n = 0; n < KEPT; n++) {
    const put = await call(url, 'PUT', `/v1/kv/kept/${n}`, { body: `value ${n}` });
    expect(put.status).toBe(201);
  }
  // Code is compiled and pools are filled before anything is measured.
  await repeated(AT_ONCE, 600, (n) =>
    call(url, 'PUT', `/v1/kv/warm/${n % 50}`, { body: 'x'.repeat(5_000) }),
  );
  await repeated(AT_ONCE, 600, (n) => call(url, 'GET', `/v1/kv/warm/${n % 50}`));
}, 120_000);

afterAll(async () => {
  await nats.close();
  await cluster.dispose();
});

/** Runs an attack and holds the process to everything that must be true meanwhile and afterwards. */
async function attack(run: (n: number) => Promise<unknown>, times = TIMES): Promise<void> {
  await repeated(AT_ONCE, Math.ceil(times / 10), run);
  const before = rss(pid);
  let isOver = false;
  let slowestMs = 0;
  const health = (async () => {
    while (!isOver) {
      const startMs = performance.now();
      expect((await call(url, 'GET', '/health/live')).status).toBe(200);
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
      await sleep(50);
    }
  })();
  try {
    await repeated(AT_ONCE, times, run);
  } finally {
    isOver = true;
  }
  await health;
  expect(slowestMs).toBeLessThan(10_000);
  expect(cluster.node(0).pid).toBe(pid);
  for (let n = 0; n < KEPT; n += 9) {
    expect((await call(url, 'GET', `/v1/kv/kept/${n}`)).text).toBe(`value ${n}`);
  }
  const endMs = performance.now() + 10_000;
  while (rss(pid) - before > GROWTH_MAX && performance.now() < endMs) {
    // A collection needs something to be allocated.
    await call(url, 'GET', '/v1/kv?prefix=kept/');
    await sleep(20);
  }
  expect((rss(pid) - before) / MIB).toBeLessThan(GROWTH_MAX / MIB);
}

/** Sends raw bytes; the server must answer one of these once, or close, and close within ten seconds. */
async function refused(bytes: string | Uint8Array, wanted: readonly number[]): Promise<void> {
  const { text, isClosed, tookMs } = await raw(url, bytes, 10_000);
  const shown = Buffer.from(bytes).toString('latin1').slice(0, 60);
  const codes = statuses(text);
  expect(codes.length, shown).toBeLessThanOrEqual(1);
  for (const code of codes) expect(wanted, shown).toContain(code);
  expect(isClosed, shown).toBe(true);
  expect(tookMs).toBeLessThan(10_000);
}

const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`;
const put = (path: string, headers: string, body = ''): string =>
  `PUT ${path} HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;
const pick = <T>(items: readonly T[], n: number): T => items[n % items.length] as T;

describe('a process under attack', { timeout: 120_000 }, () => {
  it('I01 I02 I03 headers and URLs beyond every limit, again and again: no growth', async () => {
    const many = 'A: b\r\n'.repeat(2500);
    const attacks = [
      get('/v1/kv/a', `X-Big: ${'x'.repeat(17_000)}\r\n`),
      get('/v1/kv/a', `X-Big: ${'x'.repeat(500_000)}\r\n`),
      get('/v1/kv/a', many),
      put('/v1/kv/a', `${many}Content-Length: 1\r\n`, 'x'),
      get(`/v1/kv/${'k'.repeat(20_000)}`),
      get(`/v1/kv/${'k'.repeat(5_000)}`, 'Connection: close\r\n'),
    ];
    await attack((n) => refused(pick(attacks, n), [431, 414]));
  });

  it('I04 I05 I06 I08 framing that could be read in two ways, again and again: no growth', async () => {
    const attacks = [
      'GET /v1/kv/a HTTP/1.1\r\n\r\n',
      `GET /v1/kv/a HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`,
      put(
        '/v1/kv/a',
        'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n',
        '0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
      ),
      put('/v1/kv/a', 'Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd'),
      put('/v1/kv/a', 'Transfer-Encoding: xchunked\r\n', '1\r\na\r\n0\r\n\r\n'),
      put('/v1/kv/a', 'Transfer-Encoding: chunked, identity\r\n', '1\r\na\r\n0\r\n\r\n'),
      put('/v1/kv/a', 'Transfer-Encoding : chunked\r\n', '0\r\n\r\n'),
      put('/v1/kv/a', 'Content-Length: +1\r\n', 'x'),
      put('/v1/kv/a', 'Content-Length: 0x1\r\n', 'x'),
      put('/v1/kv/a', 'Content-Length: -1\r\n', 'x'),
      put('/v1/kv/a', 'Content-Length: 18446744073709551616\r\n', 'x'),
      put('/v1/kv/a', 'Content-Length: 9007199254740992\r\nConnection: close\r\n'),
    ];
    await attack((n) => refused(pick(attacks, n), [400, 413]));
    expect((await call(url, 'GET', '/v1/kv/a')).status).toBe(404);
  });

  it('I07 I09 chunks and bodies that lie about their length, again and again: no growth', async () => {
    const chunked = 'Transfer-Encoding: chunked\r\n';
    const attacks = [
      put('/v1/kv/b', chunked, 'ZZ\r\nabc\r\n0\r\n\r\n'),
      put('/v1/kv/b', chunked, `${'F'.repeat(17)}\r\nabc`),
      put('/v1/kv/b', chunked, `1;${'x'.repeat(1_000_000)}\r\na\r\n0\r\n\r\n`),
      put('/v1/kv/b', chunked, '3\nabc\n0\n\n'),
    ];
    await attack(async (n) => {
      await refused(pick(attacks, n), [400, 413]);
      const socket = open(url);
      socket.end(put('/v1/kv/b', 'Content-Length: 700000\r\n', 'x'.repeat(300_000)));
      await sleep(5);
      socket.destroy();
    });
    expect((await call(url, 'GET', '/v1/kv/b')).status).toBe(404);
  });

  it('I10 I11 slow and idle connections by the thousand: others are served, no growth after', async () => {
    const count = isLong ? 4_000 : 1_000;
    const before = rss(pid);
    const sockets = Array.from({ length: count }, (_, n) => {
      const socket = open(url);
      if (n % 2 === 0) socket.write('GET /v1/kv/a HTTP/1.1\r\nHost: lo');
      return socket;
    });
    await sleep(500);
    expect((await call(url, 'GET', '/health/live')).status).toBe(200);
    expect((await call(url, 'PUT', '/v1/kv/meanwhile', { body: 'x' })).status).toBeLessThan(202);
    for (const socket of sockets) socket.destroy();
    await attack((n) => call(url, 'GET', `/v1/kv/kept/${n % KEPT}`));
    expect((rss(pid) - before) / MIB).toBeLessThan(GROWTH_MAX / MIB);
  });

  it('I12 floods of pipelined requests: bounded, in order or closed, no growth', async () => {
    const flood = get('/v1/kv/kept/1').repeat(2_000);
    await attack(async () => {
      const { text } = await raw(url, flood, 1_000);
      for (const code of statuses(text)) expect([200, 429, 503]).toContain(code);
    }, TIMES / 4);
  });

  it('I13 I14 other protocols and proxying, again and again: no growth', async () => {
    const attacks = [
      'GET /v1/kv/a\r\n\r\n',
      `GET /v1/kv/a HTTP/9.9\r\n${HOST}\r\n`,
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      `GET http://169.254.169.254/latest HTTP/1.1\r\n${HOST}\r\n`,
      `CONNECT 169.254.169.254:80 HTTP/1.1\r\n${HOST}\r\n`,
      Buffer.alloc(200_000, 0xff),
    ];
    await attack((n) => refused(pick(attacks, n), [400, 405, 431]));
  });

  it('I15 I16 I17 I18 I20 keys made to hurt, again and again: stored as they are or 400, no growth', async () => {
    const odd = [
      '../../etc/passwd',
      '%2e%2e%2f',
      '%252e',
      'a%00b',
      'a%0d%0aSet-Cookie:x',
      '%zz',
      '%',
    ];
    const more = ['%ff%fe', '%c0%af', '%ed%a0%80', '__proto__', 'constructor', '%e2%80%aeabc', ''];
    const paths = [...odd, ...more].map((key) => `/v1/kv/${key}`);
    await attack(async (n) => {
      const path = pick(paths, n);
      for (const bytes of [
        put(path, 'Content-Length: 1\r\nConnection: close\r\n', 'x'),
        get(path, 'Connection: close\r\n'),
      ]) {
        const { text } = await raw(url, bytes, 10_000);
        expect([200, 201, 400, 404], path).toContain(statuses(text)[0]);
      }
    });
    expect(Reflect.get({}, 'x')).toBeUndefined();
  });

  it('I19 I21 I35 documents that are deep, double, huge or no text, again and again: 400, no growth', async () => {
    const json = [
      '['.repeat(100_000),
      '{"a":'.repeat(100_000),
      `{"ops":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      '{"ops":[],"ops":[]}',
      '{"ops":[{"op":"put","key":"a","value":"x","ttl":9007199254740993}]}',
      '{"ops":[{"op":"put","key":"a","value":"x","ttl":1e999}]}',
      '\ufeff{"ops":[]}',
      '{"ops":[{"op":"get","key":"a","__proto__":{"x":1}}]}',
      Buffer.from('{"ops":[{"op":"put","key":"a","value":"\xff\xfe"}]}', 'latin1'),
      `{"ops":[${'{"op":"get","key":"a"},'.repeat(20_000)}{"op":"get","key":"a"}]}`,
    ];
    await attack(async (n) => {
      const startMs = performance.now();
      const { status } = await call(url, 'POST', '/v1/batch', {
        body: pick(json, n),
        headers: { 'content-type': 'application/json' },
      });
      expect([400, 413]).toContain(status);
      expect(performance.now() - startMs).toBeLessThan(10_000);
      const long = await call(url, 'GET', `/v1/kv?prefix=${'p'.repeat(5_000)}`);
      expect(long.status).toBe(413);
      const forged = await call(url, 'GET', `/v1/kv?cursor=${'A'.repeat(400)}`);
      expect(forged.status).toBe(400);
    });
  });

  it('I25 I39 MessagePack and gzip bombs over HTTP, again and again: refused unopened, no growth', async () => {
    const bombs: Uint8Array[] = [
      Uint8Array.of(0xdd, 0x00, 0xff, 0xff, 0xff),
      Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff),
      Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff),
      Uint8Array.of(0x81, 0xa3, 0x6f, 0x70, 0x73, 0xdd, 0x00, 0xff, 0xff, 0xff),
      new Uint8Array(100_000).fill(0x91),
      Buffer.concat([packBytes({ ops: [] }), Uint8Array.of(0)]),
    ];
    const gzip = gzipSync(Buffer.alloc(20 * MIB));
    await attack(async (n) => {
      const type = { 'content-type': 'application/msgpack' };
      const bomb = await call(url, 'POST', '/v1/batch', { body: pick(bombs, n), headers: type });
      expect(bomb.status).toBe(400);
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      expect((await call(url, 'POST', '/v1/batch', { body: gzip, headers })).status).toBe(415);
    });
  });

  it('I34 forwarded names, smuggled lines and odd headers, again and again: nothing changes, no growth', async () => {
    await attack(async (n) => {
      const headers = {
        'x-forwarded-for': `1.2.3.${n % 256}`,
        'x-tenant': 'other',
        x_minikv_ttl: '1',
      };
      const answer = await call(url, 'PUT', '/v1/kv/i34', { body: 'x', headers });
      expect(answer.status).toBeLessThan(202);
      await refused(get('/v1/kv/i34', 'X-A: b\rX-B: c\r\n'), [400]);
    });
    expect((await call(url, 'GET', '/v1/kv/i34')).headers['x-minikv-expires-at']).toBeUndefined();
  });

  it('I36 WebSocket frames that are large, unmasked, too many or forged, again and again: no growth', async () => {
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${key}`;
    const shake = get('/v1/watch?prefix=none/', upgrade);
    const frames = [
      '\x81\x01a',
      '\xf1\x81aaaab',
      '\x83\x80aaaa',
      '\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xffaaaa',
      `\x01\x80aaaa${'\x00\x80aaaa'.repeat(20_000)}`,
      '\x81\x82\x00\x00\x00\x00\xff\xfe',
      '\x88\x82\x00\x00\x00\x00\x00\x00',
    ];
    await attack(async (n) => {
      const { text, isClosed } = await raw(
        url,
        Buffer.from(shake + pick(frames, n), 'latin1'),
        10_000,
      );
      expect([statuses(text)[0], isClosed]).toEqual([101, true]);
      const foreign = await raw(
        url,
        get('/v1/watch', `${upgrade}Origin: https://evil.example\r\n`),
        10_000,
      );
      expect(statuses(foreign.text)).toEqual([403]);
    });
  });

  it('I36 I37 readers that never read, while a lot is written: cut off or bounded, no growth', async () => {
    const watchers = Array.from({ length: 10 }, (_, n) => {
      if (n % 2 === 0) {
        const socket = open(url);
        socket.pause();
        socket.write(get('/v1/watch?prefix=flood/'));
        return () => void socket.destroy();
      }
      const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/watch?prefix=flood/`);
      ws.on('error', () => {});
      ws.on('open', () => ws.pause());
      return () => ws.terminate();
    });
    await sleep(200);
    const value = 'x'.repeat(20_000);
    await attack((n) => call(url, 'PUT', `/v1/kv/flood/${n % 10}`, { body: value }), TIMES * 4);
    for (const stop of watchers) stop();
  });

  it('I37 forged and absurd resume points, again and again: 400, no growth', async () => {
    const ids = [
      '-1',
      '99999999999999999999',
      '!!',
      'x'.repeat(9000),
      '%00',
      'forged',
      'A'.repeat(64),
    ];
    await attack((n) =>
      refused(get('/v1/watch', `Connection: close\r\nLast-Event-ID: ${pick(ids, n)}\r\n`), [400]),
    );
  });

  it('I39 bombs, floods and odd subjects over NATS requests, again and again: answered, no growth', async () => {
    const bombs: Uint8Array[] = [
      Uint8Array.of(0xdd, 0x00, 0xff, 0xff, 0xff),
      new Uint8Array(100_000).fill(0x91),
      Buffer.from('['.repeat(100_000)),
      Buffer.from('{"key":"a","__proto__":{"x":1}}'),
      Buffer.from('{"key":"a\u0000b"}'),
      Buffer.alloc(900_000, 0x7b),
      new Uint8Array(0),
    ];
    await attack(async (n) => {
      const sent = natsHeaders();
      sent.set('Content-Type', n % 2 === 0 ? 'application/msgpack' : 'application/json');
      const op = pick(['get', 'put', 'batch', 'delete', 'scan'], n);
      const answer = await nats
        .request(`minikv.api.${op}`, pick(bombs, n), { timeout: 10_000, headers: sent })
        .catch((error: Error) => error);
      // An operation that is not served has no responders; every other answer is bounded.
      if (!(answer instanceof Error)) expect(answer.data.length).toBeLessThan(MIB);
      nats.publish(`minikv.api.${op}`, pick(bombs, n), { reply: 'minikv.api.put' });
    });
    await nats.flush();
  });

  it('I40 forged and damaged messages on the peer subjects, again and again: dropped, no growth', async () => {
    const sniffed: Uint8Array[] = [];
    const hello = nats.subscribe('minikv.minikv.hello', {
      callback: (_error, message) => void sniffed.push(message.data),
    });
    for (let n = 0; sniffed.length === 0 && n < 100; n++) await sleep(50);
    hello.unsubscribe();
    const genuine = sniffed[0] as Uint8Array;
    expect(genuine.length).toBeGreaterThan(10);
    await attack(async (n) => {
      const damaged = Buffer.from(genuine);
      const at = n % damaged.length;
      damaged[at] = (damaged[at] as number) ^ (1 << (n % 8));
      const forged = [
        damaged,
        genuine,
        Uint8Array.of(0xdd, 0x00, 0xff, 0xff, 0xff),
        new Uint8Array(500_000).fill(0x91),
        new Uint8Array(0),
      ];
      for (const lane of ['raft', 'request', 'blob', 'snapshot']) {
        nats.publish(`minikv.minikv.node.n1.${lane}`, pick(forged, n));
      }
      nats.publish('minikv.minikv.hello', pick(forged, n + 1));
      await nats.flush();
    });
    const after = await call(url, 'PUT', '/v1/kv/after-forgery', { body: 'x' });
    expect(after.status).toBe(201);
  });
});
