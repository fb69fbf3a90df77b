import { expect, test } from 'vitest';
import { NatsReader } from '../../../../bench/client/nats-message.ts';
import { REDIS, RedisReplyReader } from '../../../../bench/client/redis-reply.ts';

/** Fed whole, and again cut at every place: both must be the same. */
function everyCut<T>(text: string, read: (chunks: readonly Buffer[]) => T[]): T[] {
  const bytes = Buffer.from(text, 'latin1');
  const whole = read([bytes]);
  for (let cut = 1; cut < bytes.length; cut++) {
    expect(read([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
  }
  return whole;
}

function redis(chunks: readonly Buffer[]): [number, number, string][] {
  const seen: [number, number, string][] = [];
  const reader = new RedisReplyReader((...reply) => seen.push(reply));
  for (const chunk of chunks) reader.feed(chunk);
  return seen;
}

test('Redis: the replies that workloads get', () => {
  const text = '+OK\r\n$5\r\nhe\r\nl\r\n$-1\r\n:42\r\n-ERR no\r\n$0\r\n\r\n';
  expect(everyCut(text, redis)).toEqual([
    [REDIS.simple, 2, 'OK'],
    [REDIS.bulk, 5, ''],
    [REDIS.bulk, -1, ''],
    [REDIS.integer, 42, '42'],
    [REDIS.error, 6, 'ERR no'],
    [REDIS.bulk, 0, ''],
  ]);
});

test.each(['*1\r\n', '$x\r\n', 'hello\r\n'])('Redis: %j is refused', (text) => {
  expect(() => redis([Buffer.from(text)])).toThrow();
});

function nats(chunks: readonly Buffer[]): string[][] {
  const seen: string[][] = [];
  const reader = new NatsReader({
    ping: () => void seen.push(['ping']),
    message: (header, payload) => void seen.push([header, payload.toString('latin1')]),
  });
  for (const chunk of chunks) reader.feed(chunk);
  return seen;
}

test('NATS: messages with and without headers, pings and what is passed over', () => {
  const header = 'NATS/1.0\r\nA: b\r\n\r\n';
  const text = [
    'INFO {"server_id":"x"}\r\n',
    '+OK\r\nPING\r\n',
    'MSG a.b 1 3\r\nabc\r\n',
    'MSG a.b 1 reply.to 2\r\n\r\n\r\n',
    `HMSG a.b 1 ${header.length} ${header.length + 4}\r\n${header}body\r\n`,
    `HMSG a.b 1 12 ${header.length} ${header.length}\r\n${header}\r\n`,
  ].join('');
  expect(everyCut(text, nats)).toEqual([
    ['ping'],
    ['', 'abc'],
    ['', '\r\n'],
    [header, 'body'],
    [header, ''],
  ]);
});

test.each(["-ERR 'Authorization Violation'\r\n", 'HMSG a 1 20 10\r\n', 'MSG a 1\r\n'])(
  'NATS: %j is refused',
  (text) => {
    expect(() => nats([Buffer.from(text)])).toThrow();
  },
);
