import { describe, expect, it, vi } from 'vitest';
import { LIMITS } from '../../../../protocol/limits.ts';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { BlobFiles } from '../../../../storage/blob/blob-files.ts';
import { HEADER_BYTES } from '../../../../storage/blob/format.ts';
import { pathOfChunk } from '../../../../storage/blob/paths.ts';
import { DiskHealth } from '../../../../storage/disk/health.ts';
import { DiskError } from '../../../../storage/disk/port.ts';
import {
  bytesOf,
  chunkOf,
  expectSame,
  get,
  KIB,
  openStore,
  put,
  ROOMY,
} from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';
import { SimDisk, type SimDiskFaults } from '../../../sim/sim-disk.ts';

const NAME = chunkOf(1_800_000_000_000, 1);
const PATH = pathOfChunk(NAME);
const BYTES = bytesOf(300_000, 1);

function machine(seed: number, faults: Partial<SimDiskFaults> = {}) {
  const time = new VirtualTime(seed);
  const { clock } = time.process();
  const disk = new SimDisk(clock, seededRandom(seed, 'disk'), faults);
  const onFatal = vi.fn();
  const store = new BlobFiles({ disk, clock, health: ROOMY, onFatal });
  return { time, clock, disk, store, onFatal };
}

describe('damaged chunks', () => {
  it('F12 a bit flipped anywhere is found by who reads it, and by nobody else', async () => {
    let header = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const { time, disk, store } = machine(seed);
      await time.until(put(store, NAME, BYTES));
      const random = seededRandom(seed, 'flip');
      const inHeader = seed % 3 === 0;
      const offset = inHeader
        ? randomInt(random, 0, HEADER_BYTES - 1)
        : HEADER_BYTES + randomInt(random, 0, BYTES.length - 1);
      disk.flip(PATH, offset, 1 << randomInt(random, 0, 7));
      if (inHeader) {
        header++;
        await expect(time.until(store.open(NAME))).rejects.toMatchObject({ code: 'EBADMSG' });
        continue;
      }
      const block = Math.floor((offset - HEADER_BYTES) / (64 * KIB));
      // With its front fetched along with the header, or without.
      const reader = await time.until(store.open(NAME, seed % 2 === 0 ? BYTES.length : 0));
      await expect(time.until(reader.read(0, BYTES.length))).rejects.toMatchObject({
        ...{ name: 'BlobError', code: 'EBADMSG', chunk: NAME, block },
      });
      for (let i = 0; i < 5; i++) {
        const range = [i * 64 * KIB, 10] as const;
        const read = time.until(reader.read(...range));
        if (i === block) await expect(read).rejects.toMatchObject({ block });
        else expectSame(await read, BYTES.subarray(range[0], range[0] + range[1]));
      }
    }
    expect(header).toBe(50);
  });

  it('a file that is cut short, longer, or of another chunk is damaged', async () => {
    const { time, disk, store } = machine(1);
    const other = { ...NAME, number: 1 };
    await time.until(put(store, NAME, BYTES));
    await time.until(put(store, other, BYTES));
    const file = (await time.until(disk.openToRead(PATH)))!;
    await time.until(file.truncate(HEADER_BYTES + BYTES.length + 1));
    await expect(time.until(store.open(NAME))).rejects.toMatchObject({ code: 'EBADMSG' });
    await time.until(file.truncate(100));
    await expect(time.until(store.open(NAME))).rejects.toMatchObject({ code: 'EBADMSG' });
    await time.until(disk.rename(pathOfChunk(other), PATH));
    await expect(time.until(store.open(NAME))).rejects.toThrow('the file holds chunk');
  });

  it('go to quarantine, and are missing then; a good copy takes their place', async () => {
    const { time, disk, store } = machine(1);
    await time.until(put(store, NAME, BYTES));
    disk.flip(PATH, HEADER_BYTES + 70_000, 4);
    await time.until(store.setAside(NAME));
    await expect(time.until(store.open(NAME))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(disk.paths()).toEqual([`quarantine/blobs/${PATH.slice(-41)}`]);
    await time.until(put(store, NAME, BYTES));
    expectSame(await time.until(get(store, NAME)), BYTES);
  });

  it('writing a chunk again heals it, in its bytes and in its header', async () => {
    for (const offset of [9, HEADER_BYTES + 1000]) {
      const { time, disk, store } = machine(1);
      await time.until(put(store, NAME, BYTES));
      disk.flip(PATH, offset, 1);
      await time.until(put(store, NAME, BYTES));
      expectSame(await time.until(get(store, NAME)), BYTES);
    }
  });

  it('a repair between the finding and the quarantine is left alone', async () => {
    const { time, disk, store } = machine(1);
    await time.until(put(store, NAME, BYTES));
    disk.flip(PATH, HEADER_BYTES + 1000, 1);
    const again = put(store, NAME, BYTES);
    await time.until(again);
    await time.until(store.setAside(NAME));
    expectSame(await time.until(get(store, NAME)), BYTES);
  });

  it('no more than 64 are kept', async () => {
    const { time, disk, store } = machine(1);
    for (let number = 0; number < 70; number++) {
      const name = { ...NAME, number };
      await time.until(put(store, name, bytesOf(10, number)));
      disk.flip(pathOfChunk(name), HEADER_BYTES, 1);
      await time.until(store.setAside(name));
    }
    expect(disk.paths().length).toBe(64);
    expect(await time.until(store.list(null, 100))).toEqual([]);
  });
});

