import { type S3Error, s3Error } from './errors.ts';
import { malformedXml, readXml, type XmlElement } from './xml-reader.ts';
import {
  attribute,
  type Markup,
  NOTHING,
  node,
  nodes,
  S3_NAMESPACE,
  xmlDocument,
} from './xml-writer.ts';

/**
 * Documents as data: one description reads and writes an element, so that what is read is what is shown.
 * Elements are written in the order of the description and read in any order, as S3 does. An element that
 * is not described, or is there too often or too rarely, is MalformedXML.
 */
export interface Shape<T> {
  read(element: XmlElement): T;
  /** `attributes` are of the element itself. */
  write(name: string, value: T, attributes?: Markup): Markup;
}

/** A member of a struct: it takes the child elements of its name. */
export interface Field<T> {
  readonly name: string;
  read(found: readonly XmlElement[]): T;
  write(value: T): Markup;
}

export interface Document<T> {
  /** Throws MalformedXML, or what its checks throw. */
  read(body: Uint8Array): T;
  write(value: T): string;
}

/** Bodies of configurations; the largest that S3 takes is a lifecycle of 1000 rules. */
const BODY_BYTES_MAX = 1024 * 1024;

/** `check` refuses what is well-formed and yet not allowed. */
export function document<T>(
  root: string,
  shape: Shape<T>,
  options: { check?: (value: T) => void; bytesMax?: number } = {},
): Document<T> {
  return {
    read(body) {
      const element = readXml(body, options.bytesMax ?? BODY_BYTES_MAX);
      if (element.name !== root) throw malformedXml(`the root must be ${root}`);
      const value = shape.read(element);
      options.check?.(value);
      return value;
    },
    write: (value) => xmlDocument(shape.write(root, value, attribute('xmlns', S3_NAMESPACE))),
  };
}

/**
 * Its members in the order in which they are written. Elements of S3 that are `notImplemented` here are
 * refused as such.
 */
export function struct<T extends object>(
  fields: { readonly [K in keyof T]-?: Field<T[K]> },
  notImplemented: readonly string[] = [],
): Shape<T> {
  const members = Object.entries(fields) as [keyof T, Field<T[keyof T]>][];
  const known = new Set(members.map(([, field]) => field.name));
  return {
    read(element) {
      noText(element);
      const found = new Map<string, XmlElement[]>();
      for (const child of element.children) {
        if (notImplemented.includes(child.name)) throw refusal(child.name);
        if (!known.has(child.name)) throw malformedXml(`${child.name} in ${element.name}`);
        const same = found.get(child.name);
        if (same === undefined) found.set(child.name, [child]);
        else same.push(child);
      }
      const value: Partial<T> = {};
      for (const [key, field] of members) value[key] = field.read(found.get(field.name) ?? NONE);
      return value as T;
    },
    write(name, value, attributes) {
      const children = members.map(([key, field]) => field.write(value[key]));
      return node(name, children, attributes);
    },
  };
}

function refusal(name: string): S3Error {
  return s3Error('NotImplemented', `The element ${name} is not implemented`);
}

const NONE: readonly XmlElement[] = [];

/** Between elements there is white space only. */
export function noText(element: XmlElement): void {
  if (/[^ \t\n]/.test(element.text)) throw malformedXml(`text in ${element.name}`);
}

export function one<T>(name: string, shape: Shape<T>): Field<T> {
  return {
    name,
    read(found) {
      const [element] = found;
      if (element === undefined) throw malformedXml(`${name} is missing`);
      if (found.length > 1) throw malformedXml(`${name} is given twice`);
      return shape.read(element);
    },
    write: (value) => shape.write(name, value),
  };
}

export function maybe<T>(name: string, shape: Shape<T>): Field<T | null> {
  const field = one(name, shape);
  return {
    name,
    read: (found) => (found.length === 0 ? null : field.read(found)),
    write: (value) => (value === null ? NOTHING : field.write(value)),
  };
}

export function otherwise<T>(field: Field<T | null>, missing: T): Field<T> {
  return {
    name: field.name,
    read: (found) => field.read(found) ?? missing,
    write: (value) => field.write(value),
  };
}

/** Elements of one name beside each other ("flattened"). */
export function many<T>(
  name: string,
  shape: Shape<T>,
  min: number,
  max: number,
): Field<readonly T[]> {
  return {
    name,
    read(found) {
      if (found.length < min) throw malformedXml(`${name} is missing`);
      if (found.length > max) throw malformedXml(`more than ${max} of ${name}`);
      return found.map((element) => shape.read(element));
    },
    write: (values) => nodes(values, (value) => shape.write(name, value)),
  };
}

/** An element that holds elements of one name and nothing else. */
export function listOf<T>(field: Field<readonly T[]>): Shape<readonly T[]> {
  const shape = struct<{ items: readonly T[] }>({ items: field });
  return {
    read: (element) => shape.read(element).items,
    write: (name, items, attributes) => shape.write(name, { items }, attributes),
  };
}

/** The same as a member that is left out while it is empty. */
export function wrapped<T>(name: string, field: Field<readonly T[]>): Field<readonly T[]> {
  const list = listOf(field);
  return {
    name,
    read: (found) => maybe(name, list).read(found) ?? [],
    write: (items) => (items.length === 0 ? NOTHING : list.write(name, items)),
  };
}
