import { textOrNull } from '../../protocol/bytes.ts';
import { type S3Error, s3Error } from './errors.ts';

/**
 * The XML that S3 clients send: elements, text, CDATA, comments, the five entities of XML and numeric
 * references, in UTF-8. A DTD, any other entity and any flaw of form is MalformedXML (FAULTS I22).
 *
 *   X1  One pass from left to right, without recursion: time is linear in the length.
 *   X2  Bytes, elements, attributes and depth are bounded before anything is kept of what exceeds them.
 *   X3  What is not well-formed is refused, never mended: mending changes which keys are deleted.
 *
 * Namespaces are not resolved: a prefix is dropped, `xmlns` is optional. Our own and not a library's: see the
 * README of this folder for what was measured.
 */
export interface XmlElement {
  /** Without its prefix. */
  readonly name: string;
  /** By name without prefix; null where there are none. `xmlns` and `xmlns:*` are not among them. */
  attributes: Map<string, string> | null;
  readonly children: XmlElement[];
  /** All text directly inside it, references resolved, line ends as XML says: CR LF and CR are LF. */
  text: string;
}

const DEPTH_MAX = 12;
const ATTRIBUTES_MAX = 16;
/** More than 10,000 parts with all that a part may have, or 1000 rules. */
const ELEMENTS_MAX = 100_000;

const NAME = '[A-Za-z_\\u00c0-\\ufffd][\\w.\\-\\u00b7\\u00c0-\\ufffd]*';
const START_TAG = new RegExp(`(?:${NAME}:)?(${NAME})`, 'y');
const END_TAG = new RegExp(`((?:${NAME}:)?${NAME})[ \\t\\n]*>`, 'y');
const ATTRIBUTE = new RegExp(
  `[ \\t\\n]+(?:(${NAME}):)?(${NAME})[ \\t\\n]*=[ \\t\\n]*(?:"([^"<]*)"|'([^'<]*)')`,
  'y',
);
const TAG_END = /[ \t\n]*(\/?)>/y;
const DECLARATION =
  /^<\?xml[ \t\n]+version[ \t\n]*=[ \t\n]*(?:"1\.[0-9]"|'1\.[0-9]')(?:[ \t\n]+encoding[ \t\n]*=[ \t\n]*(?:"([\w.-]+)"|'([\w.-]+)'))?(?:[ \t\n]+standalone[ \t\n]*=[ \t\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\n]*\?>/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 forbids these as such.
const ILLEGAL = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;
const NUMBERED = /^#(?:([0-9]{1,7})|x([0-9A-Fa-f]{1,6}))$/;
/** From the ampersand to the semicolon. */
const REFERENCE_LENGTH_MAX = 10;
/** The root of the document; MalformedXML where it is none. */
export function readXml(body: Uint8Array, bytesMax: number): XmlElement {
  if (body.length > bytesMax) throw malformedXml(`the body is larger than ${bytesMax} bytes`);
  const decoded = textOrNull(withoutReturns(body));
  if (decoded === null) throw malformedXml('the body is not UTF-8');
  const text = decoded.startsWith('\ufeff') ? decoded.slice(1) : decoded;
  if (ILLEGAL.test(text)) throw malformedXml('a character is not allowed in XML');
  return new Reading(text, afterDeclaration(text)).root();
}

export function malformedXml(why: string): S3Error {
  const standard = s3Error('MalformedXML').message;
  return s3Error('MalformedXML', `${standard} (${why})`);
}

/** CR LF and CR become LF; the body itself where it has none. In UTF-8 such a byte is nothing else. */
function withoutReturns(body: Uint8Array): Uint8Array {
  if (!body.includes(0x0d)) return body;
  const out = new Uint8Array(body.length);
  let length = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number;
    if (byte === 0x0d && body[at + 1] === 0x0a) continue;
    out[length++] = byte === 0x0d ? 0x0a : byte;
  }
  return out.subarray(0, length);
}

function afterDeclaration(text: string): number {
  if (!/^<\?xml[ \t\n]/.test(text)) return 0;
  const match = DECLARATION.exec(text);
  if (match === null) throw malformedXml('the XML declaration cannot be read');
  const encoding = match[1] ?? match[2] ?? 'utf-8';
  if (!/^(?:utf-?8|us-ascii)$/i.test(encoding)) throw malformedXml('the encoding must be UTF-8');
  return match[0].length;
}

class Reading {
  readonly #text: string;
  #at: number;
  /** Open elements, outermost first, and their names as written. */
  readonly #open: XmlElement[] = [];
  readonly #names: string[] = [];
  #root: XmlElement | null = null;
  #elements = 0;

  constructor(text: string, from: number) {
    this.#text = text;
    this.#at = from;
  }

