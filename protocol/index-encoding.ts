import { DecodeError } from './codec.ts';
import type { IndexFieldType } from './indexes.ts';
import { LIMITS } from './limits.ts';

/**
 * Fields of an index as latin1 strings whose native order is the order of the values. A component begins
 * with its kind, so that null comes before every value, and tells where it ends, so that components can
 * follow one another (and no encoding is a prefix of another):
 *
 *   01 null
 *   02 number   the double, big-endian; negative ones with every bit flipped, others with the sign bit
 *   03 time     Unix ms as a number
 *   04 string   UTF-8 with 00 as 00 FF, then 00 01; longer than indexValueBytesMax: its first bytes, 00 02
 *
 * UTF-8 orders as code points do. Layouts are on disk: they never change.
 */
export type IndexValue = string | number | null;

export const NULL_COMPONENT = '\x01';
const NUMBER = '\x02';
const TIME = '\x03';
const STRING = '\x04';
const ESCAPED_NUL = '\x00\xff';
const END = '\x00\x01';
const CUT = '\x00\x02';

const scratch = Buffer.alloc(8);

/** Eight bytes that order as numbers do. -0 is 0; the number must be finite. */
export function orderedDouble(value: number): string {
  scratch.writeDoubleBE(value === 0 ? 0 : value);
  if ((scratch[0] as number) >= 0x80) {
    for (let i = 0; i < 8; i++) scratch[i] = ~(scratch[i] as number);
  } else scratch[0] = (scratch[0] as number) | 0x80;
  return scratch.toString('latin1');
}

function doubleOf(text: string, at: number): number {
  if (at + 8 > text.length) throw new DecodeError('an index entry is cut short');
  scratch.write(text.slice(at, at + 8), 0, 8, 'latin1');
  if ((scratch[0] as number) >= 0x80) scratch[0] = (scratch[0] as number) & 0x7f;
  else for (let i = 0; i < 8; i++) scratch[i] = ~(scratch[i] as number);
  return scratch.readDoubleBE();
}

export function encodeNumber(value: number): string {
  return NUMBER + orderedDouble(value);
}

/** `ms` is Unix ms, negative before 1970. */
export function encodeTime(ms: number): string {
  return TIME + orderedDouble(ms);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII but NUL.
const PLAIN = /^[\x01-\x7f]*$/;

/** Well-formed text is told apart by its first indexValueBytesMax bytes of UTF-8. */
export function encodeString(text: string): string {
  const max = LIMITS.indexValueBytesMax;
  if (text.length <= max && PLAIN.test(text)) return STRING + text + END;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= max) return STRING + escaped(bytes.toString('latin1')) + END;
  return STRING + escaped(bytes.toString('latin1', 0, max)) + CUT;
}

/** How every string with this beginning starts. Its UTF-8 must not be longer than indexValueBytesMax. */
export function encodeStringPrefix(prefix: string): string {
  return STRING + escaped(Buffer.from(prefix, 'utf8').toString('latin1'));
}

function escaped(bytes: string): string {
  return bytes.includes('\x00') ? bytes.replaceAll('\x00', ESCAPED_NUL) : bytes;
}

/** The range of every value of a type, half-open. */
export function typeRange(type: IndexFieldType): [start: string, end: string] {
  const kind = type === 'number' ? NUMBER : type === 'time' ? TIME : STRING;
  return [kind, String.fromCharCode(kind.charCodeAt(0) + 1)];
}

/** Where the component at `at` ends. Throws DecodeError. */
function componentEnd(text: string, at: number): number {
  switch (text.charAt(at)) {
    case NULL_COMPONENT:
      return at + 1;
    case NUMBER:
    case TIME:
      return at + 9;
    case STRING: {
      for (let i = text.indexOf('\x00', at); i >= 0; i = text.indexOf('\x00', i + 2)) {
        if (text.charAt(i + 1) !== '\xff') return i + 2;
      }
      break;
    }
  }
  throw new DecodeError('not an index entry');
}

/** Where `count` components from `at` on end. Throws DecodeError. */
export function encodedEnd(text: string, at: number, count: number): number {
  let end = at;
  for (let i = 0; i < count; i++) end = componentEnd(text, end);
  if (end > text.length) throw new DecodeError('an index entry is cut short');
  return end;
}

/** The values of an entry; times as Unix ms, long strings as their first bytes. Throws DecodeError. */
export function decodeEntry(encoded: string): IndexValue[] {
  const out: IndexValue[] = [];
  for (let at = 0; at < encoded.length; ) {
    const end = componentEnd(encoded, at);
    const kind = encoded.charAt(at);
    if (kind === NULL_COMPONENT) out.push(null);
    else if (kind === STRING) {
      const body = encoded.slice(at + 1, end - 2).replaceAll(ESCAPED_NUL, '\x00');
      out.push(Buffer.from(body, 'latin1').toString('utf8'));
    } else out.push(doubleOf(encoded, at + 1));
    at = end;
  }
  return out;
}

const TIME_TEXT =
  /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/;

/** Unix ms of a date, or of a time with its zone (RFC 3339), or of a count of ms; null for anything else. */
export function timeOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string' || value.length > 40 || !TIME_TEXT.test(value)) return null;
  const ms = Date.parse(value);
  return Number.isFinite(ms) ? ms : null;
}

/** A value of JSON as a component of this type; null when it is not of that type. */
export function encodeValue(type: IndexFieldType, value: unknown): string | null {
  if (type === 'string') return typeof value === 'string' ? encodeString(value) : null;
  if (type === 'time') {
    const ms = timeOf(value);
    return ms === null ? null : encodeTime(ms);
  }
  return typeof value === 'number' && Number.isFinite(value) ? encodeNumber(value) : null;
}
