import { describe, expect, it } from 'vitest';
import { randomInt, seededRandom } from '../../../../protocol/random.ts';
import { FolderKeys } from '../../../../storage/at-rest/folder-keys.ts';
import { SealedDisk } from '../../../../storage/at-rest/sealed-disk.ts';
import {
  BLOCK_BYTES,
  FIRST_BLOCK_BYTES,
  storedStartOf,
} from '../../../../storage/at-rest/sealed-layout.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { Disk } from '../../../../storage/disk/port.ts';
import { bytesOf, expectSame } from '../../../conformance/blob-store.ts';

const clock = { soon: (run: () => void) => void queueMicrotask(run) };
const keysOf = (byte: number) => new FolderKeys(new Map([[1, new Uint8Array(32).fill(byte)]]));

function sealedDisk(disk: Disk, key = 1, seed = 1): SealedDisk {
  const random = seededRandom(seed, 'seal');
  return new SealedDisk(disk, { keys: keysOf(key), purpose: 'blobs', random });
}

async function written(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.create(path);
  await file.write(0, bytes);
  await file.close();
}

async function read(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path);
  return file.read(0, await file.size());
}

const SIZES = [1, 100, FIRST_BLOCK_BYTES, FIRST_BLOCK_BYTES + 1, FIRST_BLOCK_BYTES + BLOCK_BYTES];

describe('a sealed file', () => {
  it('reads as what was written, whatever is written where', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = seededRandom(seed, 'steps');
      const disk = new MemoryDisk(clock);
      const sealed = sealedDisk(disk, 1, seed);
      let file = await sealed.create('f');
      let model = Buffer.alloc(0);
      for (let step = 0; step < 20; step++) {
        const what = random.next();
        if (what < 0.5) {
          const at = what < 0.35 ? model.length : randomInt(random, 0, model.length);
          const piece = bytesOf(randomInt(random, 1, 150_000), seed + step);
          await file.write(at, piece);
          const next = Buffer.alloc(Math.max(model.length, at + piece.length));
          next.set(model);
          next.set(piece, at);
          model = next;
        } else if (what < 0.6) {
          const length = randomInt(random, 0, model.length);
          await file.truncate(length);
          model = model.subarray(0, length);
        } else if (what < 0.7) {
          await file.close();
          file = await sealed.open('f');
        } else {
          const at = randomInt(random, 0, model.length + 10);
          const length = randomInt(random, 0, 200_000);
          expectSame(await file.read(at, length), model.subarray(at, at + length));
        }
        expect(await file.size()).toBe(model.length);
      }
      expectSame(await read(sealed, 'f'), model);
    }
  });

  it('takes its blocks in any order: a chunk writes its header last', async () => {
    const disk = new MemoryDisk(clock);
    const sealed = sealedDisk(disk);
    const bytes = bytesOf(300_000, 4);
    const file = await sealed.create('f');
    await file.write(FIRST_BLOCK_BYTES, bytes.subarray(FIRST_BLOCK_BYTES, 200_000));
    await file.write(200_000, bytes.subarray(200_000));
    await file.write(0, bytes.subarray(0, FIRST_BLOCK_BYTES));
    expectSame(await read(sealed, 'f'), bytes);
  });

  it('shows nothing of its content, and not that two have the same', async () => {
    const disk = new MemoryDisk(clock);
    const sealed = sealedDisk(disk);
    const secret = Buffer.alloc(200_000, 'planted: nobody reads this ');
    await written(sealed, 'a', secret);
    await written(sealed, 'b', secret);
    const a = Buffer.from((await disk.readFile('a'))!);
    const b = Buffer.from((await disk.readFile('b'))!);
    expect(a.includes('planted')).toBe(false);
    for (let at = 64; at + 16 < a.length; at += 16) {
      expect(b.includes(a.subarray(at, at + 16))).toBe(false);
      if (at > 2_000) break;
    }
  });

  it('does not open where any byte of it was changed', async () => {
    for (const size of SIZES) {
      const disk = new MemoryDisk(clock);
      await written(sealedDisk(disk), 'f', bytesOf(size, 2));
      const stored = Buffer.from((await disk.readFile('f'))!);
      const step = Math.max(1, Math.floor(stored.length / 300));
      for (let at = 0; at < stored.length; at += step) {
        const changed = Buffer.from(stored);
        changed[at] = (changed[at] as number) ^ 0x10;
        await disk.writeFileAtomic('f', changed);
        await expect(read(sealedDisk(disk), 'f'), `${size} ${at}`).rejects.toThrow(/sealed|key/);
      }
    }
  });

  it('does not open with blocks exchanged, within it or with another, nor under another folder', async () => {
    const disk = new MemoryDisk(clock);
    const sealed = sealedDisk(disk);
    await written(sealed, 'a', bytesOf(FIRST_BLOCK_BYTES + 3 * BLOCK_BYTES, 5));
    await written(sealed, 'b', bytesOf(FIRST_BLOCK_BYTES + 3 * BLOCK_BYTES, 6));
    const a = Buffer.from((await disk.readFile('a'))!);
    const b = Buffer.from((await disk.readFile('b'))!);
    const [one, two, end] = [1, 2, 3].map(storedStartOf) as [number, number, number];
    const exchanged = Buffer.concat([
      ...[a.subarray(0, one), a.subarray(two, end)],
      ...[a.subarray(one, two), a.subarray(end)],
    ]);
    await disk.writeFileAtomic('a', exchanged);
    await expect(read(sealed, 'a')).rejects.toThrow('block 1');
    const mixed = Buffer.concat([a.subarray(0, one), b.subarray(one, two), a.subarray(two)]);
    await disk.writeFileAtomic('a', mixed);
    await expect(read(sealed, 'a')).rejects.toThrow('block 1');
    await expect(read(sealedDisk(disk, 2), 'b')).rejects.toThrow('block 0');
  });

  it('is refused where it is in clear', async () => {
    const disk = new MemoryDisk(clock);
    await disk.writeFileAtomic('f', bytesOf(10_000, 1));
    await expect(read(sealedDisk(disk), 'f')).rejects.toThrow('not sealed');
  });
});
