import { AppError } from '../../protocol/errors.ts';

/**
 * URLs as bytes. A key is the percent-decoded path, decoded exactly once and never normalised: any bytes
 * but the few that kvRef refuses, also such that are no UTF-8 (API.md; FAULTS I17 would refuse them, but
 * the API promises `keyBase64`). Malformed escapes are refused.
 */

const HEX = /^[0-9a-fA-F]{2}$/;

/** Percent-decodes to a latin1 string, one char per byte. */
export function percentDecode(text: string): string {
  if (!text.includes('%')) return text;
  let out = '';
  let from = 0;
  for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', from)) {
    const digits = text.slice(at + 1, at + 3);
    if (!HEX.test(digits)) throw new AppError('malformed', 'a percent escape is not valid');
    out += text.slice(from, at) + String.fromCharCode(Number.parseInt(digits, 16));
    from = at + 3;
  }
  return out + text.slice(from);
}

export function pathOf(url: string): string {
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** The query's fields as latin1 bytes; `+` is a space. A field given twice is refused. */
export function queryOf(url: string): Record<string, unknown> {
  const fields: Record<string, unknown> = Object.create(null);
  const at = url.indexOf('?');
  if (at < 0 || at === url.length - 1) return fields;
  for (const part of url.slice(at + 1).split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = fieldOf(equals < 0 ? part : part.slice(0, equals));
    if (Object.hasOwn(fields, name)) {
      throw new AppError('invalid_argument', 'a query parameter is given twice');
    }
    fields[name] = equals < 0 ? '' : fieldOf(part.slice(equals + 1));
  }
  return fields;
}

function fieldOf(text: string): string {
  return percentDecode(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

/** The key in `/v1/kv/{key}`: everything after the prefix, slashes included. */
export function keyAfter(url: string, prefix: string): string {
  return percentDecode(pathOf(url).slice(prefix.length));
}

const OPAQUE_PREFIXES = ['/v1/kv/', '/v1/locks/', '/s3/'] as const;

/**
 * What the router sees instead of a URL that carries a key: the router would decode the key as UTF-8
 * and refuse what is none. Handlers read the key from the original.
 */
export function routedUrl(url: string): string {
  for (const prefix of OPAQUE_PREFIXES) {
    if (url.startsWith(prefix)) return `${prefix}k`;
  }
  const path = pathOf(url);
  return path.includes('%') && path.indexOf('/', 1) < 0 ? '/k' : url;
}