  root(): XmlElement {
    while (this.#at < this.#text.length) {
      const tag = this.#text.indexOf('<', this.#at);
      const end = tag < 0 ? this.#text.length : tag;
      if (end > this.#at) this.#addText(this.#text.slice(this.#at, end));
      this.#at = end;
      if (tag >= 0) this.#markup();
    }
    if (this.#root === null) throw malformedXml('there is no element');
    if (this.#open.length > 0) throw malformedXml('an element is not closed');
    return this.#root;
  }

  #markup(): void {
    const next = this.#text[this.#at + 1];
    if (next === '/') return this.#endTag();
    if (next !== '!' && next !== '?') return this.#startTag();
    if (this.#text.startsWith('<!--', this.#at)) return this.#comment();
    if (!this.#text.startsWith('<![CDATA[', this.#at))
      throw malformedXml('a DTD or instruction is not allowed');
    const from = this.#at + 9;
    this.#skip(']]>', from);
    const element = this.#open.at(-1);
    if (element === undefined) throw malformedXml('there is text outside of the root element');
    element.text += this.#text.slice(from, this.#at - 3);
  }

  #comment(): void {
    this.#skip('--', this.#at + 4);
    if (this.#text[this.#at] !== '>') throw malformedXml('"--" is not allowed in a comment');
    this.#at++;
  }

  #skip(end: string, from: number): void {
    const at = this.#text.indexOf(end, from);
    if (at < 0) throw malformedXml('a comment or section is not closed');
    this.#at = at + end.length;
  }

  #startTag(): void {
    const from = this.#at + 1;
    const name = this.#match(START_TAG, from, 'a tag cannot be read')[1] as string;
    const written = this.#text.slice(from, this.#at);
    if (this.#root !== null && this.#open.length === 0) throw malformedXml('there are two roots');
    if (this.#open.length >= DEPTH_MAX) throw malformedXml('it is nested too deep');
    if (++this.#elements > ELEMENTS_MAX) throw malformedXml('too many elements');
    const element: XmlElement = { name, attributes: null, children: [], text: '' };
    this.#root ??= element;
    this.#open.at(-1)?.children.push(element);
    this.#attributes(element);
    const isEmpty = this.#match(TAG_END, this.#at, 'a tag cannot be read')[1] === '/';
    if (isEmpty) return;
    this.#open.push(element);
    this.#names.push(written);
  }

  #attributes(element: XmlElement): void {
    const seen = new Set<string>();
    for (;;) {
      ATTRIBUTE.lastIndex = this.#at;
      const match = ATTRIBUTE.exec(this.#text);
      if (match === null) return;
      this.#at = ATTRIBUTE.lastIndex;
      const [, prefix, name = '', doubled, single] = match;
      const written = `${prefix ?? ''}:${name}`;
      if (seen.has(written)) throw malformedXml('an attribute is given twice');
      if (seen.add(written).size > ATTRIBUTES_MAX) throw malformedXml('too many attributes');
      const value = resolved(doubled ?? single ?? '');
      if (prefix === 'xmlns' || name === 'xmlns') continue;
      element.attributes ??= new Map();
      if (element.attributes.has(name)) throw malformedXml('an attribute is given twice');
      element.attributes.set(name, value.replace(/[\t\n]/g, ' '));
    }
  }

  #endTag(): void {
    const name = this.#match(END_TAG, this.#at + 2, 'a tag cannot be read')[1];
    this.#open.pop();
    if (this.#names.pop() !== name) throw malformedXml('tags do not match');
  }

  #addText(raw: string): void {
    const element = this.#open.at(-1);
    if (element !== undefined) {
      if (raw.includes(']]>')) throw malformedXml('"]]>" is not allowed in text');
      element.text += resolved(raw);
    } else if (/[^ \t\n]/.test(raw)) {
      throw malformedXml('there is text outside of the root element');
    }
  }

  /** A sticky match at `from`, behind which reading goes on. */
  #match(pattern: RegExp, from: number, flaw: string): RegExpExecArray {
    pattern.lastIndex = from;
    const match = pattern.exec(this.#text);
    if (match === null) throw malformedXml(flaw);
    this.#at = pattern.lastIndex;
    return match;
  }
}

/**
 * References resolved. Numeric ones may name control characters, which XML 1.0 forbids: S3 writes them, and
 * a client that deletes what it was shown sends them back. Into a buffer, since a string that is put together of
 * a million pieces costs more than all the rest.
 */
function resolved(text: string): string {
  let at = text.indexOf('&');
  if (at < 0) return text;
  const units = new Uint16Array(text.length);
  let length = 0;
  for (let from = 0; from < text.length; ) {
    const stop = at < 0 ? text.length : at;
    while (from < stop) units[length++] = text.charCodeAt(from++);
    if (at < 0) break;
    const end = text.indexOf(';', at);
    if (end < 0 || end - at > REFERENCE_LENGTH_MAX) throw unknownReference();
    const code = entityAt(text, at + 1) ?? numbered(text.slice(at + 1, end));
    if (code > 0xffff) units[length++] = 0xd7c0 + (code >> 10);
    units[length++] = code > 0xffff ? 0xdc00 + (code & 0x3ff) : code;
    from = end + 1;
    at = text.indexOf('&', from);
  }
  return textOfUnits(units.subarray(0, length));
}

/** Arguments of one call. */
const UNITS_AT_ONCE = 4096;

function textOfUnits(units: Uint16Array): string {
  let text = '';
  for (let from = 0; from < units.length; from += UNITS_AT_ONCE) {
    text += String.fromCharCode(...units.subarray(from, from + UNITS_AT_ONCE));
  }
  return text;
}

function entityAt(text: string, at: number): number | null {
  if (text.startsWith('amp;', at)) return 0x26;
  if (text.startsWith('quot;', at)) return 0x22;
  if (text.startsWith('lt;', at)) return 0x3c;
  if (text.startsWith('gt;', at)) return 0x3e;
  return text.startsWith('apos;', at) ? 0x27 : null;
}

function numbered(name: string): number {
  const match = NUMBERED.exec(name);
  if (match === null) throw unknownReference();
  const [, decimal, hex = ''] = match;
  const code = decimal !== undefined ? Number(decimal) : Number.parseInt(hex, 16);
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw unknownReference();
  return code;
}

function unknownReference(): S3Error {
  return malformedXml('a reference is not known');
}
