import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openClassicEngine } from '../../storage/kv/classic-engine.ts';
import { MemtableStore } from '../../storage/kv/state-store.ts';
import { temporaryFolder } from '../kit/engines.ts';
import { REAL_CLOCK } from '../kit/real-clock.ts';
import { SmallDisk } from '../kit/small-disk.ts';
import { sleep } from '../kit/wait.ts';

/** The engine on a disk that is full in spite of the room that is kept for it. */

const MIB = 1024 * 1024;
const noDisk = SmallDisk.missing();
if (noDisk !== null) console.log(`tests of a full engine are skipped: ${noDisk}`);

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function opened() {
  const folder = await temporaryFolder();
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const disk = SmallDisk.mount(join(folder, 'mount'), 64);
  cleanups.push(async () => disk.unmount());
  const path = join(disk.folder, 'state');
  const open = () => openClassicEngine(path, { bootId: 'boot', clock: REAL_CLOCK });
  const fatal: unknown[] = [];
  let blind = 0;
  const engine = await open();
  const store = new MemtableStore(engine, REAL_CLOCK, {
    ...{ memtableBytes: 1024, memtableAgeMs: 20 },
    onFatal: (error) => fatal.push(error),
    // Blind: as if somebody else had taken the room since it was looked at.
    mayWrite: () => blind-- > 0 || disk.freeBytes() > 16 * MIB,
  });
  /** So many times it may write without looking. */
  const setBlind = (times: number): void => {
    blind = times;
  };
  cleanups.push(() => store.close().catch(() => {}));
  return { disk, open, store, fatal, setBlind };
}

const rowOf = (n: number) => ({ key: `k-${n}`, value: randomBytes(300_000) });

test.skipIf(noDisk !== null)(
  'F15 an engine whose log finds no room keeps all batches in order, and goes on when there is some',
  async () => {
    const { disk, open, store, fatal, setBlind } = await opened();
    const rows = Array.from({ length: 12 }, (_, n) => rowOf(n));
    for (const row of rows.slice(0, 3)) store.write([row, { key: 'applied', value: row.value }]);
    while (store.pendingBytes() > 0) await sleep(20);
    disk.fillTo(0);
    setBlind(1);
    store.write([rows[3]!, { key: 'applied', value: rows[3]!.value }]);
    await sleep(250);
    for (const row of rows.slice(4)) store.write([row, { key: 'applied', value: row.value }]);
    await sleep(500);
    expect(store.pendingBytes()).toBeGreaterThan(0);
    for (const row of rows) expect(Buffer.compare(store.get(row.key)!, row.value)).toBe(0);
    disk.free();
    while (store.pendingBytes() > 0 && fatal.length === 0) await sleep(20);
    expect(fatal.map(String)).toEqual([]);
    await store.flush();
    await store.close();
    const again = await open();
    for (const row of rows) expect(Buffer.compare(again.get(row.key)!, row.value)).toBe(0);
    expect(Buffer.compare(again.get('applied')!, rows[11]!.value)).toBe(0);
    await again.close();
  },
  60_000,
);

test.skipIf(noDisk !== null)(
  'F15 B17 an engine that dies on a full disk comes back with a prefix of its batches, each whole',
  async () => {
    const { disk, open, store, fatal, setBlind } = await opened();
    disk.fillTo(9 * MIB);
    setBlind(1_000);
    // Its log fits, its tables do not: LevelDB does not mend such an error while it is open.
    const rows = Array.from({ length: 60 }, (_, n) => rowOf(n));
    for (const row of rows) {
      store.write([row, { key: 'applied', value: row.value }]);
      await sleep(5);
    }
    const endMs = performance.now() + 20_000;
    while (fatal.length === 0 && performance.now() < endMs) await sleep(50);
    expect(fatal.length).toBe(1);
    await store.close().catch(() => {});
    disk.free();
    const again = await open();
    const applied = again.get('applied');
    const last = rows.findIndex(
      (row) => applied !== null && Buffer.compare(row.value, applied) === 0,
    );
    for (const [n, row] of rows.entries()) {
      const found = again.get(row.key);
      if (n <= last) expect(Buffer.compare(found!, row.value), row.key).toBe(0);
      else expect(found, row.key).toBeNull();
    }
    await again.close();
  },
  60_000,
);
