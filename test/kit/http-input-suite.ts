import { describe, expect, it } from 'vitest';
import { packBytes } from '../../protocol/codec.ts';
import { call, open, raw, statuses } from './raw-http.ts';

const HOST = 'Host: localhost\r\n';
const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`;
const head = (path: string, headers: string, body = ''): string =>
  `PUT ${path} HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;

/** Bad inputs over HTTP, named by their row of docs/faults.md, section I. */
export function httpInputSuite(urlOf: () => string): void {
  /** Exactly one answer, of this status, then the connection ends; the node serves on. */
  const refused = async (
    bytes: string,
    status: number | number[],
    waitMs = 1500,
  ): Promise<void> => {
    const { text, isClosed } = await raw(urlOf(), bytes, waitMs);
    const shown = bytes.slice(0, 80);
    expect(statuses(text), shown).toHaveLength(1);
    expect([status].flat(), shown).toContain(statuses(text)[0]);
    expect(isClosed, shown).toBe(true);
    expect(text.toLowerCase()).toContain('x-request-id: ');
    expect(text.toLowerCase()).toContain('content-type: application/problem+json');
    expect((await call(urlOf(), 'GET', '/health/live')).status).toBe(200);
  };
  describe('the head of a request', () => headTests(urlOf, refused));
  describe('the body of a request', () => bodyTests(urlOf, refused));
  describe('keys and URLs', () => keyTests(urlOf));
  describe('documents', () => documentTests(urlOf));
}

type Refused = (bytes: string, status: number | number[], waitMs?: number) => Promise<void>;

