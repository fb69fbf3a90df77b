import { describe, expect, test } from 'vitest';
import { documentOf, entriesOf } from '../../../../actors/apply/index-entries.ts';
import { decodeEntry } from '../../../../protocol/index-encoding.ts';
import type { IndexDefinition, IndexFieldType } from '../../../../protocol/indexes.ts';
import { parsePath } from '../../../../protocol/json-path.ts';
import { LIMITS } from '../../../../protocol/limits.ts';

function indexOf(
  fields: readonly (readonly [path: string, type: IndexFieldType])[],
  sparse = false,
): IndexDefinition {
  return {
    ...{ id: 1, name: 'i', tenant: 'default', space: 'kv', prefix: '', kind: 'fields', sparse },
    fields: fields.map(([path, type]) => ({ path, steps: parsePath(path), type })),
  };
}

function entries(index: IndexDefinition, value: unknown): unknown[] {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return entriesOf(index, documentOf(Buffer.from(text))).map(decodeEntry);
}

describe('entries of a value', () => {
  test('one for a field, one for each element of an array, each once and in order', () => {
    const index = indexOf([['/a', 'string']]);
    expect(entries(index, { a: 'x' })).toEqual([['x']]);
    expect(entries(index, { a: ['b', 'a', 'b', 7] })).toEqual([['a'], ['b']]);
    expect(entries(indexOf([['$.d[*].n', 'number']]), { d: [{ n: 3 }, { n: 1 }, {}] })).toEqual([
      [1],
      [3],
    ]);
  });

  test('a missing field, another type, and what is no JSON are null, or nothing in a sparse index', () => {
    for (const value of [{}, { a: 5 }, { a: null }, { a: [] }, '{"a":', '', '\xff']) {
      expect(entries(indexOf([['/a', 'string']]), value), String(value)).toEqual([[null]]);
      expect(entries(indexOf([['/a', 'string']], true), value), String(value)).toEqual([]);
    }
  });

  test('several fields: every combination of their values', () => {
    const index = indexOf([
      ['/a', 'string'],
      ['/n', 'number'],
    ]);
    expect(entries(index, { a: ['x', 'y'], n: [2, 1] })).toEqual([
      ['x', 1],
      ['x', 2],
      ['y', 1],
      ['y', 2],
    ]);
    expect(entries(index, { a: 'x' })).toEqual([['x', null]]);
  });

  test('names of prototypes and lengths of arrays are no fields', () => {
    expect(entries(indexOf([['/constructor/name', 'string']], true), {})).toEqual([]);
    expect(entries(indexOf([['/a/length', 'number']], true), { a: [1, 2] })).toEqual([]);
    expect(entries(indexOf([['/a/1', 'number']]), { a: [1, 2] })).toEqual([[2]]);
    expect(entries(indexOf([['/__proto__/x', 'number']]), '{"__proto__":{"x":4}}')).toEqual([[4]]);
  });

  test('are bounded: the first in index order stay', () => {
    const max = LIMITS.indexEntriesPerKeyMax;
    const many = Array.from({ length: max + 100 }, (_, i) => max + 100 - i);
    const found = entries(indexOf([['/n', 'number']]), { n: many });
    expect([found.length, found[0], found.at(-1)]).toEqual([max, [1], [max]]);
  });
});
