import { createHmac } from 'node:crypto';
import type { BodyStream } from '../../../gateways/http/body-stream.ts';
import { accessControlPolicy } from '../../../gateways/s3/acl.ts';
import {
  createBucketConfiguration,
  ownershipControls,
  publicAccessBlock,
  requestPaymentConfiguration,
  versioningConfiguration,
} from '../../../gateways/s3/bucket-documents.ts';
import { ChunkedDecoder } from '../../../gateways/s3/chunked-decoder.ts';
import {
  copySourceConditions,
  readConditions,
  writeCondition,
} from '../../../gateways/s3/conditions.ts';
import { corsConfiguration } from '../../../gateways/s3/cors.ts';
import { readDelete } from '../../../gateways/s3/delete-objects.ts';
import { serverSideEncryptionConfiguration } from '../../../gateways/s3/encryption.ts';
import { S3Error } from '../../../gateways/s3/errors.ts';
import { boundaryOf, FormReader } from '../../../gateways/s3/form-reader.ts';
import { lifecycleConfiguration } from '../../../gateways/s3/lifecycle.ts';
import { bucketLoggingStatus } from '../../../gateways/s3/logging.ts';
import { decodedWords, userMetadataOf } from '../../../gateways/s3/metadata.ts';
import { readComplete } from '../../../gateways/s3/multipart-documents.ts';
import { notificationConfiguration } from '../../../gateways/s3/notification.ts';
import { legalHold, objectLockConfiguration, retention } from '../../../gateways/s3/object-lock.ts';
import { answerOf } from '../../../gateways/s3/policy-decision.ts';
import { readPolicy } from '../../../gateways/s3/policy-document.ts';
import { authenticatePost } from '../../../gateways/s3/post-signature.ts';
import { parseRange, resolveRange } from '../../../gateways/s3/ranges.ts';
import { headersOf } from '../../../gateways/s3/signed-request.ts';
import { bucketTagging, objectTagging, tagsOfHeader } from '../../../gateways/s3/tagging.ts';
import { websiteConfiguration } from '../../../gateways/s3/website.ts';
import { readXml } from '../../../gateways/s3/xml-reader.ts';
import type { Document } from '../../../gateways/s3/xml-shape.ts';
import { AppError } from '../../../protocol/errors.ts';
import { LIMITS } from '../../../protocol/limits.ts';
import {
  EXAMPLE,
  EXAMPLE_KEY,
  plainChunks,
  presigned,
  seedOf,
  signed,
  signedChunks,
  verifierAt,
} from '../../kit/s3-signer.ts';
import { Broken, checkAgain, type DecoderTarget, type Pick } from '../target.ts';
import { S3_DOCUMENTS } from './s3-documents.ts';

/** What S3 clients send. */

const isS3Error = (error: unknown): boolean => error instanceof S3Error;
const text = (value: string): Buffer => Buffer.from(value, 'utf8');

/** A document that is read is shown so that it reads the same. */
function documentTarget<T>(name: string, document: Document<T>): DecoderTarget {
  const decode = (bytes: Buffer): T => document.read(bytes);
  return {
    name: `XML of ${name}`,
    seeds: (S3_DOCUMENTS[name] ?? []).map(text),
    words: XML_WORDS,
    take: (bytes) => checkAgain(decode(bytes), (value) => document.write(value), decode),
    isRefusal: isS3Error,
  };
}

const XML_WORDS = [
  ...['<a>', '</a>', '<a/>', '<![CDATA[', ']]>', '<!--', '-->', '&amp;', '&#0;', '&#x10ffff;'],
  ...['<!DOCTYPE a [<!ENTITY b "c">]>', '<?xml version="1.0"?>', 'xmlns="x"', 'xsi:type="Group"'],
];

