import { encodeValue, NULL_COMPONENT } from '../../protocol/index-encoding.ts';
import type { IndexDefinition, IndexField } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** What a value is to an index: the JSON it holds, or undefined where it holds none. */
export type Document = unknown;

/** Never throws: what is no JSON has no fields. */
export function documentOf(value: Uint8Array): Document {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * The encoded entries of a value in an index over fields: distinct, in index order, at most
 * indexEntriesPerKeyMax of at most indexEntriesBytesMax. Of its arrays each field looks at so many elements at
 * most, the first ones: clients choose how long arrays are, and every write and many a read computes this. A field that is an array has a value for each of its elements; several such
 * fields have an entry for each combination. Without a value of its type a field is null, or, in a
 * sparse index, the whole value has no entry.
 */
export function entriesOf(definition: IndexDefinition, document: Document): readonly string[] {
  const { fields, sparse } = definition;
  let entries: string[] = [''];
  for (let i = 0; i < fields.length; i++) {
    const components = componentsOf(fields[i] as IndexField, document);
    if (components.length === 0) {
      if (sparse) return NONE;
      components.push(NULL_COMPONENT);
    }
    entries = combined(entries, components);
  }
  return entries;
}

const NONE: readonly string[] = Object.freeze([]);

/** Both sides in order and distinct, and no component a prefix of another: so is the result. */
function combined(heads: readonly string[], components: readonly string[]): string[] {
  const out: string[] = [];
  let bytes = 0;
  for (let i = 0; i < heads.length; i++) {
    for (let j = 0; j < components.length; j++) {
      const entry = (heads[i] as string) + (components[j] as string);
      bytes += entry.length;
      if (out.length === LIMITS.indexEntriesPerKeyMax || bytes > LIMITS.indexEntriesBytesMax) {
        return out;
      }
      out.push(entry);
    }
  }
  return out;
}

/** Distinct, in order. */
function componentsOf(field: IndexField, document: Document): string[] {
  const found: Found = { values: [], left: LIMITS.indexEntriesPerKeyMax };
  gather(document, field.steps, 0, found);
  const { values } = found;
  const out: string[] = [];
  for (let i = 0; i < values.length; i++) {
    const component = encodeValue(field.type, values[i]);
    if (component !== null) out.push(component);
  }
  if (out.length < 2) return out;
  out.sort();
  return out.filter((component, i) => i === 0 || component !== out[i - 1]);
}

interface Found {
  readonly values: unknown[];
  /** Elements of arrays that may still be looked at. */
  left: number;
}

const ELEMENT = /^(?:0|[1-9][0-9]*)$/;

function gather(node: unknown, steps: readonly (string | null)[], at: number, found: Found): void {
  if (at === steps.length) {
    if (Array.isArray(node)) {
      for (let i = 0; i < node.length && found.left > 0; i++, found.left--) {
        found.values.push(node[i]);
      }
    } else if (node !== undefined) found.values.push(node);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const step = steps[at] as string | null;
  if (step !== null) {
    if (Array.isArray(node) && !ELEMENT.test(step)) return;
    if (Object.hasOwn(node, step)) gather(Reflect.get(node, step), steps, at + 1, found);
  } else if (Array.isArray(node)) {
    for (let i = 0; i < node.length && found.left > 0; i++) {
      found.left--;
      gather(node[i], steps, at + 1, found);
    }
  }
}
