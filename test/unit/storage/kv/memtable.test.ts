import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Memtable } from '../../../../storage/kv/memtable.ts';
import { isReadInOrder } from '../../../../storage/kv/read-in-order.ts';

/** The last two are of kinds that are read in order. */
const KEYS = ['a', 'b', 'c', 'd', '\xff', '\x00\x01\x00\x01fa', '\x00\x01\x00\x01ha'];
const key = fc.constantFrom(...KEYS);
const value = fc.option(fc.uint8Array({ maxLength: 3 }));
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, value }),
  fc.record({ do: fc.constant('ask' as const) }),
  fc.record({ do: fc.constant('order' as const) }),
);

describe('a memtable', () => {
  it('has the last row of each key, whenever it was put in order', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const table = new Memtable();
        const model = new Map<string, Uint8Array | null>();
        const views: [rows: unknown, wanted: unknown][] = [];
        const inOrder = () => [...model].sort(([a], [b]) => (a < b ? -1 : 1));
        for (const one of steps) {
          if (one.do === 'set') {
            if (isReadInOrder(one.key)) table.append(one);
            else table.set(one);
            model.set(one.key, one.value);
          } else if (one.do === 'ask') {
            for (const name of [...KEYS, 'e']) expect(table.get(name)).toBe(model.get(name));
          } else {
            const tree = table.ordered();
            views.push([tree, inOrder()]);
          }
          const rows = [...table.rows()];
          // Of rows that are read in order an older one may come first.
          const named = rows.filter((row) => !isReadInOrder(row.key)).map((row) => row.key);
          expect(new Set(named).size).toBe(named.length);
          expect(new Map(rows.map((row) => [row.key, row.value]))).toEqual(model);
        }
        for (const name of [...KEYS, 'e']) expect(table.get(name)).toBe(model.get(name));
        for (const [tree, wanted] of views) {
          expect([...(tree as ReturnType<Memtable['ordered']>).entries()]).toEqual(wanted);
        }
      }),
    );
  });
});