const DOCUMENTS: Readonly<Record<string, Document<never>>> = {
  AccessControlPolicy: accessControlPolicy as Document<never>,
  CreateBucketConfiguration: createBucketConfiguration as Document<never>,
  VersioningConfiguration: versioningConfiguration as unknown as Document<never>,
  OwnershipControls: ownershipControls as Document<never>,
  PublicAccessBlockConfiguration: publicAccessBlock as Document<never>,
  RequestPaymentConfiguration: requestPaymentConfiguration as Document<never>,
  CORSConfiguration: corsConfiguration as Document<never>,
  ServerSideEncryptionConfiguration: serverSideEncryptionConfiguration as Document<never>,
  LifecycleConfiguration: lifecycleConfiguration as Document<never>,
  BucketLoggingStatus: bucketLoggingStatus as Document<never>,
  NotificationConfiguration: notificationConfiguration as Document<never>,
  ObjectLockConfiguration: objectLockConfiguration as Document<never>,
  Retention: retention as Document<never>,
  LegalHold: legalHold as Document<never>,
  Tagging: objectTagging as Document<never>,
  BucketTagging: bucketTagging as Document<never>,
  WebsiteConfiguration: websiteConfiguration as Document<never>,
};

/** Cut where the input says, as a socket might. */
function pieces(bytes: Buffer): Buffer[] {
  const size = 1 + (bytes.length % 97);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) out.push(bytes.subarray(at, at + size));
  return out;
}

const SIGNATURE = 'c'.repeat(64);
const PAYLOAD = [Buffer.alloc(8192, 1), Buffer.alloc(100, 2)];
const DECODED_BYTES = 8292;
const TRAILER = 'x-amz-checksum-crc32:AAAAAA==';

function takeChunks(bytes: Buffer, isSigned: boolean, hasTrailer: boolean): void {
  const decoder = new ChunkedDecoder({
    ...{ decodedBytes: DECODED_BYTES, seed: isSigned ? seedOf(SIGNATURE) : null },
    trailers: hasTrailer ? ['x-amz-checksum-crc32'] : null,
  });
  let length = 0;
  for (const piece of pieces(bytes)) {
    decoder.push(piece, (payload) => {
      length += payload.length;
    });
  }
  decoder.finish();
  if (length !== DECODED_BYTES) throw new Broken(`a body of ${length} bytes was taken`);
}

const FORM = [
  '--B\r\nContent-Disposition: form-data; name="key"\r\n\r\na/$'.concat('{filename}\r\n'),
  '--B\r\nContent-Disposition: form-data; name="acl"\r\n\r\nprivate\r\n',
  '--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n',
  'Content-Type: text/plain\r\n\r\nthe file\r\n--B--\r\n',
].join('');

async function takeForm(bytes: Buffer): Promise<void> {
  const left = pieces(bytes);
  const stream = { next: async () => left.shift() ?? null } as unknown as BodyStream;
  const reader = new FormReader(stream, boundaryOf('multipart/form-data; boundary=B'));
  await reader.head();
  let length = 0;
  for await (const piece of reader.file()) length += piece.length;
  if (length > bytes.length) throw new Broken('the file is longer than its form');
}

const POST_POLICY = {
  expiration: '2013-05-24T12:00:00.000Z',
  conditions: [
    { bucket: 'b' },
    ['starts-with', '$key', 'user/'],
    ['eq', '$acl', 'private'],
    ['content-length-range', 1, 100],
    { 'x-amz-algorithm': 'AWS4-HMAC-SHA256' },
    { 'x-amz-credential': `${EXAMPLE.accessKeyId}/${EXAMPLE.scope}` },
    { 'x-amz-date': EXAMPLE.timestamp },
  ],
};

