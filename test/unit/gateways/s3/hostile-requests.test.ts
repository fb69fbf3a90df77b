import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ACCESS_KEY, type S3Server, SECRET_KEY, startS3Server } from '../../../kit/s3-start.ts';
import { plainChunks, signedChunks, signHeader } from '../../../s3/sign.ts';
import type { Reply } from '../../../s3/wire.ts';
import {
  Connections,
  isRefused,
  md5Base64,
  type RawOptions,
  type Sendable,
  World,
} from '../../../s3/world.ts';

/** The rows of FAULTS about S3, on the real listener, each with exactly the answer that it states. */

let server: S3Server;
let connections: Connections;
let world: World;
let bucket: string;

beforeAll(async () => {
  server = await startS3Server({ allowUnsigned: false });
  const credentials = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY };
  connections = new Connections({ endpoint: server.url, credentials, region: 'us-east-1' });
  world = new World(connections);
  bucket = await world.bucket();
  await world.put(bucket, 'there', 'x'.repeat(1000));
});
afterAll(async () => {
  connections.close();
  await server.stop();
});

const call = (method: string, key: string, options: RawOptions = {}): Promise<Reply> =>
  world.call(method, bucket, key, options);

async function isAbsent(key: string): Promise<void> {
  expect((await call('HEAD', key)).status).toBe(404);
}

const withHeader = (name: string, value: string) => (sent: Sendable) => ({
  ...sent,
  headers: { ...sent.headers, [name]: value },
});

const md5 = (body: string) => ({ 'content-md5': md5Base64(body) });

const DTDS = [
  `<!DOCTYPE d [<!ENTITY a0 "ha">${Array.from({ length: 30 }, (_, i) => `<!ENTITY a${i + 1} "&a${i};&a${i};">`).join('')}]>`,
  '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
  '<!DOCTYPE d SYSTEM "http://127.0.0.1:1/d.dtd">',
];

it('I22 bodies with a DTD are MalformedXML in less than 50 ms, wherever XML is taken', async () => {
  const { UploadId: uploadId = '' } = await world.sdk.createMultipartUpload({
    ...{ Bucket: bucket, Key: 'k' },
  });
  const placed = [
    ['POST', '', { delete: '' }, '<Delete><Object><Key>&a30;&x;</Key></Object></Delete>'],
    [
      'POST',
      'k',
      { uploadId },
      '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>',
    ],
    ['PUT', 'there', { tagging: '' }, '<Tagging><TagSet/></Tagging>'],
  ] as const;
  for (const [method, key, query, document] of placed) {
    for (const dtd of DTDS) {
      const body = dtd + document;
      const tookMs: number[] = [];
      for (let run = 0; run < 5; run++) {
        const started = performance.now();
        isRefused(
          await call(method, key, { query, body, headers: md5(body) }),
          400,
          'MalformedXML',
        );
        tookMs.push(performance.now() - started);
      }
      expect(Math.min(...tookMs)).toBeLessThan(50);
    }
  }
});

