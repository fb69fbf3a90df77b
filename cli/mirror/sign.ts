import { createHash } from 'node:crypto';
import { timestampOf } from '../../gateways/s3/credential-scope.ts';
import type { QueryField } from '../../gateways/s3/signed-request.ts';
import { SigningKeys, signatureOf } from '../../gateways/s3/signing-key.ts';
import {
  ALGORITHM,
  canonicalRequest,
  stringToSign,
  uriEncode,
} from '../../gateways/s3/sigv4-canonical.ts';

/** A pair of S3 keys. Never shown. */
export interface S3KeyPair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

export interface Unsigned {
  readonly method: string;
  /** Path and query, as they will be on the wire. */
  readonly target: string;
  /** One char per byte. */
  readonly fields: readonly QueryField[];
  /** Lower-case names; `host` among them; one char per byte. */
  readonly headers: Readonly<Record<string, string>>;
  /** A small body, whose hash is signed; null: a stream, whose bytes are not. */
  readonly body: Uint8Array | null;
}

/** Signs with version 4 of S3's signatures, by the same canonical form that the endpoint verifies by. */
export class Signer {
  readonly #keys = new SigningKeys(4);
  readonly #pair: S3KeyPair;
  readonly #region: string;

  constructor(pair: S3KeyPair, region: string) {
    this.#pair = pair;
    this.#region = region;
  }

  /** All headers of the request with those of the signature. */
  signed(request: Unsigned, wallMs: number): Record<string, string> {
    const { method, target, fields, body } = request;
    const timestamp = timestampOf(wallMs);
    const date = timestamp.slice(0, 8);
    const text = `${date}/${this.#region}/s3/aws4_request`;
    const payloadHash = body === null ? 'UNSIGNED-PAYLOAD' : sha256Hex(body);
    const { accessKeyId, secretAccessKey, sessionToken } = this.#pair;
    const headers: Record<string, string> = {
      ...request.headers,
      'x-amz-date': timestamp,
      'x-amz-content-sha256': payloadHash,
      ...(sessionToken === null ? {} : { 'x-amz-security-token': sessionToken }),
    };
    const signedHeaders = Object.keys(headers).sort();
    const canonical = canonicalRequest({
      ...{ method, target, fields, signedHeaders, payloadHash },
      headers: new Map(Object.entries(headers)),
    });
    const scope = { date, region: this.#region, service: 's3', text };
    const key = this.#keys.keyOf(accessKeyId, secretAccessKey, scope);
    const signature = signatureOf(key, stringToSign(timestamp, text, canonical));
    const names = signedHeaders.join(';');
    headers['authorization'] =
      `${ALGORITHM} Credential=${accessKeyId}/${text}, SignedHeaders=${names}, Signature=${signature}`;
    return headers;
  }
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Text as its UTF-8, one char per byte: what is signed and what node:http writes. */
export function wireText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** `/bucket/key`, each segment encoded once. */
export function pathOf(prefix: string, bucket: string | null, key: string | null): string {
  const encode = (text: string): string => uriEncode(wireText(text)).replaceAll('%2F', '/');
  if (bucket === null) return `${prefix}/`;
  return `${prefix}/${encode(bucket)}${key === null ? '' : `/${encode(key)}`}`;
}

/** The query as it is sent: strictly encoded. `''` where there is none. */
export function queryText(fields: readonly QueryField[]): string {
  const pairs = fields.map(({ name, value }) => `${uriEncode(name)}=${uriEncode(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}