/** Signed whatever it is: what is behind the signature is met. */
async function takeSignedPolicy(bytes: Buffer): Promise<void> {
  const policy = bytes.toString('base64');
  const fields = new Map([
    ['key', 'user/a'],
    ['acl', 'private'],
    ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
    ['x-amz-credential', `${EXAMPLE.accessKeyId}/${EXAMPLE.scope}`],
    ['x-amz-date', EXAMPLE.timestamp],
    ['policy', policy],
    ['x-amz-signature', createHmac('sha256', EXAMPLE_KEY).update(policy).digest('hex')],
  ]);
  const clock = { wallMs: () => EXAMPLE.timeMs };
  await authenticatePost({ bucket: 'b', fields }, verifierAt(), { clock, region: EXAMPLE.region });
}

const POLICY = {
  Version: '2012-10-17',
  Statement: [
    {
      ...{
        Sid: 'a',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: ['s3:GetObject', 's3:Put*'],
      },
      Resource: ['arn:aws:s3:::bkt/*', 'arn:aws:s3:::bkt'],
      Condition: {
        StringLike: { 'aws:Referer': ['https://a/*', 'b'] },
        IpAddress: { 'aws:SourceIp': ['10.0.0.0/8', '2001:db8::/32'] },
        DateLessThan: { 'aws:CurrentTime': '2030-01-01T00:00:00Z' },
        NumericLessThan: { 's3:max-keys': '10' },
        Bool: { 'aws:SecureTransport': 'true' },
      },
    },
    {
      Effect: 'Deny',
      NotPrincipal: { AWS: 'abc' },
      NotAction: 's3:*',
      NotResource: 'arn:aws:s3:::bkt/x',
    },
  ],
};

/** `METHOD target` and a line for each header. */
function requestText(request: Awaited<ReturnType<typeof signed>>): Buffer {
  const lines = [`${request.method} ${request.target}`];
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2)
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return Buffer.from(lines.join('\n'), 'latin1');
}

function requestOf(bytes: Buffer) {
  const [first = '', ...lines] = bytes.toString('latin1').split('\n');
  const space = first.indexOf(' ');
  const rawHeaders = lines.flatMap((line) => {
    const at = line.indexOf(': ');
    return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)];
  });
  return { method: first.slice(0, space), target: first.slice(space + 1), rawHeaders };
}

const HEADERS = [
  'if-match: "abc"\nif-modified-since: Fri, 24 May 2013 00:00:00 GMT',
  'if-none-match: *\nx-amz-copy-source-if-none-match: "a", W/"d"',
  'if-unmodified-since: Friday, 24-May-13 00:00:00 GMT\nx-amz-copy-source-if-match: "a"',
  'x-amz-meta-a: =?UTF-8?B?w7w=?=\nx-amz-meta-b: =?UTF-8?Q?=C3=BC?=\nrange: bytes=0-4',
  'x-amz-tagging: a=b&c=%20d\nrange: bytes=-5',
];

function takeHeaders(bytes: Buffer): void {
  const { rawHeaders } = requestOf(Buffer.concat([text('GET /\n'), bytes]));
  const headers: Record<string, string> = Object.create(null);
  for (const [name, value] of headersOf(rawHeaders)) headers[name] = value;
  const readers = [
    () => readConditions(headers, EXAMPLE.timeMs),
    () => copySourceConditions(headers, EXAMPLE.timeMs),
    () => userMetadataOf(headers),
    () => writeCondition(headers),
    () => tagsOfHeader(headers['x-amz-tagging'] ?? ''),
    ...Object.values(headers).map((value) => () => decodedWords(value)),
  ];
  for (const read of readers) {
    try {
      read();
    } catch (error) {
      if (!isS3Error(error) && !(error instanceof AppError)) throw error;
    }
  }
  const range = parseRange(headers['range'] ?? null);
  if (range === null) return;
  const { start, end } = resolveRange(range, 100);
  if (!(start >= 0 && start < end && end <= 100)) throw new Broken(`bytes ${start} to ${end}`);
}

const signedSeeds = [
  await signed({ method: 'PUT', path: '/a/b%20c', headers: { 'x-amz-acl': 'private' } }),
  await signed({ method: 'GET', path: '/', query: { 'list-type': '2', prefix: 'a b' } }),
  await presigned({ method: 'GET', path: '/a' }),
].map(requestText);

