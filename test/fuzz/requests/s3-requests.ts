import { OPERATIONS } from '../../../gateways/s3/operations.ts';
import { oracle } from '../../kit/s3-signer.ts';
import { inputOf } from '../mutate.ts';
import type { DecoderTarget, Pick } from '../target.ts';
import { S3_DOCUMENTS } from '../targets/s3-documents.ts';
import { type FuzzedRequest, requestBytes } from './exchange.ts';

/** Requests of every operation of S3: valid ones, and ones near them. */

export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface S3Operation {
  readonly name: string;
  readonly level: 'service' | 'bucket' | 'object';
  readonly method: string;
  readonly resource: string | null;
}

type Level = Readonly<
  Record<string, { readonly plain: string | null; readonly by: Readonly<Record<string, string>> }>
>;

export const S3_OPERATIONS: readonly S3Operation[] = Object.entries(OPERATIONS).flatMap(
  ([level, methods]) =>
    Object.entries(methods as Level).flatMap(([method, { plain, by }]) => [
      ...(plain === null ? [] : [operationOf(plain, level, method, null)]),
      ...Object.entries(by).map(([resource, name]) => operationOf(name, level, method, resource)),
    ]),
);

function operationOf(name: string, level: string, method: string, resource: string | null) {
  return { name, level: level as S3Operation['level'], method, resource };
}

