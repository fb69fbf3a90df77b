import fc from 'fast-check';
import type { IndexDefinition, IndexFieldType } from '../../protocol/indexes.ts';
import { parsePath } from '../../protocol/json-path.ts';
import type { Item } from '../../protocol/messages/request.ts';

/** Values and what an index over them must answer, by looking at every item. Shares no code with it. */
export type Field = readonly [path: string, type: IndexFieldType];

export function definitionOf(
  id: number,
  fields: readonly Field[],
  more: Partial<IndexDefinition> = {},
): IndexDefinition {
  return {
    ...{ id, name: `i${id}`, tenant: 't1', space: 'kv', prefix: '', kind: 'fields', sparse: false },
    fields: fields.map(([path, type]) => ({ path, steps: parsePath(path), type })),
    ...more,
  };
}

const tag = fc.constantFrom('', 'a', 'ab', 'b', 'b\0', 'é');

export const values: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constant('no json'), weight: 1 },
  {
    arbitrary: fc
      .record(
        {
          n: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom(0.5, 'x', null)),
          tags: fc.oneof(tag, fc.array(tag, { maxLength: 3 })),
        },
        { requiredKeys: [] },
      )
      .map((value) => JSON.stringify(value)),
    weight: 6,
  },
);

type Value = string | number | null;

/** Top-level fields only. */
function fieldValues(document: unknown, [path, type]: Field): Value[] {
  const record = typeof document === 'object' && document !== null ? document : {};
  const found = (record as Record<string, unknown>)[path.slice(1)];
  const all = Array.isArray(found) ? found : [found];
  return [...new Set(all.filter((one): one is Value => typeof one === type))];
}

function compareValues(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

export interface Expected {
  readonly values: readonly Value[];
  readonly key: string;
}

/** The whole index, in order, from a full scan. */
export function fullScan(
  items: readonly Item[],
  fields: readonly Field[],
  prefix: string,
  sparse: boolean,
): Expected[] {
  const out: Expected[] = [];
  for (const { ref, value } of items) {
    if (!ref.key.startsWith(prefix)) continue;
    let document: unknown;
    try {
      document = JSON.parse(Buffer.from(value).toString());
    } catch {
      document = undefined;
    }
    let rows: Value[][] = [[]];
    for (const field of fields) {
      const found = fieldValues(document, field);
      if (found.length === 0 && !sparse) found.push(null);
      rows = rows.flatMap((row) => found.map((one) => [...row, one]));
    }
    for (const row of rows) out.push({ values: row, key: ref.key });
  }
  return out.sort((a, b) => {
    for (const [i, value] of a.values.entries()) {
      const order = compareValues(value, b.values[i] as Value);
      if (order !== 0) return order;
    }
    return a.key < b.key ? -1 : 1;
  });
}
