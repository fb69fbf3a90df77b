import { invalid } from './errors.ts';

/** A key: text (as UTF-8), or any bytes. */
export type Key = string | Uint8Array;
/** A value: text (as UTF-8), or any bytes. */
export type Value = string | Uint8Array;

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const loose = new TextDecoder('utf-8', { ignoreBOM: true });
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Throws MinikvError for text that has no UTF-8. */
export function toBytes(text: Value): Uint8Array<ArrayBuffer> {
  if (typeof text !== 'string') return new Uint8Array(text);
  if (LONE_SURROGATE.test(text)) throw invalid('text with a lone surrogate has no UTF-8');
  return encoder.encode(text);
}

export function toText(bytes: Uint8Array): string {
  return loose.decode(bytes);
}

function textOrNull(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

const CHUNK = 0x8000;

export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    binary += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(binary);
}

export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const UNRESERVED = /[A-Za-z0-9_.~-]/;

/** Percent-encodes every byte but the unreserved ones; slashes too, so that no path is ever resolved. */
export function percentEncode(key: Key): string {
  let out = '';
  for (const byte of toBytes(key)) {
    const char = String.fromCharCode(byte);
    out += UNRESERVED.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** `.` and `..` vanish from every URL, percent-encoded or not: such keys go into a body. */
export function fitsPath(key: Key): boolean {
  const text = typeof key === 'string' ? key : toText(key);
  return text !== '.' && text !== '..';
}

/** `{name: text}`, or `{nameBase64}` for bytes that are no UTF-8. */
export function keyFields(key: Key, name = 'key'): Record<string, string> {
  if (typeof key === 'string') return { [name]: toText(toBytes(key)) };
  const text = textOrNull(key);
  return text === null ? { [`${name}Base64`]: toBase64(key) } : { [name]: text };
}

/** `{value}` or `{base64}`. */
export function valueFields(value: Value): Record<string, string> {
  if (typeof value === 'string') return { value: toText(toBytes(value)) };
  const text = textOrNull(value);
  return text === null ? { base64: toBase64(value) } : { value: text };
}

/** `?a=1&b=x` of the fields that are there; keys and prefixes byte for byte. */
export function queryOf(
  fields: Readonly<Record<string, Key | number | boolean | undefined>>,
): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const isKey = typeof value === 'string' || value instanceof Uint8Array;
    parts.push(`${name}=${isKey ? percentEncode(value) : String(value)}`);
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