function headTests(urlOf: () => string, refused: Refused): void {
  it('I01 headers over 16 KB are 431, also one alone', async () => {
    await refused(get('/health', `X-Big: ${'x'.repeat(17_000)}\r\n`), 431);
    await refused(get('/health', `X-Big: ${'x'.repeat(40_000)}\r\n`), 431);
    const many = Array.from({ length: 150 }, (_, i) => `X-${i}: ${'y'.repeat(120)}\r\n`).join('');
    await refused(get('/health', many), 431);
  });
  it('I02 more than 200 headers are 431', async () => {
    const headers = (count: number) => 'A: b\r\n'.repeat(count);
    await refused(get('/health', headers(200)), 431);
    await refused(get('/health', headers(2500)), 431);
    const fine = await raw(urlOf(), get('/health/live', `${headers(190)}Connection: close\r\n`));
    expect(statuses(fine.text)).toEqual([200]);
  });
  it('I03 a URL over 16 KB is 414, a key over 4096 bytes too', async () => {
    await refused(get(`/v1/kv/${'k'.repeat(20_000)}`), 414);
    const { text } = await raw(urlOf(), get(`/v1/kv/${'k'.repeat(20_000)}`));
    expect(text).toContain('"limit":"urlBytesMax","max":16384');
    const long = await call(urlOf(), 'PUT', `/v1/kv/${'k'.repeat(4097)}`, { body: 'x' });
    expect([long.status, long.json.code]).toEqual([414, 'uri_too_long']);
    expect(long.json).toMatchObject({ limit: 'keyBytesMax', max: 4096 });
    expect(
      (await call(urlOf(), 'PUT', `/v1/kv/${'k'.repeat(4096)}`, { body: 'x' })).status,
    ).toBeLessThan(202);
    expect(
      (await call(urlOf(), 'PUT', `/v1/kv/${'%ff'.repeat(4096)}`, { body: 'x' })).status,
    ).toBeLessThan(202);
  });
  it('I04 no Host, or two, is 400', async () => {
    await refused('GET /health HTTP/1.1\r\n\r\n', 400);
    await refused(`GET /health HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`, 400);
    await refused(`GET /health HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400);
  });
  it('I05 Content-Length with Transfer-Encoding, or two of it, is 400', async () => {
    await refused(
      head(
        '/v1/kv/i5',
        'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n',
        '0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
      ),
      400,
    );
    await refused(head('/v1/kv/i5', 'Content-Length: 3\r\nContent-Length: 4\r\n', 'abcd'), 400);
    expect((await call(urlOf(), 'GET', '/v1/kv/i5')).status).toBe(404);
  });
  it('I06 any transfer coding but chunked is exactly one 400', async () => {
    for (const coding of [
      'xchunked',
      'chunked, identity',
      'identity',
      'gzip, chunked',
      'chunked, chunked',
    ]) {
      await refused(
        head('/v1/kv/i6', `Transfer-Encoding: ${coding}\r\n`, '1\r\na\r\n0\r\n\r\n'),
        400,
      );
    }
    await refused(head('/v1/kv/i6', 'Transfer-Encoding : chunked\r\n', '0\r\n\r\n'), 400);
    await refused(
      head(
        '/v1/kv/i6',
        'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
        '0\r\n\r\n',
      ),
      400,
    );
  });
  it('I10 slow headers are 408 within 10 s', { timeout: 15_000 }, async () => {
    const { text, isClosed, tookMs } = await raw(
      urlOf(),
      'GET /health HTTP/1.1\r\nHost: lo',
      11_000,
    );
    expect([statuses(text), isClosed]).toEqual([[408], true]);
    expect(tookMs).toBeLessThan(10_500);
  });
  it('I12 pipelined requests are answered in order or the connection ends', async () => {
    const few = Array.from({ length: 50 }, (_, i) =>
      get('/health/live', `X-Request-Id: p${i}\r\n`),
    );
    const { text } = await raw(urlOf(), few.join(''), 1000);
    const ids = [...text.matchAll(/x-request-id: p(\d+)/gi)].map((match) => Number(match[1]));
    expect(ids).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const flood = await raw(urlOf(), get('/v1/kv/none').repeat(10_000), 8000);
    expect(flood.isClosed || statuses(flood.text).length === 10_000).toBe(true);
    expect((await call(urlOf(), 'GET', '/health/live')).status).toBe(200);
  });
  it('I13 other protocols are 400', async () => {
    await refused('GET /health\r\n\r\n', 400);
    await refused(`GET /health HTTP/9.9\r\n${HOST}\r\n`, 400);
    await refused(`GET /health HTTP/0.9\r\n${HOST}\r\n`, 400);
    await refused('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400);
    await refused('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400);
    await refused('garbage\r\n\r\n', 400);
  });
  it('I14 this is no proxy', async () => {
    await refused(`GET http://169.254.169.254/latest HTTP/1.1\r\n${HOST}\r\n`, 400);
    await refused(`CONNECT 169.254.169.254:80 HTTP/1.1\r\n${HOST}\r\n`, 405);
    await refused(`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 400);
  });
  it('an upgrade that is not offered is ignored, as RFC 9110 says', async () => {
    const h2c =
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n';
    const put = await raw(urlOf(), head('/v1/kv/h2c', `${h2c}Content-Length: 5\r\n`, 'hello'), 800);
    expect(statuses(put.text)).toEqual([201]);
    expect((await call(urlOf(), 'GET', '/v1/kv/h2c')).text).toBe('hello');
  });
  it('an unknown expectation is refused', async () => {
    await refused(head('/v1/kv/i', 'Expect: 200-maybe\r\nContent-Length: 1\r\n', 'x'), 400);
  });
  it('I34 forwarded and identity headers change nothing', async () => {
    const headers = { 'x-forwarded-for': '1.2.3.4', 'x-tenant': 'other', x_minikv_ttl: '1' };
    await call(urlOf(), 'PUT', '/v1/kv/i34', { body: 'x', headers });
    const got = await call(urlOf(), 'GET', '/v1/kv/i34');
    expect([got.text, got.headers['x-minikv-expires-at']]).toEqual(['x', undefined]);
    await refused(get('/health', 'X-A: b\rX-B: c\r\n'), 400);
  });
}

function bodyTests(urlOf: () => string, refused: Refused): void {
  it('I07 chunk sizes that are none end with nothing stored', async () => {
    const chunked = 'Transfer-Encoding: chunked\r\n';
    await refused(head('/v1/kv/i7', chunked, 'ZZ\r\nabc\r\n0\r\n\r\n'), 400);
    await refused(head('/v1/kv/i7', chunked, `${'F'.repeat(17)}\r\nabc`), [400, 413]);
    await refused(
      head('/v1/kv/i7', chunked, `1;${'x'.repeat(100_000)}\r\na\r\n0\r\n\r\n`),
      [400, 413],
    );
    await refused(head('/v1/kv/i7', chunked, '3\nabc\n0\n\n'), 400);
    expect((await call(urlOf(), 'GET', '/v1/kv/i7')).status).toBe(404);
  });
  it('I08 a Content-Length that is none is 400; one beyond the limit is 413 at once', async () => {
    for (const length of ['+1', '0x1', '-1', '18446744073709551616', '1 1', '']) {
      await refused(head('/v1/kv/i8', `Content-Length: ${length}\r\n`, 'x'), 400);
    }
    const huge = await raw(urlOf(), head('/v1/kv/i8', 'Content-Length: 9007199254740992\r\n'), 500);
    expect(statuses(huge.text)).toEqual([413]);
    expect(huge.text).toContain('"code":"too_large"');
  });
  it('I09 a body that ends early stores nothing', async () => {
    const socket = open(urlOf());
    socket.end(head('/v1/kv/i9', 'Content-Length: 10\r\n', 'abc'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    socket.destroy();
    expect((await call(urlOf(), 'GET', '/v1/kv/i9')).status).toBe(404);
  });
  it('I10 a slow body is 408 within 10 s, and others are served', { timeout: 15_000 }, async () => {
    const slow = raw(urlOf(), head('/v1/kv/i10', 'Content-Length: 100\r\n', 'a'), 11_000);
    expect((await call(urlOf(), 'GET', '/health/live')).status).toBe(200);
    const { text, isClosed, tookMs } = await slow;
    expect([statuses(text), isClosed]).toEqual([[408], true]);
    expect(text).toContain('"code":"request_timeout"');
    expect(tookMs).toBeLessThan(10_000);
  });
  it('a value over the limit is 413, named, and the connection lives on', async () => {
    const answer = await call(urlOf(), 'PUT', '/v1/kv/big', { body: Buffer.alloc(786_433) });
    expect([answer.status, answer.json.code]).toEqual([413, 'too_large']);
    expect(answer.json).toMatchObject({ limit: 'valueBytesMax', max: 786_432, definite: true });
    const fits = await call(urlOf(), 'PUT', '/v1/kv/big', { body: Buffer.alloc(786_432) });
    expect(fits.status).toBe(201);
    await call(urlOf(), 'DELETE', '/v1/kv/big');
  });
  it('I25 a content coding is never undone: 415', async () => {
    const headers = { 'content-encoding': 'gzip' };
    for (const [method, path] of [
      ['POST', '/v1/batch'],
      ['PUT', '/v1/kv/z'],
    ] as const) {
      const answer = await call(urlOf(), method, path, { body: 'x', headers });
      expect([answer.status, answer.json.code]).toEqual([415, 'unsupported_media_type']);
    }
  });
}

function keyTests(urlOf: () => string): void {
  const url = urlOf;
  it('I15 dots, escapes and slashes are key bytes, decoded exactly once', async () => {
    const paths = ['../../etc/passwd', '%2e%2e%2fx', '%252e', '//', 'a\\b', './a', 'a/./b/../c'];
    for (const path of paths) {
      const put = await raw(
        url(),
        head(`/v1/kv/i15/${path}`, `Content-Length: ${path.length}\r\nConnection: close\r\n`, path),
      );
      expect(statuses(put.text), path).toEqual([201]);
    }
    for (const path of paths) {
      const got = await raw(url(), get(`/v1/kv/i15/${path}`, 'Connection: close\r\n'));
      expect(got.text.endsWith(`\r\n\r\n${path}`), path).toBe(true);
    }
    const page = await call(url(), 'GET', '/v1/kv?prefix=i15/&values=false');
    const keys = page.json.items.map((item: { key: string }) => item.key.slice(4));
    const decoded = ['../../etc/passwd', '../x', '%2e', '//', 'a\\b', './a', 'a/./b/../c'];
    expect(keys.sort()).toEqual(decoded.sort());
  });
  it('I16 NUL, CR, LF and DEL in a key are 400', async () => {
    for (const byte of ['%00', '%0d', '%0a', '%7f', '%0D%0ASet-Cookie:x']) {
      for (const path of [`/v1/kv/a${byte}b`, `/a${byte}b`]) {
        const answer = await call(url(), 'PUT', path, { body: 'x' });
        expect([answer.status, answer.json.code], path).toEqual([400, 'invalid_argument']);
      }
    }
  });
  it('I17 malformed escapes are 400; bytes that are no UTF-8 are a key all the same', async () => {
    for (const bad of ['%', '%f', '%zz', '%u0041', 'a%', '%%']) {
      for (const path of [`/v1/kv/${bad}`, `/v1/kv?prefix=${bad}`, `/${bad}`]) {
        const { text } = await raw(url(), get(path, 'Connection: close\r\n'));
        expect(statuses(text), path).toEqual([400]);
      }
    }
    for (const odd of ['%ff', '%c0%af', '%ed%a0%80']) {
      expect((await call(url(), 'PUT', `/v1/kv/i17/${odd}`, { body: 'x' })).status).toBe(201);
    }
    for (const path of ['/v1/%ff', '/admin/%c0%af/x']) {
      const { text } = await raw(url(), get(path, 'Connection: close\r\n'));
      expect([400, 404], path).toContain(statuses(text)[0]);
    }
  });
  it('I18 Unicode twins are different keys; an empty key is 400', async () => {
    const keys = ['caf\u00e9', 'cafe\u0301', '\u202eabc', '\u{1f600}'];
    for (const key of keys) {
      await call(url(), 'PUT', `/v1/kv/i18/${encodeURIComponent(key)}`, { body: key });
    }
    for (const key of keys) {
      const got = await call(url(), 'GET', `/v1/kv/i18/${encodeURIComponent(key)}`);
      expect(got.text).toBe(key);
    }
    const empty = await call(url(), 'PUT', '/v1/kv/', { body: 'x' });
    expect([empty.status, empty.json.code]).toEqual([400, 'invalid_argument']);
  });
  it('I20 __proto__ and its kin are keys, query names and fields like any other', async () => {
    for (const name of ['__proto__', 'constructor', 'prototype', 'toString']) {
      expect((await call(url(), 'PUT', `/v1/kv/${name}`, { body: name })).status).toBe(201);
      expect((await call(url(), 'GET', `/v1/kv/${name}`)).text).toBe(name);
      expect((await call(url(), 'GET', `/v1/kv?${name}=1`)).status).toBe(400);
      const body = `{"ops":[{"op":"get","key":"a","${name}":{"x":1}}]}`;
      const headers = { 'content-type': 'application/json' };
      expect((await call(url(), 'POST', '/v1/batch', { body, headers })).status).toBe(400);
      expect(Reflect.get({}, 'x')).toBeUndefined();
    }
  });
  it('I35 long prefixes and huge limits are bounded', async () => {
    const long = await call(url(), 'GET', `/v1/kv?prefix=${'p'.repeat(5000)}`);
    expect([long.status, long.json.code]).toEqual([413, 'too_large']);
    expect((await call(url(), 'GET', '/v1/kv?limit=9007199254740991')).status).toBe(200);
  });
}

function documentTests(urlOf: () => string): void {
  const post = (body: string | Uint8Array, type = 'application/json') =>
    call(urlOf(), 'POST', '/v1/batch', { body, headers: { 'content-type': type } });
  const malformed = async (body: string | Uint8Array, type?: string): Promise<void> => {
    const answer = await post(body, type);
    const shown = Buffer.from(body).toString('latin1').slice(0, 60);
    expect([answer.status, answer.json.code], shown).toEqual([400, 'malformed']);
  };
  it('I19 a JSON depth of 100 k is 400 in no time', async () => {
    const started = performance.now();
    await malformed('['.repeat(100_000));
    await malformed(`{"ops":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    await malformed('{"a":'.repeat(100_000));
    expect(performance.now() - started).toBeLessThan(1000);
  });
  it('I21 what JSON would change in silence is 400', async () => {
    const put = (value: string): string => `{"ops":[{"op":"put","key":"i21","value":${value}}]}`;
    await malformed('{"ops":[],"ops":[]}');
    await malformed('{"ops":[{"op":"get","k\\u0065y":"a","key":"b"}]}');
    await malformed('{"ops":[{"op":"put","key":"a","value":"x","ttl":9007199254740993}]}');
    await malformed('{"ops":[{"op":"put","key":"a","value":"x","ttl":1e999}]}');
    await malformed('{"ops":[{"op":"put","key":"a","value":"x","ttl":NaN}]}');
    await malformed('\ufeff{"ops":[]}');
    await malformed(Buffer.from(put('"\xff\xfe"'), 'latin1'));
    await malformed(Buffer.from(put('"\xed\xa0\x80"'), 'latin1'));
    await malformed(put('"\\ud800"'));
    for (const text of [
      '',
      '{',
      '{"ops":[}',
      '{"ops":[]}x',
      "{'ops':[]}",
      '{"ops":[],}',
      '{"ops":[01]}',
    ]) {
      await malformed(text);
    }
    expect((await call(urlOf(), 'GET', '/v1/kv/i21')).status).toBe(404);
  });
  it('I21 MessagePack is held to the same', async () => {
    const type = 'application/msgpack';
    const bytes = (...parts: number[]): Uint8Array => Uint8Array.from(parts);
    await malformed(bytes(0xdd, 0x00, 0xff, 0xff, 0xff), type);
    await malformed(Buffer.alloc(100_000, 0x91), type);
    await malformed(bytes(0x82, 0xa1, 0x61, 0x01, 0xa1, 0x61, 0x02), type);
    await malformed(bytes(0x82, 0xa1, 0x61, 0x01, 0xd9, 0x01, 0x61, 0x02), type);
    await malformed(bytes(0x81, 0xa1, 0xff, 0x01), type);
    await malformed(bytes(0x81, 0xa1, 0x61, 0xcf, 0, 0x20, 0, 0, 0, 0, 0, 0), type);
    await malformed(bytes(0x81, 0xa1, 0x61, 0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0), type);
    await malformed(bytes(0x81, 0x01, 0x01), type);
    await malformed(bytes(0xc1), type);
    await malformed(Buffer.concat([packBytes({ ops: [] }), bytes(0)]), type);
  });
  it('a document needs a type we read, in UTF-8', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=utf-7',
      'application/json; charset=iso-8859-1',
    ]) {
      const answer = await post('{"ops":[]}', type);
      expect([answer.status, answer.json.code], type).toEqual([415, 'unsupported_media_type']);
    }
    for (const type of [
      'application/json',
      'application/json; charset=UTF-8',
      'application/vnd.api+json',
    ]) {
      expect((await post('{"ops":[]}', type)).status, type).toBe(200);
    }
  });
}
