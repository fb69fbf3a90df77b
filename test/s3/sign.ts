import { createHash, createHmac } from 'node:crypto';

/** SigV4 as clients do it, with every part open to be set wrong. Independent of the server's own code. */

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export type HeaderFields = Readonly<Record<string, string>>;

export interface Signable {
  readonly method: string;
  /** Encoded. */
  readonly path: string;
  /** Decoded names and values. */
  readonly query: ReadonlyArray<readonly [string, string]>;
  /** Names in lower case, the host among them. */
  readonly headers: HeaderFields;
}

export interface Signer {
  readonly credentials: Credentials;
  readonly region: string;
  readonly service: string;
  readonly at: Date;
}

export const EMPTY_SHA256 = sha256Hex('');

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function hmac(key: string | Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** As S3 wants it: everything but A-Z a-z 0-9 - . _ ~ is escaped. */
export function encode(text: string): string {
  const escaped = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replace(/[!'()*]/g, escaped);
}

export function pathOf(bucket: string, key = ''): string {
  return key === '' ? `/${bucket}` : `/${bucket}/${key.split('/').map(encode).join('/')}`;
}

export function timestampOf(at: Date): string {
  return at.toISOString().replace(/[-:]|\.\d+/g, '');
}

export function scopeOf({ at, region, service }: Signer): string {
  return `${timestampOf(at).slice(0, 8)}/${region}/${service}/aws4_request`;
}

export function signingKey(signer: Signer): Buffer {
  const secret = `AWS4${signer.credentials.secretAccessKey}`;
  return scopeOf(signer).split('/').reduce<Buffer>(hmac, Buffer.from(secret));
}

export function queryText(query: ReadonlyArray<readonly [string, string]>): string {
  return query.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}

function canonical(request: Signable, names: readonly string[], payload: string): string {
  const pairs = request.query.map(([name, value]) => [encode(name), encode(value)] as const);
  const lines = names.map((name) => `${name}:${(request.headers[name] ?? '').trim()}\n`);
  // By name first: what follows a name must not decide, as where one begins another.
  pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : 1));
  const query = pairs.map((pair) => pair.join('=')).join('&');
  return [request.method, request.path, query, lines.join(''), names.join(';'), payload].join('\n');
}

function signature(canonicalRequest: string, signer: Signer): string {
  const text = ['AWS4-HMAC-SHA256', timestampOf(signer.at), scopeOf(signer)];
  text.push(sha256Hex(canonicalRequest));
  return hmac(signingKey(signer), text.join('\n')).toString('hex');
}

export interface SignedHeaders {
  readonly headers: Record<string, string>;
  readonly signature: string;
}

/** All headers that are given are signed, save those in `unsigned`. `payload`: x-amz-content-sha256. */
export function signHeader(
  request: Signable,
  signer: Signer,
  payload: string,
  unsigned: readonly string[] = [],
): SignedHeaders {
  const { accessKeyId, sessionToken } = signer.credentials;
  const headers: Record<string, string> = {
    'x-amz-date': timestampOf(signer.at),
    'x-amz-content-sha256': payload,
    ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
    ...request.headers,
  };
  const names = Object.keys(headers).filter((name) => !unsigned.includes(name));
  names.sort();
  const signed = signature(canonical({ ...request, headers }, names, payload), signer);
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scopeOf(signer)}, ` +
    `SignedHeaders=${names.join(';')}, Signature=${signed}`;
  return { headers, signature: signed };
}

/** The query of a presigned URL: all headers that are given are signed. */
export function presign(
  request: Signable,
  signer: Signer,
  expiresSeconds: number | string,
): [string, string][] {
  const names = Object.keys(request.headers).sort();
  const { accessKeyId, sessionToken } = signer.credentials;
  const query: [string, string][] = [
    ...request.query.map(([name, value]): [string, string] => [name, value]),
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${accessKeyId}/${scopeOf(signer)}`],
    ['X-Amz-Date', timestampOf(signer.at)],
    ['X-Amz-Expires', String(expiresSeconds)],
    ['X-Amz-SignedHeaders', names.join(';')],
  ];
  if (sessionToken !== undefined) query.push(['X-Amz-Security-Token', sessionToken]);
  const signed = signature(canonical({ ...request, query }, names, 'UNSIGNED-PAYLOAD'), signer);
  return [...query, ['X-Amz-Signature', signed]];
}

/** A body of signed chunks (STREAMING-AWS4-HMAC-SHA256-PAYLOAD); trailers as `name:value`. */
export function signedChunks(
  signer: Signer,
  seed: string,
  chunks: readonly Uint8Array[],
  trailers: readonly string[] | null = null,
): Buffer {
  let previous = seed;
  const key = signingKey(signer);
  const next = (algorithm: string, hashes: readonly string[]): string => {
    const head = [algorithm, timestampOf(signer.at), scopeOf(signer), previous];
    previous = hmac(key, [...head, ...hashes].join('\n')).toString('hex');
    return previous;
  };
  const parts: Uint8Array[] = [];
  for (const chunk of [...chunks, new Uint8Array(0)]) {
    const signed = next('AWS4-HMAC-SHA256-PAYLOAD', [EMPTY_SHA256, sha256Hex(chunk)]);
    parts.push(Buffer.from(`${chunk.length.toString(16)};chunk-signature=${signed}\r\n`));
    if (chunk.length > 0) parts.push(chunk, Buffer.from('\r\n'));
  }
  if (trailers !== null) {
    const lines = trailers.map((trailer) => `${trailer}\n`).join('');
    const signed = next('AWS4-HMAC-SHA256-TRAILER', [sha256Hex(lines)]);
    const shown = [...trailers, `x-amz-trailer-signature:${signed}`].map((line) => `${line}\r\n`);
    parts.push(Buffer.from(shown.join('')));
  }
  return Buffer.concat([...parts, Buffer.from('\r\n')]);
}

/** A body of chunks without signatures (STREAMING-UNSIGNED-PAYLOAD-TRAILER). */
export function plainChunks(chunks: readonly Uint8Array[], trailers: readonly string[]): Buffer {
  const parts = chunks.flatMap((chunk) => [
    Buffer.from(`${chunk.length.toString(16)}\r\n`),
    chunk,
    Buffer.from('\r\n'),
  ]);
  const lines = trailers.map((trailer) => `${trailer}\r\n`).join('');
  return Buffer.concat([...parts, Buffer.from(`0\r\n${lines}\r\n`)]);
}
