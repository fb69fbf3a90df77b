import { describe, expect, it } from 'vitest';
import { RowCache } from '../../../../actors/apply/row-cache.ts';

const BYTES_MAX = 100_000;
const ROW_BYTES = 50;
const nameOf = (i: number): string => `key/${String(i).padStart(4, '0')}`;

function write(cache: RowCache, key: string, bytes = ROW_BYTES): Uint8Array {
  const row = new Uint8Array(bytes);
  cache.set(key, row);
  cache.trim();
  return row;
}

describe('the cache of rows', () => {
  it('has every key that fits, although each is written again and again', () => {
    const cache = new RowCache(BYTES_MAX);
    const rows = new Map<string, Uint8Array>();
    for (let i = 0; i < 1_000; i++) {
      const key = nameOf((i * 7) % 200);
      rows.set(key, write(cache, key));
    }
    expect(rows.size).toBe(200);
    for (const [key, row] of rows) expect(cache.get(key)).toBe(row);
  });

  it('lets go of a key that nobody asks for once its neighbours were rewritten for long', () => {
    const cache = new RowCache(BYTES_MAX);
    write(cache, 'idle');
    cache.set('absent', null);
    const writes = Math.ceil(BYTES_MAX / 1_000);
    for (let i = 0; i < writes; i++) write(cache, 'busy', 1_000);
    expect([cache.get('idle')?.length, cache.get('absent')]).toEqual([ROW_BYTES, null]);
    for (let i = 0; i < writes * 2 + 2; i++) write(cache, 'busy', 1_000);
    expect([cache.get('idle'), cache.get('absent')]).toEqual([undefined, undefined]);
    expect(cache.get('busy')?.length).toBe(1_000);
  });

  it('loses nothing between two trims, however much it is', () => {
    const cache = new RowCache(BYTES_MAX);
    const row = new Uint8Array(BYTES_MAX);
    for (let i = 0; i < 5; i++) cache.set(nameOf(i), row);
    for (let i = 0; i < 5; i++) expect(cache.get(nameOf(i))).toBe(row);
  });
});
