import { decode } from '@msgpack/msgpack';
import { expect, test } from 'vitest';
import type { Dialect, MakeDialect } from '../../../../bench/client/dialects/dialect.ts';
import { etcdDialect } from '../../../../bench/client/dialects/etcd.ts';
import { minikvDialect } from '../../../../bench/client/dialects/minikv.ts';
import { natsDialect } from '../../../../bench/client/dialects/nats.ts';
import { redisDialect } from '../../../../bench/client/dialects/redis.ts';
import type { Operation } from '../../../../bench/client/job.ts';
import { keyOf } from '../../../../bench/client/key-digits.ts';
import { Random } from '../../../../bench/client/random.ts';

const VALUE = 'v'.repeat(100);
const KEYS = 10_000;

interface Made {
  readonly dialect: Dialect;
  /** What was said of each answer. */
  readonly said: (string | null)[];
}

function make(kind: MakeDialect, operation: Operation): Made {
  const said: (string | null)[] = [];
  const random = new Random(3);
  let from = 0;
  const nextRange = () => {
    const range = { from, count: 'size' in operation ? operation.size : 0 };
    from += range.count;
    return range;
  };
  const target = { host: '127.0.0.1', port: 1 };
  const values = [Buffer.from(VALUE)];
  const dialect = kind(
    { target, operation, keys: KEYS, valueBytes: 100, random, values, nextRange },
    (_, error) => void said.push(error),
    () => {},
  );
  return { dialect, said };
}

function next(dialect: Dialect): { head: string; body: Buffer } {
  const bytes = dialect.next() as Buffer;
  const end = bytes.indexOf('\r\n\r\n') + 4;
  return { head: bytes.toString('latin1', 0, end), body: bytes.subarray(end) };
}

