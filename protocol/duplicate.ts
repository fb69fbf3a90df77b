import { fromLatin1, textOrNull } from './bytes.ts';
import { AppError } from './errors.ts';
import { decodeEntry, type IndexValue } from './index-encoding.ts';
import type { Duplicate } from './indexes.ts';

/** The refusal of a key whose value has an entry of a unique index that another key has. All latin1. */
export function duplicateError(key: string, { index, encoded, holder }: Duplicate): AppError {
  const value = valueOfEntry(encoded);
  const message = `index ${index}: ${shown(holder)} has ${JSON.stringify(value).slice(0, 300)} already`;
  const details = { index, value, ...keyField('key', key), ...keyField('holder', holder) };
  return new AppError('duplicate', message, { details });
}

/** The value of an entry of one field, or the values of all its fields. */
export function valueOfEntry(encoded: string): IndexValue | IndexValue[] {
  const values = decodeEntry(encoded);
  return values.length === 1 ? (values[0] as IndexValue) : values;
}

function shown(key: string): string {
  return JSON.stringify(textOrNull(fromLatin1(key)) ?? key).slice(0, 300);
}

function keyField(name: string, key: string): Record<string, string> {
  const text = textOrNull(fromLatin1(key));
  if (text !== null) return { [name]: text };
  return { [`${name}Base64`]: Buffer.from(key, 'latin1').toString('base64') };
}
