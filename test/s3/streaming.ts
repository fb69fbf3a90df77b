import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { pathOf, plainChunks, signedChunks, signHeader } from './sign.ts';
import { area, assert, each } from './suite.ts';
import type { Reply } from './wire.ts';
import { isRefused, isStatus, type World } from './world.ts';

const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
const PLAIN_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

interface Streamed {
  readonly bucket: string;
  readonly form: string;
  readonly chunks: readonly Uint8Array[];
  readonly trailers?: readonly string[];
  /** What x-amz-decoded-content-length says. */
  readonly length?: number | null;
  readonly headers?: Record<string, string>;
  readonly change?: (body: Buffer) => Buffer;
}

/** Puts the object `k` with a body in chunks. */
function stream(w: World, options: Streamed): Promise<Reply> {
  const { bucket, form, chunks, trailers = null, change = (body) => body } = options;
  const actual = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const length = options.length === undefined ? actual : options.length;
  const path = w.wire.prefix + pathOf(bucket, 'k');
  const headers: Record<string, string> = {
    host: w.wire.host,
    'content-encoding': 'aws-chunked',
    ...(length === null ? {} : { 'x-amz-decoded-content-length': String(length) }),
    ...(trailers === null ? {} : { 'x-amz-trailer': (trailers[0] ?? '').split(':')[0] ?? '' }),
    ...options.headers,
  };
  const signer = w.signer();
  const signed = signHeader({ method: 'PUT', path, query: [], headers }, signer, form);
  const made =
    form === PLAIN_TRAILER
      ? plainChunks(chunks, trailers ?? [])
      : signedChunks(signer, signed.signature, chunks, trailers);
  const body = change(made);
  return w.wire.send({
    method: 'PUT',
    target: path,
    headers: signed.headers,
    body,
    isChunked: false,
  });
}

const TEXT = Buffer.from('123456789');
const CRC32 = 'x-amz-checksum-crc32:y/Q5Jg==';

const TRAILERS: readonly string[] = [
  CRC32,
  'x-amz-checksum-crc32c:4waSgw==',
  'x-amz-checksum-crc64nvme:rosUhgp5mIg=',
  `x-amz-checksum-sha1:${createHash('sha1').update(TEXT).digest('base64')}`,
  `x-amz-checksum-sha256:${createHash('sha256').update(TEXT).digest('base64')}`,
];

const FORMS: readonly (readonly [string, readonly string[] | undefined])[] = [
  [SIGNED, undefined],
  [SIGNED_TRAILER, [CRC32]],
  [PLAIN_TRAILER, [CRC32]],
];