function plain(pick: Pick): Uint8Array {
  return plainChunks(PAYLOAD, pick.chance(0.5) ? [TRAILER] : [], pick.one(['', ';x=y']));
}

export const S3_TARGETS: readonly DecoderTarget[] = [
  ...Object.entries(DOCUMENTS).map(([name, document]) => documentTarget(name, document)),
  {
    name: 'XML',
    seeds: Object.values(S3_DOCUMENTS).flat().map(text),
    words: XML_WORDS,
    take: (bytes) => {
      readXml(bytes, LIMITS.headerBytesMax * 8);
    },
    isRefusal: isS3Error,
  },
  {
    name: 'XML of Delete',
    seeds: (S3_DOCUMENTS['Delete'] ?? []).map(text),
    words: XML_WORDS,
    take: (bytes) => void readDelete(bytes),
    isRefusal: isS3Error,
  },
  {
    name: 'XML of CompleteMultipartUpload',
    seeds: (S3_DOCUMENTS['CompleteMultipartUpload'] ?? []).map(text),
    words: XML_WORDS,
    take: (bytes) => void readComplete(bytes),
    isRefusal: isS3Error,
  },
  {
    name: 'aws-chunked body',
    seeds: [],
    draw: plain,
    words: ['0\r\n', '\r\n', ';chunk-signature=', 'ffffffffffffffff\r\n', TRAILER],
    take: (bytes) => {
      takeChunks(bytes, false, bytes.length % 2 === 0);
    },
    isRefusal: isS3Error,
  },
  {
    name: 'signed aws-chunked body',
    seeds: [signedChunks(SIGNATURE, PAYLOAD), signedChunks(SIGNATURE, PAYLOAD, [TRAILER])],
    words: ['0;chunk-signature=', '\r\n', 'x-amz-trailer-signature:'],
    take: (bytes) => takeChunks(bytes, true, bytes.includes('x-amz-trailer')),
    isRefusal: isS3Error,
  },
  {
    name: 'form upload',
    seeds: [text(FORM)],
    words: ['\r\n--B', '--B--', '\r\n\r\n', 'name="key"', 'filename="\\"', 'Content-Disposition:'],
    take: takeForm,
    isRefusal: isS3Error,
  },
  {
    name: 'policy of a form upload',
    seeds: [text(JSON.stringify(POST_POLICY))],
    words: ['["eq",', '{"a":', '"content-length-range"', '"$key"'],
    take: takeSignedPolicy,
    isRefusal: isS3Error,
  },
  {
    name: 'bucket policy',
    seeds: [text(JSON.stringify(POLICY))],
    words: [
      '"Condition":',
      '"StringLike":',
      '$'.concat('{aws:username}'),
      '"Null":',
      '"s3:*"',
      '"*"',
      '["',
    ],
    take: (bytes) => {
      const policy = readPolicy(bytes, 'bkt');
      const question = { action: 's3:getobject', resource: 'bkt/a', principals: ['abc'] };
      answerOf(policy, question, (key) => (key.includes('ip') ? ['10.1.1.1'] : ['a', '1']));
    },
    isRefusal: isS3Error,
  },
  {
    name: 'SigV4 request',
    seeds: signedSeeds,
    words: ['X-Amz-Signature=', 'X-Amz-Algorithm=AWS4-HMAC-SHA256', 'Credential=', '%zz', '&', '?'],
    take: async (bytes) => {
      await verifierAt().authenticate(requestOf(bytes));
    },
    isRefusal: (error) => isS3Error(error) || error instanceof AppError,
  },
  {
    name: 'S3 headers',
    seeds: HEADERS.map(text),
    words: ['=?UTF-8?B?', '?=', 'bytes=', ', ', '"', 'GMT', 'W/"'],
    take: takeHeaders,
    isRefusal: (error) => isS3Error(error) || error instanceof AppError,
  },
];
