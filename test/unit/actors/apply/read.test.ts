import { describe, expect, test } from 'vitest';
import type { RangePage } from '../../../../actors/apply/read.ts';
import { type RangeQuery, readAt, readLatest, readRange } from '../../../../actors/apply/read.ts';
import type { EngineRange, StateView } from '../../../../storage/ports.ts';
import { AppliedGroup, del, put, ref } from '../../../kit/applied-group.ts';
import { MemoryState } from '../../../kit/memory-state.ts';

/** Counts the rows that cursors of its views hand out. */
class CountingState extends MemoryState {
  rowsRead = 0;

  override view(): StateView {
    const view = super.view();
    const cursor = (range: EngineRange) => {
      const inner = view.cursor(range);
      return {
        next: async (max: number) => {
          const rows = await inner.next(max);
          this.rowsRead += rows.length;
          return rows;
        },
        close: () => inner.close(),
      };
    };
    return { get: (key) => view.get(key), cursor, close: () => view.close() };
  }
}

const WHOLE: Omit<RangeQuery, 'revision'> = {
  ...{ tenant: 't1', space: 'kv', start: '', end: null, reverse: false },
  ...{ limit: 100, bytesMax: 1 << 20, values: true },
};

async function range(
  group: AppliedGroup,
  query: Partial<RangeQuery>,
): Promise<RangePage | 'compacted'> {
  const view = group.state.view();
  try {
    return await readRange(view, { ...WHOLE, revision: group.state.clock, ...query });
  } finally {
    await view.close();
  }
}

function keysOf(page: RangePage | 'compacted'): string[] {
  return page === 'compacted' ? ['compacted'] : page.items.map((item) => item.ref.key);
}

describe('ranges', () => {
  test('a page ends at its limit and says whether there is more', async () => {
    const group = new AppliedGroup();
    group.write(['a', 'b', 'c'].map((key) => put(key, 'v')));
    expect(await range(group, { limit: 3 })).toMatchObject({ more: false });
    expect(await range(group, { limit: 2 })).toMatchObject({ more: true });
    expect(keysOf(await range(group, { limit: 2, reverse: true }))).toEqual(['c', 'b']);
    expect(await range(group, { limit: 0 })).toEqual({ items: [], more: true });
  });

  test('a page ends before the item that would pass its bytes, but its first item always fits', async () => {
    const group = new AppliedGroup();
    group.write(['a', 'b', 'c'].map((key) => put(key, 'v'.repeat(1000))));
    expect(keysOf(await range(group, { bytesMax: 2500 }))).toEqual(['a', 'b']);
    expect(await range(group, { bytesMax: 1 })).toMatchObject({
      more: true,
      items: [{ version: 1 }],
    });
    const bare = await range(group, { bytesMax: 2500, values: false });
    expect(keysOf(bare)).toEqual(['a', 'b', 'c']);
    expect((bare as RangePage).items.every((item) => item.value.length === 0)).toBe(true);
  });

  test('an empty or inverted range gives an empty page', async () => {
    const group = new AppliedGroup();
    group.write([put('a', 'v')]);
    expect(await range(group, { start: 'b', end: 'a' })).toEqual({ items: [], more: false });
    expect(await range(group, { start: 'a', end: 'a' })).toEqual({ items: [], more: false });
    expect(await range(group, { space: 'other' })).toEqual({ items: [], more: false });
  });

  test('more is not claimed for what is expired or removed', async () => {
    const group = new AppliedGroup();
    group.write([put('a', 'v'), put('b', 'v', { ttlMs: 0 }), put('c', 'v')]);
    group.write([del('c')]);
    expect(await range(group, { limit: 1 })).toMatchObject({ more: false });
  });

  test('below the floor every read says compacted', async () => {
    const group = new AppliedGroup();
    group.write([put('a', 'v')]);
    group.compact(group.state.clock);
    expect(await range(group, { revision: group.state.floor - 1 })).toBe('compacted');
    const view = group.state.view();
    expect(await readAt(view, ref('a'), view.floor - 1)).toBe('compacted');
    expect(await readAt(view, ref('a'), view.floor)).toMatchObject({ version: 1 });
    await view.close();
  });

  test('a view keeps its moment, floor included, while the state goes on', async () => {
    const group = new AppliedGroup();
    group.write([put('a', '1')]);
    const view = group.state.view();
    const { clock } = view;
    group.write([put('a', '2'), put('b', '1')]);
    group.compact(group.state.clock);
    const page = (await readRange(view, { ...WHOLE, revision: clock })) as RangePage;
    expect(page.items.map((item) => [item.ref.key, item.version])).toEqual([['a', 1]]);
    await view.close();
  });
});

describe('what history costs', () => {
  function hotKey(versions: number): [AppliedGroup, CountingState] {
    const store = new CountingState();
    const group = new AppliedGroup(store);
    group.write([put('a', '0'), put('z', '0')]);
    for (let i = 0; i < versions; i++) group.write([put('hot', `${i}`)]);
    return [group, store];
  }

  test('a page reads one row more than it shows', async () => {
    const store = new CountingState();
    const group = new AppliedGroup(store);
    group.write(Array.from({ length: 500 }, (_, i) => put(`k${i}`, 'v')));
    store.rowsRead = 0;
    expect(await range(group, { limit: 20 })).toMatchObject({ more: true });
    expect(store.rowsRead).toBe(21);
  });

  test('a read of the latest touches no history row', async () => {
    const [group, store] = hotKey(500);
    await range(group, {});
    expect(store.rowsRead).toBeLessThanOrEqual(3);
    const view = group.state.view();
    await readAt(view, ref('hot'), view.clock);
    await view.close();
    expect(store.rowsRead).toBeLessThanOrEqual(3);
    expect(readLatest(group.state, ref('hot'), null)?.version).toBe(500);
  });

  test.each([false, true])(
    'a scan of the past jumps over a key’s many versions (reverse %s)',
    async (reverse) => {
      const [group, store] = hotKey(5000);
      const revision = group.state.clock - 2500;
      const page = await range(group, { revision, reverse });
      expect(keysOf(page)).toEqual(reverse ? ['z', 'hot', 'a'] : ['a', 'hot', 'z']);
      expect((page as RangePage).items[1]?.revision).toBe(revision);
      expect(store.rowsRead).toBeLessThan(700);
    },
  );
});
