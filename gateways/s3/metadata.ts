import { fromLatin1, textOrNull } from '../../protocol/bytes.ts';
import { s3Error } from './errors.ts';
import type { Headers } from './headers.ts';

/** User metadata: names in lower case without `x-amz-meta-`, and bytes as latin1. In the order of the request. */
export type UserMetadata = ReadonlyMap<string, string>;

const PREFIX = 'x-amz-meta-';
/** Bytes of all names and values. */
const METADATA_BYTES_MAX = 2048;

/**
 * The headers x-amz-meta-*. Values are bytes as latin1, UTF-8 by what most clients mean; RFC 2047 words in them become UTF-8, as in S3. Throws
 * MetadataTooLarge.
 */
export function userMetadataOf(headers: Headers): UserMetadata {
  const metadata = new Map<string, string>();
  let bytes = 0;
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith(PREFIX) || value === undefined) continue;
    const name = header.slice(PREFIX.length);
    const text = decodedWords(Array.isArray(value) ? value.join(',') : value);
    bytes += name.length + text.length;
    metadata.set(name, text);
  }
  if (bytes <= METADATA_BYTES_MAX) return metadata;
  throw s3Error('MetadataTooLarge', undefined, {
    Size: bytes,
    MaxSizeAllowed: METADATA_BYTES_MAX,
  });
}

/**
 * Back to headers, as pairs of name and value, byte for byte as they came: clients that send UTF-8 read it back.
 * What a header cannot carry came as an RFC 2047 word and goes as one.
 */
export function metadataHeaders(metadata: UserMetadata): readonly (readonly [string, string])[] {
  return [...metadata].map(([name, text]) => [PREFIX + name, encodedWord(text)]);
}

const WORD = /=\?([A-Za-z0-9-]{1,32})\?([BQbq])\?([\x21-\x3e\x40-\x7e]*)\?=/g;
/** White space between two words belongs to neither. */
const BETWEEN_WORDS = /(\?=)[ \t]+(?==\?[A-Za-z0-9-]{1,32}\?[BQbq]\?)/g;
/** What a header carries as it is: printable latin1 that HTTP neither trims nor takes for something else. */
const PLAIN = /^(?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

export function encodedWord(text: string): string {
  if (PLAIN.test(text) && !text.includes('=?')) return text;
  return `=?UTF-8?B?${Buffer.from(text, 'latin1').toString('base64')}?=`;
}

/** A word that cannot be decoded stays as it is. */
export function decodedWords(value: string): string {
  if (!value.includes('=?')) return value;
  return value
    .replace(BETWEEN_WORDS, '$1')
    .replace(WORD, (word, charset: string, encoding: string, content: string) => {
      const bytes = bytesOf(encoding.toUpperCase(), content);
      const text = bytes === null ? null : inCharset(charset.toUpperCase(), bytes);
      return text === null ? word : Buffer.from(text, 'utf8').toString('latin1');
    });
}

function bytesOf(encoding: string, content: string): Uint8Array | null {
  if (encoding === 'B') {
    return /^[A-Za-z0-9+/]*={0,2}$/.test(content) ? Buffer.from(content, 'base64') : null;
  }
  if (/=(?![0-9A-Fa-f]{2})/.test(content)) return null;
  const bytes = content
    .replaceAll('_', ' ')
    .replace(/=(..)/g, (_escape, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return fromLatin1(bytes);
}

function inCharset(charset: string, bytes: Uint8Array): string | null {
  if (charset === 'UTF-8' || charset === 'US-ASCII') return textOrNull(bytes);
  return charset === 'ISO-8859-1' ? Buffer.from(bytes).toString('latin1') : null;
}
