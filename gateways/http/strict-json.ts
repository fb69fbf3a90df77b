import { isAscii } from 'node:buffer';
import { textOrNull } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';

/**
 * The door for JSON from outside. JSON.parse alone changes data in silence: it keeps the last of two
 * equal names, rounds integers above 2^53, and text decoding replaces bytes that are no UTF-8. All of
 * these are refused here (FAULTS I19 to I21), and depth is checked before the parser recurses.
 * Objects have plain own properties only: `__proto__` is data, as JSON.parse defines it.
 */
export function parseJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes);
  if (text === null) throw malformed('the body is not valid UTF-8');
  if (text.charCodeAt(0) === 0xfeff) throw malformed('the body begins with a byte order mark');
  const isShort = text.length <= SHORT_CHARS && !text.includes('\\');
  if (!isShort) scan(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('the body is not valid JSON');
  }
  // What is wrong with it, if anything is, the scan tells.
  if (isShort && countNames(value, 0) !== countColons(text)) scan(text);
  return value;
}

/** Up to here no nesting is too much for the parser, and most bodies need no scan of their own. */
const SHORT_CHARS = 4 * 1024;

/**
 * Names of all objects in it; as many as there are in a text without names that are there twice. NaN where it is nested
 * deep, or has a number that is not kept exactly.
 */
function countNames(value: unknown, depth: number): number {
  if (typeof value === 'number') return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? 0 : Number.NaN;
  if (typeof value !== 'object' || value === null) return 0;
  if (depth === LIMITS.jsonDepthMax) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) count += countNames(value[i], depth + 1);
    return count;
  }
  // It has own properties only.
  for (const name in value) count += 1 + countNames((value as Shape)[name], depth + 1);
  return count;
}

type Shape = Readonly<Record<string, unknown>>;

/** Colons that may end a name, in a text without escapes: at least as many as there are names. */
function countColons(text: string): number {
  let count = 0;
  for (let at = text.indexOf(':'); at >= 0; at = text.indexOf(':', at + 1)) {
    const before = text.charCodeAt(at - 1);
    if (before === 0x22 || before <= 0x20) count++;
  }
  return count;
}

/** Most texts are ASCII, and shorter than the start of a decoder is long. */
function textOf(bytes: Uint8Array): string | null {
  if (!isAscii(bytes)) return textOrNull(bytes);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Up to here a list is looked through faster than a set is made. */
const FEW_NAMES = 8;

/** Names of one object: constant time for each, however many there are. */
class Names {
  readonly #few: string[] = [];
  #many: Set<string> | null = null;

  /** Whether it is the first of its kind; it is entered then. */
  isNew(name: string): boolean {
    if (this.#many !== null) return this.#many.size < this.#many.add(name).size;
    if (this.#few.includes(name)) return false;
    this.#few.push(name);
    if (this.#few.length > FEW_NAMES) this.#many = new Set(this.#few);
    return true;
  }
}

/** One pass over the tokens, linear and without recursion. Grammar is left to JSON.parse. */
function scan(text: string): void {
  /** Names seen in each open object; null for an array. */
  const open: (Names | null)[] = [];
  let at = 0;
  /** The next backslash, at or behind `at`: most texts have none. */
  let escapeAt = indexFrom(text, '\\', 0);
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = scanString(text, at, escapeAt, open[open.length - 1] ?? null);
      if (escapeAt < at) escapeAt = indexFrom(text, '\\', at);
    } else if (code === 0x7b || code === 0x5b) {
      if (open.length >= LIMITS.jsonDepthMax) throw malformed('nested too deep');
      open.push(code === 0x7b ? new Names() : null);
      at++;
    } else if (code === 0x7d || code === 0x5d) {
      open.pop();
      at++;
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      at = scanNumber(text, at);
    } else {
      at++;
    }
  }
}

/** Where `part` is, at or behind `from`; the length of the text where it is not. */
function indexFrom(text: string, part: string, from: number): number {
  const at = text.indexOf(part, from);
  return at < 0 ? text.length : at;
}

/**
 * Returns where the string that begins at `start` ends; a name is entered into `names`. `escapeAt`: where the
 * first backslash behind `start` is.
 */
function scanString(text: string, start: number, escapeAt: number, names: Names | null): number {
  let end = indexFrom(text, '"', start + 1);
  const isEscaped = escapeAt < end;
  if (isEscaped) end = endOfEscaped(text, escapeAt);
  if (end >= text.length) throw malformed('the body is not valid JSON');
  const next = end + 1;
  const isName = names !== null && isBeforeColon(text, next);
  if (isEscaped || isName) {
    const value = isEscaped ? decoded(text.slice(start, next)) : text.slice(start + 1, end);
    if (isEscaped && LONE_SURROGATE.test(value)) throw malformed('a lone surrogate is no text');
    if (isName) {
      if (!names.isNew(value)) throw malformed('an object has the same name twice');
    }
  }
  return next;
}

/** The quote that ends a string whose first backslash is at `from`. */
function endOfEscaped(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return at;
    if (code === 0x5c) at++;
  }
  return text.length;
}

function decoded(raw: string): string {
  try {
    return JSON.parse(raw) as string;
  } catch {
    throw malformed('the body is not valid JSON');
  }
}

function isBeforeColon(text: string, from: number): boolean {
  for (let at = from; ; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x3a) return true;
    if (code !== 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return false;
  }
}

function scanNumber(text: string, start: number): number {
  NUMBER.lastIndex = start;
  const match = NUMBER.exec(text);
  if (match === null) throw malformed('the body is not valid JSON');
  if (!(Math.abs(Number(match[0])) <= Number.MAX_SAFE_INTEGER)) {
    throw malformed('a number is beyond 2^53 - 1 and would not be kept exactly');
  }
  return start + match[0].length;
}

function malformed(message: string): AppError {
  return new AppError('malformed', message);
}
