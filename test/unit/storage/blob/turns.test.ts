import { describe, expect, it } from 'vitest';
import { Turns } from '../../../../storage/blob/turns.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { DiskFile } from '../../../../storage/disk/port.ts';
import { bytesOf, chunkOf, openStore } from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

describe('turns', () => {
  it('run so many at once, in order, and go on behind one that fails', async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    const ends: ((isGood: boolean) => void)[] = [];
    const work = (n: number) =>
      turns.run(
        () =>
          new Promise<number>((resolved, rejected) => {
            begun.push(n);
            ends[n] = (isGood) => (isGood ? resolved(n) : rejected(new Error(`${n} failed`)));
          }),
      );
    const all = [0, 1, 2, 3].map(work);
    expect(begun).toEqual([0, 1]);
    const failed = expect(all[1]).rejects.toThrow('1 failed');
    ends[1]?.(false);
    await failed;
    expect(begun).toEqual([0, 1, 2]);
    ends[0]?.(true);
    expect(await all[0]).toBe(0);
    const late = work(4);
    expect(begun).toEqual([0, 1, 2, 3]);
    for (const n of [2, 3]) ends[n]?.(true);
    expect(await Promise.all([all[2], all[3]])).toEqual([2, 3]);
    ends[4]?.(true);
    expect(await late).toBe(4);
  });

  it('no more than three chunks are synced at once, whatever number is sealed', async () => {
    const time = new VirtualTime(1);
    const { clock } = time.process();
    let [syncing, most] = [0, 0];
    class SlowDisk extends MemoryDisk {
      override async create(path: string): Promise<DiskFile> {
        const file = await super.create(path);
        file.sync = async () => {
          most = Math.max(most, ++syncing);
          await new Promise<void>((resolved) => clock.after(30, resolved));
          syncing--;
        };
        return file;
      }
    }
    const store = openStore(new SlowDisk(clock));
    const seal = async (n: number): Promise<void> => {
      const writer = await store.create(chunkOf(1_800_000_000_000, n));
      await writer.write(bytesOf(1_000, n));
      await writer.seal(null);
    };
    await time.until(Promise.all(Array.from({ length: 9 }, (_, n) => seal(n))));
    expect(most).toBe(3);
    expect((await time.until(store.list(null, 100))).length).toBe(9);
  });
});