describe('a disk that fails', () => {
  it('F14 a failed sync leaves no chunk, and the next try is one of its own', async () => {
    const { time, disk, store, onFatal } = machine(1);
    disk.faults.failNextSync = true;
    await expect(time.until(put(store, NAME, BYTES))).rejects.toMatchObject({ code: 'EIO' });
    expect(disk.paths()).toEqual([]);
    expect(onFatal).not.toHaveBeenCalled();
    await time.until(put(store, NAME, BYTES));
    disk.crash();
    const after = openStore(disk.session(time.process().clock));
    expectSame(await time.until(get(after, NAME)), BYTES);
  });

  it("F14 a failed sync of a folder is fatal: its names are in doubt, others' too", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { time, disk, store, onFatal } = machine(seed, { failNextPlace: true });
      await expect(time.until(put(store, NAME, BYTES))).rejects.toMatchObject({ code: 'EIO' });
      expect(onFatal).toHaveBeenCalledOnce();
      expect(disk.paths().filter((path) => path.startsWith('blobs/scratch'))).toEqual([]);
    }
  });

  it('F15 F16 F17 a write that fails at any step leaves no part of a chunk, and it works again later', async () => {
    for (const code of ['ENOSPC', 'EROFS', 'EMFILE', 'EIO']) {
      for (let seed = 1; seed <= 25; seed++) {
        const { time, disk, store } = machine(seed);
        const random = seededRandom(seed, code);
        const writing = put(store, NAME, BYTES, 20_000).then(
          () => 'sealed',
          (error: DiskError) => error.code,
        );
        await time.pass(random.next() * 4);
        disk.faults.writeErrorCode = code;
        const result = await time.until(writing);
        expect(['sealed', code]).toContain(result);
        disk.faults.writeErrorCode = null;
        const there = disk.paths().filter((path) => path.startsWith('blobs/chunks'));
        expect(there).toEqual(result === 'sealed' ? [PATH] : []);
        await time.until(put(store, NAME, BYTES));
        // What could not be removed while nothing could goes with the next chunk.
        expect(disk.paths()).toEqual([PATH]);
      }
    }
  });

  it('F15 a disk that is full in the middle refuses the chunk, and nothing of it is left', async () => {
    const { time, disk, store } = machine(1, { capacityBytes: 150_000 });
    await expect(time.until(put(store, NAME, BYTES))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(disk.paths()).toEqual([]);
    disk.faults.capacityBytes = 400_000;
    await time.until(put(store, NAME, BYTES));
  });

  it('F15 chunks keep out of what is kept free for the log, also between two looks at the disk', async () => {
    const capacityBytes = LIMITS.diskReserveBytes + 1024 * KIB;
    const { time, clock, disk } = machine(1, { capacityBytes });
    const health = new DiskHealth(disk, clock);
    const store = new BlobFiles({ disk, clock, health, onFatal: () => {} });
    await time.until(health.look());
    const results = [];
    for (let number = 0; number < 5; number++) {
      const chunk = { ...NAME, number };
      results.push(await time.until(put(store, chunk, BYTES).catch((e: DiskError) => e.code)));
    }
    expect(results).toEqual([undefined, undefined, undefined, 'ENOSPC', 'ENOSPC']);
    expect(await time.until(disk.freeBytes())).toBeGreaterThan(LIMITS.diskReserveBytes);
    expectSame(await time.until(get(store, NAME)), BYTES);
    disk.faults.capacityBytes *= 2;
    await time.until(health.look());
    await time.until(put(store, { ...NAME, number: 9 }, BYTES));
    disk.faults.writeErrorCode = 'EROFS';
    await time.until(health.look());
    await expect(time.until(store.create(NAME))).rejects.toMatchObject({ code: 'EROFS' });
    disk.faults.writeErrorCode = 'EMFILE';
    await time.until(health.look());
    await expect(time.until(store.create(NAME))).rejects.toMatchObject({ code: 'EMFILE' });
  });

  it('a sector that cannot be read is damage; a good copy replaces the chunk', async () => {
    const { time, disk, store } = machine(1);
    await time.until(put(store, NAME, BYTES));
    const openToRead = disk.openToRead.bind(disk);
    disk.openToRead = async (path) => {
      const file = await openToRead(path);
      if (file === null || path !== PATH) return file;
      file.read = async () => {
        throw new DiskError('EIO', 'an unreadable sector');
      };
      return file;
    };
    await expect(time.until(get(store, NAME))).rejects.toMatchObject({ code: 'EIO' });
    await time.until(put(store, NAME, BYTES));
    expect(disk.paths()).toEqual([PATH, `quarantine/blobs/${PATH.slice(-41)}`]);
  });
});
