import { assert } from '../../protocol/assert.ts';

/**
 * XML is text that is made here only: what is not Markup is escaped on its way in, so that no key, tag or
 * message can become an element.
 */
declare const markup: unique symbol;
export type Markup = string & { readonly [markup]: true };

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

const ESCAPED = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
]);

/**
 * Signs of XML itself, and characters that a parser changes (CR) or that XML 1.0 cannot carry at all. The
 * latter become numeric references too, as S3 writes them: lenient parsers read them, strict ones refuse the
 * document, and `encoding-type=url` is there for those. A listing is never refused for one key's name.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must be escaped.
const SPECIAL = /[&<>"\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]/g;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Text between tags or in an attribute. Lone surrogates are no text: nothing from outside has them. */
export function escapeXml(text: string): Markup {
  assert(!LONE_SURROGATE.test(text), 'text for XML has no lone surrogate');
  return text.replace(
    SPECIAL,
    (char) => ESCAPED.get(char) ?? `&#x${char.charCodeAt(0).toString(16).toUpperCase()};`,
  ) as Markup;
}

export type Scalar = string | number | boolean;

/** `<Name>text</Name>`; `<Name/>` where the text is empty. */
export function leaf(name: string, value: Scalar): Markup {
  return node(name, [escapeXml(String(value))]);
}

/** Nothing where there is no value. */
export function leafOr(name: string, value: Scalar | null): Markup {
  return value === null ? NOTHING : leaf(name, value);
}

export const NOTHING = '' as Markup;

/** An element; `attributes` are ` name="value"` pairs that the caller has escaped. */
export function node(name: string, children: readonly Markup[], attributes = NOTHING): Markup {
  const content = joined(children);
  return (
    content === '' ? `<${name}${attributes}/>` : `<${name}${attributes}>${content}</${name}>`
  ) as Markup;
}

/** ` name="value"`, to be joined. */
export function attribute(name: string, value: string): Markup {
  return ` ${name}="${escapeXml(value)}"` as Markup;
}

export function joined(parts: readonly Markup[]): Markup {
  return parts.join('') as Markup;
}

export function nodes<T>(items: readonly T[], show: (item: T) => Markup): Markup {
  return joined(items.map(show));
}

/** A whole document in S3's namespace. */
export function s3Document(root: string, children: readonly Markup[]): string {
  return xmlDocument(node(root, children, attribute('xmlns', S3_NAMESPACE)));
}

export function xmlDocument(root: Markup): string {
  return DECLARATION + root;
}

/** Unix milliseconds as S3 writes instants: `2026-11-23T06:09:05.000Z`. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

const URL_SAFE = /[!'()~]/g;

/**
 * `encoding-type=url`: UTF-8 bytes percent-encoded, but for letters, digits and `-_.*` and the slash. A space
 * is `%20`, which is right for clients that read `+` as a space and for those that do not.
 */
export function urlEncoded(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%2F', '/')
    .replace(URL_SAFE, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
