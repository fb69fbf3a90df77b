import { invalidArgument } from './errors.ts';

/** Headers as Node gives them: names in lower case, values as latin1. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The value of a header; null where it is absent or empty. Values of one given twice are joined. */
export function headerOf(headers: Headers, name: string): string | null {
  const value = headers[name];
  const text = Array.isArray(value) ? value.join(', ') : (value ?? '');
  const trimmed = text.trim();
  return trimmed === '' ? null : trimmed;
}

/** One of these words, in any case of letters as S3 takes them; null where the header is absent. */
export function wordOf<W extends string>(
  headers: Headers,
  name: string,
  words: readonly W[],
): W | null {
  const given = headerOf(headers, name);
  if (given === null) return null;
  const word = words.find((candidate) => candidate.toLowerCase() === given.toLowerCase());
  if (word !== undefined) return word;
  throw invalidArgument(`${name} must be ${words.join(' or ')}`, name, given.slice(0, 256));
}

/** `true` or `false`; false where it is absent. */
export function flagOf(headers: Headers, name: string): boolean {
  return wordOf(headers, name, ['true', 'false']) === 'true';
}
