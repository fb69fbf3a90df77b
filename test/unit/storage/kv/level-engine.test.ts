import { cp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../cli/system-clock.ts';
import { NodeDisk } from '../../../../storage/disk/node-disk.ts';
import { createWhole, openClassicEngine } from '../../../../storage/kv/classic-engine.ts';
import { LevelEngine } from '../../../../storage/kv/level-engine.ts';
import { EVERYTHING, put, textOf } from '../../../conformance/kv-engine.ts';
import { temporaryFolder } from '../../../kit/engines.ts';

/** LevelDB's log is made of blocks of this size. */
const LEVEL_BLOCK_BYTES = 32 * 1024;

const clock = systemClock({ holdOpen: true });

async function writtenEngine() {
  const path = join(await temporaryFolder(), 'engine');
  const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
  await engine.write([put('flushed', '1')]);
  await engine.flush();
  await engine.write([put('in the log', '1')]);
  await engine.close();
  return path;
}

describe('classic-level engine', () => {
  it('gives others a turn while it takes large rows', async () => {
    const path = join(await temporaryFolder(), 'engine');
    let turns = 0;
    const counting = { ...clock, soon: (run: () => void) => clock.soon(() => [turns++, run()]) };
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock: counting });
    const before = turns;
    const large = 'x'.repeat(700 * 1024);
    await engine.write(Array.from({ length: 60 }, (_, i) => put(`k${i}`, large)));
    expect(turns - before).toBeGreaterThanOrEqual(15);
    expect(textOf(engine.get('k59'))).toBe(large);
    await engine.close();
  });

  it('takes keys of every length and of any bytes, one after another', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    const lengths = [1, 2, 63, 64, 65, 200, 511, 512, 513, 1_024];
    const keys = lengths.flatMap((length) =>
      [0x00, 0x7f, 0x80, 0xff].map((code) => String.fromCharCode(code).repeat(length)),
    );
    await engine.write(keys.map((key, i) => put(key, `value ${i}`)));
    for (const [i, key] of keys.entries()) expect(textOf(engine.get(key))).toBe(`value ${i}`);
    await engine.write(keys.map((key) => ({ key, value: null })));
    for (const key of keys) expect(engine.get(key)).toBeNull();
    await engine.close();
  });

  it('F08 in the same boot everything written comes back, flushed or not', async () => {
    const path = await writtenEngine();
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    expect(textOf(engine.get('flushed'))).toBe('1');
    expect(textOf(engine.get('in the log'))).toBe('1');
    await engine.close();
  });

  it('a cursor gives large rows a few at a time, and small ones as many as are asked for', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    const names = Array.from({ length: 12 }, (_, i) => `large ${String(i).padStart(2, '0')}`);
    await engine.write(names.map((name) => put(name, 'x'.repeat(100 * 1024))));
    await engine.write(Array.from({ length: 500 }, (_, i) => put(`small ${i}`, 'x')));
    const snapshot = engine.snapshot();
    for (const range of [EVERYTHING, { ...EVERYTHING, rows: 12 }]) {
      const cursor = snapshot.cursor(range);
      const sizes: number[] = [];
      while (sizes.reduce((sum, size) => sum + size, 0) < 12) {
        sizes.push((await cursor.next(12)).length);
      }
      expect(sizes.slice(0, 3)).toEqual([3, 3, 3]);
      expect((await cursor.next(400)).length).toBe(400);
      await cursor.close();
    }
    await snapshot.close();
    await engine.close();
  });

  it('F09 B17 after another boot LevelDB logs are set aside: exactly what was flushed is left', async () => {
    const path = await writtenEngine();
    for (const bootId of ['boot-2', '']) {
      const engine = await openClassicEngine(path, { bootId, clock });
      expect(textOf(engine.get('flushed'))).toBe('1');
      expect(engine.get('in the log')).toBeNull();
      await engine.write([put('in the log', '1')]);
      await engine.close();
    }
    const kept = await readdir(join(path, 'set-aside'));
    expect(kept.length).toBe(2);
  });

  it('F09 a new database is whole before it is there: what CURRENT names is enough to open it', async () => {
    const path = join(await temporaryFolder(), 'engine');
    await createWhole(path, new NodeDisk(path));
    const manifest = (await readFile(join(path, 'CURRENT'), 'utf8')).trim();
    // LevelDB writes the first manifest without a sync; only a later one may be the current one.
    expect(manifest).not.toBe('MANIFEST-000001');
    expect((await stat(join(path, manifest))).size).toBeGreaterThan(0);
    for (const name of await readdir(path)) {
      if (name !== 'CURRENT' && name !== manifest) await rm(join(path, name));
    }
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    await engine.write([put('a', '1')]);
    expect(textOf(engine.get('a'))).toBe('1');
    await engine.close();
  });

  it('F09 a crash while a database is made leaves nothing that the next start minds', async () => {
    const path = join(await temporaryFolder(), 'engine');
    await createWhole(path, new NodeDisk(path));
    await cp(path, `${path}.copy`, { recursive: true });
    await rename(`${path}.copy`, join(path, 'new'));
    await rm(join(path, 'CURRENT'));
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    await engine.write([put('a', '1')]);
    expect(textOf(engine.get('a'))).toBe('1');
    await engine.close();
    expect(await readdir(path)).not.toContain('new');
  });

  it('F09 B17 a log whose middle a power cut lost is damage in the same boot, and leaves a prefix after another', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    for (let i = 0; i < 100; i++) {
      await engine.write([put(`row-${i}`, 'x'.repeat(4000))]);
      if (i === 9) await engine.flush();
    }
    await engine.close();
    const log = (await readdir(path)).find((name) => name.endsWith('.log'))!;
    const bytes = await readFile(join(path, log));
    bytes.fill(0, 4 * LEVEL_BLOCK_BYTES, 5 * LEVEL_BLOCK_BYTES);
    await writeFile(join(path, log), bytes);
    const found = async (folder: string, bootId: string) => {
      const reopened = await openClassicEngine(folder, { bootId, clock });
      const isThere = Array.from({ length: 100 }, (_, i) => reopened.get(`row-${i}`) !== null);
      await reopened.close();
      return isThere;
    };
    // LevelDB itself skips the lost block and says nothing.
    const copy = join(await temporaryFolder(), 'engine');
    await cp(path, copy, { recursive: true });
    await expect(found(copy, 'boot-1')).rejects.toMatchObject({ code: 'EBADMSG' });
    expect(await found(path, 'boot-2')).toEqual(Array.from({ length: 100 }, (_, i) => i <= 9));
  });

  it('one folder has one engine at a time', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    await expect(openClassicEngine(path, { bootId: 'boot-1', clock })).rejects.toThrow();
    await engine.close();
  });

  it('a flush rewrites no table: the second of two writes only its own rows', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    const rows = (prefix: string) =>
      Array.from({ length: 2000 }, (_, i) => put(`${prefix}${i}`, 'x'.repeat(200)));
    await engine.write(rows('a'));
    await engine.flush();
    const tables = async () => (await readdir(path)).filter((name) => name.endsWith('.ldb'));
    const before = await tables();
    const content = await Promise.all(before.map((name) => readFile(join(path, name))));
    await engine.write([put('b', 'small')]);
    await engine.flush();
    const after = await tables();
    expect(after).toEqual(expect.arrayContaining(before));
    const added = after.filter((name) => !before.includes(name));
    expect(added.length).toBe(1);
    expect((await stat(join(path, added[0]!))).size).toBeLessThan(4096);
    expect(content.length).toBeGreaterThan(0);
    await engine.close();
  });

  it('F12 damage that a compaction meets fails the write, and the next start does not trust the files', async () => {
    const path = join(await temporaryFolder(), 'engine');
    const engine = await openClassicEngine(path, { bootId: 'boot-1', clock });
    const tables = async () => (await readdir(path)).filter((name) => name.endsWith('.ldb')).sort();
    const rows = [put('a', 'x'.repeat(1000)), put('z', 'x'.repeat(1000))];
    for (let i = 0; i < 2; i++) {
      await engine.write(rows);
      await engine.flush();
    }
    // The first table sinks to the second level, the second one to the first: four above it are merged into it.
    const table = join(path, (await tables()).at(-1)!);
    const bytes = await readFile(table);
    await writeFile(table, bytes.fill(0xff, 0, 2_020));
    const failure = await (async () => {
      for (let i = 0; i < 50; i++) {
        await engine.write(rows);
        await engine.flush();
      }
    })().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'EBADMSG' });
    await engine.close();
    // Noted, whatever becomes of the table.
    await writeFile(table, Buffer.alloc(0));
    const opening = openClassicEngine(path, { bootId: 'boot-1', clock });
    await expect(opening).rejects.toThrow((failure as Error).message);
  });

  it('F12 a read that the disk cannot serve is damage; a write is not, but then every table is verified', async () => {
    const told: string[] = [];
    const fail = () => {
      throw new Error('IO error: 000005.ldb: Input/output error');
    };
    const level = { getSync: fail, batch: async () => fail(), close: async () => {} };
    const engine = new LevelEngine(level as never, clock, {
      onDamage: ({ code }) => told.push(code),
      onSuspicion: () => told.push('suspicion'),
      ...{ batch: null, stop: () => {}, flush: async () => {}, closed: async () => {} },
      compact: async () => {},
    });
    await expect(engine.write([put('a', '1')])).rejects.not.toMatchObject({ code: 'EBADMSG' });
    expect(told).toEqual(['suspicion']);
    expect(() => engine.get('a')).toThrow('cannot be read');
    expect(told).toEqual(['suspicion', 'EBADMSG']);
  });

  it('F12 a database without its manifest does not open', async () => {
    const path = await writtenEngine();
    const current = (await readdir(path)).find((name) => name.startsWith('MANIFEST'));
    await rm(join(path, current!));
    await expect(openClassicEngine(path, { bootId: 'boot-1', clock })).rejects.toThrow();
  });
});