/** Bodies in chunks of aws-chunked. */
export const streaming = area('streaming', {
  ...each(
    FORMS,
    ([form]) => `${form} is taken apart`,
    async (w, [form, trailers]) => {
      const bucket = await w.bucket();
      const more = trailers === undefined ? {} : { trailers };
      isStatus(await stream(w, { bucket, form, chunks: [TEXT], ...more }), 200);
      const { text, headers } = await w.call('GET', bucket, 'k');
      assert.equal(text, '123456789');
      assert.equal(headers['content-encoding'], undefined);
    },
  ),
  ...each(
    [PLAIN_TRAILER, SIGNED_TRAILER].flatMap((form) => TRAILERS.map((row) => ({ form, row }))),
    ({ form, row }) => `${form} with ${row.split(':')[0]}`,
    async (w, { form, row }) => {
      const bucket = await w.bucket();
      isStatus(await stream(w, { bucket, form, chunks: [TEXT], trailers: [row] }), 200);
      const headers = { 'x-amz-checksum-mode': 'ENABLED' };
      const [name = '', value] = row.split(':');
      assert.equal((await w.call('HEAD', bucket, 'k', { headers })).headers[name], value);
    },
  ),
  ...each(
    [PLAIN_TRAILER, SIGNED_TRAILER],
    (form) => `${form} with a wrong checksum is BadDigest`,
    async (w, form) => {
      const bucket = await w.bucket();
      const trailers = ['x-amz-checksum-crc32:AAAAAA=='];
      isRefused(await stream(w, { bucket, form, chunks: [TEXT], trailers }), 400, 'BadDigest');
      isStatus(await w.call('HEAD', bucket, 'k'), 404);
    },
  ),
  ...each(
    FORMS,
    ([form]) => `${form} of many chunks and 300 kB`,
    async (w, [form]) => {
      const bucket = await w.bucket();
      const chunks = Array.from({ length: 5 }, () => randomBytes(65_536));
      const wanted = form === SIGNED ? {} : { trailers: [`x-amz-checksum-crc32:${crcOf(chunks)}`] };
      isStatus(await stream(w, { bucket, form, chunks, ...wanted }), 200);
      assert.ok((await w.call('GET', bucket, 'k')).bytes.equals(Buffer.concat(chunks)));
    },
  ),
  ...each(
    FORMS,
    ([form]) => `${form} of no bytes`,
    async (w, [form]) => {
      const bucket = await w.bucket();
      const more = form === SIGNED ? {} : { trailers: ['x-amz-checksum-crc32:AAAAAA=='] };
      isStatus(await stream(w, { bucket, form, chunks: [], ...more }), 200);
      assert.equal((await w.call('HEAD', bucket, 'k')).headers['content-length'], '0');
    },
  ),
  'a byte of a chunk that was changed is SignatureDoesNotMatch': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer => {
      const at = body.indexOf('123456789');
      body[at] = 0x30;
      return body;
    };
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], change });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  'a signature of a chunk that was changed is SignatureDoesNotMatch': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer => {
      const text = body.toString('latin1').replace(/chunk-signature=../, 'chunk-signature=00');
      return Buffer.from(text, 'latin1');
    };
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], change });
    isRefused(reply, 403, 'SignatureDoesNotMatch');
  },
  'a trailer that was changed is SignatureDoesNotMatch': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer =>
      Buffer.from(body.toString('latin1').replace('y/Q5Jg==', 'y/Q5Jw=='), 'latin1');
    const options = { bucket, form: SIGNED_TRAILER, chunks: [TEXT], trailers: [CRC32], change };
    isRefused(await stream(w, options), 403, 'SignatureDoesNotMatch');
  },
  'no last chunk is IncompleteBody': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer => body.subarray(0, body.lastIndexOf('0;chunk'));
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], change });
    isRefused(reply, 400, 'IncompleteBody');
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  'fewer bytes than were said are IncompleteBody': async (w) => {
    const bucket = await w.bucket();
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], length: 20 });
    isRefused(reply, 400, 'IncompleteBody');
  },
  'more bytes than were said are IncompleteBody': async (w) => {
    const bucket = await w.bucket();
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], length: 5 });
    assert.equal(reply.status, 400);
    isStatus(await w.call('HEAD', bucket, 'k'), 404);
  },
  'no length said is MissingContentLength': async (w) => {
    const bucket = await w.bucket();
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], length: null });
    isRefused(reply, 411, 'MissingContentLength');
  },
  'a chunk of 1 GB that never comes is refused': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer =>
      Buffer.from(body.toString('latin1').replace(/^9;/, '40000000;'), 'latin1');
    const reply = await stream(w, { bucket, form: SIGNED, chunks: [TEXT], change });
    assert.equal(reply.status, 400);
  },
  'a size that is no number is refused': async (w) => {
    const bucket = await w.bucket();
    const change = (body: Buffer): Buffer =>
      Buffer.from(body.toString('latin1').replace(/^9/, 'z'), 'latin1');
    const options = { bucket, form: PLAIN_TRAILER, chunks: [TEXT], trailers: [CRC32], change };
    assert.equal((await stream(w, options)).status, 400);
  },
  'a trailer that was announced and does not come is refused': async (w) => {
    const bucket = await w.bucket();
    const change = (): Buffer => plainChunks([TEXT], []);
    const options = { bucket, form: PLAIN_TRAILER, chunks: [TEXT], trailers: [CRC32], change };
    isRefused(await stream(w, options), 400, 'MalformedTrailerError');
  },
  'gzip under aws-chunked stays as encoding': async (w) => {
    const bucket = await w.bucket();
    const headers = { 'content-encoding': 'gzip,aws-chunked' };
    isStatus(await stream(w, { bucket, form: SIGNED, chunks: [TEXT], headers }), 200);
    assert.equal((await w.call('HEAD', bucket, 'k')).headers['content-encoding'], 'gzip');
  },
});

function crcOf(chunks: readonly Uint8Array[]): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(Buffer.concat(chunks)));
  return value.toString('base64');
}
