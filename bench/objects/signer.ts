import { createHash, createHmac } from 'node:crypto';

/** Signature version 4 of one request, with what a benchmark needs of it: no query, four headers. */
export interface S3Target {
  readonly host: string;
  readonly port: number;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
}

export const UNSIGNED = 'UNSIGNED-PAYLOAD';

export interface UnsignedRequest {
  readonly method: string;
  /** Encoded; `query` sorted and encoded too. */
  readonly path: string;
  readonly query?: string;
  /** Hex of the body's SHA-256, or UNSIGNED. */
  readonly payload: string;
  readonly length: number;
}

export class Signer {
  readonly #target: S3Target;
  readonly #date: string;
  readonly #scope: string;
  readonly #key: Buffer;

  /** Signatures hold for a quarter of an hour. */
  constructor(target: S3Target, now = new Date()) {
    this.#target = target;
    this.#date = `${now.toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;
    const day = this.#date.slice(0, 8);
    this.#scope = `${day}/${target.region}/s3/aws4_request`;
    let key = hmac(`AWS4${target.secretKey}`, day);
    for (const part of [target.region, 's3', 'aws4_request']) key = hmac(key, part);
    this.#key = key;
  }

  /** The whole head of the request. */
  headOf({ method, path, query = '', payload, length }: UnsignedRequest): string {
    const { host, port, accessKey } = this.#target;
    const signed = 'host;x-amz-content-sha256;x-amz-date';
    const canonical = [
      ...[method, path, query, `host:${host}:${port}`, `x-amz-content-sha256:${payload}`],
      ...[`x-amz-date:${this.#date}`, '', signed, payload],
    ].join('\n');
    const hash = createHash('sha256').update(canonical).digest('hex');
    const text = `AWS4-HMAC-SHA256\n${this.#date}\n${this.#scope}\n${hash}`;
    const signature = hmac(this.#key, text).toString('hex');
    const credential = `Credential=${accessKey}/${this.#scope}`;
    return [
      `${method} ${path}${query === '' ? '' : `?${query}`} HTTP/1.1`,
      `Host: ${host}:${port}`,
      `X-Amz-Date: ${this.#date}`,
      `X-Amz-Content-Sha256: ${payload}`,
      `Authorization: AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${signed}, Signature=${signature}`,
      `Content-Length: ${length}`,
      '\r\n',
    ].join('\r\n');
  }
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
