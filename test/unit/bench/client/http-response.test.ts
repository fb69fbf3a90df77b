import { expect, test } from 'vitest';
import { HttpResponseReader } from '../../../../bench/client/http-response.ts';

interface Seen {
  readonly status: number;
  readonly body: string;
}

function read(chunks: readonly string[]): Seen[] {
  const seen: Seen[] = [];
  const reader = new HttpResponseReader(({ status, bytes, start, end }) => {
    seen.push({ status, body: bytes.toString('latin1', start, end) });
  });
  // Each chunk in the same memory, as the connections have it: nothing of it may be kept.
  const shared = Buffer.alloc(4096);
  for (const chunk of chunks) reader.feed(shared.subarray(0, shared.write(chunk, 'latin1')));
  return seen;
}

const PLAIN = 'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello';
const EMPTY = 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n';
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n';

test('responses one after another, in one piece', () => {
  expect(read([PLAIN + EMPTY + CHUNKED + PLAIN])).toEqual([
    { status: 200, body: 'hello' },
    { status: 404, body: '' },
    { status: 200, body: 'abc0123456789' },
    { status: 200, body: 'hello' },
  ]);
});

test('the same wherever they are cut', () => {
  const all = PLAIN + CHUNKED + EMPTY + PLAIN;
  const whole = read([all]);
  for (let cut = 1; cut < all.length; cut++) {
    expect(read([all.slice(0, cut), all.slice(cut)])).toEqual(whole);
  }
  expect(read([...all])).toEqual(whole);
});

test('a long body comes whole', () => {
  const body = 'x'.repeat(10_000);
  const text = `HTTP/1.1 201 Created\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const chunks = text.match(/[\s\S]{1,3000}/g) as string[];
  expect(read([...chunks, PLAIN])).toEqual([
    { status: 201, body },
    { status: 200, body: 'hello' },
  ]);
});

test.each([
  ['no response at all', 'GET / HTTP/1.1\r\n\r\n'],
  ['an interim response', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['no length', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
  [
    'a length and chunks',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
  ],
  ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
  ['a chunk length that is none', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n'],
  ['a chunk that is longer', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n'],
  ['another encoding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n'],
])('%s is refused', (_, text) => {
  expect(() => read([text])).toThrow();
});
