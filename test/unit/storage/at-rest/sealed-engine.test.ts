import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../protocol/random.ts';
import type { GroupId } from '../../../../protocol/types.ts';
import { FolderKeys } from '../../../../storage/at-rest/folder-keys.ts';
import { SealedEngine } from '../../../../storage/at-rest/sealed-engine.ts';
import { feedKey, GENERATION_MIN, generationPrefix } from '../../../../storage/kv/keyspace.ts';
import { MemoryEngine } from '../../../../storage/kv/memory-engine.ts';
import { encodeFeed } from '../../../../storage/kv/rows.ts';

const clock = { soon: (run: () => void) => void queueMicrotask(run) };
const keys = new FolderKeys(new Map([[1, new Uint8Array(32).fill(1)]]));
const GROUP = 1 as GroupId;
const SECRET = Buffer.from('planted: nobody reads this');

function engines(seed = 1, inner = new MemoryEngine(clock)) {
  return { inner, engine: new SealedEngine(inner, keys, { clock, random: seededRandom(seed) }) };
}

describe('sealed values', () => {
  it('show nothing, and are another each time, also for the same row in another life', async () => {
    const seen = new Set<string>();
    for (const seed of [1, 2]) {
      const { inner, engine } = engines(seed);
      for (let i = 0; i < 50; i++) {
        await engine.write([{ key: 'k', value: SECRET }]);
        const stored = Buffer.from(inner.get('k') as Uint8Array);
        expect(stored.includes('planted')).toBe(false);
        seen.add(stored.toString('hex', 21));
        expect(Buffer.from(engine.get('k') as Uint8Array)).toEqual(SECRET);
      }
    }
    expect(seen.size).toBe(100);
  });

  it('open in a later life', async () => {
    const { inner, engine } = engines(1);
    await engine.write([{ key: 'k', value: SECRET }]);
    const later = engines(2, inner).engine;
    expect(Buffer.from(later.get('k') as Uint8Array)).toEqual(SECRET);
    const snapshot = later.snapshot();
    expect(Buffer.from(snapshot.get('k') as Uint8Array)).toEqual(SECRET);
    const [row] = await snapshot.cursor({ start: 'a', end: 'z', reverse: false }).next(10);
    expect(Buffer.from(row?.[1] as Uint8Array)).toEqual(SECRET);
  });

  it('are damage where a bit was changed, in clear, or in the place of another row', async () => {
    const { inner, engine } = engines();
    await engine.write([{ key: 'k', value: SECRET }]);
    const stored = Buffer.from(inner.get('k') as Uint8Array);
    const wrong = Array.from({ length: stored.length }, (_, i) => {
      const changed = Buffer.from(stored);
      changed[i] = (changed[i] as number) ^ 4;
      return changed;
    });
    for (const value of [...wrong, SECRET, stored.subarray(0, -1)]) {
      await inner.write([{ key: 'k', value }]);
      expect(() => engine.get('k')).toThrow('not as it was sealed');
    }
    await inner.write([{ key: 'other', value: stored }]);
    expect(() => engine.get('other')).toThrow('not as it was sealed');
    await expect(engine.getMany(['other'])).rejects.toThrow('not as it was sealed');
  });

  it('of nothing but counters stay as they are', async () => {
    const { inner, engine } = engines();
    const feed = feedKey(generationPrefix(GROUP, GENERATION_MIN), 7, 3, 't\x00s\x00k');
    const row = encodeFeed('put', 7, 5);
    await engine.write([{ key: feed, value: row }]);
    expect(inner.get(feed)).toEqual(row);
    expect(engine.get(feed)).toEqual(row);
  });
});
