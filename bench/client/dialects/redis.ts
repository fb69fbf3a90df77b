import { KEY_BYTES } from '../key-digits.ts';
import { REDIS, RedisReplyReader } from '../redis-reply.ts';
import { Template } from '../template.ts';
import type { MakeDialect } from './dialect.ts';
import { type Expected, type RequestShapes, RequestStream } from './requests.ts';

/** Redis: commands as arrays of bulk strings. Its keys have no order, so it has no scans of a range. */
export const redisDialect: MakeDialect = (options, done) => {
  const { valueBytes } = options;
  const requests = new RequestStream(options, shapesOf(valueBytes), options.values);
  const reader = new RedisReplyReader((type, length, text) => {
    const flaw = flawOf(requests.expected, type, length, text, valueBytes);
    done(requests.count, flaw);
  });
  return { greeting: null, next: () => requests.next(), feed: (chunk) => reader.feed(chunk) };
};

function shapesOf(size: number): RequestShapes {
  const command = (name: string, parts: number): Template =>
    new Template(size).text(`*${parts}\r\n$${name.length}\r\n${name}\r\n`);
  const key = (t: Template): Template => t.text(`$${KEY_BYTES}\r\n`).key().text('\r\n');
  const value = (t: Template): Template => t.text(`$${size}\r\n`).value().text('\r\n');
  return {
    put: () => value(key(command('SET', 3))),
    get: () => key(command('GET', 2)),
    batch: (count) => {
      const template = command('MSET', 1 + 2 * count);
      for (let i = 0; i < count; i++) value(key(template));
      return template;
    },
    scan: () => null,
    scanAll: () => null,
  };
}

function flawOf(
  expected: Expected,
  type: number,
  length: number,
  text: string,
  valueBytes: number,
): string | null {
  if (type === REDIS.error) return text;
  if (expected === 'get') {
    return type === REDIS.bulk && length === valueBytes ? null : `a value has ${length} bytes`;
  }
  return type === REDIS.simple && text === 'OK' ? null : `an answer is ${text}`;
}
