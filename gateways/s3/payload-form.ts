import { s3Error } from './errors.ts';
import type { Headers } from './signed-request.ts';

/** How a body is protected and framed, as `x-amz-content-sha256` says. */
export type PayloadForm =
  | { readonly kind: 'hashed'; readonly sha256: Buffer }
  | { readonly kind: 'unsigned' }
  /** aws-chunked. */
  | { readonly kind: 'chunked'; readonly isSigned: boolean; readonly hasTrailer: boolean };

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

const FORMS: ReadonlyMap<string, PayloadForm> = new Map<string, PayloadForm>([
  [UNSIGNED_PAYLOAD, { kind: 'unsigned' }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { kind: 'chunked', isSigned: true, hasTrailer: false }],
  [
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    { kind: 'chunked', isSigned: true, hasTrailer: true },
  ],
  ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { kind: 'chunked', isSigned: false, hasTrailer: true }],
]);

const SHA256_HEX = /^[0-9a-fA-F]{64}$/;

/** Throws `InvalidArgument` for what is none of S3's values. */
export function payloadFormOf(value: string): PayloadForm {
  const form = FORMS.get(value);
  if (form !== undefined) return form;
  if (SHA256_HEX.test(value)) return { kind: 'hashed', sha256: Buffer.from(value, 'hex') };
  throw s3Error(
    'InvalidArgument',
    'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    { ArgumentName: 'x-amz-content-sha256', ArgumentValue: value },
  );
}

/**
 * Bytes of an aws-chunked body without its framing. Throws `MissingContentLength` where the client does not
 * say.
 */
export function decodedBytesOf(headers: Headers): number {
  const text = headers.get('x-amz-decoded-content-length');
  if (text === undefined || text === '') throw s3Error('MissingContentLength');
  const bytes = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(bytes)) {
    throw s3Error('InvalidArgument', 'x-amz-decoded-content-length is not a valid length.', {
      ArgumentName: 'x-amz-decoded-content-length',
      ArgumentValue: text,
    });
  }
  return bytes;
}

/** Names that the client promises to send behind the body. */
export function trailerNamesOf(headers: Headers): string[] {
  const text = headers.get('x-amz-trailer');
  if (text === undefined || text === '') return [];
  return text.split(',').map((name) => name.trim().toLowerCase());
}

/** `Content-Encoding` as it is kept: aws-chunked is the transfer's and not the object's. Null: none. */
export function storedContentEncoding(value: string): string | null {
  const kept = value
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding.toLowerCase() !== 'aws-chunked');
  return kept.length === 0 ? null : kept.join(',');
}
