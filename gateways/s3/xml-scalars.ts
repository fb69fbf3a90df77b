import { malformedXml, type XmlElement } from './xml-reader.ts';
import { noText, type Shape } from './xml-shape.ts';
import { escapeXml, isoTime, node } from './xml-writer.ts';

/** Text as it is: keys, values, names. */
export function text(lengthMin: number, lengthMax: number): Shape<string> {
  return scalar(
    (element) => {
      const { length } = element.text;
      if (length < lengthMin || length > lengthMax) {
        throw malformedXml(`${element.name} must have ${lengthMin} to ${lengthMax} characters`);
      }
      return element.text;
    },
    (value) => value,
  );
}

/** One of these words. */
export function choice<W extends string>(words: readonly W[]): Shape<W> {
  return scalar(
    (element) => {
      const given = element.text.trim();
      const word = words.find((candidate) => candidate === given);
      if (word === undefined) throw malformedXml(`${element.name} must be ${words.join(' or ')}`);
      return word;
    },
    (value) => value,
  );
}

/** An integer that a number holds exactly; its range is for the document's check. */
export const integer: Shape<number> = scalar((element) => {
  const given = element.text.trim();
  const value = /^[+-]?[0-9]{1,16}$/.test(given) ? Number(given) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw malformedXml(`${element.name} must be an integer`);
  return value + 0; // -0 is 0
}, String);

export const flag: Shape<boolean> = scalar((element) => {
  const given = element.text.trim().toLowerCase();
  if (given !== 'true' && given !== 'false') {
    throw malformedXml(`${element.name} must be true or false`);
  }
  return given === 'true';
}, String);

/** An ISO 8601 instant in UTC, or a day, as unix milliseconds. */
export const instant: Shape<number> = scalar((element) => {
  const ms = instantOf(element.text.trim());
  if (ms === null) throw malformedXml(`${element.name} must be an ISO 8601 date`);
  return ms;
}, isoTime);

const INSTANT = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?$/;

/** Null where the text is none, or names a day that does not exist. Finer than a millisecond is cut off. */
export function instantOf(given: string): number | null {
  const match = INSTANT.exec(given);
  if (match === null) return null;
  const [, day = '', time = '00:00:00', fraction = '', zone = 'Z'] = match;
  const utc = Date.parse(`${day}T${time}Z`);
  // A date such as February 30 is moved to March by some parsers.
  if (Number.isNaN(utc) || !isoTime(utc).startsWith(`${day}T${time}`)) return null;
  const ms = Date.parse(`${day}T${time}.${`${fraction.slice(1)}000`.slice(0, 3)}${zone}`);
  return Number.isNaN(ms) ? null : ms;
}

/** An element without content that says something by being there. */
export const empty: Shape<true> = {
  read(element) {
    noText(element);
    if (element.children.length > 0) throw malformedXml(`${element.name} must be empty`);
    return true;
  },
  write: (name, _value, attributes) => node(name, [], attributes),
};

function scalar<T>(read: (element: XmlElement) => T, show: (value: T) => string): Shape<T> {
  return {
    read(element) {
      if (element.children.length > 0) throw malformedXml(`an element in ${element.name}`);
      return read(element);
    },
    write: (name, value, attributes) => node(name, [escapeXml(show(value))], attributes),
  };
}
