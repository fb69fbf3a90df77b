import { describe, expect, it } from 'vitest';
import { randomInt, seededRandom } from '../../../protocol/random.ts';
import type { DiskError } from '../../../storage/disk/port.ts';
import { SnapshotFiles } from '../../../storage/snapshot-file.ts';
import {
  cursorOf,
  GROUP,
  metaOf,
  readAll,
  someRows,
  textRows,
} from '../../conformance/snapshot-store.ts';
import { VirtualTime } from '../../kit/virtual-time.ts';
import { SimDisk } from '../../sim/sim-disk.ts';

const ROWS = someRows(400, 900);
const TEXT = textRows(ROWS);

/** A machine whose process may die at any moment. */
function machine(seed: number) {
  const time = new VirtualTime(seed);
  const disk = new SimDisk(time.process().clock, seededRandom(seed, 'disk'), {});
  const start = () => {
    const process = time.process();
    return { ...process, store: new SnapshotFiles(disk.session(process.clock)) };
  };
  return { time, disk, start };
}

describe('snapshot files', () => {
  it('B11 after a crash at any step of making one there is the whole file or none', async () => {
    let whole = 0;
    const seeds = 200;
    for (let seed = 1; seed <= seeds; seed++) {
      const { time, disk, start } = machine(seed);
      const first = start();
      first.store.create(GROUP, metaOf('s1'), cursorOf(ROWS));
      await time.pass(seededRandom(seed, 'instant').next() * 8);
      first.end();
      if (seed % 2 === 0) disk.crash();
      else disk.processDied();
      const { store } = start();
      const rows = await time.until(
        readAll(store, 's1').catch((error: DiskError) => {
          expect(error.code).toBe('ENOENT');
          return null;
        }),
      );
      if (rows !== null) {
        whole++;
        expect(rows).toEqual(TEXT);
      } else {
        await time.until(store.create(GROUP, metaOf('s1'), cursorOf(ROWS)));
        expect(await time.until(readAll(store, 's1'))).toEqual(TEXT);
      }
      await time.until(store.remove(GROUP, []));
      expect(disk.paths()).toEqual([]);
    }
    expect(whole).toBeGreaterThan(seeds / 10);
    expect(whole).toBeLessThan(seeds * 0.9);
  }, 60_000);

  it('B11 after a crash at any step of receiving one the transfer goes on and ends with the same rows', async () => {
    let resumed = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed, 'workload');
      const source = machine(seed);
      const meta = await source.time.until(
        source.start().store.create(GROUP, metaOf('s1'), cursorOf(ROWS)),
      );
      const all = source.disk.durableContent(`snapshots/${GROUP}/s1.snap`);
      const { time, disk, start } = machine(seed + 1000);
      let isDone = false;
      while (!isDone) {
        const process = start();
        const receive = async () => {
          // The first answer tells where to go on; an empty piece asks for it.
          let next = await process.store.writeChunk(GROUP, meta, 0, new Uint8Array(0));
          if (next > 0) resumed++;
          while (next < meta.totalBytes) {
            const piece = all.subarray(next, next + randomInt(random, 1, 40_000));
            next = await process.store.writeChunk(GROUP, meta, next, piece);
          }
        };
        const receiving = receive().then(() => {
          isDone = true;
        });
        if (random.next() < 0.2) await time.until(receiving);
        else await time.pass(random.next() * 12);
        if (isDone) break;
        process.end();
        if (random.next() < 0.5) disk.crash();
        else disk.processDied();
      }
      expect(await time.until(readAll(start().store, 's1'))).toEqual(TEXT);
    }
    expect(resumed).toBeGreaterThan(50);
  }, 60_000);

  it('F14 a received one whose sync fails is not there, and begins anew', async () => {
    const source = machine(1);
    const meta = await source.time.until(
      source.start().store.create(GROUP, metaOf('s1'), cursorOf(ROWS)),
    );
    const all = source.disk.durableContent(`snapshots/${GROUP}/s1.snap`);
    const { time, disk, start } = machine(2);
    const { store } = start();
    const half = all.length >> 1;
    expect(await time.until(store.writeChunk(GROUP, meta, 0, all.subarray(0, half)))).toBe(half);
    disk.faults.failNextSync = true;
    const rest = time.until(store.writeChunk(GROUP, meta, half, all.subarray(half)));
    await expect(rest).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.paths()).toEqual([]);
    expect(await time.until(store.writeChunk(GROUP, meta, 0, all))).toBe(meta.totalBytes);
    expect(await time.until(readAll(store, 's1'))).toEqual(TEXT);
  });

  it('is open from the first piece that is sent to the last, and not after it is removed', async () => {
    const { time, disk } = machine(3);
    let open = 0;
    const session = disk.session(time.process().clock);
    const opened = session.open.bind(session);
    session.open = async (path) => {
      const file = await opened(path);
      const close = file.close.bind(file);
      open++;
      file.close = () => {
        open--;
        return close();
      };
      return file;
    };
    const store = new SnapshotFiles(session);
    const meta = await time.until(store.create(GROUP, metaOf('s1'), cursorOf(ROWS)));
    const read = (offset: number, length: number) =>
      time.until(store.readChunk(GROUP, 's1', offset, length));
    expect(open).toBe(0);
    for (let i = 0; i < 2; i++) {
      await read(0, 1_000);
      await read(1_000, 1_000);
      expect(open).toBe(1);
    }
    await read(2_000, meta.totalBytes);
    expect(open).toBe(0);
    await read(0, 1_000);
    await time.until(store.remove(GROUP, []));
    expect([open, disk.paths()]).toEqual([0, []]);
  });

  it('F12 a bit flipped anywhere is found before the first row, and the file is kept aside', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const { time, disk, start } = machine(seed);
      const { store } = start();
      await time.until(store.create(GROUP, metaOf('s1'), cursorOf(ROWS)));
      disk.flipSomewhere(() => true);
      const read =
        seed % 2 === 0 ? store.openRows(GROUP, 's1') : store.readChunk(GROUP, 's1', 0, 9);
      await expect(time.until<unknown>(read)).rejects.toMatchObject({ code: 'EBADMSG' });
      expect(disk.paths()).toEqual([`quarantine/snapshots-${GROUP}-s1.snap`]);
    }
  });

  it('F15 a full disk leaves nothing behind, and it works again when there is room', async () => {
    const { time, disk, start } = machine(1);
    const { store } = start();
    disk.faults.capacityBytes = 20_000;
    await expect(
      time.until(store.create(GROUP, metaOf('s1'), cursorOf(ROWS))),
    ).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(disk.paths()).toEqual([]);
    disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
    await time.until(store.create(GROUP, metaOf('s1'), cursorOf(ROWS)));
  });
});
