import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { RawRequest } from '../../gateways/s3/signed-request.ts';
import type { ChunkSeed, Credentials } from '../../gateways/s3/sigv4.ts';
import { SigV4 } from '../../gateways/s3/sigv4.ts';

/** The account, the region and the day of the examples in the S3 API reference. */
export const EXAMPLE = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  timeMs: Date.UTC(2013, 4, 24),
  timestamp: '20130524T000000Z',
  scope: '20130524/us-east-1/s3/aws4_request',
} as const;

/** A temporary key, known with this token only. */
export const TEMPORARY = {
  accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'another+secret',
  sessionToken: 'FwoGZXIvYXdzE/+=token',
} as const;

export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A verifier that knows both keys. */
export function verifierAt(
  wallMs: number = EXAMPLE.timeMs,
  expiresAtMs: number | null = null,
): SigV4<Credentials> {
  const known = new Map<string, Credentials>([
    [EXAMPLE.accessKeyId, { ...EXAMPLE, sessionToken: null, expiresAtMs: null }],
    [TEMPORARY.accessKeyId, { ...TEMPORARY, expiresAtMs }],
  ]);
  return new SigV4({
    clock: { wallMs: () => wallMs },
    region: EXAMPLE.region,
    credentialsOf: async (id) => known.get(id) ?? null,
  });
}

/** node:crypto in the shape that @smithy/signature-v4 wants. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: unknown) {
    this.#hash =
      secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }

  reset(): void {
    throw new Error('is not called');
  }
}

/** The implementation in the AWS SDK for JavaScript, as it signs for S3. */
export function oracle(
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } = EXAMPLE,
): SignatureV4 {
  return new SignatureV4({
    service: 's3',
    region: EXAMPLE.region,
    credentials,
    sha256: Sha256,
    uriEscapePath: false,
  });
}

export interface Unsigned {
  readonly method: string;
  /** Encoded. */
  readonly path: string;
  readonly query?: Record<string, string | string[]>;
  readonly headers?: Record<string, string>;
}

/** Strictly encoded, as SDKs do. */
export function encode(text: string): string {
  const escaped = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, escaped);
}

type Signed = { path: string; query?: Record<string, unknown>; headers: Record<string, string> };

export function rawOf(method: string, signed: Signed): RawRequest {
  const pairs = Object.entries(signed.query ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((v) => `${encode(name)}=${encode(String(v))}`),
  );
  const query = pairs.length === 0 ? '' : `?${pairs.join('&')}`;
  return {
    method,
    target: signed.path + query,
    rawHeaders: Object.entries(signed.headers).flat(),
  };
}

/** Signed by the oracle in the header. */
export async function signed(request: Unsigned, by = oracle()): Promise<RawRequest> {
  const result = await by.sign(
    {
      method: request.method,
      protocol: 'https:',
      hostname: 'examplebucket.s3.amazonaws.com',
      path: request.path,
      query: request.query ?? {},
      headers: {
        host: 'examplebucket.s3.amazonaws.com',
        'x-amz-content-sha256': EMPTY_SHA256,
        ...request.headers,
      },
    },
    { signingDate: new Date(EXAMPLE.timeMs) },
  );
  return rawOf(request.method, result as Signed);
}

/** Signed by the oracle in the URL. */
export async function presigned(
  request: Unsigned,
  expiresIn = 86_400,
  by = oracle(),
): Promise<RawRequest> {
  const result = await by.presign(
    {
      method: request.method,
      protocol: 'https:',
      hostname: 'examplebucket.s3.amazonaws.com',
      path: request.path,
      query: request.query ?? {},
      headers: {
        host: 'examplebucket.s3.amazonaws.com',
        'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
        ...request.headers,
      },
    },
    { signingDate: new Date(EXAMPLE.timeMs), expiresIn },
  );
  return rawOf(request.method, result as Signed);
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export const EXAMPLE_KEY = ['20130524', 'us-east-1', 's3', 'aws4_request'].reduce<Buffer>(
  hmac,
  Buffer.from(`AWS4${EXAMPLE.secretAccessKey}`),
);

export function seedOf(signature: string): ChunkSeed {
  return {
    signingKey: EXAMPLE_KEY,
    timestamp: EXAMPLE.timestamp,
    scope: EXAMPLE.scope,
    signature,
  };
}

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** A body of signed chunks, by the examples' key; trailers as `name:value`. */
export function signedChunks(
  seed: string,
  chunks: readonly Buffer[],
  trailers: readonly string[] | null = null,
): Buffer {
  let previous = seed;
  const sign = (algorithm: string, hashes: string): string => {
    const text = `${algorithm}\n${EXAMPLE.timestamp}\n${EXAMPLE.scope}\n${previous}\n${hashes}`;
    previous = hmac(EXAMPLE_KEY, text).toString('hex');
    return previous;
  };
  const parts: Buffer[] = [];
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    const signature = sign('AWS4-HMAC-SHA256-PAYLOAD', `${EMPTY_SHA256}\n${sha256(chunk)}`);
    parts.push(Buffer.from(`${chunk.length.toString(16)};chunk-signature=${signature}\r\n`));
    if (chunk.length > 0) parts.push(chunk, Buffer.from('\r\n'));
  }
  if (trailers !== null) {
    const signature = sign(
      'AWS4-HMAC-SHA256-TRAILER',
      sha256(trailers.map((t) => `${t}\n`).join('')),
    );
    parts.push(Buffer.from([...trailers, `x-amz-trailer-signature:${signature}`, ''].join('\r\n')));
  }
  return Buffer.concat([...parts, Buffer.from('\r\n')]);
}

/** A body of chunks without signatures. */
export function plainChunks(
  chunks: readonly Buffer[],
  trailers: readonly string[] = [],
  extension = '',
): Buffer {
  return Buffer.concat([
    ...chunks.flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`),
      chunk,
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`0${extension}\r\n${trailers.map((t) => `${t}\r\n`).join('')}\r\n`),
  ]);
}

export const SIGNATURE_NAME = 'x-amz-trailer-signature';

/** Whether a byte of an aws-chunked body is in that name, whose case nobody signs. */
export function isInSignatureName(bytes: Buffer, at: number): boolean {
  const start = bytes.lastIndexOf('\n', at) + 1;
  const end = start + SIGNATURE_NAME.length;
  return at < end && bytes.toString('latin1', start, end) === SIGNATURE_NAME;
}

/** The line up to a byte, itself included. */
export function lineStart(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', bytes.lastIndexOf('\n', at) + 1, at + 1);
}
