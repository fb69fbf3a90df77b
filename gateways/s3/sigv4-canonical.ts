import { createHash } from 'node:crypto';
import { decoded, type Headers, type QueryField } from './signed-request.ts';

/**
 * The canonical request of SigV4 by the rules for S3: each segment is encoded once, nothing is normalised (`//`
 * and `/../` stay). Texts have one char per byte, so what is signed is what was on the wire.
 */

const ESCAPES: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  if (/[A-Za-z0-9\-._~]/.test(char)) return char;
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});
const PLAIN = /^[A-Za-z0-9\-._~]*$/;
const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;

/** SigV4's UriEncode of a text with one char per byte. */
export function uriEncode(text: string): string {
  return PLAIN.test(text) ? text : escaped(text);
}

function escaped(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) out += ESCAPES[text.charCodeAt(i) & 0xff];
  return out;
}

/** Slashes stay, also those that came as %2F: they are the same key. */
export function canonicalPath(target: string): string {
  const end = target.indexOf('?');
  const path = end < 0 ? target : target.slice(0, end);
  if (PLAIN_PATH.test(path)) return path === '' ? '/' : path;
  return escaped(decoded(path)).replaceAll('%2F', '/');
}

/** Sorted by encoded name, then by encoded value. `except` is left out. */
export function canonicalQuery(fields: readonly QueryField[], except?: string): string {
  const pairs: [string, string][] = [];
  for (const { name, value } of fields) {
    if (name !== except) pairs.push([uriEncode(name), uriEncode(value)]);
  }
  pairs.sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export interface CanonicalParts {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly QueryField[];
  /** A field of the query that is not signed: the signature itself. */
  readonly except?: string;
  readonly headers: Headers;
  /** Lower-case names in the order the client signed them. */
  readonly signedHeaders: readonly string[];
  /** As declared: a hash, or one of the words for a body that is not hashed beforehand. */
  readonly payloadHash: string;
}

export function canonicalRequest(parts: CanonicalParts): string {
  let lines = '';
  for (const name of parts.signedHeaders) {
    lines += `${name}:${folded(parts.headers.get(name) ?? '')}\n`;
  }
  return [
    parts.method,
    canonicalPath(parts.target),
    canonicalQuery(parts.fields, parts.except),
    lines,
    parts.signedHeaders.join(';'),
    parts.payloadHash,
  ].join('\n');
}

/** A run of spaces counts as one. */
function folded(value: string): string {
  return value.includes('  ') ? value.replace(/ {2,}/g, ' ') : value;
}

export const ALGORITHM = 'AWS4-HMAC-SHA256';

/** `timestamp` is yyyyMMddTHHmmssZ, `scope` is date/region/service/aws4_request. */
export function stringToSign(timestamp: string, scope: string, canonical: string): string {
  const hash = createHash('sha256').update(canonical, 'latin1').digest('hex');
  return `${ALGORITHM}\n${timestamp}\n${scope}\n${hash}`;
}
