import { prefixEnd } from '../../protocol/bytes.ts';
import { AppError } from '../../protocol/errors.ts';
import type { IndexConditions } from '../../protocol/index-access.ts';
import {
  encodeStringPrefix,
  encodeValue,
  NULL_COMPONENT,
  typeRange,
} from '../../protocol/index-encoding.ts';
import type { IndexDefinition, IndexField } from '../../protocol/indexes.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** A half-open range of encoded fields. */
export interface Bounds {
  readonly start: string;
  readonly end: string;
}

/** Above every encoding. */
const TOP = '\xff';

/**
 * The range of an index that holds exactly the entries that meet the conditions. A range or a prefix
 * leaves out null; without any condition on a field null is in it. Throws invalid_argument.
 */
export function boundsOf(definition: IndexDefinition, conditions: IndexConditions): Bounds {
  const { fields } = definition;
  const equal = equalValues(fields, conditions.eq);
  let head = '';
  for (let i = 0; i < equal.length; i++) head += component(fields[i] as IndexField, equal[i]);
  const field = fields[equal.length];
  const { gt, gte, lt, lte, prefix } = conditions;
  const hasRange = gt !== null || gte !== null || lt !== null || lte !== null;
  if (!hasRange && prefix === null) return { start: head, end: prefixEnd(head) ?? TOP };
  if (field === undefined) throw invalid('every field has a value already: there is no next one');
  if (prefix !== null) {
    if (hasRange) throw invalid('a prefix and a range cannot be given together');
    if (field.type !== 'string') throw invalid(`${field.path} is no string: it has no prefix`);
    checkLength(prefix);
    const start = head + encodeStringPrefix(prefix);
    return { start, end: prefixEnd(start) as string };
  }
  if (gt !== null && gte !== null) throw invalid('only one of gt and gte can be given');
  if (lt !== null && lte !== null) throw invalid('only one of lt and lte can be given');
  const [least, above] = typeRange(field.type);
  const low = gt ?? gte;
  const high = lt ?? lte;
  const from = low === null ? head + least : head + component(field, fromText(field, low));
  const to = high === null ? head + above : head + component(field, fromText(field, high));
  const start = gt === null ? from : (prefixEnd(from) as string);
  const end = lte === null ? to : (prefixEnd(to) as string);
  return { start, end: end < start ? start : end };
}

/** The values of the first fields: one as text, or several as a JSON array. */
function equalValues(fields: readonly IndexField[], eq: string | null): readonly unknown[] {
  if (eq === null) return [];
  if (!eq.startsWith('[')) {
    const [first] = fields;
    if (first === undefined) throw invalid('this index has no fields');
    return [fromText(first, eq)];
  }
  let values: unknown;
  try {
    values = JSON.parse(eq);
  } catch {
    throw invalid('eq begins with [ and is no JSON array');
  }
  if (!Array.isArray(values)) throw invalid('eq begins with [ and is no JSON array');
  if (values.length > fields.length) {
    throw invalid(`eq has ${values.length} values, the index ${fields.length} fields`);
  }
  return values;
}

/** Text as a value of the field's type. */
function fromText(field: IndexField, text: string): unknown {
  const isNumber = field.type === 'number' || (field.type === 'time' && /^-?\d+$/.test(text));
  if (!isNumber) return text;
  const value = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw invalid(`${field.path} is compared with a number`);
  return value;
}

function component(field: IndexField, value: unknown): string {
  if (value === null) return NULL_COMPONENT;
  if (typeof value === 'string' && field.type === 'string') checkLength(value);
  const encoded = encodeValue(field.type, value);
  if (encoded !== null) return encoded;
  const wanted = field.type === 'time' ? 'a time (RFC 3339, with its zone) or Unix ms' : field.type;
  throw invalid(`${field.path} is compared with ${wanted}`);
}

/** Longer strings are told apart by their beginnings only: a condition could not be exact. */
function checkLength(text: string): void {
  const max = LIMITS.indexValueBytesMax;
  if (Buffer.byteLength(text, 'utf8') <= max) return;
  throw new AppError('too_large', `larger than indexValueBytesMax, ${max}`, {
    details: { limit: 'indexValueBytesMax', max },
  });
}

function invalid(message: string): AppError {
  return new AppError('invalid_argument', message);
}