it('I23 more keys, parts or bytes than are taken are refused', async () => {
  const objects = (count: number) =>
    `<Delete><Quiet>true</Quiet>${Array.from({ length: count }, (_, i) => `<Object><Key>${i}</Key></Object>`).join('')}</Delete>`;
  const remove = (body: string, more: RawOptions = {}) =>
    call('POST', '', { query: { delete: '' }, body, headers: md5(body), ...more });
  expect((await remove(objects(1000))).status).toBe(200);
  isRefused(await remove(objects(1001)), 400, 'MalformedXML');
  // It says how long it is, and is not asked for.
  const tamper = withHeader('expect', '100-continue');
  const long = await remove(`${objects(1)}${' '.repeat(10_000_000)}`, { tamper });
  isRefused(long, 400, 'MaxMessageLengthExceeded');
  expect(long.isContinued).toBe(false);
  const { UploadId: uploadId = '' } = await world.sdk.createMultipartUpload({
    ...{ Bucket: bucket, Key: 'k' },
  });
  const parts = Array.from(
    { length: 10_001 },
    (_, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>"${'0'.repeat(32)}"</ETag></Part>`,
  );
  const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
  const reply = await call('POST', 'k', { query: { uploadId }, body });
  expect([reply.status, /<Code>(MalformedXML|InvalidArgument)</.test(reply.text)]).toEqual([
    400,
    true,
  ]);
});

const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const TEXT = Buffer.from('123456789');

/** The object `lied` in signed chunks. */
function stream(change: (body: Buffer) => Buffer, length = TEXT.length): Promise<Reply> {
  const { wire } = world;
  const path = `/${bucket}/lied`;
  const headers = {
    host: wire.host,
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': String(length),
  };
  const signer = world.signer();
  const signed = signHeader({ method: 'PUT', path, query: [], headers }, signer, SIGNED);
  const body = change(signedChunks(signer, signed.signature, [TEXT], null));
  return wire.send({
    method: 'PUT',
    target: path,
    headers: signed.headers,
    body,
    isChunked: false,
  });
}

const inText = (from: RegExp | string, to: string) => (body: Buffer) =>
  Buffer.from(body.toString('latin1').replace(from, to), 'latin1');

it('I24 bodies in chunks that lie are refused, and nothing of them is seen', async () => {
  const same = (body: Buffer) => body;
  isRefused(await stream(same, TEXT.length + 1), 400, 'IncompleteBody');
  expect((await stream(same, TEXT.length - 1)).status).toBe(400);
  expect((await stream(inText(/^9;/, '40000000;'))).status).toBe(400);
  isRefused(
    await stream(inText(/chunk-signature=../, 'chunk-signature=00')),
    403,
    'SignatureDoesNotMatch',
  );
  isRefused(await stream(inText('123456789', '123456780')), 403, 'SignatureDoesNotMatch');
  const cut = (body: Buffer) => body.subarray(0, body.lastIndexOf('0;chunk'));
  isRefused(await stream(cut), 400, 'IncompleteBody');
  await isAbsent('lied');
});

it('I26 a body that is not what its digest says is BadDigest, and is not seen', async () => {
  const wrong: readonly Record<string, string>[] = [
    { 'content-md5': md5Base64('other') },
    { 'x-amz-checksum-crc32': 'AAAAAA==' },
    { 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' },
    { 'x-amz-checksum-sha256': createHash('sha256').update('other').digest('base64') },
  ];
  for (const headers of wrong) {
    isRefused(await call('PUT', 'wrong', { body: 'x', headers }), 400, 'BadDigest');
  }
  await isAbsent('wrong');
});

it('I27 ranges by the thousand, reversed or beyond all numbers: the whole, or 416', async () => {
  const get = (range: string) => call('GET', 'there', { headers: { range } });
  for (const range of [
    `bytes=${Array.from({ length: 1000 }, (_, i) => `${i}-${i}`).join(',')}`,
    'bytes=9-2',
    'bytes=-',
    'lines=1-2',
  ]) {
    const { status, bytes } = await get(range);
    expect([range.slice(0, 20), status, bytes.length]).toEqual([range.slice(0, 20), 200, 1000]);
  }
  isRefused(await get(`bytes=${2n ** 64n}-`), 416, 'InvalidRange');
  isRefused(await get('bytes=1000-'), 416, 'InvalidRange');
  const all = await get(`bytes=0-${2n ** 64n}`);
  expect([all.status, all.bytes.length]).toEqual([206, 1000]);
});

it('I28 a put that is sent again is the same put; with another body, field or header it is nobody’s', async () => {
  const at = new Date();
  const put = (options: RawOptions) =>
    call('PUT', 'again', { body: 'x', signer: { at }, ...options });
  expect((await put({})).status).toBe(200);
  expect((await put({})).status).toBe(200);
  const changed = async (tamper: NonNullable<RawOptions['tamper']>, status: number, code: string) =>
    isRefused(await put({ tamper }), status, code);
  const body = Buffer.from('y');
  await changed((sent) => ({ ...sent, body }), 400, 'XAmzContentSHA256Mismatch');
  const field = (sent: Sendable) => ({ ...sent, target: `${sent.target}?x=1` });
  await changed(field, 403, 'SignatureDoesNotMatch');
  await changed(withHeader('host', 'other'), 403, 'SignatureDoesNotMatch');
  const once = { 'if-none-match': '*' };
  isRefused(await put({ headers: once }), 412, 'PreconditionFailed');
  expect((await call('GET', 'again')).text).toBe('x');
});

it('I29 a clock that is off is RequestTimeTooSkewed, a URL that has ended AccessDenied', async () => {
  for (const minutes of [-16, 16]) {
    const at = new Date(Date.now() + minutes * 60_000);
    isRefused(await call('GET', 'there', { signer: { at } }), 403, 'RequestTimeTooSkewed');
  }
  const past = new Date(Date.now() - 3_600_000);
  const link = { by: 'query', signer: { at: past } } as const;
  isRefused(await call('GET', 'there', { ...link, expires: 3599 }), 403, 'AccessDenied');
  expect((await call('GET', 'there', { ...link, expires: 7200 })).status).toBe(200);
  const week = 7 * 24 * 3600;
  expect((await call('GET', 'there', { by: 'query', expires: week })).status).toBe(200);
  isRefused(await call('GET', 'there', { by: 'query', expires: week + 1 }), 403, 'AccessDenied');
});

it('I30 what was not signed like this is refused', async () => {
  const get = (options: RawOptions) => call('GET', 'there', options);
  const more = (name: string, value: string) => ({ tamper: withHeader(name, value) });
  isRefused(await get(more('host', 'other')), 403, 'SignatureDoesNotMatch');
  isRefused(
    await get({ tamper: (sent) => ({ ...sent, target: `${sent.target}?acl` }) }),
    403,
    'SignatureDoesNotMatch',
  );
  expect((await get({ signer: { region: 'mars-1' } })).status).toBe(400);
  expect((await get({ signer: { service: 'ec2' } })).status).toBe(400);
  expect((await get(more('x-amz-meta-a', 'b'))).status).toBe(403);
  const { credentials } = world.target;
  const wrong = { ...credentials, secretAccessKey: 'wrong' };
  isRefused(await get({ signer: { credentials: wrong } }), 403, 'SignatureDoesNotMatch');
  isRefused(
    await get({ signer: { credentials: { ...wrong, accessKeyId: 'NOBODY' } } }),
    403,
    'InvalidAccessKeyId',
  );
  const plain = plainChunks([TEXT], []);
  isRefused(
    await call('PUT', 'k', { body: plain, payload: 'STREAMING-NOTHING' }),
    400,
    'InvalidArgument',
  );
});
