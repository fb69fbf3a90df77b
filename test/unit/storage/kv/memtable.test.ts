import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Memtable } from '../../../../storage/kv/memtable.ts';

const key = fc.constantFrom('a', 'b', 'c', 'd', '\xff');
const value = fc.option(fc.uint8Array({ maxLength: 3 }));
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key, value }),
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
            table.set(one.key, one.value);
            model.set(one.key, one.value);
          } else {
            const tree = table.ordered();
            views.push([tree, inOrder()]);
          }
          for (const name of ['a', 'b', 'c', 'd', '\xff', 'e']) {
            expect(table.get(name)).toBe(model.get(name));
          }
          const rows = [...table.rows()];
          expect(rows.length).toBe(model.size);
          expect(new Map(rows.map((row) => [row.key, row.value]))).toEqual(model);
        }
        for (const [tree, wanted] of views) {
          expect([...(tree as ReturnType<Memtable['ordered']>).entries()]).toEqual(wanted);
        }
      }),
    );
  });
});