function answer(body: string, status = '200 OK'): Buffer {
  return Buffer.from(`HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}

test('random numbers are the same for a seed, even, and others for another', () => {
  const draw = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 20_000 }, () => random.below(10));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  const counts = Array.from({ length: 10 }, (_, n) => draw(7).filter((x) => x === n).length);
  for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(200);
});

test('minikv: a put names a key in range and carries the value and its length', () => {
  const { dialect, said } = make(minikvDialect, { kind: 'put' });
  for (let i = 0; i < 50; i++) {
    const { head, body } = next(dialect);
    expect(head).toMatch(/^PUT \/v1\/kv\/key\d{9} HTTP\/1\.1\r\nhost: 127\.0\.0\.1:1\r\n/);
    expect(head).toContain('\r\ncontent-length: 100\r\n');
    expect(Number(/key(\d+)/.exec(head)?.[1])).toBeLessThan(KEYS);
    expect(body.toString()).toBe(VALUE);
  }
  dialect.feed(answer('{"revision":1}', '201 Created'));
  dialect.feed(answer('{"code":"overloaded"}', '503 Service Unavailable'));
  expect(said).toEqual([null, 'status 503: {"code":"overloaded"}']);
});

test('minikv: a get must have the length of the value', () => {
  const { dialect, said } = make(minikvDialect, { kind: 'get' });
  next(dialect);
  dialect.feed(answer(VALUE));
  dialect.feed(answer('short'));
  expect(said).toEqual([null, 'a value has 5 bytes']);
});

test('minikv: a batch is MessagePack of puts of different keys', () => {
  const { dialect, said } = make(minikvDialect, { kind: 'batch', size: 1_000 });
  const { head, body } = next(dialect);
  expect(head).toContain(`content-length: ${body.length}\r\n`);
  const { ops } = decode(body) as { ops: { op: string; key: string; value: Uint8Array }[] };
  expect(ops).toHaveLength(1_000);
  expect(new Set(ops.map(({ key }) => key)).size).toBe(1_000);
  expect(ops[999]?.op).toBe('put');
  expect(Buffer.from(ops[999]?.value ?? []).toString()).toBe(VALUE);
  dialect.feed(answer('\x81\xa4codex'));
  expect(said).toEqual(['an operation of a batch failed: codex']);
});

test('minikv: a fill has every key once, in order', () => {
  const { dialect } = make(minikvDialect, { kind: 'fill', size: 4, from: 0, to: 8 });
  const keys = [1, 2].flatMap(() => {
    const { ops } = decode(next(dialect).body) as { ops: { key: string }[] };
    return ops.map(({ key }) => key);
  });
  expect(keys).toEqual(Array.from({ length: 8 }, (_, n) => keyOf(n)));
  const single = make(minikvDialect, { kind: 'fill', size: 1, from: 0, to: 2 });
  next(single.dialect);
  expect(next(single.dialect).head).toContain(`PUT /v1/kv/${keyOf(1)} `);
});

test('minikv: scans must have all their items, and a listing its end', () => {
  const page = make(minikvDialect, { kind: 'scan', limit: 2 });
  next(page.dialect);
  page.dialect.feed(answer('{"items":[{"createRevision":1},{"createRevision":2}]}'));
  page.dialect.feed(answer('{"items":[{"createRevision":1}]}'));
  expect(page.said).toEqual([null, 'a page has 1 items, not 2']);
  const all = make(minikvDialect, { kind: 'scan-all' });
  next(all.dialect);
  const lines = '{"createRevision":1}\n'.repeat(KEYS);
  all.dialect.feed(answer(`${lines}{"end":true,"revision":9}\n`));
  all.dialect.feed(answer(lines));
  expect(all.said).toEqual([null, 'the listing was cut']);
});

test('a mix puts as often as it says', () => {
  const { dialect } = make(minikvDialect, { kind: 'mix', putShare: 0.05 });
  const puts = Array.from({ length: 4_000 }, () => next(dialect).head.startsWith('PUT'));
  const share = puts.filter(Boolean).length / puts.length;
  expect(share).toBeGreaterThan(0.035);
  expect(share).toBeLessThan(0.065);
});

test('etcd: JSON with keys and values in base64', () => {
  const { dialect, said } = make(etcdDialect, { kind: 'put' });
  const { head, body } = next(dialect);
  expect(head).toContain(`POST /v3/kv/put HTTP/1.1\r\n`);
  expect(head).toContain(`content-length: ${body.length}\r\n`);
  const { key, value } = JSON.parse(body.toString()) as { key: string; value: string };
  expect(atob(key)).toMatch(/^key00000\d{4}$/);
  expect(atob(value)).toBe(VALUE);
  dialect.feed(answer('{"error":"no"}'));
  expect(said).toEqual(['a put has no header']);
  const get = make(etcdDialect, { kind: 'get' });
  next(get.dialect);
  get.dialect.feed(answer(`{"kvs":[{"key":"a","value":"${btoa(VALUE)}"}]}`));
  get.dialect.feed(answer('{"header":{}}'));
  expect(get.said[0]).toBeNull();
  expect(get.said[1]).toMatch(/^a value has/);
});

test('etcd: a batch is one transaction', () => {
  const { dialect } = make(etcdDialect, { kind: 'batch', size: 3 });
  const { success } = JSON.parse(next(dialect).body.toString()) as { success: object[] };
  expect(success).toHaveLength(3);
  expect(success[0]).toHaveProperty('requestPut.key');
});

test('Redis: commands as arrays of bulk strings, and answers by kind', () => {
  const { dialect, said } = make(redisDialect, { kind: 'put' });
  expect((dialect.next() as Buffer).toString()).toMatch(
    /^\*3\r\n\$3\r\nSET\r\n\$12\r\nkey\d{9}\r\n\$100\r\nv{100}\r\n$/,
  );
  dialect.feed(Buffer.from('+OK\r\n-OOM no\r\n'));
  expect(said).toEqual([null, 'OOM no']);
  const get = make(redisDialect, { kind: 'get' });
  get.dialect.next();
  get.dialect.feed(Buffer.from(`$100\r\n${VALUE}\r\n$-1\r\n`));
  expect(get.said).toEqual([null, 'a value has -1 bytes']);
});

test('NATS: a request has its sizes right, and only status 200 with the value is an answer', () => {
  const { dialect, said } = make(natsDialect, { kind: 'get' });
  const request = (dialect.next() as Buffer).toString('latin1');
  const match = /^HPUB minikv\.api\.get (\S+) (\d+) (\d+)\r\n/.exec(request);
  const payload = request.slice((match?.[0].length ?? 0) + Number(match?.[2]));
  expect(payload.length).toBe(Number(match?.[3]) - Number(match?.[2]) + 2);
  expect(decode(Buffer.from(payload.slice(0, -2), 'latin1'))).toHaveProperty('key');
  const header = 'NATS/1.0\r\nMinikv-Status: 200\r\n\r\n';
  const message = (head: string, body: string): Buffer =>
    Buffer.from(
      `HMSG x 1 ${head.length} ${head.length + body.length}\r\n${head}${body}\r\n`,
      'latin1',
    );
  dialect.feed(message(header, `\x82\xa5value\xc4\x64${VALUE}`));
  dialect.feed(message(header, '\x81\xa5value\xc4\x01v'));
  dialect.feed(message('NATS/1.0 503\r\n\r\n', ''));
  expect(said[0]).toBeNull();
  expect(said[1]).toBe('a value has another length');
  expect(said[2]).toMatch(/^an answer has/);
});
