import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EngineRange, EngineRow, EngineSnapshot, KvEngine } from '../../storage/ports.ts';

export const EVERYTHING: EngineRange = { start: '', end: '\xff\xff', reverse: false };

export function put(key: string, value: string) {
  return { key, value: Buffer.from(value, 'latin1') };
}

export function del(key: string) {
  return { key, value: null };
}

export function textOf(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString('latin1');
}

/** All rows of a range, read in pages of `page`. */
export async function rowsOf(
  source: Pick<EngineSnapshot, 'cursor'>,
  range: EngineRange,
  page = 3,
): Promise<[string, string][]> {
  const cursor = source.cursor(range);
  const rows: EngineRow[] = [];
  for (let next = await cursor.next(page); next.length > 0; next = await cursor.next(page)) {
    expect(next.length).toBeLessThanOrEqual(page);
    rows.push(...next);
  }
  expect(await cursor.next(page)).toEqual([]);
  await cursor.close();
  return rows.map(([key, value]) => [key, textOf(value) as string]);
}

/** The contract of KvEngine (storage/ports.ts). */
export function kvEngineConformance(name: string, open: () => Promise<KvEngine>): void {
  describe(`KvEngine: ${name}`, () => {
    let engine: KvEngine;
    beforeEach(async () => {
      engine = await open();
    });
    afterEach(() => engine.close());

    it('gets what was written, and null for what was not or is deleted', async () => {
      expect(engine.get('a')).toBeNull();
      await engine.write([put('a', '1'), put('b', '')]);
      expect(textOf(engine.get('a'))).toBe('1');
      expect(engine.get('b')?.length).toBe(0);
      await engine.write([del('a'), del('never')]);
      expect(engine.get('a')).toBeNull();
    });

    it('orders keys as bytes, from 00 to ff', async () => {
      const keys = [
        '\x00',
        '\x00\x00',
        '\x01',
        'A',
        'a',
        'a\x00',
        'aa',
        '\x7f',
        '\x80',
        'é',
        '\xff',
      ];
      await engine.write([...keys].reverse().map((key) => put(key, key)));
      const snapshot = engine.snapshot();
      const rows = await rowsOf(snapshot, EVERYTHING);
      await snapshot.close();
      expect(rows).toEqual([...keys].sort().map((key) => [key, key]));
    });

    it('reads half-open ranges in both directions', async () => {
      await engine.write('abcdefgh'.split('').map((key) => put(key, key)));
      const snapshot = engine.snapshot();
      const keys = async (start: string, end: string, reverse: boolean) =>
        (await rowsOf(snapshot, { start, end, reverse })).map(([key]) => key).join('');
      expect(await keys('b', 'f', false)).toBe('bcde');
      expect(await keys('b', 'f', true)).toBe('edcb');
      expect(await keys('bb', 'ff', false)).toBe('cdef');
      expect(await keys('bb', 'ff', true)).toBe('fedc');
      expect(await keys('f', 'b', false)).toBe('');
      expect(await keys('f', 'b', true)).toBe('');
      expect(await keys('c', 'c', false)).toBe('');
      expect(await keys('x', 'y', true)).toBe('');
      await snapshot.close();
    });

    it('a snapshot does not move', async () => {
      await engine.write([put('a', '1'), put('b', '1'), put('c', '1')]);
      const snapshot = engine.snapshot();
      const cursor = snapshot.cursor(EVERYTHING);
      expect((await cursor.next(1)).map(([key]) => key)).toEqual(['a']);
      await engine.write([put('a', '2'), del('b'), put('bb', '2'), put('c', '2')]);
      expect((await cursor.next(9)).map(([key, value]) => [key, textOf(value)])).toEqual([
        ['b', '1'],
        ['c', '1'],
      ]);
      expect(textOf(snapshot.get('a'))).toBe('1');
      expect(snapshot.get('bb')).toBeNull();
      await cursor.close();
      await snapshot.close();
      expect(textOf(engine.get('a'))).toBe('2');
    });

    it('a batch is atomic, also one of many thousand rows', async () => {
      const batch = (value: string) =>
        Array.from({ length: 5000 }, (_, i) => put(`key-${String(i).padStart(5, '0')}`, value));
      await engine.write(batch('old'));
      const writing = engine.write(batch('new'));
      let done = false;
      const finished = writing.then(() => {
        done = true;
      });
      while (!done) {
        const snapshot = engine.snapshot();
        const [first, last] = ['key-00000', 'key-04999'].map((key) => textOf(snapshot.get(key)));
        expect(first).toBe(last);
        await snapshot.close();
        await new Promise((resolved) => setImmediate(resolved));
      }
      await finished;
      expect(textOf(engine.get('key-02500'))).toBe('new');
    });

    it('batches take effect in the order they were given', async () => {
      const writes = Array.from({ length: 50 }, (_, i) => engine.write([put('key', `${i}`)]));
      await Promise.all(writes);
      await engine.flush();
      expect(textOf(engine.get('key'))).toBe('49');
    });

    it('flushes when empty, and changes nothing by it', async () => {
      await engine.flush();
      await engine.write([put('a', '1'), put('gone', '1'), del('gone')]);
      await engine.flush();
      await engine.flush();
      const snapshot = engine.snapshot();
      expect(await rowsOf(snapshot, EVERYTHING)).toEqual([['a', '1']]);
      await snapshot.close();
    });
  });
}
