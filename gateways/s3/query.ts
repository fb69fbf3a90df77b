import { fromLatin1, textOrNull } from '../../protocol/bytes.ts';

/**
 * Percent-encoding of URLs, decoded exactly once. URLs and headers come as latin1 strings, one char per
 * byte; the result is text: what is not UTF-8, or has a malformed escape, is null (FAULTS I17).
 */
export function percentDecoded(raw: string): string | null {
  if (PLAIN.test(raw)) return raw;
  if (BAD_ESCAPE.test(raw)) return null;
  const bytes = raw.replace(/%(..)/g, (_escape, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return textOrNull(fromLatin1(bytes));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the class is ASCII without the percent sign.
const PLAIN = /^[\x00-\x24\x26-\x7f]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is no byte.
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})|[^\x00-\xff]/;

/** Names and values of a query, in order; `+` is a space. Null where one cannot be decoded. */
export function queryPairs(raw: string): readonly (readonly [string, string])[] | null {
  const pairs: (readonly [string, string])[] = [];
  for (const part of raw.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = fieldOf(equals < 0 ? part : part.slice(0, equals));
    const value = equals < 0 ? '' : fieldOf(part.slice(equals + 1));
    if (name === null || value === null) return null;
    pairs.push([name, value]);
  }
  return pairs;
}

function fieldOf(raw: string): string | null {
  return percentDecoded(raw.includes('+') ? raw.replaceAll('+', ' ') : raw);
}
