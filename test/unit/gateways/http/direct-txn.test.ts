import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { DirectTxn } from '../../../../gateways/kv/direct-txn.ts';
import { AppError } from '../../../../protocol/errors.ts';
import { type ModelServer, startModelServer } from '../../../kit/http-start.ts';
import { ModelService } from '../../../kit/model-service.ts';
import { type Ask, ask, type Shown } from '../../../kit/shown-answer.ts';

const WALL_MS = Date.UTC(2026, 10, 22);
const JSON_HEADERS = { 'content-type': 'application/json' };

const txn = (body: unknown, headers: Record<string, string> = {}): Ask => ({
  ...{ method: 'POST', path: '/v1/txn', headers: { ...JSON_HEADERS, ...headers } },
  body: typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body),
});
const put = (key: string, value: string) => ({ op: 'put', key, value });
const ABSENT = [{ key: 'a', exists: false }];

/** In this order on both servers, so that their revisions are the same. Each row: name, requests. */
const ROWS: Readonly<Record<string, readonly Ask[]>> = {
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

/** Rows that no way but the framework's takes. */
const LEFT: Readonly<Record<string, readonly Ask[]>> = {
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
  const servers: ModelServer[] = [];
  const runs = vi.spyOn(DirectTxn.prototype, 'run');
  beforeAll(async () => {
    for (let i = 0; i < 2; i++) {
      servers.push(await startModelServer({}, new ModelService({ wallMs: () => WALL_MS })));
    }
  });
  afterAll(() => Promise.all(servers.map(({ stop }) => stop())));
  beforeEach(() => void runs.mockClear());

  /** Once as it is and, on the other server, with an empty query, which only the framework reads. */
  async function both({ failure, ...asked }: Ask): Promise<[Shown, Shown]> {
    const [plain, framework] = servers as [ModelServer, ModelServer];
    for (const { service } of servers) service.failure = failure ?? null;
    const shown = withoutKeepAlive(await ask(plain, asked));
    const before = runs.mock.calls.length;
    const wanted = withoutKeepAlive(await ask(framework, { ...asked, path: `${asked.path}?` }));
    expect(runs.mock.calls.length).toBe(before);
    return [shown, wanted];
  }

  for (const [name, asks] of Object.entries(ROWS)) {
    it(`is answered with the framework's bytes: ${name}`, async () => {
      const streamed = asks.filter(({ body }) => (body?.length ?? 0) > 48 * 1024).length;
      for (const asked of asks) {
        const [shown, wanted] = await both(asked);
        expect(shown, String(asked.body).slice(0, 100)).toEqual(wanted);
      }
      expect(runs.mock.calls.length).toBe(asks.length - streamed);
    });
  }
  for (const [name, asks] of Object.entries(LEFT)) {
    it(`is left to the framework where it is not plain: ${name}`, async () => {
      for (const asked of asks) {
        const [shown, wanted] = await both(asked);
        expect(shown, JSON.stringify(asked)).toEqual(wanted);
      }
      expect(runs).not.toHaveBeenCalled();
    });
  }
});
