import { decodeToken, encodeToken } from '../../../actors/apply/position.ts';
import { loadConfig } from '../../../cli/config.ts';
import { UsageError } from '../../../cli/failures.ts';
import { httpDateMs } from '../../../gateways/http/http-date-reader.ts';
import { parseJson } from '../../../gateways/http/strict-json.ts';
import { parseMsgpack } from '../../../gateways/http/strict-msgpack.ts';
import { keyAfter, queryOf, routedUrl } from '../../../gateways/http/url.ts';
import { parseApiKey } from '../../../gateways/identity/api-key.ts';
import { decodeCursor, encodeCursor } from '../../../gateways/kv/cursor.ts';
import { decodeQueryCursor, encodeQueryCursor } from '../../../gateways/kv/index-cursor.ts';
import { indexFromJson } from '../../../gateways/kv/index-shapes.ts';
import { opFromJson } from '../../../gateways/kv/shapes.ts';
import { txnFromJson } from '../../../gateways/kv/txn-shapes.ts';
import { type BodyType, bodyTypeOf, readBody, writeBody } from '../../../gateways/nats-api/body.ts';
import { parseNatsUrls } from '../../../gateways/peer/nats-options.ts';
import { SealedBus } from '../../../gateways/peer/sealed-bus.ts';
import { NO_TELEMETRY } from '../../../observability/port.ts';
import { parseTraceparent } from '../../../observability/traceparent.ts';
import { DecodeError, packBytes } from '../../../protocol/codec.ts';
import { AppError } from '../../../protocol/errors.ts';
import { decodeEntry, encodeNumber, encodeString } from '../../../protocol/index-encoding.ts';
import { parsePath } from '../../../protocol/json-path.ts';
import { Broken, checkAgain, type DecoderTarget, shown } from '../target.ts';

/** What clients of keys send, over HTTP and NATS, and what the node itself is told. */

const text = (value: string): Buffer => Buffer.from(value, 'utf8');
const isAppError = (error: unknown): boolean => error instanceof AppError;
const isNothing = () => false;

const TXN = {
  compare: [
    { key: 'a', revision: 0 },
    { keyBase64: 'YQ==', op: '<', version: 3 },
    { bucket: 'b', key: 'k', exists: true },
  ],
  then: [
    { op: 'put', key: 'a', value: 'x', ttl: 3 },
    { op: 'put', key: 'b', base64: 'AAE=', lease: 4 },
    { op: 'range', prefix: 'a', limit: 3 },
    { op: 'delete', prefix: 'c' },
    { op: 'get', key: 'd' },
  ],
  else: [{ op: 'delete', key: 'a' }],
};
const INDEX = {
  ...{ name: 'by-age', prefix: 'users/', kind: 'fields', unique: false },
  fields: [
    { path: '/age', type: 'number' },
    { path: '$.name.first', type: 'string' },
  ],
};
const BODIES = [TXN, INDEX, { ops: TXN.then }, { key: 'a', value: 'x', ifRevision: 3, ttl: 1.5 }];
const JSON_WORDS = [
  ...['{"', '":', '[', ']', ',', '\\u0000', '\\ud800', '1e400', '-0', '"__proto__":', '"base64":'],
  ...['"key":', '"op":"put"', '"ttl":-1', '"value":"', 'true', '9007199254740993'],
];

/** What the body says, as each operation reads it. */
function readShapes(shape: unknown): void {
  for (const read of [txnFromJson, opFromJson, indexFromJson]) {
    try {
      read(shape);
    } catch (error) {
      if (!isAppError(error)) throw error;
    }
  }
  const { ops } = shape as { ops?: unknown };
  if (Array.isArray(ops)) for (const op of ops) readShapes(op);
}

function bodyTarget(name: string, type: BodyType, seeds: readonly Uint8Array[]): DecoderTarget {
  return {
    name,
    seeds,
    words: type === 'application/json' ? JSON_WORDS : [],
    take: (bytes) => {
      const shape = readBody(bytes, bodyTypeOf(type));
      checkAgain(
        shape,
        (value) => writeBody(value, type),
        (again) => readBody(again, type),
      );
      readShapes(shape);
    },
    isRefusal: isAppError,
  };
}

const RANGE = { start: 'a', end: 'b', reverse: false };
const POSITIONS = [
  { revision: 5, vshard: 3, triple: 'default\0kv\0a/key' },
  { revision: 2 ** 52, vshard: 256, triple: '' },
];

/** Text in latin1: what a URL or a header may have. */
function textTarget(
  name: string,
  seeds: readonly string[],
  take: (text: string) => void,
  words: readonly string[] = [],
): DecoderTarget {
  return {
    name,
    seeds: seeds.map((seed) => Buffer.from(seed, 'latin1')),
    words,
    take: (bytes) => take(bytes.toString('latin1')),
    isRefusal: isAppError,
  };
}

const CONFIG = [
  'node-id = "n1"\nport = 8080\nauth = true\nnats = ["nats://a:4222", "tls://b:4222"]\n',
  'host = "127.0.0.1"\n# a comment\ncluster = "main"\ngroups = 8\nretention-seconds = 3600\n',
  'cluster-secret = """\na secret of some length"""\ns3-domains = [\'a.example\', "b"]\n',
];

