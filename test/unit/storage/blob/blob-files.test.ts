import { expect, it } from 'vitest';
import { PAGE_BYTES, pageAligned } from '../../../../protocol/page-aligned.ts';
import { MemoryDisk } from '../../../../storage/disk/memory-disk.ts';
import type { DiskFile } from '../../../../storage/disk/port.ts';
import { bytesOf, chunkOf, openStore } from '../../../conformance/blob-store.ts';
import { VirtualTime } from '../../../kit/virtual-time.ts';

it('no more than three pieces are written, or chunks synced, at once, whatever number is on its way', async () => {
  const time = new VirtualTime(1);
  const { clock } = time.process();
  let [busy, most] = [0, 0];
  const slowly = async (work: () => Promise<void>): Promise<void> => {
    most = Math.max(most, ++busy);
    await new Promise<void>((resolved) => clock.after(30, resolved));
    await work();
    busy--;
  };
  class SlowDisk extends MemoryDisk {
    override async create(path: string): Promise<DiskFile> {
      const file = await super.create(path);
      const { write, sync } = file;
      file.write = (offset, bytes) => slowly(() => write.call(file, offset, bytes));
      file.sync = () => slowly(() => sync.call(file));
      return file;
    }
  }
  const store = openStore(new SlowDisk(clock));
  const seal = async (n: number): Promise<void> => {
    const writer = await store.create(chunkOf(1_800_000_000_000, n));
    const piece = pageAligned(PAGE_BYTES);
    piece.set(bytesOf(1_000, n));
    await writer.write(piece);
    await writer.seal(null);
  };
  await time.until(Promise.all(Array.from({ length: 9 }, (_, n) => seal(n))));
  expect(most).toBe(3);
  expect((await time.until(store.list(null, 100))).length).toBe(9);
});
