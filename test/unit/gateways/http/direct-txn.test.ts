import { describe, vi } from 'vitest';
import { DirectTxn } from '../../../../gateways/kv/direct-txn.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { directTests, type Rows } from '../../../kit/direct-suite.ts';
import type { Ask, Shown } from '../../../kit/shown-answer.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

const txn = (body: unknown, headers: Record<string, string> = {}): Ask => ({
  ...{ method: 'POST', path: '/v1/txn', headers: { ...JSON_HEADERS, ...headers } },
  body: typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body),
});
const put = (key: string, value: string) => ({ op: 'put', key, value });
const ABSENT = [{ key: 'a', exists: false }];

const ROWS: Rows = {
  'writes, and what they read': [
    txn({ then: [put('a', '1'), put('b', '\u00e9"\\')] }),
    txn({
      then: [
        { op: 'get', key: 'a' },
        { op: 'range', prefix: '' },
      ],
    }),
    txn({
      then: [
        { op: 'delete', key: 'b' },
        { op: 'delete', prefix: 'x' },
      ],
    }),
    txn({ then: [{ op: 'put', keyBase64: '//8=', base64: '/w==' }] }),
    txn({ then: [{ op: 'get', keyBase64: '//8=' }] }),
  ],
  compares: [
    txn({ compare: ABSENT, then: [put('a', '2')] }),
    txn({ compare: ABSENT, then: [put('a', '2')], else: [put('a', '3')] }),
    txn({ compare: [{ key: 'a', value: '3' }], then: [put('a', '4')] }),
  ],
  'bodies that are none': [
    ...['', '{', '[]', '{"then":1}', '{"then":[]}', '{"then":[{"op":"x"}]}', '{"a":1,"a":2}'],
    ...[
      '{"then":[{"op":"put","key":"\\ud800","value":""}]}',
      '\ufeff{}',
      '{"then":[9007199254740993]}',
    ],
    Buffer.from([0x7b, 0xff, 0x7d]),
  ].map((body) => txn(body)),
  'names and values with escapes': [
    '{"then":[{"op":"put","key":"a\\"b","value":"\\\\"},{"op":"put","key":"c","value":"\\n"}]}',
    '{"th\\u0065n":[{"op":"get","key":"c"}]}',
    '{"then":[{"op":"get","key":"c"}],"th\\u0065n":[]}',
    '{"then":[{"op":"get","key":"c\\"}]}',
    '{"then":[{"op":"get","key":"c}]}',
    '{\\"then":[{"op":"get","key":"c"}]}',
  ].map((body) => txn(body)),
  'idempotency keys': ['1', '1', '2'].map((value) =>
    txn({ then: [put('i', value)] }, { 'idempotency-key': 'one' }),
  ),
  deadlines: ['1', 'x'].map((ms) => txn({ then: [put('d', '')] }, { 'x-minikv-timeout-ms': ms })),
  sizes: [1_000, 40_000, 100_000, 800_000].map((size) =>
    txn({ then: [put('s', 'x'.repeat(size))] }),
  ),
  'failures of the service': [
    new AppError('conflict', 'in the way'),
    new AppError('outcome_unknown', 'who knows'),
    new Error('secret'),
  ].map((failure) => ({ ...txn({ then: [put('f', 'x')] }), failure })),
};

const LEFT: Rows = {
  MessagePack: [txn({ then: [put('z', '')] }, { accept: 'application/msgpack' })],
  'media types': [
    txn({}, { 'content-type': 'text/plain' }),
    txn({ then: [put('z', '')] }, { 'content-type': 'application/json; charset=utf-8' }),
    txn({ then: [put('z', '')] }, { 'content-type': 'application/json; charset=latin1' }),
  ],
  'other origins': [txn({ then: [put('z', '')] }, { origin: 'https://evil.example' })],
  'content codings': [txn({ then: [] }, { 'content-encoding': 'gzip' })],
  'other methods': [{ method: 'GET', path: '/v1/txn' }],
};

/** Where the framework refuses a body it does not say that the connection stays; it does stay. */
function withoutKeepAlive({ headers, ...rest }: Shown): Shown {
  const isKept = (line: string) =>
    line === 'Connection: keep-alive' || line.startsWith('Keep-Alive');
  return { ...rest, headers: headers.filter((line) => !isKept(line)) };
}

describe('a plain transaction', () => {
  const runs = vi.spyOn(DirectTxn.prototype, 'run');
  directTests({ runs, direct: ROWS, left: LEFT, comparable: withoutKeepAlive });
});