function takeConfig(bytes: Buffer): void {
  const { config } = loadConfig({
    flags: { config: 'minikv.toml' },
    env: {},
    readFile: () => bytes.toString('utf8'),
  });
  if (!(config.port >= 0 && config.port <= 65_535)) throw new Broken(`port ${config.port}`);
}

const SECRETS = { current: 'a secret that is long enough', previous: null };

/** Hands the payload to a node's sealed bus; what is not sealed by the secret must not come through. */
function takeSealedPayload(bytes: Buffer): void {
  let handle: ((lane: 'raft', payload: Uint8Array) => void) | null = null;
  let came: Uint8Array | null = null;
  const inner = {
    payloadBytesMax: 1 << 20,
    listen: async (_id: string, run: typeof handle) => {
      handle = run;
    },
  };
  const bus = new SealedBus(inner as never, SECRETS, NO_TELEMETRY);
  void bus.listen('n1' as never, (_lane, payload) => {
    came = payload;
  });
  (handle as unknown as (lane: 'raft', payload: Uint8Array) => void)('raft', bytes);
  if (came !== null && !Buffer.from(came).equals(GENUINE)) throw new Broken('a forged payload');
}

const GENUINE = Buffer.from('a payload');

function sealedPayload(): Uint8Array {
  let sent: Uint8Array = new Uint8Array(0);
  const inner = {
    payloadBytesMax: 1 << 20,
    send: (_to: string, _lane: string, payload: Uint8Array) => {
      sent = payload;
      return true;
    },
  };
  new SealedBus(inner as never, SECRETS, NO_TELEMETRY).send('n1' as never, 'raft', GENUINE);
  return sent;
}

export const EDGE_TARGETS: readonly DecoderTarget[] = [
  bodyTarget(
    'NATS request in JSON',
    'application/json',
    BODIES.map((body) => text(JSON.stringify(body))),
  ),
  bodyTarget(
    'NATS request in MessagePack',
    'application/msgpack',
    BODIES.map((body) => packBytes(body)),
  ),
  {
    name: 'JSON',
    seeds: BODIES.map((body) => text(JSON.stringify(body))),
    words: JSON_WORDS,
    take: (bytes) => {
      const value = parseJson(bytes);
      checkAgain(value, JSON.stringify, parseJson);
    },
    isRefusal: isAppError,
  },
  {
    name: 'MessagePack of a client',
    seeds: BODIES.map((body) => packBytes(body)),
    take: (bytes) => checkAgain(parseMsgpack(bytes), packBytes, parseMsgpack),
    isRefusal: isAppError,
  },
  {
    name: 'sealed payload of a peer',
    seeds: [sealedPayload()],
    take: takeSealedPayload,
    isRefusal: isNothing,
  },
  textTarget('resume token', POSITIONS.map(encodeToken), (token) => {
    const position = decodeToken(token);
    if (position !== null && encodeToken(position) !== token) throw new Broken('another token');
  }),
  textTarget(
    'cursor of a listing',
    [encodeCursor({ revision: 7, next: 'abc' }, RANGE)],
    (cursor) => {
      const point = decodeCursor(cursor, RANGE);
      if (encodeCursor(point, RANGE) !== cursor) throw new Broken('another cursor');
    },
  ),
  textTarget(
    'cursor of a query',
    [encodeQueryCursor({ revision: 7, after: { encoded: 'e', key: 'k' } }, 'q')],
    (cursor) => {
      const point = decodeQueryCursor(cursor, 'q');
      if (encodeQueryCursor(point, 'q') !== cursor) throw new Broken('another cursor');
    },
  ),
  textTarget(
    'URL',
    ['/v1/kv/a%20b%ff?revision=3&x=+', '/v1/locks/%00', '/s3/b/k?a&b=c%3d', '/a%2Fb'],
    (url) => {
      routedUrl(url);
      keyAfter(url, '/v1/kv/');
      queryOf(url);
    },
    ['%', '%2', '%zz', '&', '?', '='],
  ),
  textTarget(
    'small texts of headers',
    [
      `mkv_abcdefgh_${'a'.repeat(43)}`,
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'Sun, 06 Nov 1994 08:49:37 GMT',
      'nats://user:pass@host:4222,tls://[::1]:4222',
    ],
    (value) => {
      parseApiKey(value);
      parseTraceparent(value);
      parseNatsUrls(value);
      const time = httpDateMs(value, 0);
      if (time !== null && !Number.isFinite(time)) throw new Broken(`a time of ${time}`);
    },
  ),
  {
    ...textTarget('path into JSON', ['/a/b~0c/0', '$.a.b[0]["c d"]', '$[*]'], (path) => {
      const steps = parsePath(path);
      if (!Array.isArray(steps)) throw new Broken(shown(steps));
    }),
    isRefusal: (error) => isAppError(error) || error instanceof DecodeError,
  },
  {
    ...textTarget('index entry', [encodeNumber(3), encodeString('a\0b')], (entry) => {
      decodeEntry(entry);
    }),
    isRefusal: (error) => error instanceof DecodeError,
  },
  {
    name: 'configuration',
    seeds: CONFIG.map(text),
    words: [
      '[table]',
      '= [',
      '"""',
      "'''",
      '\\u0000',
      'inf',
      'nan',
      '1979-05-27T07:32:00Z',
      '{a=1}',
    ],
    take: takeConfig,
    isRefusal: (error) => error instanceof UsageError,
  },
];