const BUCKETS = [
  'fuzz-a',
  'fuzz-b',
  'fuzz-locked',
  'fuzz-none',
  'x',
  'UPPER',
  '192.168.0.1',
  'a..b',
];
const KEYS = [
  'a',
  'b/c',
  'd e',
  'ü',
  'logs/1',
  '%',
  '.',
  '..',
  'x'.repeat(1025),
  '\u{1f600}',
  'a//b',
  '/',
];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  'list-type': ['2', '1', ''],
  prefix: ['', 'a', 'ü', '\0'],
  delimiter: ['/', '', 'ab'],
  'max-keys': ['0', '2', '-1', 'x', '100000000000000000000'],
  'encoding-type': ['url', 'x'],
  'continuation-token': ['', 'x', 'YQ'],
  'start-after': ['a', ''],
  marker: ['a', ''],
  'key-marker': ['a', ''],
  'version-id-marker': ['null', 'x'],
  'upload-id-marker': ['x'],
  versionId: ['null', '', 'x', '0000000000000001'],
  uploadId: ['x', '', '0'.repeat(32)],
  partNumber: ['1', '0', '10001', 'x', '-1'],
  'part-number-marker': ['0', 'x'],
  'max-parts': ['1', 'x'],
  'max-uploads': ['1', '-1'],
  'response-content-type': ['text/html', 'a\r\nb'],
  id: ['a'],
  'X-Amz-Signature': ['x'],
  'X-Amz-Algorithm': ['AWS4-HMAC-SHA256'],
  'x-id': ['GetObject'],
};
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  range: ['bytes=0-1', 'bytes=-1', 'bytes=9-', 'bytes=5-1', 'x'],
  'if-match': ['*', '"a"', 'x'],
  'if-none-match': ['*', '"a"'],
  'if-modified-since': ['Fri, 24 May 2013 00:00:00 GMT', 'x'],
  'x-amz-acl': ['private', 'public-read', 'x'],
  'x-amz-grant-read': ['id="abc"', 'uri="http://acs.amazonaws.com/groups/global/AllUsers"', '='],
  'x-amz-meta-a': ['b', '=?UTF-8?B?w7w=?=', 'x'.repeat(2100)],
  'x-amz-tagging': ['a=b', 'a=b&a=c', '%', '='],
  'x-amz-copy-source': ['/fuzz-a/a', 'fuzz-a/b/c?versionId=null', '/', 'x', '%zz', '/fuzz-a/'],
  'x-amz-copy-source-range': ['bytes=0-1', 'x'],
  'x-amz-metadata-directive': ['REPLACE', 'x'],
  'x-amz-storage-class': ['STANDARD', 'GLACIER', 'x'],
  'x-amz-object-lock-mode': ['GOVERNANCE', 'x'],
  'x-amz-object-lock-retain-until-date': ['2030-01-01T00:00:00Z', 'x'],
  'x-amz-object-lock-legal-hold': ['ON', 'x'],
  'x-amz-bypass-governance-retention': ['true'],
  'x-amz-bucket-object-lock-enabled': ['true', 'x'],
  'x-amz-object-attributes': ['ETag,ObjectSize', 'x', ''],
  'x-amz-checksum-crc32': ['AAAAAA==', 'x'],
  'x-amz-checksum-algorithm': ['SHA256', 'x'],
  'x-amz-sdk-checksum-algorithm': ['CRC32'],
  'x-amz-server-side-encryption': ['AES256', 'aws:kms', 'x'],
  'x-amz-server-side-encryption-aws-kms-key-id': ['none', ''],
  'x-amz-server-side-encryption-customer-algorithm': ['AES256', 'x'],
  'x-amz-decoded-content-length': ['3', '-1', 'x'],
  'x-amz-expected-bucket-owner': ['x', '123456789012'],
  'x-amz-request-payer': ['requester'],
  'content-md5': ['x', '1B2M2Y8AsgTpgAmY7PhCfg=='],
  'content-type': ['text/plain', 'multipart/form-data; boundary=B', 'multipart/form-data'],
  'content-encoding': ['aws-chunked', 'gzip'],
  expires: ['x', 'Fri, 24 May 2030 00:00:00 GMT'],
  origin: ['https://a.example'],
  'access-control-request-method': ['PUT'],
  'x-minikv-ttl': ['100', 'x'],
};
const PAYLOADS = [
  ...[
    'UNSIGNED-PAYLOAD',
    'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  ],
  ...['x', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
];

/** `keys` null: nobody has to sign. */
export async function drawS3Request(
  place: { readonly url: string; readonly keys: Keys | null },
  seed: number,
  pick: Pick,
): Promise<FuzzedRequest> {
  const operation = pick.one(S3_OPERATIONS);
  const bucket = pick.chance(0.85) ? pick.one(BUCKETS.slice(0, 3)) : pick.one(BUCKETS);
  const key = pick.chance(0.7) ? pick.one(KEYS.slice(0, 3)) : pick.one(KEYS);
  const path = { service: '/', bucket: `/${bucket}`, object: `/${bucket}/${encoded(key)}` }[
    operation.level
  ];
  const query: Record<string, string> = {};
  if (operation.resource !== null) query[operation.resource] = '';
  for (const [name, values] of Object.entries(FIELDS)) {
    const isWanted = name === operation.resource || pick.chance(0.04);
    if (isWanted) query[name] = pick.one(values);
  }
  const headers: Record<string, string> = { host: new URL(place.url).host };
  for (const [name, values] of Object.entries(HEADERS)) {
    if (pick.chance(0.04)) headers[name] = pick.one(values);
  }
  if (pick.chance(place.keys === null ? 0.05 : 1)) {
    headers['x-amz-content-sha256'] = pick.chance(0.9) ? 'UNSIGNED-PAYLOAD' : pick.one(PAYLOADS);
  }
  const body = bodyOf(operation, seed, pick);
  const signed =
    place.keys === null || pick.chance(0.1)
      ? headers
      : await sign(place.keys, operation.method, path, query, headers);
  const text = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(value)}`);
  const target = text.length === 0 ? path : `${path}?${text.join('&')}`;
  const lines = Object.entries(signed).map(([name, value]) => [name, latin1(value)] as const);
  const { method } = operation;
  const name = `${operation.name}: ${method} ${target.slice(0, 200)}`;
  return { name, method, bytes: requestBytes(method, target, lines, body) };
}

function bodyOf({ method, name }: S3Operation, seed: number, pick: Pick): Uint8Array | null {
  if (method !== 'PUT' && method !== 'POST') return pick.chance(0.95) ? null : Buffer.from('x');
  const own = Object.entries(S3_DOCUMENTS).filter(([root]) => name.includes(root.slice(0, 6)));
  const documents = (
    own.length === 0 || pick.chance(0.1) ? Object.entries(S3_DOCUMENTS) : own
  ).flatMap(([, each]) => each);
  const target = {
    name: 'body',
    seeds: documents.map((each) => Buffer.from(each)),
  } as unknown as DecoderTarget;
  return pick.chance(0.5)
    ? Buffer.from(pick.one(documents))
    : inputOf(target, seed).subarray(0, 20_000);
}

/** The headers, with a signature of now. */
export async function sign(
  keys: Keys,
  method: string,
  path: string,
  query: Record<string, string>,
  headers: Record<string, string>,
): Promise<Record<string, string>> {
  const { host = '' } = headers;
  const [hostname = '', port] = host.split(':');
  const request = { method, protocol: 'http:', hostname, path, query, headers };
  const signed = await oracle(keys).sign(
    port === undefined ? request : { ...request, port: Number(port) },
  );
  return signed.headers;
}

function encoded(text: string): string {
  const rest = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, rest)
    .replaceAll('%2F', '/');
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/[\r\n\0]/g, ' ');
}
