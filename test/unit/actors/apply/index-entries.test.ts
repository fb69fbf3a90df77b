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

  test('are bounded: of a long array the first elements are looked at, however deep it lies', () => {
    const max = LIMITS.indexEntriesPerKeyMax;
    const many = Array.from({ length: max + 100 }, (_, i) => max + 100 - i);
    const found = entries(indexOf([['/n', 'number']]), { n: many });
    expect([found.length, found[0], found.at(-1)]).toEqual([max, [101], [max + 100]]);
    const nested = { d: many.map((n) => ({ n })) };
    expect(entries(indexOf([['$.d[*].n', 'number']]), nested)).toEqual(found.slice(0, max));
    // What is of another type was looked at as well.
    const late = { n: [...many.map(String), 5] };
    expect(entries(indexOf([['/n', 'number']]), late)).toEqual([[null]]);
  });

  test('are bounded: combinations up to their number and their bytes, the first in index order', () => {
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const fields: [string, IndexFieldType][] = [
      ['/n', 'number'],
      ['/s', 'string'],
    ];
    const small = entries(indexOf(fields), { n: numbers, s: numbers.map((n) => `${n + 100}`) });
    expect(small).toHaveLength(LIMITS.indexEntriesPerKeyMax);
    expect([small[0], small.at(-1)]).toEqual([
      [0, '100'],
      [9, '199'],
    ]);
    const long = numbers.slice(0, 40).map((n) => `${n + 10}`.padEnd(250, 'x'));
    const value = Buffer.from(JSON.stringify({ n: numbers, s: long }));
    const large = entriesOf(indexOf(fields), documentOf(value));
    const bytes = large.reduce((sum, entry) => sum + entry.length, 0);
    expect(bytes).toBeLessThanOrEqual(LIMITS.indexEntriesBytesMax);
    expect(bytes).toBeGreaterThan(LIMITS.indexEntriesBytesMax - 300);
    expect([...large].sort()).toEqual(large);
  });

  test('of a value as large as values are come in a few milliseconds', () => {
    const many = Array.from({ length: 113_000 }, (_, i) => (i * 7919) % 1_000_000);
    const document = documentOf(Buffer.from(JSON.stringify({ n: many })));
    const index = indexOf([['/n', 'number']]);
    const startMs = performance.now();
    for (let i = 0; i < 20; i++) entriesOf(index, document);
    // All elements of one took 100 ms.
    expect((performance.now() - startMs) / 20).toBeLessThan(20);
  });
});
