import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineRange, StateStore, StateView } from '../../storage/ports.ts';
import { del, EVERYTHING, put, rowsOf, textOf } from './kv-engine.ts';

const key = fc.stringMatching(/^[abc\xff]{1,3}$/);
const write = fc.oneof(
  { weight: 3, arbitrary: fc.record({ key, value: fc.string({ maxLength: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ key, value: fc.constant(null) }) },
);
const range = fc.record({
  start: fc.oneof(fc.constant(''), key),
  end: fc.oneof(fc.constant('\xff\xff\xff\xff'), key),
  reverse: fc.boolean(),
});
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      batch: fc.array(write, { maxLength: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('scan' as const),
      range,
      page: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hold' as const), range }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
);

type Model = Map<string, string>;

function scanModel(model: Model, { start, end, reverse }: EngineRange): [string, string][] {
  const rows = [...model].filter(([name]) => name >= start && name < end);
  rows.sort(([a], [b]) => (a < b ? -1 : 1));
  return reverse ? rows.reverse() : rows;
}

/** The contract of StateStore (storage/ports.ts). `open` gives small memtables, so that they freeze. */
export function stateStoreConformance(
  name: string,
  open: () => Promise<StateStore>,
  runs: number,
): void {
  describe(`StateStore over ${name}`, () => {
    it('behaves like a sorted map, and its views like copies of it', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const store = await open();
          const model: Model = new Map();
          const held: { view: StateView; model: Model; range: EngineRange }[] = [];
          for (const action of steps) {
            if (action.do === 'write') {
              store.write(
                action.batch.map((w) => (w.value === null ? del(w.key) : put(w.key, w.value))),
              );
              for (const w of action.batch) {
                if (w.value === null) model.delete(w.key);
                else model.set(w.key, Buffer.from(w.value, 'latin1').toString('latin1'));
              }
              for (const w of action.batch) {
                expect(textOf(store.get(w.key))).toBe(model.get(w.key) ?? null);
              }
            } else if (action.do === 'scan') {
              const view = store.view();
              expect(await rowsOf(view, action.range, action.page)).toEqual(
                scanModel(model, action.range),
              );
              await view.close();
            } else if (action.do === 'hold') {
              held.push({ view: store.view(), model: new Map(model), range: action.range });
            } else if (action.do === 'flush') {
              await store.flush();
              expect(store.pendingBytes()).toBe(0);
            } else await new Promise((resolved) => setImmediate(resolved));
          }
          for (const { view, model: then, range: wanted } of held) {
            expect(await rowsOf(view, wanted)).toEqual(scanModel(then, wanted));
            for (const [name, value] of then) expect(textOf(view.get(name))).toBe(value);
            await view.close();
          }
          await store.close();
        }),
        { numRuns: runs },
      );
    }, 60_000);

    it('views of one moment end one by one, each once', async () => {
      const store = await open();
      store.write([put('a', '1')]);
      const views = [store.view(), store.view(), store.view()] as const;
      await views[0].close();
      await views[0].close();
      await views[0].close();
      store.write([put('a', '2'), put('b', '2')]);
      const later = store.view();
      await store.flush();
      for (const view of [views[1], views[2]]) {
        expect(await rowsOf(view, EVERYTHING)).toEqual([['a', '1']]);
        await view.close();
      }
      expect(textOf(later.get('a'))).toBe('2');
      await later.close();
      const last = store.view();
      expect(await rowsOf(last, EVERYTHING)).toEqual([
        ['a', '2'],
        ['b', '2'],
      ]);
      await last.close();
      await store.close();
    });

    it('a cursor gives large rows at last, however many at a time', async () => {
      const store = await open();
      const large = 'x'.repeat(100 * 1024);
      const names = Array.from({ length: 12 }, (_, i) => `k${String(i).padStart(2, '0')}`);
      for (const name of names) store.write([put(name, large)]);
      await store.flush();
      store.write(names.slice(0, 6).map((name) => put(name, large)));
      for (const reverse of [false, true]) {
        const view = store.view();
        const cursor = view.cursor({ ...EVERYTHING, reverse });
        const found: string[] = [];
        for (let rows = await cursor.next(12); rows.length > 0; rows = await cursor.next(12)) {
          found.push(...rows.map(([key]) => key));
        }
        expect(found).toEqual(reverse ? [...names].reverse() : names);
        await cursor.close();
        await view.close();
      }
      await store.close();
    });

    it('the last of two writes to a key in one batch wins', async () => {
      const store = await open();
      store.write([put('a', '1'), put('a', '2'), put('b', '1'), del('b'), del('c'), put('c', '3')]);
      const view = store.view();
      expect(await rowsOf(view, EVERYTHING)).toEqual([
        ['a', '2'],
        ['c', '3'],
      ]);
      await view.close();
      await store.close();
    });

    it('a view reads on while memtables move into the engine', async () => {
      const store = await open();
      for (let i = 0; i < 200; i++)
        store.write([put(`k${String(i).padStart(3, '0')}`, 'x'.repeat(20))]);
      const view = store.view();
      const cursor = view.cursor({ ...EVERYTHING, reverse: true });
      const first = await cursor.next(10);
      expect(first[0]?.[0]).toBe('k199');
      for (let i = 0; i < 200; i++) store.write([del(`k${String(i).padStart(3, '0')}`)]);
      await store.flush();
      const rest = await cursor.next(1000);
      expect(first.length + rest.length).toBe(200);
      await cursor.close();
      await view.close();
      expect(store.get('k000')).toBeNull();
      await store.close();
    });
  });
}
